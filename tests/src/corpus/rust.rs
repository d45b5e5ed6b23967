//! Programs in Rust: the locks of its standard library and of `parking_lot`.

use super::*;

/// Children that hang.
#[rustfmt::skip]
pub(super) static HANGS: &[Case] = &[
    case("hang_rust_mutex", "std_locks.rs", &["mutex", "thread", "keep"], RUST_MUTEX),
    case("hang_rust_mutex_released_since", "std_locks.rs", &["mutex", "thread", "release"], RUST_MUTEX),
    case("hang_rust_mutex_of_the_forking_thread", "std_locks.rs", &["mutex", "forker", "release"], RUST_MUTEX),
    case("hang_rust_mutex_static", "std_locks.rs", &["mutex-static", "thread", "keep"], RUST_MUTEX),
    case("hang_rust_write_of_writer", "std_locks.rs", &["write", "thread", "release"], RUST_WRITER),
    case("hang_rust_read_of_writer", "std_locks.rs", &["write-read", "thread", "keep"], RUST_WRITER),
    case("hang_rust_write_of_reader", "std_locks.rs", &["read", "thread", "keep"], RUST_READER),
    case("hang_rust_stdout", "std_locks.rs", &["stdout", "thread", "keep"], RUST_MUTEX),
    case("hang_rust_once", "std_locks.rs", &["once", "forker", "keep"], RUST_ONCE),
    case("hang_rust_lazylock", "std_locks.rs", &["lazy", "forker", "keep"], RUST_ONCE),
    case("hang_parking_lot_mutex", "parking_lot_locks.rs", &["mutex", "thread", "keep"], LOT_MUTEX),
    case("hang_parking_lot_mutex_released_since", "parking_lot_locks.rs", &["mutex", "forker", "release"], LOT_MUTEX),
    case("hang_parking_lot_reentrant", "parking_lot_locks.rs", &["reentrant", "thread", "keep"], LOT_MUTEX),
    case("hang_parking_lot_write_of_writer", "parking_lot_locks.rs", &["write", "thread", "release"], LOT_WRITER),
    case("hang_parking_lot_read_of_writer", "parking_lot_locks.rs", &["write-read", "thread", "keep"], LOT_WRITER),
    case("hang_parking_lot_write_of_reader", "parking_lot_locks.rs", &["read", "thread", "keep"], LOT_READER),
    case("hang_parking_lot_upgradable", "parking_lot_locks.rs", &["upgradable", "thread", "keep"], LOT_READER),
    case("hang_rust_oncelock_of_thread", "lost_waker.rs", &["oncelock", "never"], RUST_ONCE),
    case("lost_rust_channel", "lost_waker.rs", &["channel", "never"], LOST),
    case("lost_rust_sync_channel", "lost_waker.rs", &["sync-channel", "never"], LOST),
    case("lost_rust_park", "lost_waker.rs", &["park", "never"], LOST),
    case("lost_rust_condvar", "lost_waker.rs", &["condvar", "never"], LOST),
    case("lost_rust_barrier", "lost_waker.rs", &["barrier", "never"], LOST),
    case("lost_rust_team", "lost_waker.rs", &["team", "never"], LOST),
    case("lost_parking_lot_condvar", "lost_waker.rs", &["parking-lot-condvar", "never"], LOST),
    case("own_rust_mutex", "own_fault.rs", &["std-mutex"], OWN_FAULT),
    case("own_rust_condvar", "own_fault.rs", &["condvar"], OWN_FAULT),
    case("own_rust_park", "own_fault.rs", &["park"], OWN_FAULT),
    case("own_parking_lot_mutex", "own_fault.rs", &["parking-lot-mutex"], OWN_FAULT),
    case("own_parking_lot_condvar", "own_fault.rs", &["parking-lot-condvar"], OWN_FAULT),
];

/// Programs in which every wait ends.
#[rustfmt::skip]
pub(super) static QUIET: &[Case] = &[
    case("quiet_rust_mutex", "quiet_locks.rs", &["std-mutex"], NOTHING),
    case("quiet_rust_rwlock", "quiet_locks.rs", &["std-rwlock"], NOTHING),
    case("quiet_rust_once", "quiet_locks.rs", &["std-once"], NOTHING),
    case("quiet_rust_condvar", "quiet_locks.rs", &["condvar"], NOTHING),
    case("quiet_rust_park", "quiet_locks.rs", &["park"], NOTHING),
    case("quiet_rust_channel", "quiet_locks.rs", &["channel"], NOTHING),
    case("quiet_rust_join", "quiet_locks.rs", &["join"], NOTHING),
    case("quiet_parking_lot_mutex", "quiet_locks.rs", &["parking-lot-mutex"], NOTHING),
    case("quiet_rust_channel_of_own_thread", "lost_waker.rs", &["channel", "by-thread"], NOTHING),
    case("quiet_rust_sync_channel_of_own_thread", "lost_waker.rs", &["sync-channel", "by-thread"], NOTHING),
    case("quiet_rust_park_of_own_thread", "lost_waker.rs", &["park", "by-thread"], NOTHING),
    case("quiet_rust_condvar_of_own_thread", "lost_waker.rs", &["condvar", "by-thread"], NOTHING),
    case("quiet_rust_barrier_of_own_thread", "lost_waker.rs", &["barrier", "by-thread"], NOTHING),
    case("quiet_parking_lot_condvar", "quiet_locks.rs", &["parking-lot-condvar"], NOTHING),
];
