//! What nobody holds, by the name of the function that waits for it.
//!
//! The words of these are counters or flags of a thread, in which no state shows. The name says what
//! the waiter is to be woken by; nothing is proven by it.
//!
//! Sources: `g_cond_wait`, `glib/gthread-posix.c`, GLib 2.74; `notesleep`, `notetsleep_internal`,
//! `src/runtime/lock_futex.go`, Go 1.19; `gomp_barrier_wait`, `gomp_team_barrier_wait` and the others
//! of libgomp, `libgomp/config/linux/*.c`, GCC 12; `binary_semaphore::P`, `src/tbb/semaphore.h`, and
//! what is made of it, oneTBB 2021.8; `FutexWaiter::Wait`,
//! `absl/synchronization/internal/futex_waiter.cc`, and `Waiter::Wait`, `waiter.cc`, abseil 20220623
//! to 20230802: a word of the thread's own; `nativeFutexWaitImpl`, `folly/detail/Futex.cpp`, folly
//! 2024; `__platform_wait`, `bits/atomic_wait.h`, GCC 12, of `std::atomic::wait`, latches, barriers
//! and semaphores; `__libcpp_platform_wait_on_address`, `libcxx/src/atomic.cpp`, LLVM 17;
//! `Condvar::wait_optional_timeout` and `Parker::park`, `std/src/sys/sync/{condvar,thread_parking}/
//! futex.rs`, Rust 1.95; `__pthread_once_slow`, `nptl/pthread_once.c`, and `pthread_barrier_destroy`,
//! `nptl/pthread_barrier_destroy.c`, glibc 2.36.

use super::{Language, LockFamily, Scene, event::event};

pub(super) static GLIB_COND: LockFamily = event("glib-cond", "GLib GCond", Some(Language::C));
pub(super) static GO_NOTE: LockFamily =
    event("go-runtime-note", "Go runtime note (a parked thread)", Some(Language::Go));
pub(super) static OPENMP: LockFamily =
    event("openmp-wait", "OpenMP barrier or lock (libgomp)", Some(Language::C));
pub(super) static TBB: LockFamily =
    event("tbb-semaphore", "TBB semaphore (a parked thread)", Some(Language::Cxx));
pub(super) static ABSEIL: LockFamily =
    event("abseil-waiter", "abseil waiter (a parked thread)", Some(Language::Cxx));
pub(super) static FOLLY: LockFamily = event("folly-futex", "folly futex", Some(Language::Cxx));
pub(super) static CXX_ATOMIC: LockFamily =
    event("cxx-atomic-wait", "C++ std::atomic wait", Some(Language::Cxx));
pub(super) static RUST_CONDVAR: LockFamily =
    event("rust-condvar", "Rust std Condvar", Some(Language::Rust));
pub(super) static RUST_PARK: LockFamily =
    event("rust-park", "Rust thread::park", Some(Language::Rust));
pub(super) static GLIBC_ONCE: LockFamily =
    event("glibc-once", "glibc pthread_once", Some(Language::C));
pub(super) static GLIBC_BARRIER_END: LockFamily =
    event("glibc-barrier-end", "glibc barrier (being destroyed)", Some(Language::C));

/// How a function that waits is known.
enum By {
    /// By its name.
    Name(&'static str),
    /// By a part of its name, such as that of a class.
    Part(&'static str),
    /// By the beginning of its file's name, as the innermost.
    File(&'static str),
}

/// What is waited for where.
static TABLE: &[(By, &LockFamily)] = &[
    (By::Name("g_cond_wait"), &GLIB_COND),
    (By::Name("runtime.notesleep"), &GO_NOTE),
    (By::Name("runtime.notetsleep_internal"), &GO_NOTE),
    (By::File("libgomp.so"), &OPENMP),
    (By::File("libtbb.so"), &TBB),
    (By::Part("tbb::detail::r1::binary_semaphore::P"), &TBB),
    (By::Part("synchronization_internal::FutexWaiter::Wait"), &ABSEIL),
    (By::Part("synchronization_internal::Waiter::Wait"), &ABSEIL),
    (By::Part("AbslInternalPerThreadSemWait"), &ABSEIL),
    (By::Part("folly::detail::futexWait"), &FOLLY),
    (By::Part("nativeFutexWaitImpl"), &FOLLY),
    (By::Part("std::__detail::__platform_wait"), &CXX_ATOMIC),
    (By::Part("std::__atomic_wait_address"), &CXX_ATOMIC),
    (By::Part("__libcpp_platform_wait_on_address"), &CXX_ATOMIC),
    (By::Part("__libcpp_atomic_wait"), &CXX_ATOMIC),
    (By::Part("sync::condvar::futex::Condvar>::wait"), &RUST_CONDVAR),
    (By::Part("thread_parking::futex::Parker>::park"), &RUST_PARK),
    (By::Part("__pthread_once_slow"), &GLIBC_ONCE),
    (By::Name("pthread_barrier_destroy"), &GLIBC_BARRIER_END),
];

/// What the waiter waits for, if its code tells.
pub(super) fn family(scene: &Scene<'_>) -> Option<&'static LockFamily> {
    let is_innermost = |at: usize| at == 0;
    let fits = |at: usize, frame: &crate::event::stacks::Frame, by: &By| {
        let symbol = frame.symbol.as_deref();
        match by {
            By::Name(name) => symbol == Some(*name),
            By::Part(part) => symbol.is_some_and(|symbol| symbol.contains(part)),
            By::File(file) => is_innermost(at) && super::code::is_file(frame, file),
        }
    };
    let mut frames = scene.code.near().enumerate();
    frames.find_map(|(at, frame)| {
        TABLE.iter().find(|(by, _)| fits(at, frame, by)).map(|(_, family)| *family)
    })
}
