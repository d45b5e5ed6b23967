//! Writing records into the ring buffer; every failure is counted by kind.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_smp_processor_id, generated::bpf_ktime_get_boot_ns},
};
use forktrace_common::record::{Header, Kind};

use crate::{
    config::{comm, current},
    maps::{DROPS, EVENTS, SEQUENCE, bump},
};

/// A header and its payload, as they lie in the ring. No padding: both are multiples of 8 bytes.
#[repr(C)]
pub(crate) struct Record<P> {
    header: Header,
    payload: P,
}

/// `CLOCK_BOOTTIME`, ns.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper has no arguments and no failure.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Counts a record that could not be made, as if it had been dropped by a full ring.
#[inline(always)]
pub(crate) fn dropped(kind: Kind) {
    bump(&SEQUENCE, 0);
    bump(&DROPS, kind as u32);
}

/// Reserves a record and has `fill` write its payload in place.
#[inline(always)]
pub(crate) fn emit<P: 'static>(
    ctx: &impl EbpfContext,
    kind: Kind,
    boot_ns: u64,
    fill: impl FnOnce(*mut P),
) {
    let seq = bump(&SEQUENCE, 0);
    let Some(mut record) = EVENTS.reserve::<Record<P>>(0) else {
        bump(&DROPS, kind as u32);
        return;
    };
    let (tgid, tid) = current();
    let place = record.as_mut_ptr();
    // SAFETY: `place` is reserved memory of the record's size, written before it is submitted.
    unsafe {
        (&raw mut (*place).header).write(Header {
            kind: kind as u32,
            cpu: bpf_get_smp_processor_id() as u32,
            seq,
            boot_ns,
            tgid,
            tid,
            comm: comm(ctx),
        });
        fill(&raw mut (*place).payload);
    }
    record.submit(0);
}
