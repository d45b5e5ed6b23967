//! Waits of a forked child that look like those for a lock and are none: nothing was held at the
//! fork, or somebody alive ends the wait. All end after a while. The tracer must not say more than
//! that it suspects something.
//!
//! `quiet_locks WHAT [SECONDS]`

use std::{
    sync::{Arc, Condvar, Mutex, Once, RwLock, mpsc},
    thread,
    time::Duration,
};

use forktrace_workloads::{fork_is_child, reap};

fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let seconds = args.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(3);
    let nap = Duration::from_secs(seconds);
    // Notified once before the fork and once after, so that its word goes from 1 to 2.
    let pair = Arc::new((Mutex::new(()), Condvar::new()));
    pair.1.notify_one();
    if fork_is_child() {
        match what.as_str() {
            "std-mutex" => mutex(nap),
            "std-rwlock" => rwlock(nap),
            "std-once" => once(nap),
            "condvar" => condvar(&pair, nap),
            "park" => park(nap),
            "channel" => channel(nap),
            "join" => drop(thread::spawn(move || thread::sleep(nap)).join()),
            "parking-lot-mutex" => parking_lot_mutex(nap),
            "parking-lot-condvar" => parking_lot_condvar(nap),
            other => panic!("no {other}"),
        }
        std::process::exit(0);
    }
    reap();
}

/// Taken and given back by the child's own thread.
fn mutex(nap: Duration) {
    let lock = Arc::new(Mutex::new(()));
    let guard = lock.lock();
    let waiter = thread::spawn({
        let lock = Arc::clone(&lock);
        move || drop(lock.lock())
    });
    thread::sleep(nap);
    drop(guard);
    drop(waiter.join());
}

fn rwlock(nap: Duration) {
    let lock = Arc::new(RwLock::new(()));
    let guard = lock.read();
    let waiter = thread::spawn({
        let lock = Arc::clone(&lock);
        move || drop(lock.write())
    });
    thread::sleep(nap);
    drop(guard);
    drop(waiter.join());
}

fn once(nap: Duration) {
    static ONCE: Once = Once::new();
    let runner = thread::spawn(move || ONCE.call_once(|| thread::sleep(nap)));
    thread::sleep(Duration::from_millis(100));
    ONCE.call_once(|| ());
    drop(runner.join());
}

fn condvar(pair: &Arc<(Mutex<()>, Condvar)>, nap: Duration) {
    pair.1.notify_one();
    let waker = thread::spawn({
        let pair = Arc::clone(pair);
        move || {
            thread::sleep(nap);
            pair.1.notify_one();
        }
    });
    if let Ok(guard) = pair.0.lock() {
        drop(pair.1.wait(guard));
    }
    drop(waker.join());
}

fn park(nap: Duration) {
    let main = thread::current();
    let waker = thread::spawn(move || {
        thread::sleep(nap);
        main.unpark();
    });
    thread::park();
    drop(waker.join());
}

fn channel(nap: Duration) {
    let (send, receive) = mpsc::channel::<()>();
    let sender = thread::spawn(move || {
        thread::sleep(nap);
        drop(send);
    });
    let _ = receive.recv();
    drop(sender.join());
}

fn parking_lot_mutex(nap: Duration) {
    let lock = Arc::new(parking_lot::Mutex::new(()));
    let guard = lock.lock();
    let waiter = thread::spawn({
        let lock = Arc::clone(&lock);
        move || drop(lock.lock())
    });
    thread::sleep(nap);
    drop(guard);
    drop(waiter.join());
}

fn parking_lot_condvar(nap: Duration) {
    let pair = Arc::new((parking_lot::Mutex::new(()), parking_lot::Condvar::new()));
    let waker = thread::spawn({
        let pair = Arc::clone(&pair);
        move || {
            thread::sleep(nap);
            pair.1.notify_one();
        }
    });
    pair.1.wait(&mut pair.0.lock());
    drop(waker.join());
}
