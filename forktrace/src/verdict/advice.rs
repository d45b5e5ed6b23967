//! What to do, and what things are called in the language of the program.

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
pub(super) fn advice(is_python: bool, parent_alone: bool) -> &'static str {
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
