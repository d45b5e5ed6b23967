//! Limits that are stated to users. Each row holds one where it is: if it moves, say so in the docs.

use super::*;

/// What cannot be judged, or not as well as one would like.
#[rustfmt::skip]
pub(super) static LIMITS: &[Case] = &[
    case("limit_spinlock", "spinlock.c", &[], ownerless("spinlock"))
        .limit(None, "a thread that spins makes no system call, so there is nothing to judge"),
    case("limit_timed_retry", "timed_retry.c", &[], MUTEX)
        .limit(None, "a loop of waits with a timeout: no single wait lasts"),
    case("limit_orphaned_semaphore", "orphaned_semaphore.c", &[], SEMAPHORE)
        .limit(Some(Confidence::Suspect), "a semaphore does not record its holder: a living thread of the child may hold it"),
    case("limit_retaken_semaphore", "retaken_semaphore.c", &[], self_deadlock("glibc semaphore"))
        .limit(Some(Confidence::Certain), "a post that wakes nobody makes no system call. A semaphore that the child released and took again looks inherited"),
    case("limit_lost_semaphore", "lost_semaphore.c", &[], lost_waker("glibc semaphore"))
        .limit(Some(Confidence::Certain), "the semaphore that a lost thread was to post looks like a lock that was held. The child does hang, but the kind is wrong"),
    case("limit_foreign_unlock", "foreign_unlock.c", &[], NOTHING)
        .limit(Some(Confidence::Certain), "a thread that does not own the mutex unlocks it, against POSIX. The wait was called certain, and ends"),
    case("limit_handler_unlock", "handler_unlocks.c", &[], NOTHING)
        .limit(Some(Confidence::Likely), "a signal handler unlocks the mutex for which its own thread waits, against POSIX. The wait was called likely, and ends"),
    case("limit_interrupted", "parked.py", &[], NOTHING)
        .limit(Some(Confidence::Certain), "Python's own handler of SIGINT is not counted, because every program has it. Ctrl-C ends the wait"),
];
