//! What makes a result incomplete, beside lost events, so that silence is never taken for "clean".
//! Data only: the words are in [`crate::report::caveats`].

use super::filter::Filter;
use forktrace_common::clone_flags;
use forktrace_model::event::{Body, Counter, EndReason, TraceEnd, TraceStart, Unjudged};
use rustc_hash::FxHashMap;

/// One reason why a result is incomplete.
#[derive(Clone, Debug, PartialEq)]
pub enum Caveat {
    /// Everything was traced for less time than a wait must last to be judged.
    TooShort {
        /// How long everything was traced, ns.
        traced_ns: u64,
        /// How long a wait must last, ns.
        min_wait_ns: u64,
    },
    /// Futex waits alone were looked at, and a process was there that could wait in other calls for what
    /// it inherited.
    FutexAlone,
    /// Something was missed so many times.
    Missed(Missed, u64),
    /// Nothing ever was what the filter asks for.
    NothingFitted {
        /// The filter.
        filter: Filter,
    },
    /// Something is wrong with the log.
    Log {
        /// The file, where there are several.
        file: Option<String>,
        /// What is wrong.
        what: LogCaveat,
    },
}

/// What was missed, from what hides most to what hides least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missed {
    /// Long waits that cannot be judged since the fork was not seen.
    ForkUnseen,
    /// Waits older than the trace that were not sampled: there were too many.
    WaitsLeftOut,
    /// Waits that were not sampled to the end when tracing stopped.
    WaitsNotSampled,
    /// Waits that a signal or a stop had interrupted when tracing stopped.
    WaitsInterrupted,
    /// Waits that ended with their thread before they had been sampled to the end.
    WaitsGone,
    /// Long waits for something of an unknown kind.
    UnknownLock,
    /// Long waits in memory that could not be read or is shared.
    Unreadable,
    /// Long waits for locks that may have been held at the fork.
    Undecided,
    /// Long waits that nobody was seen who could end.
    NobodySeen,
    /// Long waits of which it could not be read who could end them.
    WakersUnknown,
    /// Threads that are stopped.
    Stopped,
    /// Threads that use a CPU all the time, in one loop.
    Busy,
    /// Long waits in processes that something denied access to.
    WaitsDenied,
    /// Forked processes that something denied access to.
    ProcessesDenied,
    /// Children with more pages than are kept, where a page could tell more of a wait.
    PagesRefused,
    /// Processes that ran a 32-bit program.
    ProcessesOf32Bits,
    /// Children that were made and not followed.
    ChildrenNotFollowed,
    /// Waits that did not fit in the table of waits.
    WaitsUntracked,
    /// Children that did not fit in the table of children at risk.
    ChildrenUntracked,
    /// Processes that did not fit in the table of traced processes.
    ProcessesUntraced,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogCaveat {
    /// It has no last line.
    Cut,
    /// So many lines could not be read.
    BadLines(u64),
    /// Lines are missing before line `line`, which has number `found` and follows number `after`.
    Gap {
        /// Where.
        line: u64,
        /// The number found there.
        found: u64,
        /// The number before it.
        after: u64,
    },
    /// Parts of the trace were not given.
    PartsMissing {
        /// The first of them.
        first: u32,
        /// The last.
        last: u32,
    },
    /// The trace goes on in a part that was not given.
    NextPartMissing(u32),
    /// A part could not be read, and why.
    PartLeftOut {
        /// Its path.
        path: String,
        /// Why.
        why: String,
    },
    /// No more than the lines before this one were read: they need more memory than this.
    MemorySpent {
        /// Bytes.
        most: u64,
        /// The line.
        line: u64,
    },
    /// It was recorded on a machine whose waits are not judged.
    UnknownMachine {
        /// Its processor, in the words of the log.
        arch: String,
        /// Size of a page, bytes.
        page_size: u64,
    },
    /// The file is damaged: how, in words of the reader.
    Damaged(String),
}

impl LogCaveat {
    /// As a caveat, of a file if that is to be named.
    pub fn of(self, file: Option<String>) -> Caveat {
        Caveat::Log { file, what: self }
    }
}

/// What a trace could find, by what it was asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceLimits {
    /// How long a wait must have lasted to be judged, ns.
    min_wait_ns: u64,
    /// Running processes were asked for: what they wait for may have begun long before.
    attached: bool,
    /// Futex waits alone were looked at.
    futex_alone: bool,
    /// There was a process that is or may be a forked child.
    forked: bool,
}

impl TraceLimits {
    /// As the first line says it.
    pub fn of(start: &TraceStart) -> Self {
        TraceLimits {
            min_wait_ns: start.min_wait_ns,
            attached: !start.asked.is_empty(),
            futex_alone: !start.calls,
            forked: false,
        }
    }

    /// Takes a later line.
    pub fn take(&mut self, body: &Body) {
        match body {
            Body::ProcessFork(fork) if clone_flags::copies_memory(fork.clone_flags) => {
                self.forked = true;
            }
            // Of what is older than the trace it is not known how it was made.
            Body::ProcessSnapshot(seen) if !seen.command => self.forked = true,
            _ => {}
        }
    }

    /// That no wait can have been seen for long enough, where processes were alive at the end, or may
    /// have waited before tracing began.
    fn too_short(self, end: &TraceEnd) -> Option<Caveat> {
        let TraceLimits { min_wait_ns, attached, .. } = self;
        let traced_ns = end.traced_ns.filter(|traced| *traced < min_wait_ns)?;
        (attached || end.ended_by() != Some(EndReason::TargetsEnded))
            .then_some(Caveat::TooShort { traced_ns, min_wait_ns })
    }
}

/// The caveats of a trace that has ended. `counts`: the waits that are not accounted for; `pages`: a
/// page that was not kept would tell more of one of them, or of a finding.
pub fn of(
    end: &TraceEnd,
    limits: TraceLimits,
    counts: &FxHashMap<Unjudged, u64>,
    pages: bool,
) -> Vec<Caveat> {
    let too_short = limits.too_short(end);
    let not_sampled = if too_short.is_some() { 0 } else { end.count(Counter::WaitsNotSampled) };
    let refused = if pages { end.count(Counter::PagesRefused) } else { 0 };
    let waits = |why: Unjudged| counts.get(&why).copied().unwrap_or(0);
    let missed = [
        (Missed::ForkUnseen, waits(Unjudged::ForkUnseen)),
        (Missed::WaitsLeftOut, end.count(Counter::WaitsLeftOut)),
        (Missed::WaitsNotSampled, not_sampled + waits(Unjudged::Polls)),
        (Missed::WaitsInterrupted, end.count(Counter::WaitsInterrupted)),
        (Missed::WaitsGone, end.count(Counter::WaitsGone)),
        (Missed::UnknownLock, waits(Unjudged::UnknownLock)),
        (Missed::Unreadable, waits(Unjudged::Unreadable)),
        (Missed::Undecided, waits(Unjudged::Undecided)),
        (Missed::NobodySeen, waits(Unjudged::NobodySeen)),
        (Missed::WakersUnknown, waits(Unjudged::WakersUnknown)),
        (Missed::Stopped, waits(Unjudged::Stopped)),
        (Missed::Busy, waits(Unjudged::Busy)),
        (Missed::WaitsDenied, waits(Unjudged::Denied)),
        (Missed::ProcessesDenied, end.count(Counter::ProcessesDenied)),
        (Missed::PagesRefused, refused),
        (Missed::ProcessesOf32Bits, end.count(Counter::ProcessesOf32Bits)),
        (Missed::ChildrenNotFollowed, end.count(Counter::ChildrenNotFollowed)),
        (Missed::WaitsUntracked, end.count(Counter::WaitsUntracked)),
        (Missed::ChildrenUntracked, end.count(Counter::ChildrenUntracked)),
        (Missed::ProcessesUntraced, end.count(Counter::ProcessesUntraced)),
    ];
    let missed = missed.into_iter().filter(|(_, count)| *count > 0);
    let futex_alone = (limits.futex_alone && limits.forked).then_some(Caveat::FutexAlone);
    too_short
        .into_iter()
        .chain(futex_alone)
        .chain(missed.map(|(what, count)| Caveat::Missed(what, count)))
        .collect()
}

/// How many waits, and processes that nothing could be read of, the tracer alone has counted.
pub(super) fn not_read(end: &TraceEnd) -> u64 {
    use Counter::{ProcessesDenied, WaitsGone, WaitsInterrupted, WaitsNotSampled};
    [WaitsNotSampled, WaitsInterrupted, WaitsGone, ProcessesDenied]
        .map(|one| end.count(one))
        .iter()
        .sum()
}

#[cfg(test)]
mod tests {
    use forktrace_model::event::{ProcessFork, ProcessSnapshot};

    use super::*;

    const SHORT: Option<u64> = Some(300_000_000);
    const LONG: Option<u64> = Some(5_000_000_000);

    fn caveats(reason: &str, traced_ns: Option<u64>, counters: &[(Counter, u64)]) -> Vec<Caveat> {
        of_limits(false, reason, traced_ns, counters)
    }

    fn of_limits(
        attached: bool,
        reason: &str,
        traced_ns: Option<u64>,
        counters: &[(Counter, u64)],
    ) -> Vec<Caveat> {
        let counters = counters.iter().map(|(counter, n)| (counter.name().to_owned(), *n));
        let counters = counters.collect();
        let end = TraceEnd { reason: reason.into(), traced_ns, counters, ..TraceEnd::default() };
        let start = TraceStart {
            min_wait_ns: 1_000_000_000,
            asked: if attached { Box::new([1]) } else { Box::default() },
            calls: true,
            ..TraceStart::default()
        };
        of(&end, TraceLimits::of(&start), &FxHashMap::default(), true)
    }

    #[test]
    fn a_trace_that_was_too_short_for_any_wait_says_so_unless_nobody_is_left() {
        let targets_ended = EndReason::TargetsEnded.name();
        let too_short = |traced_ns| Caveat::TooShort { traced_ns, min_wait_ns: 1_000_000_000 };
        let not_sampled = [(Counter::WaitsNotSampled, 2)];
        assert_eq!(caveats("duration", SHORT, &not_sampled), [too_short(300_000_000)]);
        assert_eq!(caveats("interrupted", Some(0), &[]), [too_short(0)]);
        assert!(caveats(targets_ended, SHORT, &[]).is_empty());
        assert_eq!(of_limits(true, targets_ended, SHORT, &[]).len(), 1, "it may have hung before");
        assert!(caveats("duration", Some(1_000_000_000), &[]).is_empty());
        assert!(caveats("duration", None, &[]).is_empty(), "a log of an older version");
    }

    #[test]
    fn a_log_that_tells_of_futex_waits_alone_is_no_all_clear_of_a_forked_child() {
        let end = TraceEnd::default();
        let says = |calls: bool, bodies: &[Body]| {
            let mut limits = TraceLimits::of(&TraceStart { calls, ..TraceStart::default() });
            bodies.iter().for_each(|body| limits.take(body));
            of(&end, limits, &FxHashMap::default(), true) == [Caveat::FutexAlone]
        };
        let fork = |clone_flags| Body::ProcessFork(ProcessFork { child_pid: 2, clone_flags });
        let seen = |command| {
            Body::ProcessSnapshot(ProcessSnapshot { command, ..ProcessSnapshot::default() })
        };
        assert!(says(false, &[seen(true), fork(0)]));
        assert!(says(false, &[seen(false)]), "it may have been forked");
        assert!(!says(
            false,
            &[seen(true), fork(clone_flags::CLONE_VM | clone_flags::CLONE_VFORK)]
        ));
        assert!(!says(true, &[seen(false), fork(0)]));
    }

    #[test]
    fn what_was_counted_is_a_caveat_and_what_is_zero_is_none() {
        for (counter, missed) in [
            (Counter::WaitsNotSampled, Missed::WaitsNotSampled),
            (Counter::WaitsLeftOut, Missed::WaitsLeftOut),
            (Counter::ProcessesDenied, Missed::ProcessesDenied),
            (Counter::ChildrenNotFollowed, Missed::ChildrenNotFollowed),
        ] {
            assert_eq!(caveats("duration", LONG, &[(counter, 3)]), [Caveat::Missed(missed, 3)]);
            assert!(caveats("duration", LONG, &[(counter, 0)]).is_empty());
        }
        assert!(caveats("duration", LONG, &[(Counter::PagesKept, 3)]).is_empty());
    }
}
