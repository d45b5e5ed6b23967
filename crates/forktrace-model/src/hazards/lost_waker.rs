//! A task waits, and no task is left that could ever wake it.
//!
//! An untimed wait on private memory is ended from inside of that memory alone. Where none of its tasks
//! can run any more ([`wakers`](super::wait::wakers)), it can never end: *certain*, whatever is waited
//! for, whether it existed at the fork or not, and whether the fork was seen or not. Why nobody is left
//! is another question: the fork lost threads, one of which was to wake it; or the process has brought
//! itself into this state. Where nothing was lost the program may mean it, as *likely* says. A lock that
//! is shown to have been held at the fork is an [inherited lock](super::inherited_lock) first.
//!
//! Of several threads that wait for each other one speaks for all.
//!
//! Less sure: handlers of signals and timers may run code that wakes it.

use super::{
    Context, Hazard, HazardId, Reason, Verdict, stall,
    wait::{
        Assessment, Criterion, WaitCase, Waited, conclude, fork, held, known_idle_waits, left,
        release, self_owned,
    },
};
use crate::{
    finding::{Confidence, Fact, Held},
    locks::State,
};

/// See the module.
pub(super) struct LostWaker;

const CRITERIA: &[Criterion] = &[
    // Can nobody end it?
    left::nobody_at_all,
    release::wakes,
    release::passed_on,
    // Why?
    lost_threads,
    may_sleep,
    unchanged,
    existed,
    fork::why_unknown,
    fork::events_lost,
];

impl Hazard for LostWaker {
    fn id(&self) -> HazardId {
        HazardId::LostWaker
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        let Some(Ok(case)) = &cx.wait else { return stall::judge(cx, self.id()) };
        if self_owned(case).is_some() {
            return Verdict::Unrelated;
        }
        if !left::is_nobody(case) {
            return match case.waited {
                Waited::Lock => Verdict::Unrelated,
                _ if may_be_held(case) => Verdict::Open(case.fork.unknown_event()),
                _ => Verdict::Open(Reason::OthersCanWake),
            };
        }
        if !left::speaks_for_all(case) {
            return Verdict::Open(Reason::StuckWithAnother);
        }
        let held = match case.waited {
            Waited::Lock => Held::NotKnown,
            Waited::Event | Waited::Signal => Held::ByNobody,
        };
        match conclude(case, CRITERIA) {
            Some(conclusion) => case.finding(self.id(), held, conclusion),
            None => Verdict::Open(case.fork.undecided()),
        }
    }
}

/// Whether a word of an unknown kind may be that of a lock which was held at the fork: only one that was
/// zero then, or another kind of memory, was none.
fn may_be_held(case: &WaitCase<'_>) -> bool {
    case.waited == Waited::Event
        && case.reading.is_nameless()
        && case.reading.value_at_fork != Some(0)
}

/// The threads that the memory was left without, by all forks through which it came.
fn lost_threads(case: &WaitCase<'_>) -> Option<Assessment> {
    let count = case.fork.threads_lost();
    Some(match count {
        0 if case.fork.is_unobserved() => Assessment::limit(Confidence::Likely),
        0 if !case.fork.are_lost_known() => {
            Assessment::at_most(Confidence::Likely, Fact::ThreadsUnknown {})
        }
        0 => Assessment::at_most(Confidence::Likely, Fact::NoThreadLost {}),
        threads_lost if case.fork.is_unobserved() => {
            Assessment::note(Fact::ThreadsOfParent { threads: threads_lost })
        }
        threads_lost if case.waited == Waited::Signal => {
            Assessment::note(Fact::SignalOfAnotherThread { threads_lost })
        }
        threads_lost => Assessment::note(Fact::ThreadsLost { threads_lost }),
    })
}

/// In Python, to wait for an event that nobody sets is a way to sleep until a signal ends the process.
fn may_sleep(case: &WaitCase<'_>) -> Option<Assessment> {
    let sleep = known_idle_waits::may_be_sleep(case.evidence);
    sleep.then(|| Assessment::at_most(Confidence::Likely, Fact::MaySleep {}))
}

/// What is known of the word at the fork.
fn unchanged(case: &WaitCase<'_>) -> Option<Assessment> {
    match case.waited {
        Waited::Lock => held::at_fork(case),
        Waited::Event if case.reading.at_fork == State::HeldUnproven => {
            let fact = Fact::UnchangedSinceFork { word: case.reading.word.clone() };
            Some(Assessment::note(fact))
        }
        Waited::Event | Waited::Signal => None,
    }
}

/// Whether the word was part of the same thing at the fork: static data is what it is as long as
/// the program runs, and a word that is not zero is not unused memory.
fn existed(case: &WaitCase<'_>) -> Option<Assessment> {
    let mapping = case.evidence.mapping.as_ref();
    let stack = mapping.is_none_or(|mapping| mapping.path.starts_with("[stack"));
    let unchanged = case.reading.at_fork == State::HeldUnproven;
    let existed =
        case.evidence.module.is_some() || (unchanged && case.reading.value != 0 && !stack);
    let asked = case.waited == Waited::Event && !existed;
    asked.then(|| Assessment::note(Fact::MayBeNew {}))
}
