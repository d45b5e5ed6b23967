//! Could something outside of the threads' own code end the wait: a handler, a timer, the kernel?

use forktrace_common::futex::{FUTEX_CMD_MASK, FUTEX_LOCK_PI, FUTEX_LOCK_PI2};

use super::{Assessment, WaitCase, held, known_idle_waits, runtimes};
use crate::{
    event::stall::Runtime,
    finding::{Confidence, Fact},
    hazards::handlers::{self, ALARMS, numbers},
};

/// Handlers and timers that could release a lock that no absent task has.
pub(in crate::hazards) fn interruptions(case: &WaitCase<'_>) -> Option<Assessment> {
    let counts = held::foreign_owner(case).is_none() && could_be(case);
    counts.then(|| Assessment::argument(None, handlers_or_timers(case)))
}

/// Handlers and timers that could wake the waiter, where nobody else is left who could. What a runtime
/// installs by itself is not there to wake anybody; nor is a handler of a process whose only thread
/// waits for what others were to do.
pub(in crate::hazards) fn wakes(case: &WaitCase<'_>) -> Option<Assessment> {
    let fact = handlers_or_timers(case).into_iter().next()?;
    let mask = counted(case).filter(|_| case.evidence.timers.is_none_or(|timers| timers == 0));
    let of_runtime = mask.map(|mask| (mask, runtimes::own_handlers(case, mask)));
    let for_work = case.evidence.threads.len() == 1 && known_idle_waits::is_for_work(case.evidence);
    Some(match of_runtime {
        Some((mask, own)) if own == mask => Assessment::at_most(
            Confidence::Likely,
            Fact::RuntimeHandlers { signals: numbers(mask) },
        ),
        Some((mask, _)) if for_work && mask & ALARMS == 0 => {
            Assessment::at_most(Confidence::Likely, fact)
        }
        _ => Assessment::at_most(Confidence::Suspect, fact),
    })
}

/// The wait is in the kernel's own queue for a priority inheriting lock: the end of the owner wakes
/// the first of it (`exit_pi_state_list`, `kernel/futex/core.c`, Linux 6.18).
pub(in crate::hazards) fn passed_on(case: &WaitCase<'_>) -> Option<Assessment> {
    let inherits = matches!(case.evidence.wait.op & FUTEX_CMD_MASK, FUTEX_LOCK_PI | FUTEX_LOCK_PI2);
    inherits.then(|| Assessment::at_most(Confidence::Likely, Fact::OwnerMayEnd {}))
}

/// The program means to be interrupted after a time: a handler may release a semaphore then.
pub(in crate::hazards) fn alarm(case: &WaitCase<'_>) -> Option<Assessment> {
    let set = case.reading.family.anyone_may_release && alarm_is_set(case);
    set.then(|| Assessment::limit(Confidence::Suspect))
}

/// Whether something outside the threads' own code could release the lock, wake the thread that has
/// it, or throw the waiter out of its wait: a handler may do all of this, and that there is one is
/// all that can be seen of it.
pub(in crate::hazards) fn could_be(case: &WaitCase<'_>) -> bool {
    let heir_may_have_it = case.task.tid != case.task.pid && case.evidence.threads.len() > 1;
    (case.reading.family.anyone_may_release || heir_may_have_it)
        && held::foreign_owner(case).is_none()
        && !handlers_or_timers(case).is_empty()
}

/// What could run: handlers, or else timers; at most one fact.
pub(super) fn handlers_or_timers(case: &WaitCase<'_>) -> Vec<Fact> {
    match (counted(case), case.evidence.timers) {
        (Some(0), Some(0) | None) => Vec::new(),
        (Some(0), Some(timers)) => vec![Fact::Timers { timers }],
        (handlers, _) => vec![Fact::Handlers { signals: handlers.map(numbers) }],
    }
}

/// The signals with a handler that counts; `None`: not known. That of SIGINT does not where Python may be
/// at work.
fn counted(case: &WaitCase<'_>) -> Option<u64> {
    let runtime = (!case.evidence.python.is_absent()).then_some(Runtime::Python);
    case.evidence.handlers.map(|mask| handlers::that_count(mask, runtime))
}

/// Whether the program means to be interrupted after a time: a handler may release the lock then, or
/// throw the waiter out of its wait, as Python's handlers do that raise an exception.
pub(super) fn alarm_is_set(case: &WaitCase<'_>) -> bool {
    let handlers = case.evidence.handlers.is_some_and(|mask| mask & ALARMS != 0);
    handlers || case.evidence.timers.is_some_and(|timers| timers > 0)
}
