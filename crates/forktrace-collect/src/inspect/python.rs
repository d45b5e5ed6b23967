//! Python frames of a blocked thread, read by py-spy without stopping the process.
//!
//! py-spy reads with `process_vm_readv`, which makes the kernel copy pages that the process still
//! shares with its parent (see [`super::memory`]): whatever is to be learnt about inherited pages
//! must be read before.

use forktrace_model::event::{Python, PythonFrame, PythonLock, PythonThread};

/// What Python has to do with a wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Frames of the waiter, innermost first.
    pub python: Python,
    /// The object that has the lock inside. As inherited it is left unknown here.
    pub lock: Option<PythonLock>,
    /// The threads that Python knows.
    pub threads: Vec<PythonThread>,
}

/// Looks at the Python side of thread `tid` of `pid`, which waits for the word at `uaddr`. `ns_tid`
/// is the thread's id in its own pid namespace, which is the one that Python knows.
#[cfg(feature = "python")]
pub fn look(pid: u32, tid: u32, ns_tid: u32, uaddr: u64) -> Observation {
    spy::look(pid, tid, ns_tid, uaddr).unwrap_or_else(|reason| Observation {
        python: Python::None(reason),
        lock: None,
        threads: Vec::new(),
    })
}

/// Python frames of threads of `pid`, innermost first, by tid; none where they cannot be read. Pages
/// that the process shares with forked children are copied by it, whose first writes are then not
/// seen.
#[cfg(feature = "python")]
pub fn frames(pid: u32, tids: Vec<u32>) -> Vec<(u32, Vec<PythonFrame>)> {
    spy::frames_of(pid, tids).unwrap_or_default()
}

/// The thread that has the `RLock` for which thread `tid` of `pid` waits with the word at `uaddr`, by its
/// number in its own pid namespace, up to CPython 3.12. Nobody else can release it: `release` then raises an
/// error (`rlock_release`, `Modules/_threadmodule.c`, CPython 3.8 to 3.12). `None`: no such lock, or it
/// cannot be read.
#[cfg(feature = "python")]
pub fn rlock_owner(pid: u32, tid: u32, uaddr: u64) -> Option<u32> {
    let lock = lock_object::find(&remote::Remote::open(pid)?, pid, tid, uaddr)?;
    let (owner, count) = lock.rlock(&lock.now)?;
    let bytes = super::memory::read(pid, owner, super::evidence::DESCRIPTOR_LEN).ok()?;
    let descriptor = forktrace_model::event::Window { address: owner, bytes };
    super::evidence::descriptor_tid(owner, &descriptor).filter(|tid| count > 0 && *tid != 0)
}

/// Finds none: this build cannot.
#[cfg(not(feature = "python"))]
pub fn rlock_owner(_pid: u32, _tid: u32, _uaddr: u64) -> Option<u32> {
    None
}

/// Reads none: this build cannot.
#[cfg(not(feature = "python"))]
pub fn frames(_pid: u32, _tids: Vec<u32>) -> Vec<(u32, Vec<PythonFrame>)> {
    Vec::new()
}

/// Says that this build cannot read Python frames.
#[cfg(not(feature = "python"))]
pub fn look(_pid: u32, _tid: u32, _ns_tid: u32, _uaddr: u64) -> Observation {
    Observation {
        python: Python::None("built without Python support".into()),
        ..Observation::default()
    }
}

#[cfg(feature = "python")]
mod frames;
#[cfg(all(feature = "python", any(test, feature = "fuzzing")))]
#[doc(hidden)]
pub mod fuzzed;
#[cfg(feature = "python")]
mod kept;
#[cfg(feature = "python")]
mod lines;
#[cfg(feature = "python")]
mod lock_object;
#[cfg(feature = "python")]
mod remote;
#[cfg(feature = "python")]
pub mod semaphore;
#[cfg(feature = "python")]
mod spy;
