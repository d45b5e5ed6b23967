//! What to do, and what things are called in the language of the program.

use crate::finding::Kind;

/// The lock's kind in the program's own words. Up to Python 3.12 every lock of the `threading`
/// module is a `sem_t` (`Python/thread_pthread.h`, CPython 3.11).
pub(super) fn kind_in_words(kind: &str, is_python: bool) -> String {
    match (kind, is_python) {
        (kind, true) if kind.starts_with("glibc semaphore") => {
            "Python threading lock (sem_t)".to_owned()
        }
        (kind, _) => kind.to_owned(),
    }
}

/// What the person on call can do.
pub(super) fn advice(kind: Kind, is_python: bool, parent_alone: bool) -> &'static str {
    match kind {
        Kind::InheritedLock => inherited(is_python, parent_alone),
        Kind::LostWaker if is_python => {
            "use the \"spawn\" or \"forkserver\" start method, or start the threads that the \
             child waits for in the child, after the fork"
        }
        Kind::LostWaker => {
            "start the threads that the child waits for in the child, after the fork (libraries \
             with a thread pool of their own have a call for it, or must be used in the child \
             alone), or exec at once in the child"
        }
        Kind::SelfDeadlock => {
            "the thread takes a lock again that it already has: release it first, or make it a \
             recursive lock; look for a callback, a signal handler or an atfork handler that runs \
             while it is held"
        }
    }
}

fn inherited(is_python: bool, parent_alone: bool) -> &'static str {
    match (is_python, parent_alone) {
        (true, _) => {
            "use the \"spawn\" or \"forkserver\" start method, or release the lock in \
             os.register_at_fork(before=…) and take it back in after_in_parent and after_in_child"
        }
        (false, true) => {
            "release the lock before fork() or in a pthread_atfork() handler, or exec at once in \
             the child"
        }
        (false, false) => {
            "fork before the threads are started, or take the lock in a pthread_atfork() prepare \
             handler and release it in both processes, or exec at once in the child"
        }
    }
}
