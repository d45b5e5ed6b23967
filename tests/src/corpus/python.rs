//! Programs in Python.

use super::*;

/// Children that hang.
#[rustfmt::skip]
pub(super) static HANGS: &[Case] = &[
    case("hang_python", "hang.py", &[], PYTHON),
    case("hang_python_lock_of_thread", "lock_of_thread.py", &["Lock"], PYTHON),
    case("hang_python_rlock_of_thread", "lock_of_thread.py", &["RLock"], PYTHON),
    case("hang_python_condition_of_thread", "lock_of_thread.py", &["Condition"], PYTHON),
    case("hang_python_in_queue", "stuck_in.py", &["queue"], PYTHON),
    case("hang_python_in_event", "stuck_in.py", &["event"], PYTHON),
    case("hang_python_in_executor", "stuck_in.py", &["executor"], PYTHON),
    case("hang_python_in_buffer", "stuck_in.py", &["buffer"], PYTHON),
    case("hang_python_forked_by_thread", "stuck_worker.py", &["thread"], PYTHON),
    case("hang_python_pool_worker", "stuck_worker.py", &["pool"], PYTHON),
    case("hang_python_executor_worker", "stuck_worker.py", &["executor"], PYTHON),
    case("hang_python_daemon", "stuck_worker.py", &["double"], PYTHON),
    case("hang_python_worker_with_feeder", "stuck_worker.py", &["feeder"], PYTHON),
    case("hang_python_siblings", "stuck_worker.py", &["siblings"], PYTHON),
    case("hang_python_worker_with_handlers", "stuck_worker.py", &["handlers"], PYTHON).least(Some(Confidence::Suspect)),
    case("hang_python_in_preexec", "stuck_worker.py", &["preexec"], PYTHON),
    case("hang_python_lost_event", "lost_thread.py", &["event"], LOST_PYTHON).least(None),
    case("hang_python_lost_semaphore", "lost_thread.py", &["semaphore"], LOST_PYTHON).least(None),
    case("hang_python_lost_queue", "lost_thread.py", &["queue"], LOST_PYTHON).least(None),
    case("hang_python_buffer", "buffer_of_thread.py", &[], PYTHON),
];

/// Programs in which every wait ends.
#[rustfmt::skip]
pub(super) static QUIET: &[Case] = &[
    case("quiet_python_mp_lock", "mp_lock.py", &[], NOTHING),
    case("quiet_python_timed_acquire", "timed_acquire.py", &[], NOTHING),
    case("quiet_python_pool", "pool.py", &[], NOTHING),
    case("quiet_python_executor", "executor.py", &[], NOTHING),
    case("quiet_python_event", "event.py", &[], MAYBE),
    case("quiet_python_atfork", "atfork.py", &[], MAYBE),
    case("quiet_python_spawn", "started.py", &["spawn"], NOTHING),
    case("quiet_python_forkserver", "started.py", &["forkserver"], NOTHING),
    case("quiet_python_long_holder", "long_holder.py", &[], NOTHING).flags(&["--min-wait", "200ms"]),
    case("quiet_python_shared_queue", "shared_things.py", &["Queue"], NOTHING),
    case("quiet_python_shared_joinablequeue", "shared_things.py", &["JoinableQueue"], NOTHING),
    case("quiet_python_shared_simplequeue", "shared_things.py", &["SimpleQueue"], NOTHING),
    case("quiet_python_shared_pipe", "shared_things.py", &["Pipe"], NOTHING),
    case("quiet_python_shared_event", "shared_things.py", &["Event"], NOTHING),
    case("quiet_python_shared_barrier", "shared_things.py", &["Barrier"], NOTHING),
    case("quiet_python_shared_semaphore", "shared_things.py", &["Semaphore"], NOTHING),
    case("quiet_python_shared_condition", "shared_things.py", &["Condition"], NOTHING),
    case("quiet_python_shared_value", "shared_things.py", &["Value"], NOTHING),
    case("quiet_python_shared_manager", "shared_things.py", &["Manager"], NOTHING),
    case("quiet_python_threads_executor", "child_threads.py", &["executor"], MAYBE),
    case("quiet_python_threads_queue", "child_threads.py", &["queue"], MAYBE),
    case("quiet_python_threads_simple", "child_threads.py", &["simple"], MAYBE),
    case("quiet_python_threads_condition", "child_threads.py", &["condition"], MAYBE),
    case("quiet_python_threads_join", "child_threads.py", &["join"], MAYBE),
    case("quiet_python_threads_asyncio", "child_threads.py", &["asyncio"], MAYBE),
    case("quiet_python_threads_listener", "child_threads.py", &["listener"], MAYBE),
    case("quiet_python_threads_subprocess", "child_threads.py", &["subprocess"], MAYBE),
    case("quiet_python_threads_import", "child_threads.py", &["import"], MAYBE),
    case("quiet_python_signal_event", "by_signal.py", &["event"], MAYBE),
    case("quiet_python_signal_release", "by_signal.py", &["release"], MAYBE),
    case("quiet_python_signal_timeout", "by_signal.py", &["timeout"], MAYBE),
    case("quiet_python_reinitialised_logging", "reinitialised.py", &["logging"], NOTHING),
    case("quiet_python_reinitialised_handler", "reinitialised.py", &["handler"], NOTHING),
    case("quiet_python_reinitialised_random", "reinitialised.py", &["random"], NOTHING),
    case("quiet_python_reinitialised_threads", "reinitialised.py", &["threads"], NOTHING),
    case("quiet_python_sleeper", "sleeper.py", &[], MAYBE),
];
