//! What stands around a signal that nobody took: the end of a process, the words of a runtime, locks of
//! Python, and forks that pass by hooks.

use crate::{
    event::{
        LostThread, LostThreads, LostWord, PythonFrame,
        stacks::{Frame, Stack},
        stall::Runtime,
    },
    finding::{Bypass, SignalSort},
    frames::{is_libc, public_name},
};

/// Functions that a program runs at its end: of the C library, CPython and Ruby.
const ENDING: [&str; 9] = [
    "exit",
    "run_exit_handlers",
    "cxa_finalize",
    "Py_FinalizeEx",
    "_Py_Finalize",
    "wait_for_thread_shutdown",
    "Py_Exit",
    "ruby_cleanup",
    "rb_ec_teardown",
];
/// The same in Python: `threading._shutdown`, `multiprocessing.util._exit_function`,
/// `concurrent.futures.thread._python_exit`, handlers of `atexit` and `logging.shutdown`.
const ENDING_PYTHON: [(&str, &str); 5] = [
    ("threading.py", "_shutdown"),
    ("util.py", "_exit_function"),
    ("thread.py", "_python_exit"),
    ("logging/__init__.py", "shutdown"),
    ("multiprocessing/util.py", "_run_finalizers"),
];

/// Whether a thread with these frames is about to end its process. Pools and queues wake their threads then,
/// to let them end.
pub fn is_ending(native: &[Frame], python: &[PythonFrame]) -> bool {
    let of_program = |frame: &Frame| {
        let symbol = frame.symbol.as_deref().unwrap_or_default();
        let public = if frame.is_library() { public_name(symbol) } else { symbol };
        ENDING.contains(&public)
    };
    let of_python = |frame: &PythonFrame| {
        let mut known = ENDING_PYTHON.iter();
        known.any(|(file, function)| frame.file.ends_with(file) && plain_name(frame) == *function)
    };
    native.iter().any(of_program) || python.iter().any(of_python)
}

/// Whether a word is a runtime's own, or one that other processes have too: its lost threads have no work
/// there. CPython makes the condition of its global lock anew in a child, where it is told of the fork.
pub(super) fn is_of_runtime(word: &LostWord) -> bool {
    let path = word.module.as_ref().map(|module| module.path.as_str());
    let path = path.or_else(|| word.mapping.as_ref().map(|mapping| mapping.path.as_str()));
    let name = path.and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let runtime = ["python", "libpython", "ruby", "libruby", "libjvm", "libcoreclr", "node"];
    let shared = word.mapping.as_ref().is_some_and(|mapping| mapping.shared);
    shared || runtime.iter().any(|begin| name.starts_with(begin))
}

/// The name of a function without that of its class, which Python 3.11 and later tell.
fn plain_name(frame: &PythonFrame) -> &str {
    frame.function.rsplit('.').next().unwrap_or(&frame.function)
}

/// What a thread of Python waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PythonWait {
    /// It is no thread of Python, or no lock of it.
    None,
    /// To be signalled: it is in a condition variable, an event or a queue.
    Signal,
    /// For a lock: to be released to it is no work.
    Lock,
    /// Not known: where it was could not be read.
    Unknown,
}

/// Whether a thread waits to be signalled or for a lock: Python's locks and its conditions are both
/// semaphores.
pub(super) fn python_wait(lost: &LostThreads, thread: &LostThread, sort: SignalSort) -> PythonWait {
    if lost.runtime != Some(Runtime::Python) || sort != SignalSort::Semaphore {
        return PythonWait::None;
    }
    let Some(inner) = thread.python.first() else {
        return match thread.stack.as_deref() {
            Some(stack) if is_whole_and_without_python(stack) => PythonWait::None,
            _ => PythonWait::Unknown,
        };
    };
    // `Condition.wait` of threading.py, on which events and the queues in Python are made.
    let condition = inner.file.ends_with("threading.py") && plain_name(inner) == "wait";
    // `_queue.SimpleQueue.get` is native code: `Modules/_queuemodule.c`, CPython 3.11 to 3.14.
    let frames = thread.stack.iter().flat_map(|stack| &stack.frames);
    let queue = |frame: &Frame| {
        let symbol = frame.symbol.as_deref().unwrap_or_default();
        symbol.contains("simplequeue_get") || symbol.contains("SimpleQueue_get")
    };
    // Without names of functions in the interpreter the caller must do.
    let caller = inner.file.ends_with("/concurrent/futures/thread.py");
    match condition || caller || frames.into_iter().any(queue) {
        true => PythonWait::Signal,
        false => PythonWait::Lock,
    }
}

fn is_whole_and_without_python(stack: &Stack) -> bool {
    stack.cut.is_none() && !stack.frames.iter().any(Frame::is_python)
}

/// How the fork passed by the hooks, if it did: `fork` and what it is made of run the handlers of
/// `pthread_atfork`, and `os.fork` those of Python.
pub(super) fn bypass(lost: &LostThreads) -> Option<Bypass> {
    let stack = lost.fork.as_deref()?;
    let symbol = |frame: &Frame| frame.symbol.clone().unwrap_or_default();
    let first = stack.frames.first()?;
    let forks = |frame: &Frame| {
        let symbol = symbol(frame);
        let libc = frame.module.as_deref().is_some_and(is_libc);
        let known = ["fork", "Fork", "forkpty", "daemon", "run_postfork_handlers"];
        // A static program has the C library's functions in its own file.
        known.contains(&public_name(&symbol)) || libc && symbol.is_empty()
    };
    let near = stack.frames.iter().take(FORK_FRAMES);
    if first.symbol.is_some() && stack.frames.len() > FORK_FRAMES && !near.clone().any(forks) {
        return Some(Bypass::RawClone);
    }
    let named = stack.frames.iter().filter(|frame| frame.symbol.is_some()).count();
    let of_python = |frame: &Frame| {
        let symbol = symbol(frame);
        ["os_fork", "os_forkpty", "subprocess_fork", "do_fork_exec"]
            .iter()
            .any(|known| symbol.contains(known))
            || frame.is_python() && symbol.is_empty()
    };
    let is_whole = stack.cut.is_none() && named == stack.frames.len();
    let by_python = stack.frames.iter().any(of_python);
    (lost.runtime == Some(Runtime::Python) && is_whole && !by_python).then_some(Bypass::NotByPython)
}

/// Frames in which the C library's fork is, from the system call on.
const FORK_FRAMES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(symbol: &str, module: &str) -> Frame {
        let symbol = Some(symbol.to_owned()).filter(|symbol| !symbol.is_empty());
        Frame { symbol, module: Some(module.into()), ..Frame::default() }
    }

    const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";
    const APP: &str = "/srv/app/server";
    const PYTHON: &str = "/usr/bin/python3.11";

    #[test]
    fn a_process_that_runs_its_exit_handlers_is_ending() {
        assert!(is_ending(&[frame("futex_wait", LIBC), frame("__run_exit_handlers", LIBC)], &[]));
        assert!(!is_ending(&[frame("work", APP), frame("main", APP)], &[]));
        let line = |file: &str, function: &str| PythonFrame {
            file: file.into(),
            line: 1,
            function: function.into(),
        };
        assert!(is_ending(&[], &[line("/usr/lib/python3.11/threading.py", "_shutdown")]));
        assert!(!is_ending(&[], &[line("/srv/app/app.py", "shutdown")]));
    }

    fn forked(frames: &[(&str, &str)], runtime: Option<Runtime>) -> Option<Bypass> {
        let frames = frames.iter().map(|(symbol, module)| frame(symbol, module)).collect();
        let fork = Some(Box::new(Stack { frames, cut: None }));
        bypass(&LostThreads { fork, runtime, ..LostThreads::default() })
    }

    #[test]
    fn a_fork_that_passes_by_the_hooks_is_seen() {
        let python = Some(Runtime::Python);
        let libc = [("_Fork", LIBC), ("__libc_fork", LIBC)];
        let program = [("serve", APP), ("run", APP), ("main", APP), ("_start", APP)];
        assert_eq!(forked(&[&libc[..], &program].concat(), None), None);
        let raw = [&[("syscall", LIBC)][..], &program].concat();
        assert_eq!(forked(&raw, None), Some(Bypass::RawClone));
        assert_eq!(forked(&[&libc[..], &program].concat(), python), Some(Bypass::NotByPython));
        let by_python = [("os_fork", PYTHON), ("_PyEval_EvalFrameDefault", PYTHON)];
        assert_eq!(forked(&[&libc[..], &by_python, &program].concat(), python), None);
        // Without names nothing can be said.
        let stripped = [("", PYTHON), ("", PYTHON), ("_start", PYTHON)];
        assert_eq!(forked(&[&libc[..], &stripped].concat(), python), None);
    }
}
