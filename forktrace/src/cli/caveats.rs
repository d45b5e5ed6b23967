//! What makes a result incomplete, beside lost events: said in the summary, so that silence is
//! never taken for "clean".

use super::filter::Narrowed;
use crate::report::plural;
use forktrace_model::{
    event::{TraceEnd, TraceStart},
    hazards::Reason,
    judge::Judge,
    model::Model,
};

/// Why something could not be read, and what to look at. With the capabilities that a trace cannot begin
/// without, nothing else denies it.
const DENIED: &str = "something denied forktrace access to the process, though it has the capability: a \
    security module (SELinux, AppArmor, Landlock) does. Look for it in the audit log (ausearch -m avc; \
    dmesg), and at the domain or profile that forktrace runs in (cat /proc/self/attr/current)";

/// [`TraceEnd::reason`] where no traced process was left.
pub(super) const TARGETS_ENDED: &str = "targets ended";

/// Exit status where nothing ever was what the filter asks for: whoever takes silence for "clean"
/// must not.
pub(super) const NOTHING_FITTED: u8 = 4;

/// What a trace could find, by what it was asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TraceLimits {
    /// How long a wait must have lasted to be judged, ns.
    min_wait_ns: u64,
    /// Running processes were asked for: what they wait for may have begun long before.
    attached: bool,
}

impl TraceLimits {
    pub(super) fn of(start: &TraceStart) -> Self {
        TraceLimits { min_wait_ns: start.min_wait_ns, attached: !start.asked.is_empty() }
    }
}

/// That nothing was what the filter asks for, if so.
pub(super) fn of_filter(narrowed: Option<&Narrowed>, wanted: &Model) -> Option<String> {
    let filter = narrowed.filter(|_| wanted.seen() == 0)?.filter();
    Some(format!("no process fitted the filter ({filter}), so that nothing was looked at"))
}

/// A sentence for each shortfall of a trace that has ended.
pub(super) fn of(end: &TraceEnd, terms: TraceLimits, judge: &Judge) -> Vec<String> {
    let mut sentences = Vec::new();
    let counter = |name: &str| end.counters.get(name).copied().unwrap_or(0);
    let too_short = too_short(end, terms);
    sentences.extend(too_short.clone());
    let mut say = |count: u64, one: &str, many: &str, sentence: &str| {
        if count > 0 {
            sentences.push(format!("{} {sentence}", plural(count, one, many)));
        }
    };
    say(
        judge.unjudged(Reason::TooLate),
        "long wait",
        "long waits",
        "could not be judged: the process was forked before tracing began, and whether such a wait \
         is for ever, or only that of a thread at rest, cannot be told after the fact",
    );
    say(
        counter("waits_left_out"),
        "more wait",
        "more waits",
        "had begun before tracing did and could not be looked at: there are too many",
    );
    say(
        if too_short.is_some() { 0 } else { counter("waits_not_looked_at") },
        "wait was",
        "waits were",
        "not looked at to the end when tracing stopped, and may be for ever: trace longer (-d)",
    );
    say(
        counter("waits_interrupted"),
        "wait",
        "waits",
        "of forked children had been interrupted when tracing stopped, by a signal or because the \
         process is stopped or frozen (SIGSTOP, a debugger, a paused container), and may be for ever: \
         let it go on, and trace again",
    );
    say(
        counter("waits_gone_before_a_look"),
        "wait",
        "waits",
        "of forked children ended with the thread before it had been looked at to the end, and may \
         have been for ever: somebody ended the process, too many waited at once, or this host is \
         overloaded",
    );
    say(
        judge.unjudged(Reason::UnknownLock),
        "long wait",
        "long waits",
        "of forked children could not be judged: what they wait for is of a kind that this \
         version does not know",
    );
    say(
        judge.unjudged(Reason::Unreadable) + judge.unjudged(Reason::SharedMemory),
        "long wait",
        "long waits",
        "of forked children could not be judged: their memory could not be read or is shared",
    );
    say(
        judge.unjudged(Reason::Denied),
        "long wait",
        "long waits",
        &format!("of forked children could not be judged: {DENIED}"),
    );
    say(
        counter("processes_denied"),
        "forked process",
        "forked processes",
        &format!("could not be looked at, and may hang: {DENIED}"),
    );
    say(
        counter("pages_refused"),
        "child had",
        "children had",
        "more pages than are kept: a lock inherited in the others cannot be proven \
         (--snapshot-limit)",
    );
    say(
        counter("processes_of_32_bits"),
        "process",
        "processes",
        "ran a 32-bit program, whose waits are not seen: a hang there is not found",
    );
    say(
        counter("children_not_followed"),
        "child was",
        "children were",
        "made and not looked at (--no-follow)",
    );
    say(counter("waits_untracked"), "wait", "waits", "did not fit in the table of waits");
    say(
        counter("children_untracked"),
        "child",
        "children",
        "did not fit in the table of children at risk and cannot be judged",
    );
    say(
        counter("processes_untraced"),
        "process",
        "processes",
        "did not fit in the table of traced processes and were not followed",
    );
    sentences
}

/// That no wait can have been seen for long enough, where processes were alive at the end, or may have
/// waited before tracing began.
fn too_short(end: &TraceEnd, terms: TraceLimits) -> Option<String> {
    let TraceLimits { min_wait_ns, attached } = terms;
    let traced_ns = end.traced_ns.filter(|traced| *traced < min_wait_ns)?;
    (attached || end.reason != TARGETS_ENDED).then(|| {
        format!(
            "everything was traced for {:.1} s only, and a wait is judged when it has lasted {:.1} s \
             (--min-wait): nothing can be said of hangs",
            traced_ns as f64 / 1e9,
            min_wait_ns as f64 / 1e9
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(reason: &str, traced_ns: Option<u64>, counters: &[(&str, u64)]) -> Vec<String> {
        of_terms(false, reason, traced_ns, counters)
    }

    fn of_terms(
        attached: bool,
        reason: &str,
        traced_ns: Option<u64>,
        counters: &[(&str, u64)],
    ) -> Vec<String> {
        let counters = counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let end = TraceEnd { reason: reason.into(), traced_ns, counters, lost: 0, unwritten: 0 };
        of(&end, TraceLimits { min_wait_ns: 1_000_000_000, attached }, &Judge::default())
    }

    #[test]
    fn a_trace_that_was_too_short_for_any_wait_says_so_unless_nobody_is_left() {
        let short = Some(300_000_000);
        let not_looked_at = [("waits_not_looked_at", 2)];
        let said = sentences("duration", short, &not_looked_at);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said.iter().all(|text| text.contains("for 0.3 s only")), "{said:?}");
        assert_eq!(sentences("interrupted", Some(0), &[]).len(), 1);
        assert!(sentences(TARGETS_ENDED, short, &[]).is_empty());
        assert_eq!(of_terms(true, TARGETS_ENDED, short, &[]).len(), 1, "it may have hung before");
        assert!(sentences("duration", Some(1_000_000_000), &[]).is_empty());
        assert!(sentences("duration", None, &[]).is_empty(), "a log of an older version");
    }

    #[test]
    fn what_is_denied_is_no_all_clear() {
        let said = sentences("duration", Some(5_000_000_000), &[("processes_denied", 2)]);
        assert_eq!(said.len(), 1, "{said:?}");
        let words = ["2 forked processes could not be looked at", "security module", "audit log"];
        assert!(words.iter().all(|word| said.iter().any(|text| text.contains(word))), "{said:?}");
    }

    #[test]
    fn children_that_were_not_followed_are_no_all_clear() {
        let said = sentences("duration", Some(5_000_000_000), &[("children_not_followed", 1)]);
        assert_eq!(said, ["1 child was made and not looked at (--no-follow)"]);
    }

    #[test]
    fn waits_that_were_not_looked_at_are_told() {
        let long = Some(5_000_000_000);
        let counters = [("waits_not_looked_at", 1), ("waits_left_out", 4996)];
        let said = sentences("duration", long, &counters);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said.iter().any(|text| text.starts_with("1 wait was not looked at")), "{said:?}");
        assert!(said.iter().any(|text| text.starts_with("4,996 more waits had")), "{said:?}");
        let none = [("waits_not_looked_at", 0), ("waits_left_out", 0)];
        assert!(sentences("duration", long, &none).is_empty());
    }
}
