//! What the last line of a log says, by names that the code knows.
//!
//! The log keeps words, since a newer forktrace may count more: what this one does not know is kept as
//! it is, and takes no part in any decision.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TraceEnd;

/// The end of a file that is not the trace's last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rotated {
    /// The part that follows.
    pub next: u32,
}

/// What a whole trace says of hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceConclusion {
    /// A child hangs: a finding of severity hang that is likely or certain, whose wait had not ended when
    /// the trace or the process did.
    Hangs,
    /// Neither can be said.
    Unsure,
    /// No child hangs: every thread of every forked child was accounted for.
    Clear,
}

impl TraceConclusion {
    /// Its name in the event log.
    pub fn name(self) -> &'static str {
        match self {
            TraceConclusion::Hangs => "hangs",
            TraceConclusion::Unsure => "unsure",
            TraceConclusion::Clear => "clear",
        }
    }
}

/// What is counted for [`TraceEnd::counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Futex waits that began.
    FutexWaits,
    /// Futex wakes.
    FutexWakes,
    /// Waits that did not fit in the table of waits.
    WaitsUntracked,
    /// Forked children that did not fit in the table of children at risk.
    ChildrenUntracked,
    /// Pages that were kept as children inherited them.
    PagesKept,
    /// Children with more pages than are kept.
    PagesRefused,
    /// Processes that did not fit in the table of traced processes.
    ProcessesUntraced,
    /// Calls of probed lock functions (`--locks`).
    LockCalls,
    /// Those of them that did not fit in a table.
    LockCallsUntracked,
    /// Waits older than the trace that were not sampled: there were too many.
    WaitsLeftOut,
    /// Waits that were not sampled to the end when tracing stopped.
    WaitsNotSampled,
    /// Those that a signal or a stop had interrupted then.
    WaitsInterrupted,
    /// Waits that ended with their thread before they had been sampled to the end.
    WaitsGone,
    /// Forked processes that something denied access to.
    ProcessesDenied,
    /// Processes that ran a 32-bit program.
    ProcessesOf32Bits,
    /// Children that were made and not followed (`--no-follow`).
    ChildrenNotFollowed,
}

impl Counter {
    /// Its name in the event log.
    pub fn name(self) -> &'static str {
        match self {
            Counter::FutexWaits => "futex_waits",
            Counter::FutexWakes => "futex_wakes",
            Counter::WaitsUntracked => "waits_untracked",
            Counter::ChildrenUntracked => "children_untracked",
            Counter::PagesKept => "pages_kept",
            Counter::PagesRefused => "pages_refused",
            Counter::ProcessesUntraced => "processes_untraced",
            Counter::LockCalls => "lock_calls",
            Counter::LockCallsUntracked => "lock_calls_untracked",
            Counter::WaitsLeftOut => "waits_left_out",
            Counter::WaitsNotSampled => "waits_not_looked_at",
            Counter::WaitsInterrupted => "waits_interrupted",
            Counter::WaitsGone => "waits_gone_before_a_look",
            Counter::ProcessesDenied => "processes_denied",
            Counter::ProcessesOf32Bits => "processes_of_32_bits",
            Counter::ChildrenNotFollowed => "children_not_followed",
        }
    }
}

/// Why a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// A signal asked for it.
    Interrupted,
    /// The time was over.
    Duration,
    /// No traced process was left.
    TargetsEnded,
    /// A finding was made, and that was enough.
    Found,
    /// Whoever read the output has gone away.
    OutputClosed,
}

impl EndReason {
    /// All of them.
    const ALL: [EndReason; 5] = [
        EndReason::Interrupted,
        EndReason::Duration,
        EndReason::TargetsEnded,
        EndReason::Found,
        EndReason::OutputClosed,
    ];

    /// Its name in the event log.
    pub fn name(self) -> &'static str {
        match self {
            EndReason::Interrupted => "interrupted",
            EndReason::Duration => "duration",
            EndReason::TargetsEnded => "targets ended",
            EndReason::Found => "found",
            EndReason::OutputClosed => "output closed",
        }
    }
}

impl TraceEnd {
    /// One of the counts; zero where it was not counted.
    pub fn count(&self, counter: Counter) -> u64 {
        self.counters.get(counter.name()).copied().unwrap_or(0)
    }

    /// Why the trace ended; `None`: the log does not tell, or in words of a newer version.
    pub fn ended_by(&self) -> Option<EndReason> {
        EndReason::ALL.into_iter().find(|reason| reason.name() == self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_known_by_its_name() {
        let by =
            |reason: &str| TraceEnd { reason: reason.into(), ..TraceEnd::default() }.ended_by();
        assert_eq!(by("targets ended"), Some(EndReason::TargetsEnded));
        assert_eq!((by(""), by("moon phase")), (None, None));
        assert!(EndReason::ALL.iter().all(|reason| by(reason.name()) == Some(*reason)));
    }

    #[test]
    fn what_was_not_counted_is_zero() {
        let counters = [("pages_refused".to_owned(), 3), ("of_a_newer_version".to_owned(), 4)];
        let end = TraceEnd { counters: counters.into(), ..TraceEnd::default() };
        assert_eq!((end.count(Counter::PagesRefused), end.count(Counter::PagesKept)), (3, 0));
    }
}
