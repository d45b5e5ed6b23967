//! The mechanism of <https://github.com/AFLplusplus/LibAFL/issues/1524> and of tokio-rs/tokio#4301, with tokio
//! itself: a runtime that was made before the fork is used in the child. The task is handed to the runtime's
//! threads, which the child does not have, and `block_on` waits for it.
//! The tracer must say: lost-waker.
//!
//! `libafl1524 [SECONDS]`

use forktrace_workloads::{fact, fork_is_child, hang_at_most, reap, seconds};

fn main() {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let Ok(runtime) = built else { panic!("no runtime") };
    let run = || runtime.block_on(runtime.spawn(async { 7 })).ok();
    assert_eq!(run(), Some(7));
    fact("forker", std::process::id());
    fact("lost", 2);
    if fork_is_child() {
        hang_at_most(seconds(1, 6));
        assert_eq!(run(), Some(7));
    }
    reap();
    std::process::exit(0);
}
