//! Limits that are stated to users. Each row holds one where it is: if it moves, say so in the docs.

use super::*;

/// What cannot be judged, or not as well as one would like.
#[rustfmt::skip]
pub(super) static LIMITS: &[Case] = &[
    case("limit_spinlock", "spinlock.c", &[], ownerless("spinlock"))
        .limit(None, "a thread that spins on a lock makes no system call that could be judged"),
    case("limit_timed_retry", "timed_retry.c", &[], MUTEX)
        .limit(None, "a loop of waits with a timeout is no wait that lasts"),
    case("limit_import_lock", "import_lock.py", &[], ownerless("Python import lock"))
        .limit(Some(Confidence::Suspect), "a lock that is a note in memory, like Python's import lock, is waited for on a word that was free at the fork: it looks like any wait for a signal"),
    case("limit_orphaned_semaphore", "orphaned_semaphore.c", &[], SEMAPHORE)
        .limit(Some(Confidence::Suspect), "a semaphore does not say who has it: a living thread of the child might be the one"),
    case("limit_retaken_semaphore", "retaken_semaphore.c", &[], self_deadlock("glibc semaphore"))
        .limit(Some(Confidence::Certain), "a post that wakes nobody makes no system call: a semaphore that the child released, took again and waits for looks inherited"),
    case("limit_lost_semaphore", "lost_semaphore.c", &[], lost_waker("glibc semaphore"))
        .limit(Some(Confidence::Certain), "a semaphore that a lost thread was to post looks like a lock that was held: that the child hangs is true, what it is called is not"),
    case("limit_foreign_unlock", "foreign_unlock.c", &[], NOTHING)
        .limit(Some(Confidence::Certain), "a mutex that a thread unlocks which does not own it, against POSIX, ends a wait that was called hopeless"),
    case("limit_handler_unlock", "handler_unlocks.c", &[], NOTHING)
        .limit(Some(Confidence::Likely), "a mutex that a handler unlocks while the thread which has it waits for it, against POSIX, ends a wait that was called likely to last"),
    case("limit_interrupted", "parked.py", &[], NOTHING)
        .limit(Some(Confidence::Certain), "Python's handler of SIGINT, which every program has, does not count as something that could end a wait: Ctrl-C does"),
];
