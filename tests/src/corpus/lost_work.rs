//! Programs whose children hand work to threads that they do not have, and their healthy look-alikes.

use super::*;

/// It must be said of each child that `stuck` names, though nothing hangs. Never for certain.
const WORK: Judgement =
    Judgement { truth: Truth::LostWork(Hang::UNNAMED), least: LIKELY, most: LIKELY };

/// Children that hand work to lost threads.
#[rustfmt::skip]
pub(super) static LOST: &[Case] = &[
    case("work_condition", "handed_over.c", &["cond"], WORK),
    case("work_condition_many", "handed_over.c", &["many"], WORK),
    case("work_condition_team", "handed_over.c", &["team"], WORK),
    case("work_condition_timed", "handed_over.c", &["timed"], WORK),
    case("work_condition_late", "handed_over.c", &["late"], WORK),
    case("work_three_workers", "handed_over.c", &["workers"], WORK),
    case("work_raw_clone", "handed_over.c", &["raw"], WORK),
    case("work_named_library", "handed_over.c", &["named"], WORK),
    case("work_semaphore", "handed_over.c", &["sem"], WORK),
    case("work_semaphore_many", "handed_over.c", &["posts"], WORK),
    // The other thread may do it.
    case("work_beside_a_thread", "handed_over.c", &["beside"], WORK).least(Some(Confidence::Suspect)),
    case("work_cxx_pool", "handed_over_cxx.cc", &["pool"], WORK),
    case("work_cxx_condition_any", "handed_over_cxx.cc", &["any"], WORK),
    case("work_cxx_semaphore", "handed_over_cxx.cc", &["semaphore"], WORK),
    case("work_cxx_atomic", "handed_over_cxx.cc", &["atomic"], WORK),
    case("work_rust_channel", "handed_over.rs", &["channel"], WORK),
    case("work_rust_condvar", "handed_over.rs", &["condvar"], WORK),
    case("work_rust_park", "handed_over.rs", &["park"], WORK),
    case("work_python_queue", "handed_over.py", &["queue"], WORK),
    case("work_python_simple_queue", "handed_over.py", &["simple"], WORK),
    case("work_python_executor", "handed_over.py", &["executor"], WORK),
    case("work_python_event", "handed_over.py", &["event"], WORK),
    case("work_python_condition", "handed_over.py", &["condition"], WORK),
    case("work_python_queue_listener", "handed_over.py", &["listener"], WORK),
    case("work_python_multiprocessing", "handed_over.py", &["pool"], WORK),
    case("work_python_feeder", "handed_over.py", &["feeder"], WORK),
    case("work_confluent_kafka", "handed_over_to.py", &["kafka"], WORK).package("confluent_kafka"),
];

/// Programs in which no work is lost.
#[rustfmt::skip]
pub(super) static QUIET: &[Case] = &[
    case("quiet_work_unused", "handed_over.c", &["unused"], NOTHING),
    case("quiet_work_anew", "handed_over.c", &["anew"], NOTHING),
    case("quiet_work_anew_semaphore", "handed_over.c", &["anew-sem"], NOTHING),
    case("quiet_work_served", "handed_over.c", &["served-sem"], NOTHING),
    case("quiet_work_own_pid", "handed_over.c", &["pid"], NOTHING),
    case("quiet_work_mutex_released", "handed_over.c", &["mutex"], NOTHING),
    case("quiet_work_rwlock_released", "handed_over.c", &["rwlock"], NOTHING),
    case("quiet_work_sleeper", "handed_over.c", &["sleeps"], NOTHING),
    case("quiet_work_poller", "handed_over.c", &["polls"], NOTHING),
    case("quiet_work_heartbeat", "handed_over.c", &["beats"], NOTHING),
    case("quiet_work_ends", "handed_over.c", &["ends"], NOTHING),
    case("quiet_work_at_exit", "handed_over.c", &["exits"], NOTHING),
    case("quiet_work_shared_memory", "handed_over.c", &["shared"], NOTHING),
    case("quiet_work_exec", "handed_over.c", &["exec"], NOTHING),
    case("quiet_work_neighbours", "handed_over.c", &["stirs"], NOTHING),
    case("quiet_work_freed", "handed_over.c", &["freed"], NOTHING),
    case("quiet_work_cxx_idle", "handed_over_cxx.cc", &["idle"], NOTHING),
    case("quiet_work_cxx_own_pool", "handed_over_cxx.cc", &["own"], NOTHING),
    case("quiet_work_cxx_lock_released", "handed_over_cxx.cc", &["released"], NOTHING),
    case("quiet_work_rust_idle", "handed_over.rs", &["idle"], NOTHING),
    case("quiet_work_rust_own_channel", "handed_over.rs", &["own"], NOTHING),
    case("quiet_work_rust_mutex_released", "handed_over.rs", &["mutex"], NOTHING),
    case("quiet_work_python_unused", "handed_over.py", &["unused"], NOTHING),
    case("quiet_work_python_anew", "handed_over.py", &["anew"], NOTHING),
    // The lost thread is told first, so that the first task waits until the second one.
    case("quiet_work_python_served", "handed_over.py", &["served"], MAYBE),
    case("quiet_work_python_lock_released", "handed_over.py", &["lock"], NOTHING),
    case("quiet_work_python_at_exit", "handed_over.py", &["exits"], NOTHING),
    case("quiet_work_python_own_executor", "handed_over.py", &["own"], NOTHING),
    case("quiet_work_python_mp_queue", "handed_over.py", &["mp"], NOTHING),
    case("quiet_work_python_spawn", "handed_over.py", &["spawn"], NOTHING),
    case("quiet_work_python_subprocess", "handed_over.py", &["runs"], NOTHING),
    case("quiet_work_python_timer", "handed_over.py", &["timer"], NOTHING),
    // It makes its queue and thread again in the child.
    case("quiet_work_opentelemetry", "handed_over_to.py", &["otel"], NOTHING).package("opentelemetry.sdk"),
    // It makes its thread again, which takes the first event only with the second one.
    case("quiet_work_sentry", "handed_over_to.py", &["sentry"], MAYBE).package("sentry_sdk"),
    case("quiet_work_kafka_unused", "handed_over_to.py", &["kafka-unused"], NOTHING).package("confluent_kafka"),
    case("quiet_work_zeromq_unused", "handed_over_to.py", &["zmq-unused"], NOTHING).package("zmq"),
    case("quiet_work_pymongo_unused", "handed_over_to.py", &["mongo-unused"], NOTHING).package("pymongo"),
];
