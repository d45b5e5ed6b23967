//! Programs in Python, run by other Pythons than this machine's.

use super::*;

/// Children that hang.
#[rustfmt::skip]
pub(super) static HANGS: &[Case] = &[
    rooted(V313, "hang_python313", "hang.py", &[], PY_LOCK),
    rooted(V313, "hang_python313_lock_of_thread", "lock_of_thread.py", &["Lock"], PY_LOCK),
    rooted(V313, "hang_python313_lock_released_since", "lock_of_thread.py", &["Lock", "6", "release"], PY_LOCK),
    rooted(V313, "hang_python313_rlock_of_thread", "lock_of_thread.py", &["RLock"], PYTHON_RLOCK),
    rooted(V313, "hang_python313_condition", "lock_of_thread.py", &["Condition"], PYTHON_CONDITION),
    rooted(V314, "hang_python314", "hang.py", &[], PY_LOCK),
    rooted(V314, "hang_python314_lock_of_thread", "lock_of_thread.py", &["Lock"], PY_LOCK),
    rooted(V314, "hang_python314_rlock_of_thread", "lock_of_thread.py", &["RLock"], PY_RLOCK),
    rooted(V314, "hang_python314_rlock_released_since", "lock_of_thread.py", &["RLock", "6", "release"], PY_RLOCK),
    rooted(V314, "hang_python314_condition", "lock_of_thread.py", &["Condition"], PY_RLOCK),
    rooted(V314, "hang_python314_buffer", "buffer_of_thread.py", &[], PYTHON),
    rooted(V313, "own_python313_lock", "own_fault.py", &["lock"], OWN_FAULT),
    rooted(V313, "own_python313_event", "own_fault.py", &["event"], OWN_FAULT),
    rooted(V314, "own_python314_lock", "own_fault.py", &["lock"], OWN_FAULT),
    rooted(V314, "own_python314_event", "own_fault.py", &["event"], OWN_FAULT),
    rooted(V314, "hang_python314_rlock_child_has_threads", "lock_of_thread.py", &["RLock", "6", "release", "threads"], PY_RLOCK),
    rooted(V313, "lost_python313_queue_join", "shared_hangs.py", &["queue-join"], LOST),
    rooted(V314, "lost_python314_future", "shared_hangs.py", &["future"], LOST),
    rooted(V314, "orphaned_python314_queue", "shared_hangs.py", &["queue"], ORPHANED),
];

/// Programs in which every wait ends.
#[rustfmt::skip]
pub(super) static QUIET: &[Case] = &[
    rooted(V313, "quiet_python313_join", "waits.py", &["join"], NOTHING),
    rooted(V313, "quiet_python313_queue", "waits.py", &["queue"], MAYBE),
    rooted(V313, "quiet_python313_event", "event.py", &[], MAYBE),
    rooted(V313, "quiet_python313_threads_at_rest", "waits.py", &["executor"], MAYBE),
    rooted(V313, "quiet_python313_timed_acquire", "timed_acquire.py", &[], NOTHING),
    rooted(V313, "quiet_python313_reinit", "waits.py", &["reinit"], MAYBE),
    rooted(V313, "quiet_python313_executor", "executor.py", &[], NOTHING),
    rooted(V314, "quiet_python314_join", "waits.py", &["join"], NOTHING),
    rooted(V314, "quiet_python314_queue", "waits.py", &["queue"], MAYBE),
    rooted(V314, "quiet_python314_event", "event.py", &[], MAYBE),
    rooted(V314, "quiet_python314_threads_at_rest", "waits.py", &["executor"], MAYBE),
    rooted(V314, "quiet_python314_timed_acquire", "timed_acquire.py", &[], NOTHING),
    rooted(V314, "quiet_python314_reinit", "waits.py", &["reinit"], MAYBE),
    rooted(V314, "quiet_python314_mp_lock", "mp_lock.py", &[], NOTHING),
];
