//! Programs in Python.

use super::*;

/// Children that hang.
#[rustfmt::skip]
pub(super) static HANGS: &[Case] = &[
    case("hang_python", "hang.py", &[], PYTHON),
    case("hang_python_lock_of_thread", "lock_of_thread.py", &["Lock"], PYTHON),
    case("hang_python_rlock_of_thread", "lock_of_thread.py", &["RLock"], PYTHON),
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
];
