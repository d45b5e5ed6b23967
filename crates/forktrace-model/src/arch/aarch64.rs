//! arm64.
//!
//! glibc's mutexes, read-write locks and semaphores have their fields at the same offsets as on
//! x86-64 (measured with glibc 2.36: lock 0, owner 8, users 12, kind 16; writer 24, shared 28). A
//! mutex is never elided. With pages of 16 or 64 KiB one kept page would hide the first writes to
//! its other parts, so that only 4 KiB can be judged as on x86-64.

use super::Arch;

/// What is known of arm64.
pub static AARCH64: Arch = Arch {
    name: "aarch64",
    page_sizes: &[4096],
    // `DEFAULT_MAP_WINDOW_64`, `arch/arm64/include/asm/processor.h`, Linux 6.18, with 48 bits of
    // virtual address; of 52 bits, those above are given out only where a program asks for them.
    address_limit: 1 << 48,
    // `sysdeps/unix/sysv/linux/aarch64/shlib-versions`, glibc 2.36; little-endian.
    glibc_loader: "ld-linux-aarch64.so.1",
    // `__SIZEOF_PTHREAD_MUTEX_T`, `sysdeps/aarch64/nptl/bits/pthreadtypes-arch.h`, glibc 2.36, LP64.
    glibc_mutex_size: 48,
};
