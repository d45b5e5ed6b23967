//! A held lock without an owner field, in a child whose other threads live on: whose was it?
//!
//! Somebody alive may release a lock, unless whoever had it at the fork is not in the child. Two
//! first writes tell (`fault.rs` of the programs; both sides share their pages read-only after a
//! fork, so that the first write to each page faults on either side):
//!
//! *In the child*, if the first write to the word's page was made by a thread on the word itself, as
//! the attempt to take it that has been waiting ever since, then the lock is **untouched**: nobody
//! here took it, gave it back or made it anew, for each of these writes to the word. And while
//! somebody waits, a release wakes the word, which is counted.
//!
//! *In the process that forked*, if the first write to the page was made by `sem_post` on the word,
//! then that thread **released** it without having taken it since the fork: it had it at the fork.
//! Unless it is the forking thread, it does not exist in the child.
//!
//! Together they prove that no thread of the child has the lock, whatever the other threads do. What
//! remains is that a semaphore need be no lock: anybody may post one that is used as a signal.
//! Python's lock objects are known by their type, and a thread that waits in `with lock:` uses it as a
//! lock. A bare `sem_t` stays a suspect.

use super::{Assessment, WaitCase, known_idle_waits, probes, release};
use crate::{
    event::{AtFork, FirstWrite, KeptMethod, LockUse, Missing, PythonFrame, PythonThread, Waiter},
    finding::{Confidence, Fact, OwnerName},
    locks::{Identity, State},
};

/// The longest time between the first write of an attempt and its system call, ns. The instructions
/// in between take no time; an attempt that is preempted for longer proves nothing.
const ONE_ATTEMPT_NS: u64 = 5_000_000;

/// Types of Python objects that are locks, not signals (`Modules/_threadmodule.c`, CPython 3.8 to
/// 3.12).
pub(super) const LOCK: &str = "_thread.lock";
/// One that is a signal: an empty queue's semaphore is at zero (`Modules/_queuemodule.c`).
pub(super) const QUEUE: &str = "_queue.SimpleQueue";

/// Parts of the names of functions that release locks, or make, end or overwrite them: `sem_post`,
/// `pthread_rwlock_unlock`, `pthread_mutex_init`, `calloc`, `memset`.
const NO_ATTEMPT: [&str; 8] =
    ["post", "unlock", "init", "destroy", "alloc", "free", "mem", "bzero"];

/// Offsets in a lock object: its type, its semaphore (`lockobject`, `Modules/_threadmodule.c`,
/// CPython 3.8 to 3.12).
const TYPE: u64 = 8;
const SEMAPHORE: u64 = 16;

/// Who released the lock in the process that forked, without having taken it since the fork: the
/// thread that had it at the fork.
pub(super) fn released_by(case: &WaitCase<'_>) -> Option<u32> {
    let write = case.evidence.first_writes.forker.as_ref().filter(|_| case.target().is_none())?;
    let posted = is_on_word(case, write) && write.function.as_deref() == Some("sem_post");
    // A thread that was made after the fork never had it then.
    let was_there = write.tid == case.fork.site().by_tid
        || case.fork.site().lost.iter().any(|thread| thread.tid == write.tid);
    (posted && was_there).then_some(write.tid)
}

/// A zero word outside of a `malloc` block is no proof that it was a semaphore's already. That the
/// process which forked wrote to it first by posting it is one, and so is a hold that probes saw begin
/// before the fork and end after it.
pub(super) fn prove_by_release(case: &mut WaitCase<'_>) {
    if case.reading.at_fork != State::HeldUnproven {
        return;
    }
    let identity = if released_by(case).is_some() {
        Identity::PostedByForker
    } else if probes::covers_fork(case) {
        Identity::HeldAcrossFork
    } else {
        return;
    };
    case.reading.at_fork = State::Held { owner: None };
    case.reading.word = case.reading.word.proven_held(identity);
}

/// The owner of a Python `RLock` at the fork, which has it still: its descriptor had the tid then.
pub(super) fn rlock_owner(case: &WaitCase<'_>) -> Option<u32> {
    let lock = case.evidence.python_lock.as_ref()?;
    lock.owner_tid.filter(|_| existed(case) && same_owner(case) && case.evidence.ns_pid.is_none())
}

/// The first write to the word's page in the child was a release of the lock, or made a new one in its
/// place: what is waited for now is the child's own doing.
pub(super) fn released_here(case: &WaitCase<'_>) -> bool {
    let write = case.evidence.first_writes.child.as_ref();
    let ends = |function: &String| function == "sem_post" || function == "sem_init";
    write.is_some_and(|write| is_on_word(case, write) && write.function.as_ref().is_some_and(ends))
}

/// The lock has no owner field, and what it had at the fork is not in the child.
pub(in crate::hazards) fn untouched(case: &WaitCase<'_>) -> Option<Assessment> {
    // What is known of the word's page says nothing of a lock that is elsewhere.
    let ownerless = matches!(case.reading.at_fork, State::Held { owner: None });
    if case.fork.is_unobserved() || !ownerless || case.target().is_some() {
        return None;
    }
    let mut facts = Vec::new();
    let sure = weigh(case, &mut facts);
    Some(Assessment::argument(sure, facts).unless_proven())
}

fn weigh(case: &WaitCase<'_>, facts: &mut Vec<Fact>) -> Option<Confidence> {
    if let Some(owner) = foreign_owner(case) {
        facts.push(Fact::OwnerNotHere { owner });
        return Some(Confidence::Certain);
    }
    let could_be_released = release::could_be(case);
    let mut add = |is: bool, fact: Fact| {
        if is {
            facts.push(fact);
        }
        is
    };
    // Probes saw no thread here use it, unless its first write shows that already.
    let untouched = add(is_untouched(case), Fact::UntouchedSinceFork {})
        || add(probes::never_used(case, first_write_ns(case)), Fact::NeverUsedHere {});
    let elsewhere = is_elsewhere(case, &mut add);
    let late = probes::are_too_late_here(case, first_write_ns(case));
    add(!untouched && elsewhere && late, Fact::ProbesLateHere {});
    let Some(is_used_as_lock) = is_lock(case, &mut add) else {
        // A bare semaphore, which its holder was seen to use as a lock.
        let proven = untouched && probes::holder_is_lost(case) && probes::is_given_back(case);
        return proven.then_some(Confidence::Likely);
    };
    // A handler runs in the heir, also while it waits, and may release what the heir inherited.
    // One that waits for what the forking thread took by hand before waits for who opens a gate.
    let heir_waits = add(heir_waits(case), Fact::HeirWaits {}) && !could_be_released;
    let kept = is_kept(case, &mut add);
    // Who waits for a lock that only its holder releases cannot release it. What the forking thread had
    // is its heir's, and of all others nobody is here.
    let by_holder_alone = !case.reading.family.anyone_may_release;
    let alone = case.evidence.threads.len() == 1;
    let nobody_here = elsewhere || heir_waits && (kept || alone || by_holder_alone);
    if add(somebody_calls(case), Fact::ReleasesByHand {}) {
        return None;
    }
    if untouched && nobody_here && is_used_as_lock {
        return Some(Confidence::Certain);
    }
    if untouched && nobody_here && !could_be_released {
        return Some(Confidence::Likely);
    }
    let seen = probes::holder_is_lost(case) && existed(case) && !probes::used_here(case);
    let is_used_as_lock = is_used_as_lock || (seen && probes::is_given_back(case));
    if !is_used_as_lock || somebody_inside(case) || !(kept || seen) {
        return None;
    }
    if elsewhere && same_owner(case) {
        return Some(Confidence::Certain);
    }
    let held_by_lost = released_by(case).is_none() && nobody_waited(case);
    (elsewhere || held_by_lost).then_some(Confidence::Likely)
}

fn is_on_word(case: &WaitCase<'_>, write: &FirstWrite) -> bool {
    write.address == case.evidence.wait.uaddr
}

/// The write was to the lock, from its beginning to the word that is waited for: who wants a rwlock
/// announces that in another word than the one that it waits for.
fn is_in_lock(case: &WaitCase<'_>, write: &FirstWrite) -> bool {
    let (lock, word) = (case.reading.address, case.evidence.wait.uaddr);
    is_on_word(case, write) || (lock..=word).contains(&write.address)
}

/// Nobody in the child wrote to the word before a thread that still waits for it.
pub(super) fn is_untouched(case: &WaitCase<'_>) -> bool {
    let Some(write) = &case.evidence.first_writes.child else { return false };
    let attempt = case.evidence.waiters.iter().find(|waiter| waiter.tid == write.tid);
    let Some(attempt) = attempt else { return false };
    let gap = attempt.enter_ns.checked_sub(write.boot_ns);
    let at_once = gap.is_some_and(|gap| gap <= ONE_ATTEMPT_NS) || blocked_once(write, attempt);
    let alone = write.other_ns == 0 || write.other_ns > attempt.enter_ns;
    // What the function is called tells what it is not: a release or a new lock.
    let function = write.function.as_deref();
    let other = function.is_some_and(|name| NO_ATTEMPT.iter().any(|part| name.contains(part)));
    is_in_lock(case, write)
        && at_once
        && alone
        && write.module.is_some()
        && !other
        && nobody_woken(case, write, blocked_once(write, attempt))
}

fn first_write_ns(case: &WaitCase<'_>) -> Option<u64> {
    case.evidence.first_writes.child.as_ref().map(|write| write.boot_ns)
}

/// The thread has blocked once since it wrote: in the wait that it is in.
fn blocked_once(write: &FirstWrite, attempt: &Waiter) -> bool {
    let before = write.times.map(|times| times.wrapping_add(1));
    before.is_some() && before == attempt.times.map(|times| times as u32)
}

/// The child has woken nobody who waited for the lock. Where wakes are not seen: who wrote first has been
/// in this very wait since, and is the only thread that the child ever had, or wrote to take the lock,
/// which nobody but its holder releases.
fn nobody_woken(case: &WaitCase<'_>, write: &FirstWrite, blocked_once: bool) -> bool {
    let takes = write.function.as_ref().is_some_and(|name| name.contains("lock"));
    let by_holder_alone = takes && !case.reading.family.anyone_may_release;
    match case.evidence.wakes_since_fork {
        Some(count) => count == 0,
        None => blocked_once && (!case.process.had_threads || by_holder_alone),
    }
}

/// The heir of the thread that forked is among those who wait for the lock.
fn heir_waits(case: &WaitCase<'_>) -> bool {
    case.evidence.waiters.iter().any(|waiter| waiter.tid == case.task.pid)
}

/// Who had the lock at the fork is not in the child.
fn is_elsewhere(case: &WaitCase<'_>, add: &mut impl FnMut(bool, Fact) -> bool) -> bool {
    if probes::holder_is_lost(case) {
        // The fact about the holder says it already.
        return true;
    }
    let fork = case.fork.site();
    let Some(tid) = released_by(case).filter(|tid| *tid != fork.by_tid) else { return false };
    add(true, Fact::ReleasedByHolder { tid, pid: fork.by_pid })
}

/// Whether the waiter uses the word as a lock, not as a signal. `None`: it may be either.
fn is_lock(case: &WaitCase<'_>, add: &mut impl FnMut(bool, Fact) -> bool) -> Option<bool> {
    if !case.reading.family.anyone_may_release {
        return Some(true);
    }
    let lock = case.evidence.python_lock.as_ref()?;
    if lock.type_name != LOCK && !lock.is_rlock() {
        return None;
    }
    // Only its owner can release an RLock, however it is taken.
    let is_used_as_lock = lock.is_rlock() || enters(case);
    let type_name = lock.type_name.clone();
    add(true, Fact::PythonLock { type_name, by_hand: !is_used_as_lock });
    Some(is_used_as_lock)
}

/// The waiter is about to enter a `with` block of the lock: its own, or that of an object made of
/// it, such as `threading.Condition`.
pub(super) fn enters(case: &WaitCase<'_>) -> bool {
    let Some(thread) = python_thread(case, case.task.tid) else { return false };
    let innermost = thread.innermost.as_ref();
    thread.lock_use == LockUse::With
        || innermost.is_some_and(|frame| frame.function.ends_with("__enter__"))
}

fn python_thread<'a>(case: &WaitCase<'a>, tid: u32) -> Option<&'a PythonThread> {
    let inner = ns_tid(case, tid);
    case.evidence.python_threads.iter().find(|thread| thread.tid == Some(inner))
}

/// The number that a thread of the child has in its own pid namespace.
fn ns_tid(case: &WaitCase<'_>, tid: u32) -> u32 {
    let thread = case.evidence.threads.iter().find(|thread| thread.tid == tid);
    thread.and_then(|thread| thread.ns_tid).unwrap_or(tid)
}

/// The lock object was there at the fork, with this very semaphore.
fn existed(case: &WaitCase<'_>) -> bool {
    let Some(lock) = &case.evidence.python_lock else { return false };
    let AtFork::Known(then) = &lock.at_fork else { return false };
    let same = |offset| {
        let at = lock.address.checked_add(offset);
        at.and_then(|at| Some(then.long(at)? == lock.now.long(at)?)).unwrap_or(false)
    };
    same(TYPE) && same(SEMAPHORE)
}

/// A thread that does not wait for the lock is in a `with` block of it, or has it in a variable.
fn somebody_inside(case: &WaitCase<'_>) -> bool {
    somebody_has(case, &[LockUse::With, LockUse::Refers])
}

/// A thread that does not wait for the lock has one of these to do with it.
pub(super) fn somebody_has(case: &WaitCase<'_>, uses: &[LockUse]) -> bool {
    let waits = |tid: u32| case.evidence.waiters.iter().any(|waiter| waiter.tid == tid);
    let has =
        |tid: u32| python_thread(case, tid).is_some_and(|thread| uses.contains(&thread.lock_use));
    case.evidence.threads.iter().any(|thread| !waits(thread.tid) && has(thread.tid))
}

/// A thread that does not wait for the lock runs code of the program's own that takes or releases
/// locks by hand: it may be this one's turn.
pub(super) fn somebody_calls(case: &WaitCase<'_>) -> bool {
    let waits = |tid: u32| case.evidence.waiters.iter().any(|waiter| waiter.tid == tid);
    let calls = |tid: u32| {
        python_thread(case, tid).is_some_and(|thread| {
            let ordinary = thread.innermost.as_ref().is_some_and(known_idle_waits::is_signal);
            thread.lock_use == LockUse::Calls && !ordinary
        })
    };
    case.evidence.threads.iter().any(|t| !waits(t.tid) && calls(t.tid))
}

/// The lock object is the one of the fork: a thread that the fork lost was in a `with` block of it,
/// and what it kept there is kept for ever. Otherwise an old lock may have been freed since, and a
/// new one made in the same place.
fn is_kept(case: &WaitCase<'_>, add: &mut impl FnMut(bool, Fact) -> bool) -> bool {
    let exits = case.evidence.python_lock.iter().flat_map(|lock| &lock.exits);
    if !existed(case) {
        return false;
    }
    let kept: Vec<_> = exits.into_iter().filter(|method| is_since_fork(case, method)).collect();
    // What is on a frame here may be the heir's own, from a block that the forking thread was in.
    let lost = kept.iter().any(|method| method.on_frame != Some(true));
    add(lost, Fact::WithAtFork { about_to_enter: false });
    !kept.is_empty()
}

/// Where a thread that is not here was, at the fork, in a `with` block of the lock. Where the fork was
/// not seen it may have been about to enter one.
pub(super) fn with_at_fork(case: &WaitCase<'_>) -> Option<PythonFrame> {
    let is_since = |method: &&KeptMethod| match case.evidence.late {
        Some(_) => true,
        None => existed(case) && nobody_waited(case) && is_since_fork(case, method),
    };
    let mut exits = case.evidence.python_lock.iter().flat_map(|lock| &lock.exits);
    let left = exits.find(|method| method.on_frame == Some(false) && is_since(method))?;
    left.left_at.clone()
}

/// Whether the method was there at the fork.
fn is_since_fork(case: &WaitCase<'_>, method: &KeptMethod) -> bool {
    match &method.at_fork {
        // All but the reference count, which says that it was alive.
        AtFork::Known(then) => {
            let count = then.long(method.address);
            count.is_some_and(|count| count != 0)
                && then.bytes.len() == method.now.bytes.len()
                && then.bytes.get(8..) == method.now.bytes.get(8..)
        }
        // Not written since, if every write was seen.
        AtFork::Unknown(missing) => *missing == Missing::NoFault && !read_before(case),
    }
}

/// It is an `RLock` whose owner is that of the fork. Python lets nobody else release one.
fn same_owner(case: &WaitCase<'_>) -> bool {
    let Some(lock) = &case.evidence.python_lock else { return false };
    let AtFork::Known(then) = &lock.at_fork else { return false };
    let (then, now) = (lock.rlock(then), lock.rlock(&lock.now));
    then == now && now.is_some_and(|(owner, count)| owner != 0 && count != 0)
}

/// The tracer had read the Python side of the process before one of those who wait for the lock began
/// to. It may have copied pages then, so that what such a thread wrote was not seen.
fn read_before(case: &WaitCase<'_>) -> bool {
    let read = case.evidence.python_read_ns;
    let mut waiters = case.evidence.waiters.iter();
    read.is_none_or(|read| waiters.any(|waiter| waiter.enter_ns >= read))
}

/// Nobody waited for the semaphore at the fork: who was in a `with` block of it had it.
pub(super) fn nobody_waited(case: &WaitCase<'_>) -> bool {
    let AtFork::Known(then) = &case.evidence.at_fork else { return false };
    let waiters = case.evidence.wait.uaddr.checked_add(4).and_then(|at| then.word(at));
    case.reading.family.anyone_may_release && waiters == Some(0)
}

/// An `RLock` tells its owner by the number that Python gives to threads. It is the address of the
/// thread's own memory, and a child's new thread may get that of one that was lost: so it must be
/// that of no thread which Python knows here.
fn foreign_owner(case: &WaitCase<'_>) -> Option<OwnerName> {
    let lock = case.evidence.python_lock.as_ref()?;
    let (owner, count) = lock.rlock(&lock.now)?;
    let AtFork::Known(then) = &lock.at_fork else { return None };
    let mut threads = case.evidence.threads.iter();
    let all_known = threads.all(|thread| python_thread(case, thread.tid).is_some());
    let is_here = case.evidence.python_threads.iter().any(|thread| thread.ident == owner);
    let foreign = existed(case)
        && owner != 0
        && count != 0
        && lock.rlock(then) == Some((owner, count))
        && all_known
        && !is_here;
    foreign.then_some(OwnerName::PythonThread(owner))
}
