//! Where a thread is that waits: its call, and the line of the program that made it.

use forktrace_model::{
    event::{Doing, Python, PythonFrame, Task, stacks::Frame},
    frames::Layer,
};

use super::{
    proc_text::Status,
    python,
    stacks::{self, TaskRegisters},
    threads,
};

/// Where a thread is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whereabouts {
    /// The innermost native frame that is the program's own.
    pub frame: Option<Frame>,
    /// The innermost frame of Python that is the program's own; where there is none, the innermost.
    pub python: Option<PythonFrame>,
}

/// Whether a thread is in this call now. If `doing` is not known, whether it is in any.
pub fn is_still_in(task: &Task, doing: &Doing) -> Option<Doing> {
    let now = threads::doing(task.pid, task.tid);
    let same = match (&now, doing) {
        (Doing::Running, _) => false,
        (_, Doing::Unknown) => true,
        (Doing::Futex { uaddr, op, .. }, Doing::Futex { uaddr: word, op: its, .. }) => {
            (uaddr, op) == (word, its)
        }
        (Doing::Syscall(now), Doing::Syscall(before)) => now == before,
        // Of a thread that is stopped in it the word is not told.
        (Doing::Futex { .. }, Doing::Syscall(before)) => is_futex(*before),
        // It may not be read, or is in a page fault.
        (Doing::Unknown, _) => super::scan::thread_lives(task.pid, task.tid),
        _ => false,
    };
    same.then_some(now)
}

/// Whether a system call waits for a futex word.
fn is_futex(number: u64) -> bool {
    let decoded = i64::try_from(number).map(|number| threads::decode(number, [0; 6]));
    matches!(decoded, Ok(Doing::Futex { .. }))
}

/// Reads where a thread is. Blocks its caller for up to some seconds: not for an async task.
pub fn of(task: &Task, registers: impl TaskRegisters + Send + 'static) -> Whereabouts {
    // In this order: reading Python's frames makes the kernel copy pages.
    let stack = stacks::of_thread(task.clone(), registers);
    let ns_tid = Status::of(task.pid, task.tid).ok().and_then(|status| status.ns_id);
    let python = python::look(task.pid, task.tid, ns_tid.unwrap_or(task.tid), 0).python;
    Whereabouts {
        frame: stack.frames.into_iter().find(|frame| frame.layer() == Layer::Program),
        python: match python {
            Python::Frames(frames) => own_of(frames),
            Python::None(_) => None,
        },
    }
}

fn own_of(frames: Vec<PythonFrame>) -> Option<PythonFrame> {
    let own = frames.iter().find(|frame| !frame.is_of_library()).cloned();
    own.or_else(|| frames.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_that_of_the_program() {
        let frame = |file: &str| PythonFrame { file: file.into(), line: 1, function: "f".into() };
        let (library, own) = (frame("/usr/lib/python3.11/threading.py"), frame("/srv/app/app.py"));
        let outer = frame("/srv/app/main.py");
        assert_eq!(own_of(vec![library.clone(), own.clone(), outer]), Some(own));
        assert_eq!(own_of(vec![library.clone()]), Some(library));
        assert_eq!(own_of(Vec::new()), None);
    }

    #[test]
    fn a_thread_that_does_something_else_is_no_longer_in_its_call() {
        let pid = std::process::id();
        let task = Task { pid, tid: pid, comm: String::new() };
        let word = Doing::Futex { uaddr: 1, op: 0, val: 0, timed: false };
        let none = Task { pid: 0x7fff_ffff, tid: 0x7fff_ffff, comm: String::new() };
        assert_eq!(is_still_in(&task, &word), None);
        assert_eq!(is_still_in(&none, &word), None);
    }
}
