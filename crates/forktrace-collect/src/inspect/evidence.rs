//! Everything about one long wait that only its living process can tell, read once.

use super::{
    access_probe, memory, module,
    proc_text::{self, Status},
    symbol, threads,
};
use crate::arch::HOST;
use forktrace_model::event::{
    AtFork, Doing, Evidence, FirstWrite, FirstWrites, Mapping, Missing, OwnerThread, Place, Python,
    Task, ThreadSample, Wait, Waiter, Window,
};

/// Bytes of the window before the futex word, and from the word on.
const AROUND: u64 = 128;

/// Longest name of a Python type that is believed, bytes, with the zero at its end.
const MAX_NAME: usize = 64;

/// What the kernel side knows of the memory that a process inherited.
pub trait Inherited {
    /// The `len` bytes at `address` as `pid` inherited them. The answer may be shorter at either
    /// end, where a page is not known, but holds the page of the word asked about.
    fn bytes(&self, pid: u32, address: u64, len: usize) -> AtFork;

    /// How often `pid` itself woke the word since it was forked; `None`: not known.
    fn wakes(&self, pid: u32, uaddr: u64) -> Option<u64>;

    /// Where the lock is, if the futex word is only what the waiter is parked on.
    fn target(&self) -> Option<u64> {
        None
    }

    /// The `pthread_t` of that lock's owner, if it has one ([`owner_of`]).
    fn owner(&self) -> Option<u64> {
        None
    }

    /// The first writes to the page of the word since the fork, and the addresses of the
    /// instructions that made them: by the child, by the process that forked.
    fn first_writes(&self) -> [Option<(FirstWrite, u64)>; 2];

    /// The threads of the process that wait for the word of `wait`. `threads`: what all of them do.
    fn waiters(&self, wait: &Wait, threads: &[ThreadSample]) -> Vec<Waiter>;
}

/// Looks at the process of a wait, twice within some 30 ms ([`threads::APART`]). Blocks its caller:
/// not for an async task. Stacks are left to [`super::native`] and [`super::python`]: reading them
/// takes longer, and the latter disturbs what can be learnt of inherited pages later.
///
/// `shared_with` are the processes known to share the waiter's memory.
pub fn collect(
    task: &Task,
    wait: &Wait,
    inherited: &dyn Inherited,
    shared_with: Vec<u32>,
) -> Evidence {
    let pid = task.pid;
    let first = threads::first_look(pid);
    let before = threads::doing(pid, task.tid);
    let status = Status::of(pid, task.tid).unwrap_or_default();
    let mapping = memory::mapping(pid, wait.uaddr);
    let (now, at_fork) = windows(pid, wait.uaddr, mapping.as_ref(), inherited);
    let target = inherited.target().map(|address| place(pid, address, inherited));
    let wakes_since_fork = inherited.wakes(pid, wait.uaddr);
    let module::Place { module, libc } = module::place(pid, wait.uaddr);
    let timers = timers(pid);
    let threads = first.and_then(threads::FirstLook::second_look).unwrap_or_default();
    let unread = before == Doing::Unknown || mapping.is_none() || now.is_none();
    let waiters = inherited.waiters(wait, &threads);
    Evidence {
        wait: wait.clone(),
        still_waiting: threads::is_in(&before, wait) && stayed(&threads, task.tid, wait),
        denied: unread && access_probe::is_denied(pid, task.tid),
        ns_pid: super::scan::ns_pid(pid),
        mapping,
        module,
        libc,
        now,
        at_fork,
        target,
        wakes_since_fork,
        threads,
        memory_shared_with: shared_with,
        handlers: status.handlers,
        timers,
        python: Python::default(),
        native: None,
        first_writes: first_writes(pid, inherited),
        waiters,
        python_lock: None,
        python_read_ns: None,
        python_threads: Vec::new(),
        late: None,
        waited_by: Vec::new(),
        probed: None,
    }
}

/// The first writes, with the functions that made them. A child that has not exec'ed has its code
/// where the process that forked has it.
fn first_writes(pid: u32, inherited: &dyn Inherited) -> FirstWrites {
    let name = |(write, ip): (FirstWrite, u64)| match symbol::function_at(pid, ip) {
        Some((module, function)) => FirstWrite { module: Some(module), function, ..write },
        None => write,
    };
    let [child, forker] = inherited.first_writes().map(|write| write.map(name));
    FirstWrites { child, forker }
}

/// Whether a thread is in this wait now.
pub fn is_in(task: &Task, wait: &Wait) -> bool {
    threads::is_in(&threads::doing(task.pid, task.tid), wait)
}

/// Whether the waiter was in this wait at both looks and did not leave it in between.
fn stayed(threads: &[ThreadSample], tid: u32, wait: &Wait) -> bool {
    let waiter = threads.iter().find(|thread| thread.tid == tid);
    waiter.is_some_and(|waiter| threads::is_in(&waiter.doing, wait) && waiter.ran == Some(false))
}

/// Memory around a futex word now, as far as it may tell where the lock is.
pub fn around(pid: u32, uaddr: u64) -> Option<Window> {
    let address = uaddr.saturating_sub(AROUND / 2);
    let bytes = memory::read(pid, address, AROUND as usize).ok()?;
    Some(Window { address, bytes })
}

/// A lock that is elsewhere than the futex word.
fn place(pid: u32, address: u64, inherited: &dyn Inherited) -> Place {
    let mapping = memory::mapping(pid, address);
    let (now, at_fork) = windows(pid, address, mapping.as_ref(), inherited);
    let owner = inherited.owner().map(|owner| owner_thread(pid, owner, inherited));
    Place { address, mapping, now, at_fork, python_type: python_type(pid, address), owner }
}

/// The `pthread_t` of the owner of a lock that is Python's recursive one: the word after the mutex
/// (`_PyRecursiveMutex`, `Include/internal/pycore_lock.h`, CPython 3.14).
pub fn owner_of(pid: u32, lock: u64) -> Option<u64> {
    python_type(pid, lock).filter(|name| name == "_thread.RLock")?;
    memory::word(pid, lock.checked_add(8)?).filter(|owner| *owner != 0)
}

/// Offset of the tid in glibc's descriptor of a thread.
pub const DESCRIPTOR_TID: u64 = HOST.descriptor.tid;
/// Bytes of a descriptor that are read.
pub const DESCRIPTOR_LEN: usize = HOST.descriptor.size();

/// What a descriptor says: its thread's tid, which is cleared when the thread ends, and in a forked
/// child for all threads that it does not have (`__reclaim_stacks`, `nptl/nptl-stack.c`).
fn owner_thread(pid: u32, address: u64, inherited: &dyn Inherited) -> OwnerThread {
    let tid = |window: &Window| descriptor_tid(address, window);
    let now = memory::read(pid, address, DESCRIPTOR_LEN).ok();
    let now = now.map(|bytes| Window { address, bytes });
    OwnerThread {
        address,
        tid_at_fork: inherited.bytes(pid, address, DESCRIPTOR_LEN).known().and_then(tid),
        tid: now.as_ref().and_then(tid),
    }
}

/// The tid in the descriptor at `address`, if a descriptor is there.
pub fn descriptor_tid(address: u64, memory: &Window) -> Option<u32> {
    let at = |offset: u64| address.checked_add(offset);
    let own = |(offset, place): &(u64, u64)| {
        let word = at(*offset).and_then(|at| memory.long(at));
        word.is_some() && word == at(*place)
    };
    let is_one = HOST.descriptor.own_addresses.iter().all(own);
    is_one.then(|| memory.word(at(DESCRIPTOR_TID)?)).flatten()
}

/// Name of the type whose object has its first member at `address`, if it is Python's.
///
/// An object's type is the last word of its head, and the type's name is the first member after
/// its own head of 24 bytes (`Include/object.h` and `Include/cpython/object.h`, CPython 3.13 and
/// 3.14, builds with the global interpreter lock).
pub(super) fn python_type(pid: u32, address: u64) -> Option<String> {
    let kind = memory::word(pid, address.checked_sub(8)?)?;
    let name = memory::read(pid, memory::word(pid, kind.checked_add(24)?)?, MAX_NAME).ok()?;
    let name = name.split(|byte| *byte == 0).next().filter(|name| name.len() < MAX_NAME)?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    (!name.is_empty() && name.iter().all(plain)).then(|| String::from_utf8_lossy(name).into_owned())
}

/// Memory around a word: now, and as inherited.
fn windows(
    pid: u32,
    uaddr: u64,
    mapping: Option<&Mapping>,
    inherited: &dyn Inherited,
) -> (Option<Window>, AtFork) {
    let (start, len) = clip(uaddr, mapping);
    let now = memory::read(pid, start, len).ok().map(|bytes| Window { address: start, bytes });
    let at_fork = match inherited.bytes(pid, start, len) {
        AtFork::Known(window) if window.byte(uaddr).is_none() => AtFork::Unknown(Missing::NoFault),
        answer => answer,
    };
    (now, at_fork)
}

/// First address and length of the window, inside the mapping where that is known.
pub(super) fn clip(uaddr: u64, mapping: Option<&Mapping>) -> (u64, usize) {
    // Without a mapping at least the word itself is asked for.
    let (first, end) = mapping.map_or((uaddr, uaddr.saturating_add(4)), |m| (m.start, m.end));
    let start = uaddr.saturating_sub(AROUND).max(first.min(uaddr));
    let end = uaddr.saturating_add(AROUND).min(end.max(uaddr));
    (start, usize::try_from(end.saturating_sub(start)).unwrap_or_default())
}

/// Number of POSIX timers. Each begins with a line `ID: n` (`show_timer`, `fs/proc/base.c`, Linux
/// 6.18); kernels without `CONFIG_CHECKPOINT_RESTORE` do not show them.
pub(super) fn timers(pid: u32) -> Option<u32> {
    let text = proc_text::small(pid, &format!("{pid}/timers")).ok()?;
    u32::try_from(text.lines().filter(|line| line.starts_with("ID:")).count()).ok()
}

#[cfg(test)]
mod tests;
