//! The process's own memory.

/// The most heaps that the C library's allocator makes.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 2;

/// Has threads share their heaps. glibc makes up to eight for each processor
/// (`arena_get2`, `malloc/arena.c`, glibc 2.41) and gives back of each only what is free at its end:
/// after some dozens of threads have read debug information, each of them keeps what the largest
/// took, a quarter of a gigabyte on two processors. To be called before there are threads.
pub(super) fn share_heaps() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator's.
    unsafe {
        // Nothing is lost but memory if it refuses.
        let _ = libc::mallopt(libc::M_ARENA_MAX, HEAPS);
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
