//! py-spy as a library.

use std::collections::BTreeMap;

use py_spy::{Config, PythonSpy, StackTrace, config::LockingStrategy};

use super::{
    super::{fuse, memory, proc_text, timeout::Readers},
    Observation, frames, kept, lock_object,
    remote::Remote,
};
use forktrace_model::event::{Mapping, Python, PythonFrame, PythonLock, PythonThread};

/// Most frames that are kept of one thread.
const MAX_FRAMES: usize = 256;
static READERS: Readers = Readers::new();

/// The Python side of a thread's wait, or why there is none.
pub(super) fn look(pid: u32, tid: u32, ns_tid: u32, uaddr: u64) -> Result<Observation, String> {
    check(pid)?;
    let failed = "py-spy failed on this process";
    READERS.read("python-frames", failed, move |tell| tell(read(pid, tid, ns_tid, uaddr)))
}

/// Fails unless a process is of Python, and of one whose files py-spy can open without waiting.
fn check(pid: u32) -> Result<(), String> {
    let mut code = Vec::new();
    let collect = |mapping: &Mapping| {
        code.extend(is_python(mapping).then_some(mapping.start));
        false
    };
    memory::any_mapping(pid, collect).map_err(|error| error.to_string())?;
    match code.iter().any(|start| fuse::is_mapped_at(pid, *start)) {
        _ if code.is_empty() => Err(Python::NO_PYTHON.into()),
        true => Err("the file system of its interpreter is a program".into()),
        false => Ok(()),
    }
}

/// Whether a mapping is the code of a Python interpreter or of its library.
fn is_python(mapping: &Mapping) -> bool {
    let name = mapping.path.rsplit('/').next().unwrap_or_default();
    mapping.perms.contains('x') && (name.starts_with("python") || name.starts_with("libpython"))
}

/// Frames of threads of a process, innermost first, by tid.
pub(super) fn frames_of(pid: u32, tids: Vec<u32>) -> Result<Vec<(u32, Vec<PythonFrame>)>, String> {
    check(pid)?;
    let failed = "py-spy failed on this process";
    READERS.read("python-frames", failed, move |tell| tell(frames_now(pid, &tids)))
}

fn frames_now(pid: u32, tids: &[u32]) -> Result<Vec<(u32, Vec<PythonFrame>)>, String> {
    let (_, traces) = spy(pid)?;
    let threads = proc_text::numbers(pid, &format!("{pid}/task")).unwrap_or_default();
    let of = |tid: &u32| {
        let ns_tid = proc_text::Status::of(pid, *tid).ok()?.ns_id.unwrap_or(*tid);
        let trace = choose(&traces, &threads, pid, *tid, ns_tid)?;
        Some((*tid, trace.frames.iter().take(MAX_FRAMES).map(frame).collect()))
    };
    Ok(tids.iter().filter_map(of).collect())
}

/// All stacks of a process.
fn spy(pid: u32) -> Result<(PythonSpy, Vec<StackTrace>), String> {
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
    Ok((spy, traces))
}

fn read(pid: u32, tid: u32, ns_tid: u32, uaddr: u64) -> Result<Observation, String> {
    let remote = Remote::open(pid);
    let mut lock = remote.as_ref().and_then(|remote| {
        let lock = lock_object::find(remote, pid, tid, uaddr)?;
        // Nobody is in a `with` block of a queue.
        let is_lock = lock.type_name != lock_object::QUEUE;
        let exits = if is_lock { kept::find(remote, pid, lock.address) } else { Vec::new() };
        Some(PythonLock { exits, ..lock })
    });
    let (spy, traces) = spy(pid)?;
    let threads = proc_text::numbers(pid, &format!("{pid}/task")).unwrap_or_default();
    let python = match choose(&traces, &threads, pid, tid, ns_tid) {
        Some(trace) if !trace.frames.is_empty() => {
            Python::Frames(trace.frames.iter().take(MAX_FRAMES).map(frame).collect())
        }
        Some(_) => Python::None("the thread runs no Python code".into()),
        None => Python::None("the thread is not known to Python".into()),
    };
    let threads = known_threads(&spy, &traces, remote.as_ref(), lock.as_mut());
    Ok(Observation { python, lock, threads })
}

/// The threads that Python knows, and what they have to do with the lock.
fn known_threads(
    spy: &PythonSpy,
    traces: &[StackTrace],
    remote: Option<&Remote>,
    lock: Option<&mut PythonLock>,
) -> Vec<PythonThread> {
    let interpreter = spy.addresses.interpreter_address as u64;
    let uses = match (spy.version.major, spy.version.minor, remote, lock) {
        (3, 11, Some(remote), Some(lock)) => {
            let uses = frames::lock_uses(remote, interpreter, lock.address);
            if uses.are_all() {
                say_whose(remote, spy.process.pid, lock, &uses);
            }
            uses.of_threads
        }
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

/// Says of each kept method whether a living thread or a generator has it on a frame, or whether only
/// a frame of a thread that is not here does.
fn say_whose(remote: &Remote, pid: i32, lock: &mut PythonLock, uses: &frames::Uses) {
    let Ok(pid) = u32::try_from(pid) else { return };
    let addresses = lock.exits.iter().map(|method| method.address);
    let others: Vec<u64> = addresses.filter(|address| !uses.exits.contains(address)).collect();
    let lost = match others.as_slice() {
        [] => BTreeMap::new(),
        others => kept::on_threads_frames(remote, pid, lock.address, others),
    };
    for method in &mut lock.exits {
        let of_lost = lost.get(&method.address);
        method.on_frame = match (uses.exits.contains(&method.address), of_lost) {
            (true, _) => Some(true),
            (false, Some(_)) => Some(false),
            (false, None) => None,
        };
        method.left_at = of_lost.cloned().flatten();
    }
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
        // If ids are namespaced, it is unknown which other thread a trace is of.
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
