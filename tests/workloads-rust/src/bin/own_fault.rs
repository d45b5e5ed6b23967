//! The child hangs by its own fault: it takes a lock twice that it has made itself, or waits for
//! what nobody does. The parent has left held locks in the memory that the child's come to lie in.
//! Nothing that was held at the fork is waited for: whatever the tracer says, not that.
//!
//! `own_fault WHAT [SECONDS]`

use std::{
    hint::black_box,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use forktrace_workloads::{fork_is_child, hang_at_most, reap};

fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let seconds = args.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(4);
    // Notified once before the fork and once after, so that its word goes from 1 to 2.
    let pair = Arc::new((Mutex::new(()), Condvar::new()));
    pair.1.notify_one();
    leave_held_locks();
    if fork_is_child() {
        hang_at_most(seconds);
        match what.as_str() {
            "std-mutex" => {
                let lock = black_box(Arc::new(Mutex::new([7_u64; 4])));
                let _first = lock.lock();
                let _second = lock.lock();
            }
            "condvar" => {
                pair.1.notify_one();
                let _ = pair.0.lock().map(|guard| pair.1.wait(guard).is_ok());
            }
            "park" => thread::park(),
            "parking-lot-mutex" => {
                let lock = black_box(Arc::new(parking_lot::Mutex::new([7_u64; 4])));
                let _first = lock.lock();
                let _second = lock.lock();
            }
            "parking-lot-condvar" => {
                let lock = parking_lot::Mutex::new(());
                parking_lot::Condvar::new().wait(&mut lock.lock());
            }
            other => panic!("no {other}"),
        }
        // SAFETY: ends this process; nothing of it is needed any more.
        unsafe { libc::_exit(98) };
    }
    reap();
}

/// Frees memory that holds locks as they are while held.
fn leave_held_locks() {
    let std: Vec<_> = (0..200).map(|_| black_box(Arc::new(Mutex::new([7_u64; 4])))).collect();
    std.iter().for_each(|lock| std::mem::forget(lock.lock()));
    let lot: Vec<_> =
        (0..200).map(|_| black_box(Arc::new(parking_lot::Mutex::new([7_u64; 4])))).collect();
    lot.iter().for_each(|lock| std::mem::forget(lock.lock()));
}
