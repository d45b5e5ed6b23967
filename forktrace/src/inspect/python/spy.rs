//! py-spy as a library.

use std::{
    cell::Cell,
    panic,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use py_spy::{Config, PythonSpy, StackTrace, config::LockingStrategy};

use super::{
    super::{memory, proc_text},
    Look, frames, kept, lock_object,
    remote::Remote,
};
use crate::event::{Mapping, Python, PythonFrame, PythonLock, PythonThread};

/// Most frames that are kept of one thread.
const MAX_FRAMES: usize = 256;
/// How long one reading may take. What is read is the process's own, and may be built to be read
/// for ever.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a reading that waits for its turn looks whether it has come.
const TURN: Duration = Duration::from_millis(20);
/// Most readings that may be going on, those given up included.
const MAX_READERS: usize = 4;

static READERS: AtomicUsize = AtomicUsize::new(0);

/// The Python side of a thread's wait, or why there is none.
pub(super) fn look(pid: u32, tid: u32, ns_tid: u32, uaddr: u64) -> Result<Look, String> {
    match memory::any_mapping(pid, is_python) {
        Ok(true) => {}
        Ok(false) => return Err("not a Python process".into()),
        Err(error) => return Err(error.to_string()),
    }
    // Several workers of a server hang at once, and each is worth the wait for its turn.
    let asked = Instant::now();
    while READERS.fetch_add(1, Ordering::Relaxed) >= MAX_READERS {
        READERS.fetch_sub(1, Ordering::Relaxed);
        if asked.elapsed() > PATIENCE {
            return Err("too many Python processes are being read".into());
        }
        std::thread::sleep(TURN);
    }
    let (tell, told) = mpsc::sync_channel(1);
    let reader = std::thread::Builder::new().name("python-frames".into()).spawn(move || {
        let answer = quietly(|| read(pid, tid, ns_tid, uaddr));
        READERS.fetch_sub(1, Ordering::Relaxed);
        // Nobody listens any more if it took too long.
        let _ = tell.send(answer);
    });
    if let Err(error) = reader {
        READERS.fetch_sub(1, Ordering::Relaxed);
        return Err(format!("no thread to read with: {error}"));
    }
    told.recv_timeout(PATIENCE).unwrap_or_else(|_| Err("reading took too long".into()))
}

/// Whether a mapping is the code of a Python interpreter or of its library.
fn is_python(mapping: &Mapping) -> bool {
    let name = mapping.path.rsplit('/').next().unwrap_or_default();
    mapping.perms.contains('x') && (name.starts_with("python") || name.starts_with("libpython"))
}

thread_local! {
    /// Whether a panic of this thread is expected and to be kept quiet.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `read` on this thread, with a panic of py-spy turned into words and not printed.
fn quietly<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    QUIET.set(true);
    // Nothing that `read` borrows is used after it failed.
    panic::catch_unwind(panic::AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err("py-spy failed on this process".into()))
}

fn read(pid: u32, tid: u32, ns_tid: u32, uaddr: u64) -> Result<Look, String> {
    let config = Config {
        blocking: LockingStrategy::NonBlocking,
        full_filenames: true,
        collect_thread_names: false,
        ..Config::default()
    };
    let target = i32::try_from(pid).map_err(|_| "no such process".to_owned())?;
    let words = |error: anyhow::Error| in_short(&error);
    let remote = Remote::open(pid);
    let lock = remote.as_ref().and_then(|remote| {
        let lock = lock_object::find(remote, pid, tid, uaddr)?;
        let exits = kept::find(remote, pid, lock.address);
        Some(PythonLock { exits, ..lock })
    });
    let mut spy = PythonSpy::new(target, &config).map_err(words)?;
    let traces = spy.get_stack_traces().map_err(words)?;
    let threads = proc_text::numbers(pid, &format!("{pid}/task")).unwrap_or_default();
    let python = match choose(&traces, &threads, pid, tid, ns_tid) {
        Some(trace) if !trace.frames.is_empty() => {
            Python::Frames(trace.frames.iter().take(MAX_FRAMES).map(frame).collect())
        }
        Some(_) => Python::None("the thread runs no Python code".into()),
        None => Python::None("the thread is not known to Python".into()),
    };
    let threads = known_threads(&spy, &traces, remote.as_ref(), lock.as_ref());
    Ok(Look { python, lock, threads })
}

/// The threads that Python knows, and what they have to do with the lock.
fn known_threads(
    spy: &PythonSpy,
    traces: &[StackTrace],
    remote: Option<&Remote>,
    lock: Option<&PythonLock>,
) -> Vec<PythonThread> {
    let interpreter = spy.addresses.interpreter_address as u64;
    let uses = match (spy.version.major, spy.version.minor, remote, lock) {
        (3, 11, Some(remote), Some(lock)) => frames::lock_uses(remote, interpreter, lock.address),
        _ => Vec::new(),
    };
    let of = |trace: &StackTrace| {
        let lock_use = uses.iter().find(|(ident, _)| *ident == trace.thread_id);
        PythonThread {
            tid: trace.os_thread_id.and_then(|tid| u32::try_from(tid).ok()),
            ident: trace.thread_id,
            lock_use: lock_use.map(|(_, lock_use)| *lock_use).unwrap_or_default(),
            innermost: trace.frames.first().map(frame),
        }
    };
    traces.iter().map(of).collect()
}

/// The trace of one thread.
///
/// Python records its threads' ids since 3.11, in their own pid namespace; a forked child of some
/// versions keeps its parent's. So a trace that claims no thread of the process can be the waiter's
/// if there is no other thread, or if the waiter is the main thread: Python lists new threads first
/// (`add_threadstate`, `Python/pystate.c`, 3.13), so the main thread's trace is the last.
fn choose<'a>(
    traces: &'a [StackTrace],
    threads: &[u32],
    pid: u32,
    tid: u32,
    ns_tid: u32,
) -> Option<&'a StackTrace> {
    let is = |trace: &&StackTrace, id: u32| trace.os_thread_id == Some(u64::from(id));
    if let Some(trace) = traces.iter().find(|trace| is(trace, ns_tid)) {
        return Some(trace);
    }
    match (traces, threads) {
        ([only], [_]) => Some(only),
        // Where ids are namespaced, whom else a trace claims cannot be told.
        _ if tid == pid => traces
            .last()
            .filter(|trace| ns_tid != tid || !threads.iter().any(|other| is(trace, *other))),
        _ => None,
    }
}

fn frame(frame: &py_spy::Frame) -> PythonFrame {
    PythonFrame {
        file: frame.filename.clone(),
        line: u32::try_from(frame.line).unwrap_or_default(),
        function: frame.name.clone(),
    }
}

/// The outermost message of an error: short, and made by py-spy rather than by the process.
fn in_short(error: &anyhow::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(120).collect()
}

#[cfg(test)]
mod tests;
