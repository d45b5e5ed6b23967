//! How sure the evidence makes us.
//!
//! *certain*: held at the fork, and either (a) nobody is left in the child who could release it, or
//! (b) its owner field names a thread of the parent that the child does not have, unchanged.
//! *likely*: nobody is left, but that it was held is not fully proven. *suspect*: held, but somebody
//! is alive who may release it, or a signal handler or a timer could; `orphan.rs` has the rules that
//! tell such a lock from one whose holder is not in the child.

use nix::sys::signal::Signal;

use super::{WaitCase, gates::owned_by_child, holder::has_heir, probed};
use crate::{
    event::{AtFork, Doing, Missing},
    finding::{Confidence, Proof},
    locks::{State, word_words},
};
use forktrace_common::futex::{
    FUTEX_CMD_MASK, FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_PRIVATE_FLAG, OP_WAIT_SYSCALL,
};

/// Signals whose handlers do not count as "could release it": those that a fault raises in the running
/// thread (a blocked one runs nothing), which crash reporters handle; and glibc's internal 32 and 33
/// (`sysdeps/unix/sysv/linux/internal-signals.h`, glibc 2.36).
const HARMLESS_SIGNALS: u64 = bit(libc::SIGSEGV)
    | bit(libc::SIGBUS)
    | bit(libc::SIGFPE)
    | bit(libc::SIGILL)
    | bit(libc::SIGABRT)
    | bit(32)
    | bit(33);

/// That of SIGINT does not count where Python may be at work, which always has one.
const OF_PYTHON: u64 = bit(libc::SIGINT);

/// Signals of timers that cannot be seen from outside: what handles one is there to end a wait.
const ALARMS: u64 = bit(libc::SIGALRM) | bit(libc::SIGVTALRM) | bit(libc::SIGPROF);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// A confidence and what it rests on.
pub(super) struct Grade {
    pub(super) confidence: Confidence,
    pub(super) proofs: Vec<Proof>,
}

/// Grades a case that passed the gates; `None`: not even a suspect.
pub(super) fn grade(case: &WaitCase<'_>) -> Option<Grade> {
    let mut proofs = Vec::new();
    let mut say = |rule: &str, detail: String| {
        proofs.push(Proof { rule: rule.to_owned(), detail });
    };
    say_held(case, &mut say);
    if let Some(detail) = probed::detail(case) {
        say("holder-seen", detail);
    } else if let Some(detail) = probed::too_late(case) {
        say("probes-late", detail);
    }
    let foreign_owner = foreign_owner(case, &mut say);
    let nobody_left = nobody_left(case, &mut say);
    let could_be_released = !foreign_owner && could_be_released(case, &mut say);

    let woken = say_woken(case, &mut say);
    let mut confidence = match case.reading.at_fork {
        State::Held { .. } if foreign_owner => Confidence::Certain,
        State::Held { owner: None } if nobody_left && !could_be_released && woken => {
            Confidence::Likely
        }
        State::Held { .. } if nobody_left && !could_be_released => Confidence::Certain,
        State::Held { .. } => Confidence::Suspect,
        State::HeldUnproven if nobody_left && !could_be_released => Confidence::Likely,
        State::HeldUnproven if nobody_left => Confidence::Suspect,
        State::Unknown if nobody_left && !could_be_released && foreign_now(case) => {
            Confidence::Likely
        }
        // A thread that has ended may have had it, and somebody may release it all the same.
        State::Unknown if nobody_left || foreign_now(case) => Confidence::Suspect,
        State::HeldUnproven | State::Unknown | State::Free => return None,
    };
    if !case.fork.lost_known && !case.process.incomplete {
        let threads = "forktrace was still attaching at the fork: which threads the forking process \
                       had besides is not fully known";
        say("threads-unknown", threads.into());
    }
    if confidence == Confidence::Certain
        && !could_be_released
        && heir_has_it(case)
        && handlers_or_timers(case, &mut say)
    {
        confidence = Confidence::Likely;
    }
    if passed_on_at_exit(case) {
        say(
            "owner-may-end",
            "the kernel passes it on when its owner, a thread of another process, ends".into(),
        );
        confidence = confidence.min(Confidence::Likely);
    }
    if confidence < Confidence::Certain
        && let Some(sure) = super::orphan::grade(case, could_be_released, &mut proofs)
    {
        confidence = confidence.max(sure);
    }
    if let Some(limit) = super::orphan::limit(case) {
        confidence = confidence.min(limit);
    }
    if case.reading.family.anyone_may_release && alarm_is_set(case) {
        confidence = Confidence::Suspect;
    }
    let mut say = |rule: &str, detail: String| {
        proofs.push(Proof { rule: rule.to_owned(), detail });
    };
    confidence = after_losses(case, confidence, &mut say)?;
    if confidence == Confidence::Certain {
        for proof in proofs.iter_mut().filter(|proof| proof.rule == "handlers") {
            proof.detail = by_handlers(case, true);
        }
    }
    Some(Grade { confidence, proofs })
}

/// What a handler could do; `for_certain`: the lock stays held in any case.
fn by_handlers(case: &WaitCase<'_>, for_certain: bool) -> String {
    let could = match for_certain {
        true => {
            "could take the thread out of its wait, by an exception or a jump, but not release the lock"
        }
        false => "could release it",
    };
    match handlers(case) {
        Some(mask) => format!("a handler {could}: {}", signals(mask)),
        None => format!("whether there is a signal handler is not known, which {could}"),
    }
}

/// The confidence where events may be missing; `None` below suspect.
pub(super) fn after_losses(
    case: &WaitCase<'_>,
    confidence: Confidence,
    say: &mut impl FnMut(&str, String),
) -> Option<Confidence> {
    if !case.process.incomplete {
        return Some(confidence);
    }
    say("events-lost", "events were lost, so something may have been missed".into());
    confidence.lowered()
}

/// Whether the wait is in the kernel's own queue for a priority inheriting lock: the end of the
/// owner wakes the first of it (`exit_pi_state_list`, `kernel/futex/core.c`, Linux 6.18).
fn passed_on_at_exit(case: &WaitCase<'_>) -> bool {
    matches!(case.evidence.wait.op & FUTEX_CMD_MASK, FUTEX_LOCK_PI | FUTEX_LOCK_PI2)
}

fn say_held(case: &WaitCase<'_>, say: &mut impl FnMut(&str, String)) {
    match (&case.reading.at_fork, case.at_fork()) {
        (State::Held { .. }, _) => say("held-at-fork", word_words::detail(&case.reading.word)),
        (State::HeldUnproven, _) => {
            say("unchanged-since-fork", word_words::detail(&case.reading.word))
        }
        (State::Unknown, AtFork::Known(_)) => {
            say("fork-state-unproven", word_words::detail(&case.reading.word));
        }
        (_, AtFork::Unknown(missing)) => {
            say(
                "fork-state-unknown",
                format!("the word at the fork is not known: {}", why(*missing)),
            );
        }
        _ => {}
    }
}

/// Whether the child may have released an ownerless lock, and woken who waited for it, unseen.
fn say_woken(case: &WaitCase<'_>, say: &mut impl FnMut(&str, String)) -> bool {
    let ownerless = matches!(case.reading.at_fork, State::Held { owner: None });
    let woken = ownerless && case.may_have_woken();
    if woken {
        let why = "whether this process has released it since the fork is not known: wakes are not \
                   seen";
        say("wakes-unknown", why.into());
    }
    woken
}

fn why(missing: Missing) -> &'static str {
    match missing {
        Missing::NotObserved => "the fork was not observed",
        Missing::Off => "snapshots are off",
        Missing::LimitReached => "the snapshot limit was reached (--snapshot-limit)",
        Missing::ForkedItself => "the child itself forked before it touched the lock",
        Missing::NoFault => "no write fault was seen on its page",
    }
}

/// Rule (b): the owner was a thread of the parent, or of who forked that, without an heir here, and
/// still is.
fn foreign_owner(case: &WaitCase<'_>, say: &mut impl FnMut(&str, String)) -> bool {
    let (State::Held { owner: Some(then) }, State::Held { owner: Some(now) }) =
        (case.reading.at_fork, case.reading.now)
    else {
        return false;
    };
    // In another pid namespace the forking thread's own number is not known.
    let known = case.evidence.ns_pid.is_none();
    let foreign = then == now && !owned_by_child(case, now) && known && !has_heir(&case.line, now);
    if foreign {
        say(
            "owner-not-here",
            format!("its owner {now} is unchanged and is no thread of this process"),
        );
    }
    foreign
}

/// The owner now is no thread of the child.
fn foreign_now(case: &WaitCase<'_>) -> bool {
    matches!(case.reading.now, State::Held { owner: Some(owner) } if !owned_by_child(case, owner))
}

/// Rule (a): every thread of the child is in a wait that only the child itself could end.
pub(super) fn nobody_left(case: &WaitCase<'_>, say: &mut impl FnMut(&str, String)) -> bool {
    let threads = &case.evidence.threads;
    let waiter_seen = threads.iter().any(|thread| thread.tid == case.task.tid);
    let others: Vec<_> = threads.iter().filter(|thread| thread.tid != case.task.tid).collect();
    if !waiter_seen {
        return false;
    }
    if others.is_empty() {
        say("single-thread", "single thread; untimed wait on private memory".into());
        return true;
    }
    let stuck = others
        .iter()
        .all(|thread| thread.ran == Some(false) && ends_only_from_inside(&thread.doing));
    if stuck {
        say(
            "all-threads-blocked",
            format!("all {} threads are in untimed waits on private memory", threads.len()),
        );
    } else {
        let others = match others.len() {
            1 => "another thread of this process is alive".to_owned(),
            count => format!("{count} other threads of this process are alive"),
        };
        say("others-alive", others);
    }
    stuck
}

/// A futex wait without timeout that only a thread of the same memory can wake: with the PRIVATE
/// flag the kernel looks for waiters by address space (`get_futex_key`, `kernel/futex/core.c`,
/// Linux 6.18).
pub(super) fn ends_only_from_inside(doing: &Doing) -> bool {
    match doing {
        Doing::Futex { op, timed, .. } => {
            !timed && *op < OP_WAIT_SYSCALL && op & FUTEX_PRIVATE_FLAG != 0
        }
        Doing::Syscall(_) | Doing::Running | Doing::Unknown => false,
    }
}

/// Whether something outside the threads' own code could release the lock, wake the thread that has
/// it, or throw the waiter out of its wait: a handler may do all of this, and that there is one is
/// all that can be seen of it.
pub(super) fn could_be_released(case: &WaitCase<'_>, say: &mut impl FnMut(&str, String)) -> bool {
    if !case.reading.family.anyone_may_release && !heir_may_have_it(case) {
        return false;
    }
    handlers_or_timers(case, say)
}

/// The signals whose handlers count, as a mask; `None`: not known.
fn handlers(case: &WaitCase<'_>) -> Option<u64> {
    let of_python = if case.evidence.python.is_absent() { 0 } else { OF_PYTHON };
    case.evidence.handlers.map(|mask| mask & !HARMLESS_SIGNALS & !of_python)
}

fn handlers_or_timers(case: &WaitCase<'_>, say: &mut impl FnMut(&str, String)) -> bool {
    let timers = case.evidence.timers;
    match (handlers(case), timers) {
        (Some(0), Some(0) | None) => false,
        (Some(0), Some(count)) => {
            say("timers", format!("{count} timers could run code that releases it"));
            true
        }
        _ => {
            say("handlers", by_handlers(case, false));
            true
        }
    }
}

/// Whether the program means to be interrupted after a time: a handler may release the lock then, or
/// throw the waiter out of its wait, as Python's handlers do that raise an exception.
pub(super) fn alarm_is_set(case: &WaitCase<'_>) -> bool {
    let handlers = case.evidence.handlers.is_some_and(|mask| mask & ALARMS != 0);
    handlers || case.evidence.timers.is_some_and(|timers| timers > 0)
}

/// Whether the forking thread's heir is another thread than the one that waits.
fn heir_may_have_it(case: &WaitCase<'_>) -> bool {
    case.task.tid != case.task.pid && case.evidence.threads.len() > 1
}

/// Whether the lock's owner at the fork has an heir here, which may release it in a handler even
/// while it waits for it.
fn heir_has_it(case: &WaitCase<'_>) -> bool {
    let State::Held { owner: Some(owner) } = case.reading.at_fork else { return false };
    case.evidence.ns_pid.is_none() && has_heir(&case.line, owner)
}

fn signals(mask: u64) -> String {
    let numbers = (1..=64).filter(|signal| mask & bit(*signal) != 0);
    let name = |signal: i32| match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    };
    numbers.map(name).collect::<Vec<_>>().join(", ")
}
