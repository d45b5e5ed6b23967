//! Who takes which lock, where and when: probes on the C library's lock functions (`--locks`).
//!
//! One pair of programs serves every function that takes a lock: the first argument is the lock,
//! and zero is success. A lock word in the memory that a fork copied does not say who held it, and
//! by the time somebody asks the parent may have released it a million times. So a hold that ends
//! is kept if it covered a fork: if it began before the copy was complete, of the process's latest
//! fork. Which holds overlap the copy of one child's memory is decided by the collector.

use aya_ebpf::{
    macros::{tracepoint, uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext, TracePointContext},
};
use forktrace_common::maps::{Attempt, Counter, ForkWindow, Hold, LockKey, PastKey};

use crate::{
    arch,
    config::{current, traced},
    maps::{ATTEMPTS, FORK_WINDOWS, HOLDS, PAST_HOLDS, count},
    ring::now,
};

/// `EOWNERDEAD`: a robust mutex was taken over from an owner that died.
const EOWNERDEAD: i32 = 130;

/// Entry of a function that takes the lock of its first argument.
#[uprobe]
pub(crate) fn lock_enter(ctx: ProbeContext) -> u32 {
    let (tgid, tid) = current();
    if !traced(tgid) {
        return 0;
    }
    count(Counter::LockCalls);
    let addr: u64 = ctx.arg(0).unwrap_or_default();
    // SAFETY: the context is the registers of the probed task, at a function's entry.
    let caller = unsafe { arch::caller(ctx.regs) };
    if ATTEMPTS.insert(&tid, &Attempt { addr, caller }, 0).is_err() {
        count(Counter::LockCallsUntracked);
    }
    0
}

/// Return from such a function.
#[uretprobe]
pub(crate) fn lock_return(ctx: RetProbeContext) -> u32 {
    let (tgid, tid) = current();
    // SAFETY: only this task writes its entry.
    let Some(Attempt { addr, caller }) = (unsafe { ATTEMPTS.get(&tid) }).copied() else {
        return 0;
    };
    let _ = ATTEMPTS.remove(&tid);
    let result: i32 = ctx.ret();
    if result == 0 || result == EOWNERDEAD {
        took(tgid, tid, addr, caller);
    }
    0
}

/// Entry of a function that releases the lock of its first argument.
#[uprobe]
pub(crate) fn lock_release(ctx: ProbeContext) -> u32 {
    let (tgid, tid) = current();
    if !traced(tgid) {
        return 0;
    }
    count(Counter::LockCalls);
    let addr: u64 = ctx.arg(0).unwrap_or_default();
    let key = LockKey { addr, tgid, reserved: 0 };
    let at = now();
    let Some(hold) = HOLDS.get_ptr_mut(&key) else {
        // Not seen taken, but seen released: that the process used it is worth knowing.
        let released = Hold { until_ns: at, ..Hold::default() };
        if HOLDS.insert(&key, &released, 0).is_err() {
            count(Counter::LockCallsUntracked);
        }
        return 0;
    };
    // SAFETY: entries stay as long as their process lives, and whoever releases a lock is alone
    // with it.
    unsafe {
        if (*hold).depth > 1 {
            (*hold).depth -= 1;
        } else {
            end(tgid, addr, &*hold, at, tid);
            (*hold).depth = 0;
            (*hold).until_ns = at;
            (*hold).until_tid = tid;
        }
    }
    0
}

#[inline(always)]
fn took(tgid: u32, tid: u32, addr: u64, caller: u64) {
    let key = LockKey { addr, tgid, reserved: 0 };
    let since_ns = now();
    if let Some(hold) = HOLDS.get_ptr_mut(&key) {
        // SAFETY: as above; this thread has the lock.
        unsafe {
            if (*hold).depth > 0 && (*hold).tid == tid {
                (*hold).depth += 1;
                return;
            }
            // Shared by several (readers, a semaphore that counts), or its release was not seen.
            end(tgid, addr, &*hold, since_ns, 0);
        }
    }
    let hold = Hold { since_ns, caller, tid, depth: 1, ..Hold::default() };
    if HOLDS.insert(&key, &hold, 0).is_err() {
        count(Counter::LockCallsUntracked);
    }
}

/// Keeps a hold that ends now if it covered a fork.
#[inline(always)]
fn end(tgid: u32, addr: u64, hold: &Hold, at: u64, until_tid: u32) {
    if hold.depth == 0 {
        return;
    }
    // SAFETY: a window is replaced as a whole by the next fork.
    let Some(ForkWindow { enter_ns, end_ns }) = (unsafe { FORK_WINDOWS.get(&tgid) }).copied()
    else {
        return;
    };
    if end_ns == 0 || hold.since_ns <= end_ns {
        let key = PastKey { addr, enter_ns, tgid, tid: hold.tid };
        let past = Hold { until_ns: at, until_tid, ..*hold };
        if PAST_HOLDS.insert(&key, &past, 0).is_err() {
            count(Counter::LockCallsUntracked);
        }
    }
}

/// Entry of a system call that may copy the process.
#[tracepoint]
pub(crate) fn sys_enter_clone(_ctx: TracePointContext) -> u32 {
    let (tgid, _) = current();
    if traced(tgid) {
        let window = ForkWindow { enter_ns: now(), end_ns: 0 };
        if FORK_WINDOWS.insert(&tgid, &window, 0).is_err() {
            count(Counter::LockCallsUntracked);
        }
    }
    0
}

/// The copy is complete; returns when it began at the earliest, 0 if that was not seen.
#[inline(always)]
pub(crate) fn fork_done(tgid: u32, end_ns: u64) -> u64 {
    match FORK_WINDOWS.get_ptr_mut(&tgid) {
        Some(window) => {
            // SAFETY: a live entry; two threads that fork at once leave the later window.
            unsafe {
                (*window).end_ns = end_ns;
                (*window).enter_ns
            }
        }
        None => 0,
    }
}
