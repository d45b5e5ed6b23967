//! Waits of Python's own library that are ordinary whatever the bytes of the lock say: the lock is a
//! signal there, made by the waiter or for it. Memory is used again, so that a new one may lie where
//! one lay at the fork that was held.
//!
//! Sources: `Condition.wait`, `Thread._wait_for_tstate_lock` in `Lib/threading.py`,
//! `_ModuleLock.acquire` in `Lib/importlib/_bootstrap.py`, CPython 3.8 to 3.12; `Thread.join` in
//! `Lib/threading.py`, 3.13 and 3.14; `_worker` in `Lib/concurrent/futures/thread.py`, which blocks in
//! the `get` of its queue alone, 3.8 to 3.14.

use crate::event::{Evidence, Python, PythonFrame};

/// End of the file's path and function of the innermost frame.
const WAITS: [(&str, &str); 5] = [
    ("threading.py", "Condition.wait"),
    ("threading.py", "Thread._wait_for_tstate_lock"),
    ("threading.py", "Thread.join"),
    ("concurrent/futures/thread.py", "_worker"),
    ("<frozen importlib._bootstrap>", "_ModuleLock.acquire"),
];

/// Callers of such a wait that nobody would use to sleep: `Lib/queue.py`, `Lib/threading.py`, CPython
/// 3.8 to 3.12.
const WORK: [(&str, &str); 4] = [
    ("queue.py", "Queue.get"),
    ("queue.py", "Queue.put"),
    ("queue.py", "Queue.join"),
    ("threading.py", "Semaphore.acquire"),
];

/// Whether the waiter is in such a wait.
pub(super) fn is_one(evidence: &Evidence) -> bool {
    let Python::Frames(frames) = &evidence.python else { return false };
    frames.first().is_some_and(is_signal)
}

/// Whether such a wait is for an object that others were to use, not a way to sleep.
pub(in crate::hazards) fn is_for_work(evidence: &Evidence) -> bool {
    let Python::Frames(frames) = &evidence.python else { return false };
    frames.get(1).is_some_and(|frame| is_one_of(frame, &WORK))
}

/// Whether a frame is the innermost of such a wait.
pub(super) fn is_signal(frame: &PythonFrame) -> bool {
    is_one_of(frame, &WAITS)
}

fn is_one_of(frame: &PythonFrame, known: &[(&str, &str)]) -> bool {
    let in_file = |end: &str| {
        let before = frame.file.strip_suffix(end);
        before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    // Before 3.11 a function is known by its own name only.
    let is = |function: &str| {
        function == frame.function || function.rsplit('.').next() == Some(frame.function.as_str())
    };
    known.iter().any(|(file, function)| in_file(file) && is(function))
}
