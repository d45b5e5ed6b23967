//! A lock that a library keeps for itself, beside living threads: is one of them inside of the library?
//!
//! Such a lock is taken and released within one call of the library. So only a thread whose stack has a
//! function of the library can have it. Stacks of blocked threads are read, and of all of them: where
//! each is whole and outside of the library, nobody here has the lock, whoever had it at the fork, and
//! whether or not that was seen. It does not matter whether the lock's page was written before, whether
//! a handler could run, or whether the library made its lock anew in the child.
//!
//! Assumed: a call of the library does not return with the lock held. That is known of glibc, whose
//! static locks no function leaves held but `flockfile` (a `FILE`'s lock names its owner, and is left out
//! here). Of other libraries it is not known, so that it makes no more than *likely*, unless the first
//! write to the lock's page shows that nobody here has used it (`ownerless.rs`).
//!
//! The other side is weaker: a lost thread that is still inside of the same function of its process,
//! where the lock is still held, had it at the fork. Then a thread here that runs, and cannot be looked
//! at, hardly has it: *likely*.

use super::{Assessment, WaitCase, case::scene, ownerless};
use crate::{
    event::{
        Doing,
        stacks::{Fate, Frame, NativeStacks, TaskNow, ThreadBeside},
    },
    finding::{Confidence, Fact},
    frames::public_name,
    locks::{self, State},
};

/// Functions of the C library in which a thread waits without having any of the library's locks: what
/// programs call, as POSIX and Linux name it. One that waits inside of another function of the library
/// is not meant: only the outermost of a row of its functions counts.
#[rustfmt::skip]
const AT_REST: &[&str] = &[
    "accept", "accept4", "clock_nanosleep", "connect", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "fcntl", "flock", "fsync", "futex_wait", "io_getevents", "ioctl", "lockf", "mq_receive",
    "mq_timedreceive", "msgrcv", "nanosleep", "open", "openat", "pause", "poll", "ppoll", "pread",
    "preadv", "pselect", "pthread_barrier_wait", "pthread_clockjoin_np", "pthread_cond_clockwait",
    "pthread_cond_timedwait", "pthread_cond_wait", "pthread_join", "pthread_mutex_clocklock",
    "pthread_mutex_lock", "pthread_mutex_timedlock", "pthread_rwlock_rdlock",
    "pthread_rwlock_wrlock", "pthread_timedjoin_np", "pwrite", "read", "readv", "recv", "recvfrom",
    "recvmmsg", "recvmsg", "sched_yield", "select", "sem_clockwait", "sem_timedwait", "sem_wait",
    "semop", "semtimedop", "send", "sendmsg", "sendto", "sigsuspend", "sigtimedwait", "sigwait",
    "sigwaitinfo", "sleep", "splice", "syscall", "thrd_sleep", "usleep", "wait", "wait3", "wait4",
    "waitid", "waitpid", "write", "writev",
];

/// Parts of the names of functions that take locks for others, or that call back what they guard, by
/// whichever library; in lower case. Their callers are whose lock it is.
const LOCKING: [&str; 9] =
    ["lock", "mutex", "futex", "wait", "syscall", "guard", "once", "acquire", "enter"];

/// How far from a lock of a `FILE` its count and owner are (`_IO_lock_t`, `sysdeps/nptl/stdio-lock.h`,
/// glibc 2.36).
const COUNT: u64 = 4;
const OWNER: u64 = 8;
/// Largest count that is believed.
const MOST_TAKEN: u32 = 4096;
/// Descriptors of threads (`struct pthread`) lie at no lower address, at multiples of this.
const LOWEST: u64 = 0x1_0000;
const ALIGNED: u64 = 16;

/// The library that keeps the lock for itself, by the stack of who waits for it.
struct Keeper<'a> {
    path: &'a str,
    /// The function that takes the lock.
    function: Option<&'a str>,
    is_libc: bool,
    /// The waiter's frames from the call of the library on, outwards.
    callers: &'a [Frame],
}

/// Nobody here is inside of the library that keeps the lock for itself, or a lost thread still is.
pub(in crate::hazards) fn kept_by_library(case: &WaitCase<'_>) -> Option<Assessment> {
    let native = case.evidence.native.as_deref()?;
    let held = matches!(case.reading.now, State::Held { owner: None });
    let only_holder = !case.reading.family.anyone_may_release && !case.reading.family.may_be_event;
    if !held || !only_holder || case.target().is_some() {
        return None;
    }
    let keeper = keeper(case, native)?;
    let mut facts = Vec::new();
    let mut sure = None;
    if let Some(fact) = lost_inside(case, native, &keeper) {
        facts.push(fact);
        sure = Some(Confidence::Likely);
    }
    if nobody_inside(case, native, &keeper) {
        let others = case.evidence.threads.len().saturating_sub(1) as u64;
        facts.push(Fact::NobodyInLibrary { library: keeper.path.to_owned(), others });
        let known = matches!(case.reading.at_fork, State::Held { .. });
        let sound = keeper.is_libc || ownerless::is_untouched(case);
        sure = Some(if known && sound { Confidence::Certain } else { Confidence::Likely });
    }
    (!facts.is_empty()).then(|| Assessment::argument(sure, facts).unless_proven())
}

fn keeper<'a>(case: &WaitCase<'a>, native: &'a NativeStacks) -> Option<Keeper<'a>> {
    let frames = native.stack.frames.as_slice();
    let own = case.evidence.module.as_ref().map(|module| module.path.as_str());
    if native.stack.cut.is_some() {
        return None;
    }
    if let Some(path) = own.filter(|path| of(None, Some(path)).is_library()) {
        let inside = frames.iter().take_while(|frame| frame.is_library()).count();
        let (taking, callers) = frames.split_at_checked(inside)?;
        let mut names = taking.iter().filter_map(|frame| frame.symbol.as_deref());
        let function = names.find(|name| !is_locking(name));
        let keeper = Keeper { path, function, is_libc: true, callers };
        return Some(keeper).filter(|_| !is_of_file(case));
    }
    let first = frames.iter().take_while(|frame| takes_for_others(frame)).count();
    let from = frames.get(first..)?;
    let taker = from.first()?;
    let path = taker.module.as_deref().filter(|path| is_shared(path))?;
    // A lock in another file's data is that file's. One on the heap may be anybody's: what it was at the
    // fork must be known.
    let known = matches!(case.reading.at_fork, State::Held { .. });
    if own.map_or(!known, |own| own != path) {
        return None;
    }
    let function = Some(taker.symbol.as_deref()?);
    let inside = from.iter().take_while(|frame| frame.module.as_deref() == Some(path)).count();
    Some(Keeper { path, function, is_libc: false, callers: from.get(inside..)? })
}

/// Whether it is of a function that takes a lock on behalf of its caller.
fn takes_for_others(frame: &Frame) -> bool {
    frame.is_beneath() || frame.symbol.as_deref().is_some_and(is_locking)
}

fn is_locking(symbol: &str) -> bool {
    let symbol = symbol.to_ascii_lowercase();
    LOCKING.iter().any(|part| symbol.contains(part))
}

/// Whether a file is a shared library, by its name. What a program's own code locks may stay locked
/// while it does something else.
fn is_shared(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.contains(".so") && !name.starts_with("libpython")
}

/// Whether it may be the lock of a `FILE`, which a program can keep with `flockfile`: how often it was
/// taken and the address of the owner's descriptor follow.
fn is_of_file(case: &WaitCase<'_>) -> bool {
    let Some(now) = &case.evidence.now else { return true };
    let at = |offset| case.evidence.wait.uaddr.checked_add(offset);
    let count = at(COUNT).and_then(|at| now.word(at));
    let owner = at(OWNER).and_then(|at| now.long(at));
    let counts = count.is_none_or(|count| (1..=MOST_TAKEN).contains(&count));
    let is_descriptor = |owner: u64| owner >= LOWEST && owner.is_multiple_of(ALIGNED);
    counts && owner.is_none_or(is_descriptor)
}

/// No thread of the process is inside of the library, except for those that wait for this lock.
fn nobody_inside(case: &WaitCase<'_>, native: &NativeStacks, keeper: &Keeper<'_>) -> bool {
    let threads = &case.evidence.threads;
    let mut others = threads.iter().map(|thread| thread.tid).filter(|tid| *tid != case.task.tid);
    let seen = threads.iter().any(|thread| thread.tid == case.task.tid);
    let outside = |tid: u32| {
        let found = native.beside.iter().find(|thread| thread.tid == tid);
        found.is_some_and(|thread| is_outside(case, thread, keeper))
    };
    seen && keeper.is_outside(keeper.callers, true) && others.all(outside)
}

fn is_outside(case: &WaitCase<'_>, thread: &ThreadBeside, keeper: &Keeper<'_>) -> bool {
    let code = thread.code.iter();
    let frames: Vec<Frame> =
        code.map(|code| of(code.symbol.as_deref(), code.module.as_deref())).collect();
    if thread.cut.is_some() || frames.is_empty() {
        return false;
    }
    let waits = case.evidence.waiters.iter().any(|waiter| waiter.tid == thread.tid);
    // Who waits for the lock is inside of the library to take it.
    let taking = |frame: &&Frame| keeper.is_inside(frame) || takes_for_others(frame);
    let call = if waits { frames.iter().take_while(taking).count() } else { 0 };
    keeper.is_outside(frames.get(call..).unwrap_or_default(), waits)
}

/// A frame of this function in this file.
fn of(symbol: Option<&str>, module: Option<&str>) -> Frame {
    let [symbol, module] = [symbol, module].map(|name| name.map(str::to_owned));
    Frame { symbol, module, ..Frame::default() }
}

impl Keeper<'_> {
    fn is_inside(&self, frame: &Frame) -> bool {
        if self.is_libc { frame.is_library() } else { frame.module.as_deref() == Some(self.path) }
    }

    /// Whether none of these frames, innermost first, is of a call of the library that may have its
    /// lock. `called`: they are the callers of one.
    fn is_outside(&self, frames: &[Frame], called: bool) -> bool {
        if !self.is_libc {
            return !frames.iter().any(|frame| self.is_inside(frame));
        }
        let mut rest = frames;
        let mut first = !called;
        while let Some(start) = rest.iter().position(|frame| self.is_inside(frame)) {
            let run = rest.get(start..).unwrap_or_default();
            let len = run.iter().take_while(|frame| self.is_inside(frame)).count();
            let (run, outer) = run.split_at_checked(len).unwrap_or_default();
            // What starts a thread or the program: nothing but `_start` is further out.
            let begins = outer.len() <= 1 && outer.iter().all(Frame::is_start);
            let alone = first && start == 0;
            let name = run.last().and_then(|frame| frame.symbol.as_deref());
            let rests = name.is_some_and(|name| AT_REST.contains(&public_name(name)));
            if !rests && (!begins || alone) {
                return false;
            }
            (rest, first) = (outer, false);
        }
        true
    }
}

/// A lost thread that is still inside of the function that takes the lock, in its process, where the
/// lock is still held.
fn lost_inside(case: &WaitCase<'_>, native: &NativeStacks, keeper: &Keeper<'_>) -> Option<Fact> {
    let function = keeper.function?;
    let now = case.evidence.now.as_ref()?;
    if case.fork.is_unobserved() || !matches!(case.reading.at_fork, State::Held { .. }) {
        return None;
    }
    let scene = scene(case.machine(), case.evidence, now, native.in_parent.as_ref());
    if !matches!(locks::read(&scene)?.at_fork, State::Held { .. }) {
        return None;
    }
    let waits = |thread: &TaskNow| matches!(thread.doing, Doing::Futex { uaddr, .. } if uaddr == case.evidence.wait.uaddr);
    let is_there =
        |frame: &Frame| keeper.is_inside(frame) && frame.symbol.as_deref() == Some(function);
    let mut lost = native.holders.iter();
    let holder = lost.find(|thread| {
        thread.fate == Fate::Alive
            && thread.pid == case.fork.site().by_pid
            && !waits(thread)
            && thread.stack.frames.iter().any(is_there)
    })?;
    let function = public_name(function).to_owned();
    Some(Fact::HolderInLibrary { tid: holder.tid, pid: holder.pid, function })
}
