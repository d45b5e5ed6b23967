//! What to do, and what things are called in the language of the program.
//!
//! One table, [`TABLE`]; the first row that fits counts. What fits more cases stands further down.

use crate::{
    finding::{Finding, Kind},
    model::Fork,
};

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

/// What the person on call can do about a finding whose stacks are known.
pub(super) fn advice(finding: &Finding, fork: &Fork) -> String {
    let row = TABLE.iter().find(|row| row.fits(finding, fork));
    row.map_or_else(String::new, |row| row.text.to_owned())
}

/// For which findings a piece of advice is. An empty list fits all.
struct Row {
    kinds: &'static [Kind],
    language: Option<Language>,
    /// How the lock's kind begins.
    locks: &'static [&'static str],
    when: When,
    text: &'static str,
}

/// The language of what waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Python,
    Rust,
}

/// What else must hold.
enum When {
    Always,
    /// The thread that forked had the lock, being the only one or by the lock's own word.
    OfForker,
    /// A program of this name forked.
    Server(&'static str),
    /// The thread waits in a function or a library with this in its name.
    Inside(&'static str),
}

impl Row {
    fn fits(&self, finding: &Finding, fork: &Fork) -> bool {
        let kind = finding.lock.kind.as_str();
        (self.kinds.is_empty() || self.kinds.contains(&finding.kind))
            && self.language.is_none_or(|language| language.is_of(finding))
            && (self.locks.is_empty() || self.locks.iter().any(|lock| kind.starts_with(lock)))
            && self.when.holds(finding, fork)
    }
}

impl Language {
    fn is_of(self, finding: &Finding) -> bool {
        let kind = finding.lock.kind.as_str();
        match self {
            Language::Python => !finding.python.is_empty() || kind.starts_with("Python"),
            Language::Rust => kind.starts_with("Rust") || kind.starts_with("parking_lot"),
        }
    }
}

impl When {
    fn holds(&self, finding: &Finding, fork: &Fork) -> bool {
        match self {
            When::Always => true,
            When::OfForker => {
                let by_it = finding.holder.as_ref().is_some_and(|had| had.tid == fork.by_tid);
                by_it || fork.lost.is_empty()
            }
            When::Server(name) => fork.by_comm == *name,
            When::Inside(name) => finding.stack.iter().any(|frame| {
                let names = [&frame.symbol, &frame.module];
                names.into_iter().flatten().any(|text| text.contains(name))
            }),
        }
    }
}

const LOCK: &[Kind] = &[Kind::InheritedLock];
const WAKER: &[Kind] = &[Kind::LostWaker];
const INHERITED: &[Kind] = &[Kind::InheritedLock, Kind::LostWaker];

/// Locks of Python itself, which Python code can take.
const PYTHON: &[&str] = &["Python threading"];

/// What is run once, whoever comes first.
const ONCE: &[&str] =
    &["C++ static initialisation guard", "musl pthread_once", "Rust std Once", "parking_lot Once"];

static TABLE: &[Row] = &[
    // A thread that takes a lock again: POSIX.1-2024, pthread_mutex_lock(), "relock".
    Row {
        kinds: &[Kind::SelfDeadlock],
        language: None,
        locks: &[],
        when: When::Always,
        text: "the thread takes a lock again that it already has: release it first, or make it a \
               recursive lock; look for a callback, a signal handler or an atfork handler that \
               runs while it is held",
    },
    // uWSGI documentation, "The Art of Graceful Reloading" (preforking against lazy-apps) and
    // "uWSGI API - Python decorators" (postfork); py-call-uwsgi-fork-hooks: unbit/uwsgi#2388
    // (py-call-osafterfork calls those of the child alone, which cannot have taken a lock).
    Row {
        kinds: INHERITED,
        language: None,
        locks: &[],
        when: When::Server("uwsgi"),
        text: "set lazy-apps = true, so that each worker loads the application and starts its \
               threads itself, or start the threads in a @postfork function; uWSGI calls all of \
               Python's own fork handlers only with py-call-uwsgi-fork-hooks = true",
    },
    // gunicorn documentation, "Settings": preload_app, post_fork.
    Row {
        kinds: INHERITED,
        language: None,
        locks: &[],
        when: When::Server("gunicorn"),
        text: "run gunicorn without --preload (preload_app), so that each worker loads the \
               application and starts its threads itself, or start the threads in the post_fork \
               hook",
    },
    // Celery documentation, "Signals": worker_process_init; "Concurrency": pool implementations.
    Row {
        kinds: INHERITED,
        language: None,
        locks: &[],
        when: When::Server("celery"),
        text: "start the threads in a handler of the worker_process_init signal, which runs in \
               each worker after the fork, or use --pool threads or solo, which fork no workers",
    },
    // CPython 3.11, Modules/_io/bufferedio.c, _enter_buffered_busy(): the lock of a buffered file
    // belongs to the object, is not reachable from Python and has no handler (bpo-6721).
    Row {
        kinds: LOCK,
        language: Some(Language::Python),
        locks: &[],
        when: When::Inside("_enter_buffered_busy"),
        text: "the lock is inside of a buffered file, where no fork handler can reach it: let the \
               child open a file of its own (a log handler too) or write with os.write(), or use \
               the \"spawn\" or \"forkserver\" start method",
    },
    // Such a lock is never taken again once the work is done.
    Row {
        kinds: LOCK,
        language: None,
        locks: ONCE,
        when: When::Always,
        text: "it is initialised once: have that done before the fork, and before the threads are \
               started that might be doing it, or exec at once in the child",
    },
    // POSIX.1-2024, fork(): the child of a process with threads may call async-signal-safe functions
    // alone until it execs. glibc 2.36, posix/fork.c and time/tzset.c: fork() makes the locks of
    // malloc and stdio anew, not these. openpbs/openpbs#2299 has the lock of its own.
    Row {
        kinds: LOCK,
        language: None,
        locks: &["glibc internal lock", "musl FILE lock"],
        when: When::Always,
        text: "the lock is the C library's own, and no handler can take it: fork before the \
               threads are started, or exec at once in the child, or put a lock of your own \
               around the threads' calls of that function and take it in a pthread_atfork() \
               prepare handler",
    },
    // CPython documentation, multiprocessing, "Contexts and start methods".
    Row {
        kinds: LOCK,
        language: Some(Language::Python),
        locks: PYTHON,
        when: When::OfForker,
        text: "release the lock before the fork (or in os.register_at_fork(before=…), and take it \
               back in after_in_parent and after_in_child), or use the \"spawn\" or \
               \"forkserver\" start method",
    },
    // The same, and os.register_at_fork(); logging does so (CPython 3.11, Lib/logging/__init__.py).
    Row {
        kinds: LOCK,
        language: Some(Language::Python),
        locks: PYTHON,
        when: When::Always,
        text: "use the \"spawn\" or \"forkserver\" start method, or fork before the threads are \
               started, or take the lock in os.register_at_fork(before=…) and release it in \
               after_in_parent and after_in_child",
    },
    // Python's fork handlers run Python code: os.register_at_fork(), CPython documentation.
    Row {
        kinds: LOCK,
        language: Some(Language::Python),
        locks: &[],
        when: When::Always,
        text: "the lock belongs to native code under the Python program, and Python cannot take it \
               in a fork handler: use the \"spawn\" or \"forkserver\" start method, or fork before \
               the threads are started, or exec at once in the child",
    },
    // Rust 1.95, library/std/src/io/stdio.rs: the lock is reentrant, so that the thread that forked
    // may write in the child while it has it; std::os::unix::process::CommandExt::exec().
    Row {
        kinds: LOCK,
        language: Some(Language::Rust),
        locks: &[],
        when: When::Inside("std::io::stdio"),
        text: "write to the descriptor itself in the child (libc::write), or hold the guard of \
               stdout().lock() across the fork, or exec at once in the child, as \
               std::process::Command does",
    },
    // A guard that is alive at the fork is dropped on both sides.
    Row {
        kinds: LOCK,
        language: Some(Language::Rust),
        locks: &[],
        when: When::Always,
        text: "fork before the threads are started, or hold the lock's guard across the fork and \
               drop it in both processes, or exec at once in the child, as std::process::Command \
               does",
    },
    Row {
        kinds: LOCK,
        language: None,
        locks: &[],
        when: When::OfForker,
        text: "release the lock before fork() or in a pthread_atfork() handler, or exec at once \
               in the child",
    },
    // POSIX.1-2024, pthread_atfork(), rationale: the prepare handler takes the locks.
    Row {
        kinds: LOCK,
        language: None,
        locks: &[],
        when: When::Always,
        text: "fork before the threads are started, or take the lock in a pthread_atfork() \
               prepare handler and release it in both processes, or exec at once in the child",
    },
    // OpenMP 5.0, omp_pause_resource_all(); libgomp/team.c, gomp_pause_host(): the team ends (tried
    // with GCC 12). LLVM's runtime has an atfork handler (openmp/runtime/src/z_Linux_util.cpp,
    // __kmp_atfork_child()); libgomp has none (GCC bug 60035).
    Row {
        kinds: WAKER,
        language: None,
        locks: &[],
        when: When::Inside("libgomp"),
        text: "GCC's OpenMP waits for its team of threads, which the child does not have: use \
               OpenMP in the child alone, or call omp_pause_resource_all(omp_pause_hard) before \
               the fork, or run with OMP_NUM_THREADS=1, or link LLVM's libomp, or use a start \
               method that execs",
    },
    Row {
        kinds: WAKER,
        language: Some(Language::Python),
        locks: &[],
        when: When::Always,
        text: "use the \"spawn\" or \"forkserver\" start method, or start the threads that the \
               child waits for in the child, after the fork",
    },
    Row {
        kinds: WAKER,
        language: None,
        locks: &[],
        when: When::Always,
        text: "start the threads that the child waits for in the child, after the fork (libraries \
               with a thread pool of their own have a call for it, or must be used in the child \
               alone), or exec at once in the child",
    },
];

#[cfg(test)]
mod tests;
