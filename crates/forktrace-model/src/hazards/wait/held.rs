//! Was the lock held at the fork, and is who held it absent?

use super::{Assessment, WaitCase, fork, fork::ForkKnowledge, fork::OwnerAge, holder, ownerless};
use crate::{
    event::AtFork,
    finding::{Confidence, Fact, OwnerName},
    locks::State,
};

/// What the inherited bytes say.
pub(in crate::hazards) fn at_fork(case: &WaitCase<'_>) -> Option<Assessment> {
    let word = || case.reading.word.clone();
    let fact = match (&case.reading.at_fork, case.at_fork()) {
        (State::Held { .. }, _) => Fact::HeldAtFork { word: word(), page: case.fork.page() },
        _ if case.fork.is_unobserved() => match inherited_owner(case) {
            Some(_) => return None,
            None => Fact::HeldAtForkUnknown { word: word() },
        },
        (State::HeldUnproven, _) => Fact::UnchangedSinceFork { word: word() },
        (State::Unknown, AtFork::Known(_)) => Fact::ForkStateUnproven { word: word() },
        (_, AtFork::Unknown(missing)) => Fact::ForkStateUnknown { missing: *missing },
        _ => return None,
    };
    Some(Assessment::note(fact))
}

/// Whether the child may have released an ownerless lock, and woken who waited for it, unseen.
pub(in crate::hazards) fn wakes_unknown(case: &WaitCase<'_>) -> Option<Assessment> {
    may_have_woken(case).then(|| Assessment::note(Fact::WakesUnknown {}))
}

/// Whether the threads that the fork lost are not all known.
pub(in crate::hazards) fn threads_unknown(case: &WaitCase<'_>) -> Option<Assessment> {
    let ForkKnowledge::Observed { fork, .. } = &case.fork else { return None };
    let unknown = !fork.lost_known && !case.process.incomplete;
    unknown.then(|| Assessment::note(Fact::ThreadsUnknown {}))
}

/// The lock's owner is no task of the child and has no heir here: nobody here can release the lock.
pub(in crate::hazards) fn owner_absent(case: &WaitCase<'_>) -> Option<Assessment> {
    match &case.fork {
        ForkKnowledge::Observed { .. } => {
            let owner = foreign_owner(case)?;
            let fact = Fact::OwnerNotHere { owner: OwnerName::Task(owner) };
            Some(Assessment::at_least(Confidence::Certain, fact))
        }
        ForkKnowledge::Unobserved { late, owner: age, .. } => {
            let owner = inherited_owner(case)?;
            let facts = match *age {
                _ if owner_then(case) == Some(owner) => Vec::new(),
                OwnerAge::OfParent(thread) => {
                    vec![Fact::OwnerOfParent { owner, comm: thread.comm.clone() }]
                }
                OwnerAge::Older => vec![Fact::OwnerOlder { owner }],
                OwnerAge::Unknown | OwnerAge::Younger => Vec::new(),
            };
            let sure = match fork::heir_may_release(case, late, owner) {
                true => Confidence::Suspect,
                false => Confidence::Certain,
            };
            Some(Assessment::argument(Some(sure), facts))
        }
    }
}

/// The owner, by its number in the lock, that is known to have had the lock at a fork that was not
/// observed: the inherited bytes name it, or it is older than the child.
pub(super) fn inherited_owner(case: &WaitCase<'_>) -> Option<u32> {
    let ForkKnowledge::Unobserved { owner: age, .. } = &case.fork else { return None };
    let now = case.owner_now()?;
    let named = owner_then(case) == Some(now);
    (named || matches!(age, OwnerAge::OfParent(_) | OwnerAge::Older)).then_some(now)
}

fn owner_then(case: &WaitCase<'_>) -> Option<u32> {
    match case.reading.at_fork {
        State::Held { owner } => owner,
        _ => None,
    }
}

/// The owner at an observed fork, if it was a thread of the parent, or of who forked that, without an
/// heir here, and still is.
pub(super) fn foreign_owner(case: &WaitCase<'_>) -> Option<u32> {
    let ForkKnowledge::Observed { line, .. } = &case.fork else { return None };
    let (then, now) = (owner_then(case)?, case.owner_now()?);
    // In another pid namespace the forking thread's own number is not known.
    let known = case.evidence.ns_pid.is_none();
    let foreign = then == now && !case.is_own_thread(now) && known && !holder::has_heir(line, now);
    foreign.then_some(now)
}

/// Whether the lock has an owner now that is no thread of the child.
pub(super) fn is_foreign_now(case: &WaitCase<'_>) -> bool {
    case.owner_now().is_some_and(|owner| !case.is_own_thread(owner))
}

/// Whether the lock's owner at an observed fork has an heir here, which may release it in a handler
/// even while it waits for it.
pub(super) fn heir_has_it(case: &WaitCase<'_>) -> bool {
    let ForkKnowledge::Observed { line, .. } = &case.fork else { return false };
    let owner = owner_then(case).filter(|_| case.evidence.ns_pid.is_none());
    owner.is_some_and(|owner| holder::has_heir(line, owner))
}

/// Whether the child may have woken a waiter of an ownerless lock without its having been seen. What is
/// released while nobody waits wakes nobody: that needs a thread that waits, which the child must
/// have made, or the mark of one that the parent had.
pub(super) fn may_have_woken(case: &WaitCase<'_>) -> bool {
    let ownerless = matches!(case.reading.at_fork, State::Held { owner: None });
    let unseen = case.target().is_none() && case.evidence.wakes_since_fork.is_none();
    // It had no mark of a waiter at the fork if it is another one now, with the mark of this wait.
    let marked_since = case.reading.value_at_fork.is_some_and(|then| then != case.reading.value);
    let mark = !ownerless::nobody_waited(case) && !marked_since;
    let observed = !case.fork.is_unobserved();
    observed && ownerless && unseen && (case.process.had_threads || mark)
}

/// Whether the lock seems to be older than a fork that was not observed: another process of the same
/// origin has something of the same kind in the same place. In memory of the heap that is the same size
/// of the block there (`malloc`'s field 8 bytes before a block); variables of the program always do.
pub(super) fn was_there_before(case: &WaitCase<'_>) -> bool {
    let ForkKnowledge::Unobserved { late, .. } = &case.fork else { return false };
    let theirs = late.relative.as_ref().and_then(|relative| relative.now.as_ref());
    let ours = case.target().map_or(&case.evidence.now, |place| &place.now);
    let (Some(theirs), Some(ours)) = (theirs, ours.as_ref()) else { return false };
    let Some(mapping) = case.mapping() else { return false };
    if !mapping.is_heap() {
        return !mapping.path.starts_with("[stack") && theirs.word(case.reading.address).is_some();
    }
    let size = |window: &crate::event::Window| {
        window.long(case.reading.address.checked_sub(8)?).filter(|size| *size != 0)
    };
    size(theirs).is_some() && size(theirs) == size(ours)
}

/// Whether it is a lock, and no signal: it names an owner, which is no thread of the process, as the
/// exclusions have made sure, or is of a kind that only who took it releases. In a process whose threads
/// all wait no other thread can have it; beside living ones that is not known.
pub(super) fn is_held_by_nobody_here(case: &WaitCase<'_>) -> bool {
    let ForkKnowledge::Unobserved { late, .. } = &case.fork else { return false };
    let family = case.reading.family;
    let by_its_kind = !family.anyone_may_release && !family.may_be_event;
    late.not_execed && (case.owner_now().is_some() || by_its_kind)
}
