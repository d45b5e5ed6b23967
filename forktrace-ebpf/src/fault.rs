//! The fork-time snapshot: pages of a forked child as it inherited them.
//!
//! After a fork both sides share their pages read-only, so the child's first write to a page
//! faults. The programs run before the fault is handled, hence the page still has the bytes of the
//! instant of the fork, and the very attempt that will block on a lock is what triggers the copy. They
//! are on tracepoints where the processor has them ([`crate::arch`]), and on the kernel's count of page
//! faults elsewhere.

use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_probe_read_kernel,
        generated::{bpf_get_current_task, bpf_probe_read_user},
    },
    macros::perf_event,
    programs::PerfEventContext,
};
use aya_log_ebpf::debug;
use forktrace_common::{
    config::NO_FIELD,
    maps::{
        Counter, Forker, Owner, PAGE_HEAD, PAGE_SIZE, PAGE_TAIL, Risk, SIDE_ABSENT, SIDE_CHILD,
        SIDE_FORKER, Touch,
    },
};

use crate::{
    arch::writer,
    config::{config, current},
    maps::{AREA, AT_RISK, FORKERS, RISK_HINTS, SCRATCH, SNAPSHOTS, TAILS, count},
    pid_bitmap::{self, FORKED, bits},
    places::{is_noted, next, put},
    ring::now,
};

/// Any fault, where no tracepoint tells of them (`PERF_COUNT_SW_PAGE_FAULTS`): it is counted before it
/// is handled, too (`do_user_addr_fault`, `arch/x86/mm/fault.c`, and `do_page_fault`,
/// `arch/arm64/mm/fault.c`, Linux 6.18). What was tried is not told. If the page can be read all the
/// same, it was to be written, unless it came while the program was on its way: see [`absent`].
#[perf_event]
pub(crate) fn page_fault_event(ctx: PerfEventContext) -> u32 {
    // SAFETY: the verifier knows the type of the context.
    let address = unsafe { (*ctx.ctx).addr };
    let mut word = 0u64;
    let page = page_of(address);
    // SAFETY: the helper checks the source.
    let there = unsafe { bpf_probe_read_user((&raw mut word).cast(), 8, page as *const _) == 0 };
    if there {
        // SAFETY: as above.
        write_to_present(&ctx, address, || unsafe { writer(&*ctx.ctx) });
    } else {
        absent(address);
    }
    0
}

/// A fault on a page that cannot be read yet. Where the processor does not keep the access flag itself,
/// that is any first access to what a child inherited: fork clears the flag (`copy_present_ptes`,
/// `mm/memory.c`, Linux 6.18).
///
/// A write to it is seen no more: the page is there for good afterwards. But another thread whose own
/// fault began before that, and whose program runs only after it, finds a page that can be read, with
/// what was written. Such a page is told by this note, of the thread that wrote. A process with one
/// thread needs none.
#[inline(always)]
fn absent(address: u64) {
    let (tgid, tid) = current();
    if config!(snapshots) == 0 || bits(&RISK_HINTS, tgid) & pid_bitmap::AT_RISK == 0 {
        return;
    }
    let Some(risk) = AT_RISK.get_ptr_mut(&tgid) else {
        return;
    };
    // SAFETY: the entry is removed by the process's own exec or end only; likewise below.
    if unsafe { (&raw const (*risk).threads).read_volatile() == 0 || is_over(risk) } {
        return;
    }
    let (fork_ns, noted) = unsafe { ((*risk).fork_ns, (*risk).absent) };
    let (owner, page) = (Owner { fork_ns, tgid, side: SIDE_ABSENT }, page_of(address));
    if is_noted(&owner, page, tid, now) {
        return;
    }
    let place = if noted < config!(child_page_cap) { next(&owner, false) } else { None };
    unsafe {
        match place {
            Some(place) => {
                put(&owner, page, place, &touch(tid, address, 0));
                (*risk).absent = noted + 1;
            }
            None => (*risk).table_full = 1,
        }
    }
}

#[inline(always)]
fn page_of(address: u64) -> u64 {
    address & !(PAGE_SIZE as u64 - 1)
}

/// A write to a page that is there.
#[inline(always)]
pub(crate) fn write_to_present(ctx: &impl EbpfContext, address: u64, ip: impl Fn() -> u64) {
    if config!(snapshots) == 0 {
        return;
    }
    let (tgid, tid) = current();
    let page = page_of(address);
    let write = || touch(tid, address, ip());
    let hints = bits(&RISK_HINTS, tgid);
    if hints & pid_bitmap::AT_RISK != 0
        && let Some(risk) = AT_RISK.get_ptr_mut(&tgid)
    {
        // SAFETY: the entry is removed by the process's own exec or end only.
        unsafe { keep(ctx, risk, (tgid, tid), page, write) }
    }
    // SAFETY: the entry is removed by the process's own exec or end only, and a value torn by a fork
    // under way names no child.
    if hints & FORKED != 0
        && let Some(forker) = unsafe { FORKERS.get(&tgid) }
    {
        note(*forker, tid, page, write);
    }
}

#[inline(always)]
fn touch(tid: u32, address: u64, ip: u64) -> Touch {
    let switches = switches();
    Touch { boot_ns: now(), address, ip, other_ns: 0, tid, switches }
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
    (tgid, tid): (u32, u32),
    page: u64,
    write: impl Fn() -> Touch,
) {
    // SAFETY: the caller's promise; likewise below.
    if unsafe { is_over(risk) } {
        return;
    }
    let (fork_ns, pages) = unsafe { ((*risk).fork_ns, (*risk).pages) };
    let owner = Owner { fork_ns, tgid, side: SIDE_CHILD };
    if is_noted(&owner, page, tid, now) {
        return;
    }
    let place = if pages < config!(child_page_cap) { next(&owner, true) } else { None };
    let Some(place) = place.filter(|place| copy(page, *place)) else {
        unsafe { (*risk).table_full = 1 };
        count(Counter::PagesRefused);
        debug!(ctx, "no further page of child {} is kept, it has {}", tgid, pages);
        return;
    };
    // Another thread that found no room, or forked, may have written before the page was read.
    if unsafe { is_over(risk) } {
        return;
    }
    put(&owner, page, place, &write());
    unsafe { (*risk).pages = pages + 1 };
    count(Counter::PagesKept);
}

/// Whether no further page of a child may be kept.
///
/// # Safety
/// `risk` points to a live entry of [`AT_RISK`].
#[inline(always)]
unsafe fn is_over(risk: *const Risk) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        (&raw const (*risk).table_full).read_volatile() != 0
            || (&raw const (*risk).forked).read_volatile() != 0
    }
}

/// Notes the first write of a process to a page since its latest fork: it tells which thread had a
/// lock at the fork, if that write is the release.
#[inline(always)]
fn note(forker: Forker, tid: u32, page: u64, write: impl Fn() -> Touch) {
    let Forker { fork_ns, child: tgid, .. } = forker;
    let Some(risk) = AT_RISK.get_ptr_mut(&tgid) else {
        return;
    };
    // SAFETY: an entry that is removed meanwhile is not used again before the program has ended.
    let (known_ns, written) = unsafe { ((*risk).fork_ns, (*risk).written) };
    let lost = unsafe { (&raw const (*risk).writes_lost).read_volatile() };
    if known_ns != fork_ns || lost != 0 {
        return;
    }
    let owner = Owner { fork_ns, tgid, side: SIDE_FORKER };
    if is_noted(&owner, page, tid, now) {
        return;
    }
    let place = if written < config!(child_page_cap) { next(&owner, false) } else { None };
    // SAFETY: as above.
    unsafe {
        match place {
            Some(place) => {
                put(&owner, page, place, &write());
                (*risk).written = written + 1;
            }
            None => (*risk).writes_lost = 1,
        }
    }
}

/// Copies a page to its place; whether there was room and it could be read.
#[inline(always)]
fn copy(page: u64, place: u32) -> bool {
    let source = page as *const _;
    if let Some(target) = AREA.get_ptr_mut(place) {
        // SAFETY: the place is this CPU's own, and the helper checks the source.
        return unsafe { bpf_probe_read_user(target.cast(), PAGE_SIZE as u32, source) == 0 };
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: the scratch page is this CPU's own, and the helper checks the source.
    unsafe {
        if bpf_probe_read_user(scratch.cast(), PAGE_SIZE as u32, source) != 0 {
            return false;
        }
        let tail = &*scratch.cast::<u8>().add(PAGE_HEAD).cast::<[u8; PAGE_TAIL]>();
        let head = &*scratch.cast::<[u8; PAGE_HEAD]>();
        TAILS.insert(&place, tail, 0).is_ok() && SNAPSHOTS.insert(&place, head, 0).is_ok()
    }
}
