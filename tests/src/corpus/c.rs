//! Programs in C: the locks of glibc, and what looks like them.

use super::*;

/// Children that hang.
#[rustfmt::skip]
pub(super) static HANGS: &[Case] = &[
    case("hang_mutex_normal", "inherited_mutex.c", &["normal", "thread", "keep", "single"], MUTEX),
    case("hang_mutex_recursive", "inherited_mutex.c", &["recursive", "thread", "keep", "single"], RECURSIVE),
    case("hang_mutex_errorcheck", "inherited_mutex.c", &["errorcheck", "thread", "keep", "single"], ERRORCHECK),
    case("hang_mutex_adaptive", "inherited_mutex.c", &["adaptive", "thread", "keep", "single"], ADAPTIVE),
    case("hang_mutex_of_the_forking_thread", "inherited_mutex.c", &["normal", "forker", "keep", "single"], MUTEX),
    case("hang_recursive_of_the_forking_thread", "inherited_mutex.c", &["recursive", "forker", "keep", "single"], RECURSIVE),
    case("hang_mutex_released_since", "inherited_mutex.c", &["normal", "thread", "release", "single"], MUTEX),
    case("hang_mutex_of_forker_released_since", "inherited_mutex.c", &["normal", "forker", "release", "single"], MUTEX),
    case("hang_mutex_parent_dead", "inherited_mutex.c", &["normal", "thread", "die", "single"], MUTEX),
    case("hang_errorcheck_parent_dead", "inherited_mutex.c", &["errorcheck", "forker", "die", "single"], ERRORCHECK),
    case("hang_mutex_child_has_threads", "inherited_mutex.c", &["normal", "thread", "keep", "threads"], MUTEX),
    case("hang_mutex_released_child_has_threads", "inherited_mutex.c", &["recursive", "thread", "release", "threads"], RECURSIVE),
    case("hang_rwlock_read_of_writer", "inherited_rwlock.c", &["write", "read"], WRITER),
    case("hang_rwlock_write_of_writer", "inherited_rwlock.c", &["write", "write"], WRITER),
    case("hang_rwlock_write_of_reader", "inherited_rwlock.c", &["read", "write"], READERS),
    case("hang_semaphore", "inherited_semaphore.c", &[], SEMAPHORE),
    case("hang_grandchild", "inherited_grandchild.c", &[], MUTEX),
    case("hang_self_deadlock", "self_deadlock.c", &[], SELF_DEADLOCK).least(None),
    case("hang_lost_waker_condition", "lost_thread.c", &["condition"], LOST_WAKER).least(None),
    case("hang_lost_waker_barrier", "lost_thread.c", &["barrier"], LOST_WAKER).least(None),
];

/// Programs in which every wait ends.
#[rustfmt::skip]
pub(super) static QUIET: &[Case] = &[
    case("quiet_released_before", "released_before.c", &[], NOTHING),
    case("quiet_atfork", "atfork.c", &[], NOTHING),
    case("quiet_exec", "exec_child.c", &[], NOTHING),
    case("quiet_threads_only", "threads_only.c", &[], NOTHING),
    case("quiet_vfork", "spawned.c", &["vfork"], NOTHING),
    case("quiet_posix_spawn", "spawned.c", &["posix_spawn"], NOTHING),
    case("quiet_daemon", "daemon.c", &[], NOTHING),
    case("quiet_shared_mutex", "shared_mutex.c", &[], NOTHING),
    case("quiet_timed_wait", "timed_wait.c", &[], NOTHING),
    case("quiet_condition", "condition.c", &[], NOTHING),
    case("quiet_semaphore_event", "semaphore_event.c", &[], MAYBE),
    case("quiet_killed", "killed.c", &[], NOTHING),
    case("quiet_futex_storm", "futex_storm.c", &["500", "2"], NOTHING),
    case("quiet_10000_forks", "quick_forks.c", &["10000"], NOTHING),
];
