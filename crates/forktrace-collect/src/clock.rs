//! The clocks of events.

use nix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME` now, ns: the clock of every event.
pub fn boot_ns() -> u64 {
    nanoseconds(ClockId::CLOCK_BOOTTIME)
}

/// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`, ns: turns an event's time into wall clock time.
pub fn clock_offset_ns() -> i64 {
    let real = nanoseconds(ClockId::CLOCK_REALTIME);
    let boot = nanoseconds(ClockId::CLOCK_BOOTTIME);
    i64::try_from(i128::from(real) - i128::from(boot)).unwrap_or(0)
}

fn nanoseconds(clock: ClockId) -> u64 {
    // Neither clock can fail or be negative on Linux.
    clock_gettime(clock).map_or(0, |t| {
        (t.tv_sec() as u64).saturating_mul(1_000_000_000).saturating_add(t.tv_nsec() as u64)
    })
}
