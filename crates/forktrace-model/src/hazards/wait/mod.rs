//! What the hazards that are waits have in common: who could end a wait, and what narrows that down.
//!
//! [`WaitCase`] is one sample of a wait beside what is known of the fork ([`fork`]). [`wakers`] is the
//! core: the tasks that could end the wait, and who of them can run. The other files answer four
//! questions, as criteria that [`conclude`] weighs together: could the wait end by itself
//! ([`exclusions`], [`release`]), was it held at the fork ([`held`]), is who held it absent ([`held`],
//! [`probes`], [`ownerless`], [`python_frames`]), could anybody else end it ([`left`])?

mod case;
mod completion;
mod conclusion;
pub(super) mod exclusions;
pub(super) mod fork;
pub(super) mod held;
pub(super) mod holder;
pub(super) mod known_idle_waits;
pub(super) mod left;
pub(super) mod library;
pub(super) mod ownerless;
pub(super) mod probes;
pub(super) mod python_frames;
pub(super) mod release;
mod runtimes;
pub(crate) mod wakers;

pub(crate) use case::WaitCase;
pub(super) use case::{Waited, self_owned};
pub use case::{wants_python, wants_stack};
pub(super) use conclusion::{Assessment, Criterion, conclude};

use crate::{
    event::{Body, Event, Evidence},
    finding::Key,
};

/// `EINTR`, the result of a wait that a signal interrupted.
const INTERRUPTED: i64 = -4;

/// The wait that an event ends. One that a signal interrupted goes on: the thread goes back to it.
pub(super) fn ended_by(event: &Event) -> Option<Key> {
    match (&event.body, &event.task) {
        (Body::FutexWait(wait), Some(task))
            if !wait.goes_on() && wait.result != Some(INTERRUPTED) =>
        {
            Some(Key::of_wait(task.tid, wait.wait.uaddr))
        }
        _ => None,
    }
}

/// Whether another thread of the memory of `waiter` runs, or may come to run, by what was read of them.
pub fn others_run(waiter: u32, evidence: &Evidence) -> bool {
    let threads = &evidence.threads;
    threads.iter().any(|thread| thread.tid == waiter)
        && wakers::can_run(waiter, &wakers::Wakers::OfMemory, threads)
}
