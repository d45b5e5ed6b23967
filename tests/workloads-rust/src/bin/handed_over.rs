//! The child hands work to a thread of its parent, which it does not have. Nothing hangs.
//!
//! `handed_over HOW [SECONDS]`:
//!
//! - `channel`, `condvar`, `park`: by what is called that
//! - `idle`: nothing is lost, the child hands over nothing
//! - `own`: nothing is lost, a thread of the child's own takes the tasks of a new channel
//! - `mutex`: nothing is lost, the child releases a mutex for which the lost thread waits

use std::{
    sync::{Condvar, Mutex, mpsc},
    thread,
    time::Duration,
};

use forktrace_workloads::{fact, fork_is_child, reap};

#[derive(Default)]
struct Shared {
    tasks: Mutex<u32>,
    condvar: Condvar,
    lock: Mutex<()>,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let seconds = args.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(7);
    let shared: &'static Shared = Box::leak(Box::default());
    let (sender, receiver) = mpsc::channel::<u32>();
    let held = (what == "mutex").then(|| shared.lock.lock());
    let how = what.clone();
    let worker = thread::spawn(move || match how.as_str() {
        "condvar" => {
            let mut tasks = shared.tasks.lock().unwrap_or_else(|gone| gone.into_inner());
            loop {
                tasks = shared.condvar.wait(tasks).unwrap_or_else(|gone| gone.into_inner());
                *tasks = tasks.saturating_sub(1);
            }
        }
        "park" => loop {
            thread::park();
        },
        "mutex" => drop(shared.lock.lock()),
        _ => while receiver.recv().is_ok() {},
    });
    thread::sleep(Duration::from_millis(300));
    // SAFETY: takes no pointer.
    fact("forker", unsafe { libc::getpid() });
    fact("lost", 1);
    if fork_is_child() {
        thread::sleep(Duration::from_millis(500));
        if ["channel", "condvar", "park"].contains(&what.as_str()) {
            // SAFETY: takes no pointer.
            fact("stuck", unsafe { libc::getpid() });
        }
        match what.as_str() {
            "channel" => drop(sender.send(1)),
            "condvar" => {
                *shared.tasks.lock().unwrap_or_else(|gone| gone.into_inner()) += 1;
                shared.condvar.notify_one();
            }
            "park" => worker.thread().unpark(),
            "own" => {
                let (sender, receiver) = mpsc::channel::<u32>();
                thread::spawn(move || while receiver.recv().is_ok() {});
                let _ = sender.send(1);
                thread::sleep(Duration::from_secs(seconds));
            }
            _ => {}
        }
        drop(held);
        thread::sleep(Duration::from_secs(seconds));
        // SAFETY: takes no pointer.
        unsafe { libc::_exit(0) };
    }
    drop(held);
    reap();
    std::process::exit(0);
}
