//! Programs in C++: the locks of its standard library.

use super::*;

/// Children that hang.
#[rustfmt::skip]
pub(super) static HANGS: &[Case] = &[
    case("hang_cxx_mutex", "inherited_cxx.cc", &["mutex", "parent"], MUTEX),
    case("hang_cxx_recursive_mutex", "inherited_cxx.cc", &["recursive", "parent"], RECURSIVE),
    case("hang_cxx_shared_mutex_writer", "inherited_cxx.cc", &["shared-write", "parent"], WRITER),
    case("hang_cxx_shared_mutex_reader", "inherited_cxx.cc", &["shared-read", "parent"], READERS),
    case("hang_cxx_static_guard", "inherited_cxx.cc", &["static", "parent"], GUARD),
    case("lost_waker_condition", "lost_waker.cc", &["cond", "never"], LOST_CONDITION),
    case("lost_waker_barrier", "lost_waker.cc", &["barrier", "never"], LOST_BARRIER),
    case("lost_waker_atomic", "lost_waker.cc", &["atomic", "never"], LOST_WORD),
    case("lost_waker_atomic_byte", "lost_waker.cc", &["byte", "never"], LOST_WORD),
    case("lost_waker_cxx_semaphore", "lost_waker.cc", &["counting", "never"], LOST_WORD),
    case("lost_waker_condition_any", "lost_waker.cc", &["any", "never"], LOST),
    case("lost_waker_future", "lost_waker.cc", &["future", "never"], LOST),
    case("lost_waker_async", "lost_waker.cc", &["async", "never"], LOST),
    case("lost_waker_latch", "lost_waker.cc", &["latch", "never"], LOST),
    case("lost_waker_cxx_barrier", "lost_waker.cc", &["cxx-barrier", "never"], LOST),
];

/// Programs in which every wait ends.
#[rustfmt::skip]
pub(super) static QUIET: &[Case] = &[
    case("quiet_cxx_mutex", "inherited_cxx.cc", &["mutex", "child"], NOTHING),
    case("quiet_cxx_shared_mutex", "inherited_cxx.cc", &["shared-read", "child"], NOTHING),
    case("quiet_cxx_static_guard", "inherited_cxx.cc", &["static", "child"], NOTHING),
    case("quiet_condition_woken", "lost_waker.cc", &["cond", "by-thread"], NOTHING),
    case("quiet_barrier_woken", "lost_waker.cc", &["barrier", "by-thread"], NOTHING),
    case("quiet_atomic_woken", "lost_waker.cc", &["atomic", "by-thread"], NOTHING),
    case("quiet_cxx_semaphore_woken", "lost_waker.cc", &["counting", "by-thread"], NOTHING),
    case("quiet_condition_any_woken", "lost_waker.cc", &["any", "by-thread"], NOTHING),
    case("quiet_future_woken", "lost_waker.cc", &["future", "by-thread"], NOTHING),
    case("quiet_latch_woken", "lost_waker.cc", &["latch", "by-thread"], NOTHING),
    case("quiet_cxx_barrier_woken", "lost_waker.cc", &["cxx-barrier", "by-thread"], NOTHING),
];
