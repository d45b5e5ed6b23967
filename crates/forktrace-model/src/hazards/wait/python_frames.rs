//! What the frames of Python's threads tell of a lock whose fork was not seen.
//!
//! A thread in `with lock:` keeps the bound method `__exit__` on its frame until it leaves the block.
//! The frames of threads that a fork lost are never unwound in the child, so what they kept is kept
//! for ever. Such a method that is on no frame of a living thread was left by a thread that is not
//! here: it was in the block at the fork, or about to enter it. It need not have had the lock: one
//! that rests in `Condition.wait` has given it up. So this makes a hang *likely* only where nobody is
//! left in the process who could have taken the lock since, and otherwise a suspect. An `RLock` tells
//! its owner, and nobody else can release it.

use super::{
    Assessment, WaitCase,
    ownerless::{LOCK, enters, somebody_calls, somebody_has},
    release::alarm_is_set,
    wakers::Wakers,
};
use crate::{
    event::{LockUse, Python, RLOCK},
    finding::{Confidence, Fact, OwnerName},
};

/// Whether a thread here that does not wait for the lock is in a `with` block of it: it will leave.
pub(super) fn is_in_use(case: &WaitCase<'_>) -> bool {
    lock_type(case).is_some() && somebody_has(case, &[LockUse::With])
}

/// What Python's frames show of a lock that nobody here is in a `with` block of.
pub(in crate::hazards) fn left_behind(case: &WaitCase<'_>) -> Option<Assessment> {
    let name = lock_type(case).filter(|_| case.fork.is_unobserved())?;
    let Python::Frames(_) = case.evidence.python else { return None };
    let mut facts = vec![Fact::PythonLock { type_name: name.to_owned(), by_hand: false }];
    let mut add = |is: bool, fact: Fact| {
        if is {
            facts.push(fact);
        }
        is
    };
    let frames_known = are_frames_known(case);
    let calls = add(somebody_calls(case), Fact::ReleasesByHand {});
    add(frames_known && !calls && case.evidence.threads.len() > 1, Fact::NobodyInside {});
    let as_lock = name == RLOCK || enters(case);
    add(frames_known && !as_lock, Fact::TakenByHand {});
    let left = frames_known && is_left_behind(case);
    let left = add(left, Fact::WithAtFork { about_to_enter: true });
    let owner = OwnerName::SomePythonThread;
    let owned_elsewhere = add(owner_is_nobody_here(case), Fact::OwnerNotHere { owner });
    let sure = owned_elsewhere || left && case.is_stuck(&Wakers::OfMemory);
    let sure = match sure && !alarm_is_set(case) {
        true => Confidence::Likely,
        false => Confidence::Suspect,
    };
    Some(Assessment::argument(Some(sure), facts))
}

/// Name of the type of the Python object that the lock is part of, if that is a lock.
fn lock_type<'a>(case: &'a WaitCase<'_>) -> Option<&'a str> {
    let object = case.evidence.python_lock.as_ref().map(|lock| lock.type_name.as_str());
    let name = object.or_else(|| case.target()?.python_type.as_deref())?;
    [LOCK, RLOCK].contains(&name).then_some(name)
}

/// Whether every frame of every thread that Python knows was read.
fn are_frames_known(case: &WaitCase<'_>) -> bool {
    let threads = &case.evidence.python_threads;
    !threads.is_empty() && threads.iter().all(|thread| thread.lock_use != LockUse::Unknown)
}

/// Whether it is an `RLock` whose owner is a thread that Python does not know here.
fn owner_is_nobody_here(case: &WaitCase<'_>) -> bool {
    let lock = case.evidence.python_lock.as_ref();
    let Some((owner, count)) = lock.and_then(|lock| lock.rlock(&lock.now)) else { return false };
    let threads = &case.evidence.python_threads;
    let all_known = case.evidence.threads.len() == threads.len();
    owner != 0 && count != 0 && all_known && threads.iter().all(|thread| thread.ident != owner)
}

/// Whether a thread that is not here left a method of a `with` block behind.
fn is_left_behind(case: &WaitCase<'_>) -> bool {
    let mut exits = case.evidence.python_lock.iter().flat_map(|lock| &lock.exits);
    exits.any(|method| method.on_frame == Some(false))
}
