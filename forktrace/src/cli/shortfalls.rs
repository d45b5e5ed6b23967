//! What makes a result incomplete, beside lost events: said in the summary, so that silence is
//! never taken for "clean".

use super::filter::Narrowed;
use crate::{
    event::TraceEnd,
    model::Model,
    report::plural,
    verdict::{Judge, Reason},
};

/// That nothing was what the filter asks for, if so.
pub(super) fn of_filter(narrowed: Option<&Narrowed>, wanted: &Model) -> Option<String> {
    let filter = narrowed.filter(|_| wanted.seen() == 0)?.filter();
    Some(format!("no process fitted the filter ({filter}), so that nothing was looked at"))
}

/// A sentence for each shortfall of a trace that has ended.
pub(super) fn of(end: &TraceEnd, judge: &Judge) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut say = |count: u64, one: &str, many: &str, sentence: &str| {
        if count > 0 {
            sentences.push(format!("{} {sentence}", plural(count, one, many)));
        }
    };
    say(
        judge.unjudged(Reason::NotForked),
        "long wait",
        "long waits",
        "had begun before tracing did and could not be judged: nothing shows any more that its \
         process was forked (its parent is gone, or runs another program)",
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
    let counter = |name: &str| end.counters.get(name).copied().unwrap_or(0);
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
