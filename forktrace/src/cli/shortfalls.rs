//! What makes a result incomplete, beside lost events: said in the summary, so that silence is
//! never taken for "clean".

/// [`TraceEnd::reason`] where no traced process was left.
pub(super) const TARGETS_ENDED: &str = "targets ended";

use crate::{
    event::TraceEnd,
    report::plural,
    verdict::{Judge, Reason},
};

/// A sentence for each shortfall of a trace that has ended.
pub(super) fn of(end: &TraceEnd, min_wait_ns: u64, judge: &Judge) -> Vec<String> {
    let mut sentences = Vec::new();
    let counter = |name: &str| end.counters.get(name).copied().unwrap_or(0);
    let too_short = too_short(end, min_wait_ns);
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
        counter("pages_refused"),
        "child had",
        "children had",
        "more pages than are kept: a lock inherited in the others cannot be proven \
         (--snapshot-limit)",
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

/// That no wait can have lasted long enough, where processes were alive at the end.
fn too_short(end: &TraceEnd, min_wait_ns: u64) -> Option<String> {
    let traced_ns = end.traced_ns.filter(|traced| *traced < min_wait_ns)?;
    (end.reason != TARGETS_ENDED).then(|| {
        format!(
            "everything was traced for {:.1} s only, and a wait is judged when it has lasted {:.1} s \
             (--min-wait): nothing can be said of hangs",
            traced_ns as f64 / 1e9,
            min_wait_ns as f64 / 1e9
        )
    })
}
