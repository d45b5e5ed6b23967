//! Waits of Python's own library for another thread, whatever the bytes of the lock say: the lock is a
//! signal there, made by the waiter or for it. Memory is used again, so that a new one may lie where
//! one lay at the fork that was held.
//!
//! Sources, CPython 3.8 to 3.14 unless said otherwise: `Condition.wait`, `Condition.wait_for`,
//! `Event.wait`, `Semaphore.acquire`, `Barrier.wait` and `_wait`, `Thread.join` and (up to 3.12)
//! `Thread._wait_for_tstate_lock` in `Lib/threading.py`; `_ModuleLock.acquire` in
//! `Lib/importlib/_bootstrap.py`; `_worker`, which blocks in the `get` of its queue alone, in
//! `Lib/concurrent/futures/thread.py`; `Future.result` and `exception`, `wait` and `as_completed` in
//! `Lib/concurrent/futures/_base.py`; `Lib/queue.py`; `ApplyResult.wait` and `IMapIterator.next` in
//! `Lib/multiprocessing/pool.py`.

use super::ownerless::QUEUE;
use crate::event::{Evidence, Python, PythonFrame, ThreadSample};

/// End of the file's path and function of a frame.
type Known = (&'static str, &'static str);

/// Innermost frames of such waits.
const WAITS: [Known; 5] = [
    ("threading.py", "Condition.wait"),
    ("threading.py", "Thread._wait_for_tstate_lock"),
    ("threading.py", "Thread.join"),
    ("concurrent/futures/thread.py", "_worker"),
    ("<frozen importlib._bootstrap>", "_ModuleLock.acquire"),
];

/// Those of them that wait for the end of a thread.
const JOINS: [Known; 2] = [WAITS[1], WAITS[2]];

/// Frames between the innermost and one of [`WORK`].
const BETWEEN: [Known; 5] = [
    ("threading.py", "Condition.wait"),
    ("threading.py", "Condition.wait_for"),
    ("threading.py", "Event.wait"),
    ("threading.py", "Barrier._wait"),
    ("threading.py", "Thread._wait_for_tstate_lock"),
];

/// Callers of such a wait that nobody would use to sleep.
const WORK: [Known; 13] = [
    ("queue.py", "Queue.get"),
    ("queue.py", "Queue.put"),
    ("queue.py", "Queue.join"),
    ("threading.py", "Semaphore.acquire"),
    ("threading.py", "Barrier.wait"),
    ("threading.py", "Thread.join"),
    ("concurrent/futures/_base.py", "Future.result"),
    ("concurrent/futures/_base.py", "Future.exception"),
    ("concurrent/futures/_base.py", "wait"),
    ("concurrent/futures/_base.py", "as_completed"),
    ("concurrent/futures/thread.py", "_worker"),
    ("multiprocessing/pool.py", "ApplyResult.wait"),
    ("multiprocessing/pool.py", "IMapIterator.next"),
];

/// Whether the waiter is in such a wait, or in that of a queue in C.
pub(super) fn is_one(evidence: &Evidence) -> bool {
    if is_queue(evidence) {
        return true;
    }
    let Python::Frames(frames) = &evidence.python else { return false };
    frames.first().is_some_and(is_signal)
}

/// Whether the waiter waits for an object that others were to use, which is no way to sleep.
pub(super) fn is_for_work(evidence: &Evidence) -> bool {
    let Python::Frames(frames) = &evidence.python else { return false };
    let mut outer = frames.iter().skip_while(|frame| is_one_of(frame, &BETWEEN));
    is_queue(evidence) || outer.next().is_some_and(|frame| is_one_of(frame, &WORK))
}

/// Whether the word is the semaphore of an empty queue.
fn is_queue(evidence: &Evidence) -> bool {
    evidence.python_lock.as_ref().is_some_and(|lock| lock.type_name == QUEUE)
}

/// Whether it may be a way to sleep: `Event.wait` by itself.
pub(in crate::hazards) fn may_be_sleep(evidence: &Evidence) -> bool {
    match &evidence.python {
        Python::Frames(frames) => {
            let event = frames.get(1).is_some_and(|frame| is_one_of(frame, &[BETWEEN[2]]));
            event && !is_for_work(evidence)
        }
        Python::None(_) => false,
    }
}

/// Whether a thread of a process whose Python side was read waits for the end of another.
pub(super) fn is_joining(evidence: &Evidence, thread: &ThreadSample) -> bool {
    let number = thread.ns_tid.unwrap_or(thread.tid);
    let mut known = evidence.python_threads.iter().filter(|known| known.tid == Some(number));
    known.any(|known| known.innermost.as_ref().is_some_and(|frame| is_one_of(frame, &JOINS)))
}

/// Whether a frame is the innermost of such a wait.
pub(super) fn is_signal(frame: &PythonFrame) -> bool {
    is_one_of(frame, &WAITS)
}

fn is_one_of(frame: &PythonFrame, known: &[Known]) -> bool {
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
