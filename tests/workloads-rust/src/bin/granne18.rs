//! The mechanism of <https://github.com/granne/granne/issues/18>, of pola-rs/polars#24162 and of
//! huggingface/tokenizers#187, with rayon itself: the parent has used the global pool of threads, and the
//! forked child uses it again. It hands its work to a pool without threads, and waits for the result.
//! The tracer must say: lost-waker.
//!
//! `granne18 [SECONDS]`

use forktrace_workloads::{fact, fork_is_child, hang_at_most, reap, seconds};
use rayon::prelude::*;

fn build() -> u64 {
    (0..1000_u64).into_par_iter().map(|item| item * item).sum()
}

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3);
    let named = pool.thread_name(|number| format!("rayon-{number}"));
    assert!(named.build_global().is_ok());
    assert_ne!(build(), 0);
    fact("forker", std::process::id());
    fact("lost", 3);
    if fork_is_child() {
        hang_at_most(seconds(1, 6));
        assert_ne!(build(), 0);
    }
    reap();
}
