//! Decoding of the futex system calls' `op` argument.
//!
//! Source: Linux `include/uapi/linux/futex.h` (read at 6.18).

/// Set in `op` when the caller promises that no other process uses the word. It proves nothing
/// about the mapping: glibc's robust mutexes leave it out on private memory.
pub const FUTEX_PRIVATE_FLAG: u32 = 128;
/// Set in `op` when the timeout is measured on `CLOCK_REALTIME`.
pub const FUTEX_CLOCK_REALTIME: u32 = 256;
/// The command bits of `op`, without flags.
pub const FUTEX_CMD_MASK: u32 = !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);

/// `FUTEX_WAIT`.
pub const FUTEX_WAIT: u32 = 0;
/// `FUTEX_WAKE`.
pub const FUTEX_WAKE: u32 = 1;
/// `FUTEX_REQUEUE`.
pub const FUTEX_REQUEUE: u32 = 3;
/// `FUTEX_CMP_REQUEUE`.
pub const FUTEX_CMP_REQUEUE: u32 = 4;
/// `FUTEX_WAKE_OP`.
pub const FUTEX_WAKE_OP: u32 = 5;
/// `FUTEX_LOCK_PI`.
pub const FUTEX_LOCK_PI: u32 = 6;
/// `FUTEX_UNLOCK_PI`.
pub const FUTEX_UNLOCK_PI: u32 = 7;
/// `FUTEX_WAIT_BITSET`.
pub const FUTEX_WAIT_BITSET: u32 = 9;
/// `FUTEX_WAKE_BITSET`.
pub const FUTEX_WAKE_BITSET: u32 = 10;
/// `FUTEX_WAIT_REQUEUE_PI`.
pub const FUTEX_WAIT_REQUEUE_PI: u32 = 11;
/// `FUTEX_CMP_REQUEUE_PI`.
pub const FUTEX_CMP_REQUEUE_PI: u32 = 12;
/// `FUTEX_LOCK_PI2`.
pub const FUTEX_LOCK_PI2: u32 = 13;

/// Not an op of the kernel: marks a wait made by the `futex_waitv` system call.
pub const OP_WAITV: u32 = 0x1_0000;
/// Not an op of the kernel: marks a wait made by the `futex_wait` system call.
pub const OP_WAIT_SYSCALL: u32 = 0x1_0001;

/// Whether an `op` of the `futex` system call can block its caller.
pub const fn is_wait(op: u32) -> bool {
    matches!(
        op & FUTEX_CMD_MASK,
        FUTEX_WAIT | FUTEX_WAIT_BITSET | FUTEX_LOCK_PI | FUTEX_LOCK_PI2 | FUTEX_WAIT_REQUEUE_PI
    )
}

/// Whether an `op` of the `futex` system call can wake a waiter.
pub const fn is_wake(op: u32) -> bool {
    matches!(
        op & FUTEX_CMD_MASK,
        FUTEX_WAKE
            | FUTEX_WAKE_BITSET
            | FUTEX_WAKE_OP
            | FUTEX_REQUEUE
            | FUTEX_CMP_REQUEUE
            | FUTEX_CMP_REQUEUE_PI
            | FUTEX_UNLOCK_PI
    )
}
