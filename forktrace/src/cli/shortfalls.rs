//! What makes a result incomplete, beside lost events: said in the summary, so that silence is
//! never taken for "clean".

use crate::{
    event::TraceEnd,
    model::Model,
    report::plural,
    verdict::{Judge, Reason},
};

/// A sentence for each shortfall of a trace that has ended.
pub(super) fn of(end: &TraceEnd, model: &Model, judge: &Judge) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut say = |count: u64, one: &str, many: &str, sentence: &str| {
        if count > 0 {
            sentences.push(format!("{} {sentence}", plural(count, one, many)));
        }
    };
    say(
        forked_before(model),
        "process was",
        "processes were",
        "forked before tracing began and not judged: what they inherited was not seen; only a \
         fork that happens while forktrace watches can be judged",
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

/// Living processes that were found at the attach and run their parent's program: they were forked
/// without an exec, and what they inherited was not seen.
fn forked_before(model: &Model) -> u64 {
    let unseen = model.all().iter().filter(|process| {
        let found = process.fork.is_none() && process.exec.is_none() && process.is_alive();
        let parent = process.parent.map(|parent| model.get(parent));
        found && process.exe.is_some() && parent.is_some_and(|parent| parent.exe == process.exe)
    });
    unseen.count() as u64
}
