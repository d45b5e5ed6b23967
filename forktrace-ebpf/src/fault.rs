//! The fork-time snapshot: pages of a forked child as it inherited them.
//!
//! After a fork both sides share their pages read-only, so the child's first write to a page
//! faults. The tracepoints fire before the fault is handled (`trace_page_fault_entries` in
//! `exc_page_fault`, `arch/x86/mm/fault.c`, Linux 6.18), hence the page still has the bytes of the
//! instant of the fork, and the very attempt that will block on a lock is what triggers the copy.
//!
//! The programs are on the raw tracepoints: no record is made of a fault for which there is nothing to
//! do, and that some other program is at work on the CPU does not keep these from running
//! (`__bpf_trace_run`, `kernel/trace/bpf_trace.c`, Linux 6.18). So what is missed is no more than a
//! fault in the middle of the same program, which only reads user memory.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_NOEXIST,
    helpers::{
        bpf_probe_read_kernel,
        generated::{bpf_get_current_task, bpf_probe_read_user},
    },
    macros::{perf_event, raw_tracepoint},
    programs::{PerfEventContext, RawTracePointContext},
};
use aya_log_ebpf::debug;
use forktrace_common::{
    config::NO_FIELD,
    maps::{
        Counter, FORKER_PAGES, Forker, PAGE_HEAD, PAGE_SIZE, PAGE_TAIL, PageIndex, PageKey, Risk,
        SIDE_CHILD, SIDE_FORKER, Touch, TouchKey,
    },
};

use crate::{
    arch::{FAULT_IP, WRITE_TO_PRESENT, sampled_instruction},
    config::{config, current},
    maps::{AT_RISK, FORKERS, PAGES, POOL, RISK_HINTS, SCRATCH, SNAPSHOTS, TAILS, TOUCHES, count},
    pid_bitmap::possible,
    ring::now,
};

/// How often a free place in the list of pages is looked for when threads fault at once.
const ATTEMPTS: u32 = 4;

/// A write by the child's own code.
#[raw_tracepoint]
pub(crate) fn page_fault_user(ctx: RawTracePointContext) -> i32 {
    raw_fault(&ctx, 0);
    0
}

/// A write by the kernel on the child's behalf, such as `read(2)` into its memory.
#[raw_tracepoint]
pub(crate) fn page_fault_kernel(ctx: RawTracePointContext) -> i32 {
    raw_fault(&ctx, 1);
    0
}

/// `TP_PROTO(unsigned long address, struct pt_regs *regs, unsigned long error_code)`
/// (`arch/x86/include/asm/trace/exceptions.h`, Linux 5.10 and 6.18).
#[inline(always)]
fn raw_fault(ctx: &RawTracePointContext, scratch: u32) {
    let error: u64 = ctx.arg(2);
    if error & WRITE_TO_PRESENT != WRITE_TO_PRESENT {
        return;
    }
    let regs: *const u8 = ctx.arg(1);
    // SAFETY: the helper checks the read.
    let ip = || unsafe { bpf_probe_read_kernel(regs.wrapping_add(FAULT_IP).cast::<u64>()) };
    fault(ctx, ctx.arg(0), || ip().unwrap_or_default(), scratch);
}

/// Any fault, where no tracepoint tells of them (`PERF_COUNT_SW_PAGE_FAULTS`): it is counted before it
/// is handled, too (`do_user_addr_fault`, `arch/x86/mm/fault.c`, and `do_page_fault`,
/// `arch/arm64/mm/fault.c`, Linux 6.18). What was tried is not told. If the page can be read all the
/// same, it is there and was to be written.
#[perf_event]
pub(crate) fn page_fault_event(ctx: PerfEventContext) -> u32 {
    // SAFETY: the verifier knows the type of the context.
    let (address, ip) = unsafe { ((*ctx.ctx).addr, sampled_instruction(&*ctx.ctx)) };
    let mut word = 0u64;
    let page = address & !(PAGE_SIZE as u64 - 1);
    // SAFETY: the helper checks the source.
    let there = unsafe { bpf_probe_read_user((&raw mut word).cast(), 8, page as *const _) == 0 };
    if there {
        fault(&ctx, address, || ip, 0);
    }
    0
}

/// A write to a page that is there. `scratch`: which of the CPU's scratch pages is this program's.
#[inline(always)]
fn fault(ctx: &impl EbpfContext, address: u64, ip: impl Fn() -> u64, scratch: u32) {
    if config!(snapshots) == 0 {
        return;
    }
    let (tgid, tid) = current();
    let page = address & !(PAGE_SIZE as u64 - 1);
    if possible(&RISK_HINTS, tgid)
        && let Some(risk) = AT_RISK.get_ptr_mut(&tgid)
    {
        // SAFETY: the entry is removed by the process's own exec or end only.
        unsafe { keep(ctx, risk, tgid, &touch(tid, address, ip()), page, scratch) }
    }
    // SAFETY: the entry is removed by the process's own exec or end only, and a value torn by a fork
    // under way names no child.
    if let Some(forker) = unsafe { FORKERS.get(&tgid) } {
        note(*forker, &touch(tid, address, ip()), page);
    }
}

#[inline(always)]
fn touch(tid: u32, address: u64, ip: u64) -> Touch {
    Touch { boot_ns: now(), address, ip, other_ns: 0, tid, switches: switches() }
}

/// How often the current task has blocked, plus one; zero: not known.
#[inline(always)]
fn switches() -> u32 {
    let offset = config!(offsets.task_switches);
    if offset == NO_FIELD {
        return 0;
    }
    // SAFETY: the place is what the kernel's own description says, and the helper checks the read.
    let count = unsafe {
        let task = bpf_get_current_task() as *const u8;
        bpf_probe_read_kernel(task.wrapping_add(offset as usize).cast::<u64>())
    };
    count.map_or(0, |count| (count as u32).wrapping_add(1))
}

/// Keeps one page, unless it was kept before or what it holds now may not be what was inherited.
///
/// # Safety
/// `risk` points to a live entry of [`AT_RISK`].
#[inline(always)]
unsafe fn keep(
    ctx: &impl EbpfContext,
    risk: *mut Risk,
    tgid: u32,
    touch: &Touch,
    page: u64,
    scratch: u32,
) {
    // SAFETY: the caller's promise; likewise below.
    let Risk { fork_ns, pages, table_full, forked, .. } = unsafe { *risk };
    if table_full != 0 || forked != 0 {
        return;
    }
    let key = PageKey { fork_ns, page, tgid, reserved: 0 };
    let touched = TouchKey { fork_ns, page, tgid, side: SIDE_CHILD };
    // Before the page: whoever finds the page kept finds its first write noted, if there was room.
    let noted = first_touch(&touched, touch);
    if noted != FIRST && is_kept(&key) {
        return;
    }
    let kept = if pages < config!(child_page_cap) { copy(&key, scratch) } else { REFUSED };
    if kept == KNOWN {
        // There was no room for the first write when the page was kept: this is a later one.
        if noted == FIRST {
            let _ = TOUCHES.remove(&touched);
        }
        return;
    }
    if kept == KEPT {
        if let Some(index) = list(fork_ns, tgid, pages, page) {
            count(Counter::PagesKept);
            unsafe { (*risk).pages = index + 1 };
            return;
        }
        // What is not listed would never be deleted.
        let _ = POOL.remove(&key);
        let _ = SNAPSHOTS.remove(&key);
        let _ = TAILS.remove(&key);
    }
    unsafe { (*risk).table_full = 1 };
    if noted == FIRST {
        let _ = TOUCHES.remove(&touched);
    }
    count(Counter::PagesRefused);
    debug!(ctx, "no further page of child {} is kept, it has {}", tgid, pages);
}

/// Puts a page into the list of a child's pages, at `index` or soon after; where, if there was room.
#[inline(always)]
fn list(fork_ns: u64, tgid: u32, index: u32, page: u64) -> Option<u32> {
    for attempt in 0..ATTEMPTS {
        let index = index + attempt;
        let place = PageIndex { fork_ns, tgid, index };
        if PAGES.insert(&place, &page, u64::from(BPF_NOEXIST)).is_ok() {
            return Some(index);
        }
    }
    None
}

/// The write was noted as the page's first.
const FIRST: u32 = 0;
/// Another one was noted as that before.
const LATER: u32 = 1;
/// It could not be noted.
const NO_ROOM: u32 = 2;

/// Notes a write if it is the page's first; that another thread faulted on the page too, if not.
#[inline(always)]
fn first_touch(key: &TouchKey, touch: &Touch) -> u32 {
    if TOUCHES.insert(key, touch, u64::from(BPF_NOEXIST)).is_ok() {
        return FIRST;
    }
    if let Some(first) = TOUCHES.get_ptr_mut(key) {
        // SAFETY: the entry is removed once its child is no longer at risk; every writer writes
        // about the same time.
        unsafe {
            if (*first).tid != touch.tid {
                (*first).other_ns = touch.boot_ns;
            }
        }
        return LATER;
    }
    NO_ROOM
}

/// Notes the first write of a process to a page since its latest fork: it tells which thread had a
/// lock at the fork, if that write is the release.
#[inline(always)]
fn note(forker: Forker, touch: &Touch, page: u64) {
    let Forker { fork_ns, child: tgid, .. } = forker;
    let Some(risk) = AT_RISK.get_ptr_mut(&tgid) else {
        return;
    };
    // SAFETY: an entry that is removed meanwhile is not used again before the program has ended.
    let (known_ns, written) = unsafe { ((*risk).fork_ns, (*risk).written) };
    if known_ns != fork_ns || written >= config!(child_page_cap) {
        return;
    }
    let key = TouchKey { fork_ns, page, tgid, side: SIDE_FORKER };
    let noted = first_touch(&key, touch);
    if noted == LATER {
        return;
    }
    let place = FORKER_PAGES + written;
    let listed = if noted == FIRST { list(fork_ns, tgid, place, page) } else { None };
    let written = match listed {
        Some(index) => index - FORKER_PAGES + 1,
        None => {
            // A later write to this page must not pass for the first: none is noted from here on.
            let _ = TOUCHES.remove(&key);
            config!(child_page_cap)
        }
    };
    // SAFETY: as above.
    unsafe { (*risk).written = written };
}

/// The page is in the map now.
const KEPT: u32 = 0;
/// It was there already.
const KNOWN: u32 = 1;
/// It could not be read, or there was no room.
const REFUSED: u32 = 2;

#[inline(always)]
fn is_kept(key: &PageKey) -> bool {
    POOL.get_ptr(key).is_some() || SNAPSHOTS.get_ptr(key).is_some()
}

/// Copies the page into a map.
#[inline(always)]
fn copy(key: &PageKey, scratch: u32) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(scratch) else {
        return REFUSED;
    };
    // SAFETY: the scratch page is this CPU's and this program's own, and the helper checks the source.
    unsafe {
        if bpf_probe_read_user(scratch.cast(), PAGE_SIZE as u32, key.page as *const _) != 0 {
            return REFUSED;
        }
        // The pool may have had no room when the page was kept, and have some now.
        if SNAPSHOTS.get_ptr(key).is_some() {
            return KNOWN;
        }
        if POOL.insert(key, &*scratch, u64::from(BPF_NOEXIST)).is_ok() {
            return KEPT;
        }
        if POOL.get_ptr(key).is_some() {
            return KNOWN;
        }
        let tail = &*scratch.cast::<u8>().add(PAGE_HEAD).cast::<[u8; PAGE_TAIL]>();
        let head = &*scratch.cast::<[u8; PAGE_HEAD]>();
        allocate(key, head, tail)
    }
}

/// Keeps a page for which the pool has no room. Another thread may have kept it meanwhile: its copy is
/// as good. Both parts were there before it wrote.
#[inline(always)]
fn allocate(key: &PageKey, head: &[u8; PAGE_HEAD], tail: &[u8; PAGE_TAIL]) -> u32 {
    let flags = u64::from(BPF_NOEXIST);
    let tail_kept = TAILS.insert(key, tail, flags).is_ok();
    if !tail_kept && TAILS.get_ptr(key).is_none() {
        return REFUSED;
    }
    if SNAPSHOTS.insert(key, head, flags).is_ok() {
        return KEPT;
    }
    if SNAPSHOTS.get_ptr(key).is_some() {
        return KNOWN;
    }
    if tail_kept {
        let _ = TAILS.remove(key);
    }
    REFUSED
}
