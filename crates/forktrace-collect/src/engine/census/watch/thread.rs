//! What is known of one thread, and for how long.

use forktrace_model::event;

use crate::inspect::{
    stall::{
        Polling,
        look::{Doing, Look},
    },
    threads,
};

/// How much later than other calls a futex wait is read, ns.
pub(super) const LATER_NS: u64 = 500_000_000;

/// How long a thread must have polled to be read, ns, and in how many looks it must have been seen so.
const POLLS_NS: u64 = 11_000_000_000;
pub(super) const POLL_LOOKS: u32 = 8;

/// A thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thread {
    pub(super) look: Look,
    /// Since when it does not move, `CLOCK_BOOTTIME`, ns.
    pub(super) since_ns: u64,
    pub(super) polls: Option<Polling>,
    /// When the first of these waits was seen, `CLOCK_BOOTTIME`, ns.
    pub(super) polls_from_ns: u64,
    /// In how many looks it was found to poll.
    pub(super) poll_looks: u32,
    /// Since when it was found to run at each look, `CLOCK_BOOTTIME`, ns.
    pub(super) busy_since_ns: Option<u64>,
    /// When it was looked at, `CLOCK_BOOTTIME`, ns.
    pub(super) at_ns: u64,
}

impl Thread {
    /// Since when it waits, or polls, where that is long enough to be read, `CLOCK_BOOTTIME`, ns.
    pub(super) fn long(&self, min_wait_ns: u64, now_ns: u64) -> Option<u64> {
        // What is known of single waits says why: it goes first where there is a futex word.
        let later_ns = match self.call() {
            event::Doing::Futex { .. } => LATER_NS.min(min_wait_ns / 2),
            _ => 0,
        };
        let long = now_ns.saturating_sub(self.since_ns) >= min_wait_ns.saturating_add(later_ns);
        let blocked = match self.look.doing {
            Doing::Blocked(blocked) => blocked,
            Doing::Stopped => return long.then_some(self.since_ns),
            Doing::Runs | Doing::Unknown => return None,
        };
        if let Some(polls) = self.polls {
            return self.polls_long(now_ns).then_some(polls.since_ns);
        }
        (long && !blocked.is_timed() && !blocked.is_outside()).then_some(self.since_ns)
    }

    /// Since when it has polled for long enough to be judged, `CLOCK_BOOTTIME`, ns, if it has.
    pub(super) fn polls_long_since_ns(&self, now_ns: u64) -> Option<u64> {
        let since_ns = self.polls?.since_ns.saturating_add(POLLS_NS);
        self.polls_long(now_ns).then_some(since_ns)
    }

    /// Whether it has polled for long enough to be judged.
    pub(super) fn polls_long(&self, now_ns: u64) -> bool {
        let long = |polls: Polling| now_ns.saturating_sub(polls.since_ns) >= POLLS_NS;
        self.polls.is_some_and(long) && self.poll_looks >= POLL_LOOKS
    }

    /// Since when it polls, where that is worth to be named and not yet to be judged, `CLOCK_BOOTTIME`, ns.
    pub(super) fn polls_short(&self, min_wait_ns: u64, now_ns: u64) -> Option<u64> {
        let long = now_ns.saturating_sub(self.polls_from_ns) >= min_wait_ns;
        (self.polls.is_some() && long && !self.polls_long(now_ns)).then_some(self.polls_from_ns)
    }

    /// The call that it is in.
    pub(super) fn call(&self) -> event::Doing {
        match self.look.doing {
            Doing::Blocked(blocked) => threads::decode(blocked.number, blocked.arguments),
            Doing::Runs => event::Doing::Running,
            Doing::Stopped | Doing::Unknown => event::Doing::Unknown,
        }
    }
}

/// A thread by what was seen of it before and now.
pub(super) fn thread(
    look: Look,
    polling: Option<Polling>,
    before: Option<Thread>,
    now_ns: u64,
) -> Thread {
    let Some(before) = before else {
        return Thread {
            look,
            since_ns: now_ns,
            polls: None,
            polls_from_ns: now_ns,
            poll_looks: 0,
            busy_since_ns: None,
            at_ns: now_ns,
        };
    };
    let still = look.is_still(&before.look);
    let polls_on = before
        .polls
        .filter(|_| still || look.may_poll(&before.look) || met_running(&look, &before));
    let polls = polls_on.or(polling);
    Thread {
        // Between two waits there is nothing to compare with.
        look: if polls_on.is_some() && look.doing == Doing::Runs { before.look } else { look },
        since_ns: if still { before.since_ns } else { now_ns },
        polls,
        polls_from_ns: if polls_on.is_some() { before.polls_from_ns } else { before.since_ns },
        poll_looks: if polls.is_some() { before.poll_looks + u32::from(!still) } else { 0 },
        busy_since_ns: busy_since_ns(&look, &before),
        at_ns: now_ns,
    }
}

/// Whether a thread was found to run again, and since when it is found so each time. On a busy host it
/// gets a part of a CPU alone.
fn busy_since_ns(look: &Look, before: &Thread) -> Option<u64> {
    let took_ns = look.cpu_ns?.saturating_sub(before.look.cpu_ns?);
    let runs = look.doing == Doing::Runs && before.look.doing == Doing::Runs;
    (runs && took_ns > 0).then(|| before.busy_since_ns.unwrap_or(before.at_ns))
}

/// Whether a thread that polls was met between two waits.
fn met_running(look: &Look, before: &Thread) -> bool {
    look.doing == Doing::Runs && before.polls.is_some()
}
