//! x86-64.

use super::Arch;

/// What is known of x86-64.
pub static X86_64: Arch = Arch {
    name: "x86_64",
    page_sizes: &[4096],
    // `TASK_SIZE_MAX`, `arch/x86/include/asm/page_64.h`, Linux 6.18, with four levels of page tables.
    // With five, addresses above that are given out only where a program asks for them
    // (`Documentation/arch/x86/x86_64/5level-paging.rst`).
    address_limit: 1 << 47,
    // `sysdeps/unix/sysv/linux/x86_64/64/shlib-versions`, glibc 2.36.
    glibc_loader: "ld-linux-x86-64.so.2",
    // `__SIZEOF_PTHREAD_MUTEX_T`, `sysdeps/x86/nptl/bits/pthreadtypes-arch.h`, glibc 2.36.
    glibc_mutex_size: 40,
};
