//! The mechanism of <https://github.com/gabime/spdlog/issues/2309> and of gabime/spdlog#748, with a channel of
//! Rust's standard library: log lines go through a queue of limited size to a thread that writes them. The
//! forked child does not have the thread. Its first lines go into the queue; then the queue is full, and the
//! next line waits for room.
//! The tracer must say: lost-waker.
//!
//! `spdlog2309 [SECONDS]`

use std::{sync::mpsc, thread};

use forktrace_workloads::{fact, fork_is_child, hang_at_most, reap, seconds};

fn main() {
    let (lines, to_write) = mpsc::sync_channel::<String>(16);
    let writer = thread::Builder::new().name("log-writer".to_owned());
    assert!(writer.spawn(move || to_write.into_iter().for_each(drop)).is_ok());
    assert!(lines.send("parent".to_owned()).is_ok());
    fact("forker", std::process::id());
    fact("lost", 1);
    if fork_is_child() {
        hang_at_most(seconds(1, 6));
        for number in 0..100 {
            assert!(lines.send(format!("child {number}")).is_ok());
        }
    }
    reap();
    std::process::exit(0);
}
