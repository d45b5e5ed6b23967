//! Is nobody left in the process who could end the wait?

use forktrace_common::futex::FUTEX_PRIVATE_FLAG;

use super::{Assessment, WaitCase, held, known_idle_waits, release, self_owned, wakers::Wakers};
use crate::{
    event::{Doing, ThreadSample},
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
    // A lock whose memory at the fork is not known: if threads were lost, one of them had it. Where no
    // thread was, the child may as well have taken it itself.
    let unseen = match case.fork.threads_lost() {
        0 if observed => Confidence::Suspect,
        _ => Confidence::Likely,
    };
    match case.reading.at_fork {
        _ if released && !observed && !matches!(case.reading.at_fork, State::Held { .. }) => None,
        _ if released => Some(Confidence::Suspect),
        State::Held { .. } if held::may_have_woken(case) => Some(Confidence::Likely),
        State::Held { .. } => Some(Confidence::Certain),
        _ if held::inherited_owner(case).is_some() => Some(Confidence::Certain),
        State::HeldUnproven if observed => Some(Confidence::Likely),
        State::HeldUnproven => Some(unseen),
        State::Unknown if observed && held::is_foreign_now(case) => Some(Confidence::Likely),
        State::Unknown if observed && case.at_fork().known().is_none() => Some(unseen),
        State::Unknown if observed => Some(Confidence::Suspect),
        State::Unknown if held::is_held_by_nobody_here(case) && case.owner_now().is_some() => {
            Some(Confidence::Likely)
        }
        State::Unknown if held::was_there_before(case) => Some(unseen),
        State::Unknown if held::is_held_by_nobody_here(case) => Some(unseen),
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

/// No task is left that could end the wait, whatever it is for.
pub(in crate::hazards) fn is_nobody(case: &WaitCase<'_>) -> bool {
    case.is_stuck(&Wakers::OfMemory)
}

/// Where nobody of several threads can run, the thread that speaks for all: the first in the order of
/// their numbers, the one that continues the forking thread before the others. One that waits for the
/// end of another leaves it to that one.
pub(in crate::hazards) fn speaks_for_all(case: &WaitCase<'_>) -> bool {
    let mut threads: Vec<&ThreadSample> = case.evidence.threads.iter().collect();
    threads.sort_by_key(|thread| (thread.tid != case.task.pid, thread.tid));
    let first = threads.iter().find(|thread| !is_joining(case, thread)).or(threads.first());
    first.is_none_or(|first| first.tid == case.task.tid)
}

/// Whether a thread waits for the end of another: in `pthread_join`, for the word to change that holds the
/// other's number (`__pthread_clockjoin_ex`, `nptl/pthread_join_common.c`, glibc 2.36), or in Python's.
fn is_joining(case: &WaitCase<'_>, thread: &ThreadSample) -> bool {
    let number = |thread: &ThreadSample| u64::from(thread.ns_tid.unwrap_or(thread.tid));
    let others = || case.evidence.threads.iter().filter(|other| other.tid != thread.tid);
    let of_libc = match thread.doing {
        Doing::Futex { op, val, .. } if op & FUTEX_PRIVATE_FLAG == 0 => {
            others().any(|other| number(other) == val)
        }
        _ => false,
    };
    of_libc || known_idle_waits::is_joining(case.evidence, thread)
}

/// That no task is left, as an argument: the wait can never end.
pub(in crate::hazards) fn nobody_at_all(case: &WaitCase<'_>) -> Option<Assessment> {
    is_nobody(case).then(|| Assessment::at_least(Confidence::Certain, stuck_fact(case)))
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
