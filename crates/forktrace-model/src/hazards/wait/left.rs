//! Is nobody left in the process who could end the wait?

use super::{Assessment, WaitCase, held, release, self_owned, wakers::Wakers};
use crate::{
    finding::{Confidence, Fact},
    locks::State,
};

/// Nobody of the process can run: whatever else is waited for, only the process itself could end it.
pub(in crate::hazards) fn nobody(case: &WaitCase<'_>) -> Option<Assessment> {
    if !case.is_stuck(&Wakers::OfMemory) {
        return None;
    }
    let mut facts = vec![stuck_fact(case)];
    let mut sure = sure_of_nobody(case);
    // The heir of the lock's owner may release it in a handler.
    if sure == Some(Confidence::Certain) && held::heir_has_it(case) {
        let interruptions = release::handlers_or_timers(case);
        if !interruptions.is_empty() {
            sure = Some(Confidence::Likely);
            facts.extend(interruptions);
        }
    }
    Some(Assessment::argument(sure, facts))
}

/// How sure it is that a lock was inherited held if nobody is left who could release it, by what is
/// known of the lock at the fork.
fn sure_of_nobody(case: &WaitCase<'_>) -> Option<Confidence> {
    let released = release::could_be(case);
    let observed = !case.fork.is_unobserved();
    match case.reading.at_fork {
        _ if released && !observed && !matches!(case.reading.at_fork, State::Held { .. }) => None,
        _ if released => Some(Confidence::Suspect),
        State::Held { .. } if held::may_have_woken(case) => Some(Confidence::Likely),
        State::Held { .. } => Some(Confidence::Certain),
        _ if held::inherited_owner(case).is_some() => Some(Confidence::Certain),
        State::HeldUnproven if observed => Some(Confidence::Likely),
        State::HeldUnproven => Some(Confidence::Suspect),
        State::Unknown if observed && held::is_foreign_now(case) => Some(Confidence::Likely),
        State::Unknown if observed => Some(Confidence::Suspect),
        State::Unknown if held::was_there_before(case) => Some(Confidence::Suspect),
        State::Unknown if held::is_held_by_nobody_here(case) => Some(Confidence::Suspect),
        State::Unknown | State::Free => None,
    }
}

/// Somebody of the process is alive, or may be: a suspect, if the lock was held.
pub(in crate::hazards) fn somebody(case: &WaitCase<'_>) -> Option<Assessment> {
    if case.is_stuck(&Wakers::OfMemory) {
        return None;
    }
    let suspect = match case.reading.at_fork {
        State::Held { .. } => true,
        // A thread that has ended may have had it, and somebody may release it all the same.
        State::Unknown if !case.fork.is_unobserved() => held::is_foreign_now(case),
        State::Unknown => held::is_held_by_nobody_here(case),
        _ => false,
    };
    let sure = suspect.then_some(Confidence::Suspect);
    Some(Assessment::argument(sure, others_alive(case).into_iter().collect()))
}

/// The process has one thread, which is the waiter. (What is asked before.)
pub(in crate::hazards) fn alone(case: &WaitCase<'_>) -> Option<Assessment> {
    case.is_alone().then(|| Assessment::note(stuck_fact(case)))
}

/// The lock's owner is the waiter itself.
pub(in crate::hazards) fn owner_is_waiter(case: &WaitCase<'_>) -> Option<Assessment> {
    let owner = self_owned(case)?;
    let narrowed = Wakers::Only(vec![case.task.tid]);
    let stuck = case.is_stuck(&narrowed);
    // POSIX leaves it undefined that another thread unlocks a mutex, and programs do it.
    stuck.then(|| Assessment::at_least(Confidence::Likely, Fact::OwnerIsWaiter { owner }))
}

/// Nobody but the lock's owner, the waiter itself, could unlock it.
pub(in crate::hazards) fn nobody_but_owner(case: &WaitCase<'_>) -> Option<Assessment> {
    match case.is_stuck(&Wakers::OfMemory) {
        true => Some(Assessment::at_least(Confidence::Certain, stuck_fact(case))),
        false => others_alive(case).map(Assessment::note),
    }
}

fn stuck_fact(case: &WaitCase<'_>) -> Fact {
    match case.evidence.threads.len() as u64 {
        0 | 1 => Fact::SingleThread {},
        threads => Fact::AllThreadsBlocked { threads },
    }
}

fn others_alive(case: &WaitCase<'_>) -> Option<Fact> {
    let is_waiter = |tid: u32| tid == case.task.tid;
    let threads = &case.evidence.threads;
    let seen = threads.iter().any(|thread| is_waiter(thread.tid));
    let others = threads.iter().filter(|thread| !is_waiter(thread.tid)).count() as u64;
    seen.then_some(Fact::OthersAlive { others })
}
