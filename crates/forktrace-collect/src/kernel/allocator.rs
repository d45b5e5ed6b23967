//! The process's own memory.

/// The most heaps that the C library's allocator makes.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 2;

/// From how many bytes on an allocation is a mapping of its own, which is gone when it is freed: where
/// glibc begins (`M_MMAP_THRESHOLD`, mallopt(3)).
#[cfg(target_env = "gnu")]
const OWN_MAPPING: libc::c_int = 128 << 10;

/// Keeps what readers of debug information take for a moment from staying for ever. To be called
/// before there are threads.
///
/// - Threads share their heaps. glibc makes up to eight for each processor (`arena_get2`,
///   `malloc/arena.c`, glibc 2.41) and gives back of each only what is free at its end: after some
///   dozens of threads have read debug information, each heap keeps what the largest took, a quarter of
///   a gigabyte on two processors.
/// - What is large stays out of the heaps. Otherwise glibc, as soon as one such mapping is freed, puts
///   all that is no larger into a heap from then on, up to 32 MiB (`__libc_free`, `malloc/malloc.c`,
///   glibc 2.41); what is kept for long then lies between, and each piece of it keeps a page.
pub(super) fn tame_heaps() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets numbers of the allocator's.
    unsafe {
        // Nothing is lost but memory if it refuses.
        let _ = libc::mallopt(libc::M_ARENA_MAX, HEAPS);
        let _ = libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING);
    }
}

/// Gives back memory that is free: what is freed below something that is still in use stays with the
/// process otherwise (`malloc_trim(3)`). To load takes 18 MiB for the object and the kernel's types, to
/// read debug information often more.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it frees pages that nobody has.
    unsafe {
        let _ = libc::malloc_trim(0);
    }
}
