//! A task waits to be woken by a thread that its process does not have.
//!
//! What is waited for is no lock: nobody holds a condition variable or a barrier, and a wait of Python's
//! library for a signal is for a lock of its own that whoever wakes it releases. So nothing can prove
//! who was to wake the waiter. What can be shown is that it is the only thread of its process, and that
//! the fork lost threads: *likely* at best, since a program may sleep like this on purpose. *suspect*: a
//! handler or timer could wake it, or nothing shows that the thing existed at the fork. A child with
//! more than one thread is never reported: an idle pool looks like this.

use super::{
    Context, Hazard, HazardId, Reason, Verdict, stall,
    wait::{
        self, Assessment, Criterion, WaitCase, Waited, conclude, exclusions, fork,
        known_idle_waits, left, release,
    },
};
use crate::{
    event::Event,
    finding::{Confidence, Fact, Held, Key},
    locks::State,
};

/// See the module.
pub(super) struct LostWaker;

/// For a word that nobody holds.
const OF_EVENT: &[Criterion] = &[
    unchanged,
    left::alone,
    release::wakes,
    threads_lost,
    existed,
    fork::unobserved,
    fork::events_lost,
];

/// For a wait of Python's library for another thread's signal.
const OF_SIGNAL: &[Criterion] = &[signal, left::alone, fork::unobserved, fork::events_lost];

impl Hazard for LostWaker {
    fn id(&self) -> HazardId {
        HazardId::LostWaker
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        let Some(Ok(case)) = &cx.wait else { return stall::judge(cx, self.id()) };
        let (conclusion, otherwise) = match case.waited {
            Waited::Signal => (of_signal(case), Verdict::Innocent(Reason::OrdinaryWait)),
            Waited::Event => (of_event(case), Verdict::Open(case.fork.unknown_event())),
            // What it is shows in Python's frames, which are not read yet.
            Waited::Lock if exclusions::may_be_signal(case) => {
                (of_signal(case), Verdict::Unrelated)
            }
            Waited::Lock => return Verdict::Unrelated,
        };
        match conclusion {
            Some(conclusion) => case.finding(self.id(), Held::ByNobody, conclusion),
            None => otherwise,
        }
    }

    fn resolved_by(&self, event: &Event) -> Option<Key> {
        wait::ended_by(event).or_else(|| stall::ended_by(event))
    }
}

fn of_event(case: &WaitCase<'_>) -> Option<wait::Conclusion> {
    let woken = match case.evidence.wakes_since_fork {
        // Wakes before the tracer came are not known. The word has stayed as it was.
        _ if case.fork.is_unobserved() => false,
        Some(count) => count > 0,
        // A process that never had another thread had nobody to wake.
        None => case.process.had_threads,
    };
    let unchanged = case.reading.at_fork == State::HeldUnproven && !woken;
    (unchanged && case.is_alone()).then(|| conclude(case, OF_EVENT))?
}

fn of_signal(case: &WaitCase<'_>) -> Option<wait::Conclusion> {
    let lost = !case.fork.site().lost.is_empty();
    let could_wake = case.reading.family.anyone_may_release;
    let for_sure = case.is_alone() && lost && could_wake && !release::could_be(case);
    for_sure.then(|| conclude(case, OF_SIGNAL))?
}

fn unchanged(case: &WaitCase<'_>) -> Option<Assessment> {
    let fact = Fact::UnchangedSinceFork { word: case.reading.word.clone() };
    Some(Assessment::at_least(Confidence::Likely, fact))
}

fn threads_lost(case: &WaitCase<'_>) -> Option<Assessment> {
    Some(match case.fork.site().lost.len() as u64 {
        0 => Assessment::at_most(Confidence::Suspect, Fact::NoThreadLost {}),
        threads_lost => Assessment::note(Fact::ThreadsLost { threads_lost }),
    })
}

/// Whether the word was part of the same thing at the fork: static data is what it is as long as
/// the program runs, and a word that is not zero is not unused memory.
fn existed(case: &WaitCase<'_>) -> Option<Assessment> {
    let mapping = case.evidence.mapping.as_ref();
    let stack = mapping.is_none_or(|mapping| mapping.path.starts_with("[stack"));
    let existed = case.evidence.module.is_some() || (case.reading.value != 0 && !stack);
    (!existed).then(|| Assessment::at_most(Confidence::Suspect, Fact::MayBeNew {}))
}

/// Nothing of the signal shows in the bytes at the fork. It may mean to sleep, as with an event that
/// nobody is to set, unless it is for an object that others were to use.
fn signal(case: &WaitCase<'_>) -> Option<Assessment> {
    let threads_lost = case.fork.site().lost.len() as u64;
    let sure = match known_idle_waits::is_for_work(case.evidence) {
        true => Confidence::Likely,
        false => Confidence::Suspect,
    };
    Some(Assessment::at_least(sure, Fact::SignalOfAnotherThread { threads_lost }))
}
