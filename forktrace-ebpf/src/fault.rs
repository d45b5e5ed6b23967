//! The fork-time snapshot: pages of a forked child as it inherited them.
//!
//! After a fork both sides share their pages read-only, so the child's first write to a page
//! faults. The tracepoints fire before the fault is handled (`trace_page_fault_entries` in
//! `exc_page_fault`, `arch/x86/mm/fault.c`, Linux 6.18), hence the page still has the bytes of the
//! instant of the fork, and the very attempt that will block on a lock is what triggers the copy.

use aya_ebpf::{
    bindings::BPF_NOEXIST, helpers::generated::bpf_probe_read_user, macros::tracepoint,
    programs::TracePointContext,
};
use aya_log_ebpf::debug;
use forktrace_common::{
    config::NO_FIELD,
    maps::{Counter, PAGE_SIZE, PageIndex, PageKey, Risk},
};

use crate::{
    config::{config, current, field},
    maps::{AT_RISK, PAGES, SCRATCH, SNAPSHOTS, count},
};

/// `error_code` of a write (bit 1) to a page that is present (bit 0): `enum x86_pf_error_code`,
/// `arch/x86/include/asm/trap_pf.h`.
const WRITE_TO_PRESENT: u64 = 3;

/// How often a free place in the list of pages is looked for when threads fault at once.
const ATTEMPTS: u32 = 4;

/// A write by the child's own code.
#[tracepoint]
pub(crate) fn page_fault_user(ctx: TracePointContext) -> u32 {
    fault(&ctx);
    0
}

/// A write by the kernel on the child's behalf, such as `read(2)` into its memory.
#[tracepoint]
pub(crate) fn page_fault_kernel(ctx: TracePointContext) -> u32 {
    fault(&ctx);
    0
}

#[inline(always)]
fn fault(ctx: &TracePointContext) {
    if config!(snapshots) == 0 || config!(offsets.fault_address) == NO_FIELD {
        return;
    }
    let error: u64 = field(ctx, config!(offsets.fault_error_code));
    if error & WRITE_TO_PRESENT != WRITE_TO_PRESENT {
        return;
    }
    let (tgid, _) = current();
    let Some(risk) = AT_RISK.get_ptr_mut(&tgid) else {
        return;
    };
    let address: u64 = field(ctx, config!(offsets.fault_address));
    // SAFETY: the entry is removed by the process's own exec or end only.
    unsafe { keep(ctx, risk, tgid, address & !(PAGE_SIZE as u64 - 1)) }
}

/// Keeps one page, unless it was kept before or what it holds now may not be what was inherited.
///
/// # Safety
/// `risk` points to a live entry of [`AT_RISK`].
#[inline(always)]
unsafe fn keep(ctx: &TracePointContext, risk: *mut Risk, tgid: u32, page: u64) {
    // SAFETY: the caller's promise; likewise below.
    let Risk { fork_ns, pages, table_full, forked, .. } = unsafe { *risk };
    if table_full != 0 || forked != 0 {
        return;
    }
    let key = PageKey { fork_ns, page, tgid, reserved: 0 };
    if SNAPSHOTS.get_ptr(&key).is_some() {
        return;
    }
    if pages >= config!(child_page_cap) || !copy(&key) {
        unsafe { (*risk).table_full = 1 };
        count(Counter::PagesRefused);
        debug!(ctx, "no further page of child {} is kept, it has {}", tgid, pages);
        return;
    }
    count(Counter::PagesKept);
    for attempt in 0..ATTEMPTS {
        let index = pages + attempt;
        let place = PageIndex { fork_ns, tgid, index };
        if PAGES.insert(&place, &page, u64::from(BPF_NOEXIST)).is_ok() {
            unsafe { (*risk).pages = index + 1 };
            return;
        }
    }
}

/// Copies the page into the map; false if it could not be read or there was no room.
#[inline(always)]
fn copy(key: &PageKey) -> bool {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: the scratch page is this CPU's own, and the helper checks the source.
    unsafe {
        let read = bpf_probe_read_user(scratch.cast(), PAGE_SIZE as u32, key.page as *const _);
        // Another thread may have kept the page meanwhile: its copy is as good.
        read == 0
            && (SNAPSHOTS.insert(key, &*scratch, u64::from(BPF_NOEXIST)).is_ok()
                || SNAPSHOTS.get_ptr(key).is_some())
    }
}
