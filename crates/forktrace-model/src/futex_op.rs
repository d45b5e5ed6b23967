//! Futex operations in words.

use forktrace_common::futex::*;

/// A futex operation with its flags, by the kernel's names: `WAIT_BITSET private realtime`.
pub fn wait_op(op: u32) -> String {
    match op {
        OP_WAITV => return "futex_waitv".into(),
        OP_WAIT_SYSCALL => return "futex_wait".into(),
        _ => {}
    }
    let name = match op & FUTEX_CMD_MASK {
        FUTEX_WAIT => "WAIT",
        FUTEX_WAKE => "WAKE",
        FUTEX_REQUEUE => "REQUEUE",
        FUTEX_CMP_REQUEUE => "CMP_REQUEUE",
        FUTEX_WAKE_OP => "WAKE_OP",
        FUTEX_LOCK_PI => "LOCK_PI",
        FUTEX_UNLOCK_PI => "UNLOCK_PI",
        FUTEX_WAIT_BITSET => "WAIT_BITSET",
        FUTEX_WAKE_BITSET => "WAKE_BITSET",
        FUTEX_WAIT_REQUEUE_PI => "WAIT_REQUEUE_PI",
        FUTEX_CMP_REQUEUE_PI => "CMP_REQUEUE_PI",
        FUTEX_LOCK_PI2 => "LOCK_PI2",
        _ => return format!("unknown op {op:#x}"),
    };
    let private = if op & FUTEX_PRIVATE_FLAG != 0 { " private" } else { "" };
    let realtime = if op & FUTEX_CLOCK_REALTIME != 0 { " realtime" } else { "" };
    format!("{name}{private}{realtime}")
}
