//! What to do about locks on files and blocked signals.

use forktrace_model::finding::Remedy;

/// The advice, in words; `None`: it is about something else.
pub(super) fn text(remedy: Remedy) -> Option<&'static str> {
    Some(match remedy {
        Remedy::FileLockShared => SHARED,
        Remedy::FileLockSharedPython => SHARED_PYTHON,
        Remedy::FileLockNotInherited => NOT_INHERITED,
        Remedy::ConnectionSqlite => SQLITE,
        Remedy::FileLockKept => KEPT,
        Remedy::UnblockSignals => UNBLOCK,
        Remedy::UnblockSignalsPython => UNBLOCK_PYTHON,
        _ => return None,
    })
}

// flock(2): "a call to flock() to unlock in either the parent or the child releases the lock".
const SHARED: &str = "a lock of flock() belongs to the open file, which fork shares: in the child only close() the inherited descriptor and never unlock it; where the child needs the lock too, let it open the file itself";

const SHARED_PYTHON: &str = "a lock of fcntl.flock() belongs to the open file, which fork shares: do not fork inside a `with` block or `try`/`finally` that unlocks, or end the child with os._exit(); in the child only close the file; where the child needs the lock too, let it open the file itself (filelock, portalocker: make the lock object in the child)";

// fcntl_locking(2): "Record locks are not inherited by a child created via fork(2)".
const NOT_INHERITED: &str = "take the lock after the last fork, in the process that runs on: locks of fcntl() and lockf() are not inherited, and end with the process that took them. Or use flock(), whose lock a child shares";

// https://sqlite.org/howtocorrupt.html, 2.6.
const SQLITE: &str = "open the database after the fork, in each process: an SQLite connection must not be carried over a fork, since its locks are not inherited. Close it before a program makes a daemon of itself. SQLAlchemy: engine.dispose(close=False) first thing in the child";

const KEPT: &str = "end the process that keeps the lock, and the service can start. So that it does not happen again: let workers end with their parent (prctl PR_SET_PDEATHSIG, or a supervisor that ends the whole group), and close the descriptor of the lock in the child";

const UNBLOCK: &str = "unblock the signals first thing in the child (sigprocmask with an empty set, or the set from before the parent blocked them), or fork in a thread that does not block them. Until then only SIGKILL ends it";

const UNBLOCK_PYTHON: &str = "call signal.pthread_sigmask(signal.SIG_SETMASK, []) first thing in the child (os.register_at_fork, gunicorn's post_fork, an initializer of multiprocessing), or fork in a thread that does not block the signals. Until then only SIGKILL ends it";
