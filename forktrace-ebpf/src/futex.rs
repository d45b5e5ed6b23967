//! Futex waits and wakes.
//!
//! A wait is kept in a map from system call entry to exit. One that returns before the threshold
//! costs no event; one that does not return is found in the map by the collector.

use aya_ebpf::{macros::tracepoint, programs::TracePointContext};
use forktrace_common::{
    config::NO_FIELD,
    futex::{OP_WAIT_SYSCALL, OP_WAITV, is_wait, is_wake},
    maps::{Counter, WaitState, WakeState, WordKey},
    record::{Kind, WaitBegin, WaitEnd, Wake},
};

use crate::{
    config::{argument, config, current, traced},
    maps::{AT_RISK, RISK_HINTS, WAIT_HINTS, WAITS, WAKES, count},
    pid_bitmap,
    ring::{emit, now},
};

/// Results with which the kernel leaves a system call that it restarts after a signal:
/// `ERESTARTSYS` to `ERESTARTNOHAND` and `ERESTART_RESTARTBLOCK` (`include/linux/errno.h`, 6.18).
#[inline(always)]
fn restarts(ret: i64) -> bool {
    matches!(ret, -514..=-512 | -516)
}

/// `futex(2)`.
#[tracepoint]
pub(crate) fn sys_enter_futex(ctx: TracePointContext) -> u32 {
    let (tgid, tid) = current();
    if !traced(tgid) {
        return 0;
    }
    let op = argument::<24>(&ctx, config!(offsets.futex_op)) as u32;
    let uaddr = argument::<16>(&ctx, config!(offsets.futex_uaddr));
    if is_wait(op) {
        let val = u64::from(argument::<32>(&ctx, config!(offsets.futex_val)) as u32);
        let utime = argument::<40>(&ctx, config!(offsets.futex_utime));
        begin(&ctx, tgid, tid, WaitArgs { uaddr, val, op, timeout: utime });
    } else if is_wake(op) {
        woke(&ctx, tgid, uaddr, op);
    }
    0
}

/// `futex_wait(2)`, from 6.7.
#[tracepoint]
pub(crate) fn sys_enter_futex_wait(ctx: TracePointContext) -> u32 {
    let (tgid, tid) = current();
    if config!(offsets.wait_uaddr) != NO_FIELD && traced(tgid) {
        let args = WaitArgs {
            uaddr: argument::<16>(&ctx, config!(offsets.wait_uaddr)),
            val: argument::<24>(&ctx, config!(offsets.wait_val)),
            op: OP_WAIT_SYSCALL,
            timeout: argument::<48>(&ctx, config!(offsets.wait_timeout)),
        };
        begin(&ctx, tgid, tid, args);
    }
    0
}

/// `futex_waitv(2)`, from 5.16.
#[tracepoint]
pub(crate) fn sys_enter_futex_waitv(ctx: TracePointContext) -> u32 {
    let (tgid, tid) = current();
    if config!(offsets.waitv_waiters) != NO_FIELD && traced(tgid) {
        let args = WaitArgs {
            uaddr: argument::<16>(&ctx, config!(offsets.waitv_waiters)),
            val: argument::<24>(&ctx, config!(offsets.waitv_nr)),
            op: OP_WAITV,
            timeout: argument::<40>(&ctx, config!(offsets.waitv_timeout)),
        };
        begin(&ctx, tgid, tid, args);
    }
    0
}

/// `futex_wake(2)`, from 6.7.
#[tracepoint]
pub(crate) fn sys_enter_futex_wake(ctx: TracePointContext) -> u32 {
    let (tgid, _) = current();
    if config!(offsets.wake_uaddr) != NO_FIELD && traced(tgid) {
        let uaddr = argument::<16>(&ctx, config!(offsets.wake_uaddr));
        woke(&ctx, tgid, uaddr, forktrace_common::futex::FUTEX_WAKE);
    }
    0
}

/// `futex_requeue(2)`, from 6.7: its first waiter's word is woken.
#[tracepoint]
pub(crate) fn sys_enter_futex_requeue(ctx: TracePointContext) -> u32 {
    let (tgid, _) = current();
    if config!(offsets.requeue_waiters) != NO_FIELD && traced(tgid) {
        // `struct futex_waitv` is { u64 val; u64 uaddr; … } (include/uapi/linux/futex.h, 6.18).
        let waiters = argument::<16>(&ctx, config!(offsets.requeue_waiters));
        let place = waiters.wrapping_add(8) as *const u64;
        // SAFETY: the helper checks the address.
        match unsafe { aya_ebpf::helpers::bpf_probe_read_user(place) } {
            Ok(uaddr) => woke(&ctx, tgid, uaddr, forktrace_common::futex::FUTEX_REQUEUE),
            Err(_) => forget_wakes(tgid),
        }
    }
    0
}

/// The end of `futex`, `futex_wait` and `futex_waitv` alike.
#[tracepoint]
pub(crate) fn sys_exit_futex(ctx: TracePointContext) -> u32 {
    let (_, tid) = current();
    if !pid_bitmap::possible(&WAIT_HINTS, tid) {
        return 0;
    }
    let Some(entry) = WAITS.get_ptr_mut(&tid) else {
        return 0;
    };
    let ret = argument::<16>(&ctx, config!(offsets.exit_ret)) as i64;
    if restarts(ret) {
        // SAFETY: only this task writes its entry while it lives.
        unsafe { (*entry).restarting = 1 };
        return 0;
    }
    // SAFETY: as above; copied before the entry is removed.
    let wait = unsafe { *entry };
    let _ = WAITS.remove(&tid);
    pid_bitmap::clear(&WAIT_HINTS, tid);
    let end_ns = now();
    if config!(stream) != 0 || end_ns.saturating_sub(wait.enter_ns) >= config!(min_wait_ns) {
        emit::<WaitEnd>(&ctx, Kind::WaitEnd, end_ns, |end| {
            // SAFETY: reserved memory of the payload's size.
            unsafe { end.write(WaitEnd { wait, ret }) }
        });
    }
    0
}

struct WaitArgs {
    uaddr: u64,
    val: u64,
    op: u32,
    timeout: u64,
}

#[inline(always)]
fn begin(ctx: &TracePointContext, tgid: u32, tid: u32, args: WaitArgs) {
    let mut wait = WaitState {
        enter_ns: now(),
        uaddr: args.uaddr,
        val: args.val,
        op: args.op,
        timed: u32::from(args.timeout != 0),
        tgid,
        tid,
        restarting: 0,
        found: 0,
    };
    // SAFETY: only this task writes its entry while it lives.
    if pid_bitmap::possible(&WAIT_HINTS, tid)
        && let Some(old) = unsafe { WAITS.get(&tid) }
        && old.restarting != 0
        && old.uaddr == wait.uaddr
        && old.op == wait.op
        && old.val == wait.val
    {
        wait.enter_ns = old.enter_ns;
        wait.found = old.found;
    } else {
        count(Counter::Waits);
    }
    match WAITS.insert(&tid, &wait, 0) {
        Ok(()) => pid_bitmap::note(&WAIT_HINTS, tid),
        Err(_) => count(Counter::WaitsUntracked),
    }
    if config!(stream) != 0 {
        emit::<WaitBegin>(ctx, Kind::WaitBegin, wait.enter_ns, |begin| {
            // SAFETY: reserved memory of the payload's size.
            unsafe { begin.write(WaitBegin { wait }) }
        });
    }
}

/// Notes a wake: of use as evidence only in a child that could hang on an inherited lock.
#[inline(always)]
fn woke(ctx: &TracePointContext, tgid: u32, uaddr: u64, op: u32) {
    count(Counter::Wakes);
    // SAFETY: the entry is removed by the process's own exec or end only.
    if pid_bitmap::bits(&RISK_HINTS, tgid) & pid_bitmap::AT_RISK != 0
        && let Some(risk) = unsafe { AT_RISK.get(&tgid) }
    {
        let key = WordKey { fork_ns: risk.fork_ns, uaddr, tgid, reserved: 0 };
        if let Some(state) = WAKES.get_ptr_mut(&key) {
            // SAFETY: a race between two threads may lose one of two wakes, never both.
            unsafe {
                (*state).count += 1;
                (*state).last_ns = now();
            }
        } else if WAKES.insert(&key, &WakeState { count: 1, last_ns: now() }, 0).is_ok() {
            if let Some(risk) = AT_RISK.get_ptr_mut(&tgid) {
                // SAFETY: a lost increment only leaves an entry for the collector's next sweep.
                unsafe { (*risk).woken_words += 1 };
            }
        } else {
            forget_wakes(tgid);
        }
    }
    if config!(stream) != 0 {
        emit::<Wake>(ctx, Kind::Wake, now(), |wake| {
            // SAFETY: reserved memory of the payload's size.
            unsafe { wake.write(Wake { uaddr, op, reserved: 0 }) }
        });
    }
}

/// From here on "never woken" can no longer be said of this child's words.
#[inline(always)]
fn forget_wakes(tgid: u32) {
    if let Some(risk) = AT_RISK.get_ptr_mut(&tgid) {
        // SAFETY: a word of its own in a live entry; every writer writes the same value.
        unsafe { (*risk).wakes_lost = 1 };
    }
}
