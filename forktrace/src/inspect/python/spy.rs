//! py-spy as a library.

use std::{
    cell::Cell,
    panic,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use py_spy::{Config, PythonSpy, StackTrace, config::LockingStrategy};

use super::super::{memory, proc_text};
use crate::event::{Mapping, PythonFrame};

/// Most frames that are kept of one thread.
const MAX_FRAMES: usize = 256;
/// How long one reading may take. What is read is the process's own, and may be built to be read
/// for ever.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most readings that may be going on, those given up included.
const MAX_READERS: usize = 4;

static READERS: AtomicUsize = AtomicUsize::new(0);

/// Takes a reader's place, when one gets free in time: after an attach many processes may be due at
/// once.
fn take_place() -> bool {
    let start = std::time::Instant::now();
    loop {
        if READERS.fetch_add(1, Ordering::Relaxed) < MAX_READERS {
            return true;
        }
        READERS.fetch_sub(1, Ordering::Relaxed);
        if start.elapsed() >= PATIENCE {
            return false;
        }
        std::thread::sleep(PATIENCE / 100);
    }
}

/// Frames of a thread, innermost first, or why there are none.
pub(super) fn frames(pid: u32, tid: u32, ns_tid: u32) -> Result<Vec<PythonFrame>, String> {
    match memory::any_mapping(pid, is_python) {
        Ok(true) => {}
        Ok(false) => return Err("not a Python process".into()),
        Err(error) => return Err(error.to_string()),
    }
    if !take_place() {
        return Err("too many Python processes are being read".into());
    }
    let (tell, told) = mpsc::sync_channel(1);
    let reader = std::thread::Builder::new().name("python-frames".into()).spawn(move || {
        let answer = quietly(|| read(pid, tid, ns_tid));
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
fn quietly(
    read: impl FnOnce() -> Result<Vec<PythonFrame>, String>,
) -> Result<Vec<PythonFrame>, String> {
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

fn read(pid: u32, tid: u32, ns_tid: u32) -> Result<Vec<PythonFrame>, String> {
    let config = Config {
        blocking: LockingStrategy::NonBlocking,
        full_filenames: true,
        collect_thread_names: false,
        ..Config::default()
    };
    let target = i32::try_from(pid).map_err(|_| "no such process".to_owned())?;
    let words = |error: anyhow::Error| in_short(&error);
    let mut spy = PythonSpy::new(target, &config).map_err(words)?;
    let traces = spy.get_stack_traces().map_err(words)?;
    let threads = proc_text::numbers(pid, &format!("{pid}/task")).unwrap_or_default();
    let trace = choose(&traces, &threads, pid, tid, ns_tid)
        .ok_or_else(|| "the thread is not known to Python".to_owned())?;
    if trace.frames.is_empty() {
        return Err("the thread runs no Python code".into());
    }
    Ok(trace.frames.iter().take(MAX_FRAMES).map(frame).collect())
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
