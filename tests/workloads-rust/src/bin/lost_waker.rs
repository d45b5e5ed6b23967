//! The child waits for what only a thread of its parent was to bring about, and that it does not have.
//!
//! `lost_waker WHAT never|by-thread [SECONDS]`: by-thread has a thread of the child's own that does it
//! after 3 s.
//!
//! - `channel`, `sync-channel`: a message, or room in a full queue
//! - `park`, `condvar`, `barrier`, `oncelock`, `parking-lot-condvar`: what is called that
//! - `team`: three threads of the child and its first one wait for a message each

use std::{
    sync::{Arc, Barrier, Condvar, Mutex, OnceLock, mpsc},
    thread,
    time::Duration,
};

use forktrace_workloads::{fact, fork_is_child, hang_at_most, reap};

/// What the threads share.
#[derive(Default)]
struct Shared {
    done: Mutex<bool>,
    condvar: Condvar,
    lot: parking_lot::Mutex<bool>,
    lot_condvar: parking_lot::Condvar,
    once: OnceLock<u32>,
}

type Queue = (mpsc::Sender<u32>, mpsc::Receiver<u32>);

fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let is_lost = args.next().as_deref() != Some("by-thread");
    let seconds = args.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(6);
    let shared: &'static Shared = Box::leak(Box::default());
    let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(2)));
    let (sender, receiver): Queue = mpsc::channel();
    let (put, take) = mpsc::sync_channel(2);
    let begins_once = what == "oncelock" && is_lost;
    let kept = sender.clone();
    thread::spawn(move || {
        if begins_once {
            let _ = shared.once.get_or_init(|| {
                stay();
                1
            });
        }
        stay();
        drop(kept);
    });
    thread::sleep(Duration::from_millis(100));
    // SAFETY: takes no pointer.
    fact("forker", unsafe { libc::getpid() });
    fact("lost", 1);
    if fork_is_child() {
        let waiter = thread::current();
        let sends = sender.clone();
        let take = Arc::new(Mutex::new(take));
        if is_lost {
            hang_at_most(seconds);
        } else {
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(3));
                wake(shared, barrier, &sends);
                waiter.unpark();
                drop(take.lock().map(|take| take.recv()));
            });
        }
        match what.as_str() {
            "channel" => drop(receiver.recv()),
            "sync-channel" => (0..3).for_each(|one| {
                let _ = put.send(one);
            }),
            "park" => thread::park(),
            "condvar" => {
                let done = shared.done.lock();
                drop(done.map(|done| shared.condvar.wait_while(done, |done| !*done).is_ok()));
            }
            "parking-lot-condvar" => {
                shared.lot_condvar.wait_while(&mut shared.lot.lock(), |done| !*done);
            }
            "barrier" => drop(barrier.wait()),
            "oncelock" => drop(shared.once.get_or_init(|| 2)),
            "team" => team(shared),
            other => panic!("no {other}"),
        }
        // SAFETY: ends this process; nothing of it is needed any more.
        unsafe { libc::_exit(0) };
    }
    drop((sender, receiver, put, take));
    reap();
    // SAFETY: ends this process with its threads.
    unsafe { libc::_exit(0) };
}

/// A thread that never does what it is for.
fn stay() {
    (0..600).for_each(|_| thread::sleep(Duration::from_millis(100)));
}

fn wake(shared: &Shared, barrier: &Barrier, sender: &mpsc::Sender<u32>) {
    if let Ok(mut done) = shared.done.lock() {
        *done = true;
        shared.condvar.notify_all();
    }
    *shared.lot.lock() = true;
    shared.lot_condvar.notify_all();
    let _ = sender.send(1);
    if std::env::args().any(|arg| arg == "barrier") {
        barrier.wait();
    }
}

/// Each waits for a channel whose sender a lost thread had.
fn team(shared: &'static Shared) {
    let wait = move || {
        // SAFETY: takes no pointer.
        let (pid, tid) = unsafe { (libc::getpid(), libc::gettid()) };
        fact("also", format!("{pid} {tid}"));
        let done = shared.done.lock();
        drop(done.map(|done| shared.condvar.wait_while(done, |done| !*done).is_ok()));
    };
    let threads: Vec<_> = (0..3).map(|_| thread::spawn(wait)).collect();
    threads.into_iter().for_each(|thread| drop(thread.join()));
}
