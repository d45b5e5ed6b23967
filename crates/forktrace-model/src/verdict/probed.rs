//! What probes on lock functions (`--locks`) add: who had the lock when the memory was copied.

use super::WaitCase;
use crate::frames::call_site;
use crate::{
    event::{Hold, Probed, stacks::Frame},
    locks::State,
};

/// The only thread that had the lock while the memory was copied, if there is exactly one.
pub(super) fn holder<'a>(case: &WaitCase<'a>) -> Option<&'a Hold> {
    let probed = case.evidence.probed.as_ref()?;
    let mut holds = probed.holds.iter().filter(|hold| hold.address == case.reading.address);
    let first = holds.next()?;
    holds.all(|hold| hold.tid == first.tid).then_some(first)
}

/// Whether that thread is another than the one that forked: then it does not exist in the child,
/// and nobody there took over what it held.
pub(super) fn holder_is_lost(case: &WaitCase<'_>) -> bool {
    holder(case).is_some_and(|hold| hold.tid != case.fork.by_tid)
}

/// Whether the child was probed before it first wrote to the lock's page, at `first_write_ns`, and
/// was not seen to take or release the lock since: then it never did.
pub(super) fn never_used(case: &WaitCase<'_>, first_write_ns: Option<u64>) -> bool {
    let Some(Probed { child_since_ns: Some(since), child_used: false, .. }) = case.evidence.probed
    else {
        return false;
    };
    first_write_ns.is_some_and(|first| first > since)
}

/// Whether that thread gave the lock back itself, or has it still: it uses it as a lock, not as a
/// signal.
pub(super) fn is_given_back(case: &WaitCase<'_>) -> bool {
    holder(case).is_some_and(|hold| match hold.until_ns {
        Some(_) => hold.until_tid == Some(hold.tid),
        None => true,
    })
}

/// Whether probes saw one thread take it before the fork and give it back after: it was the same lock
/// all the time.
pub(super) fn covers_fork(case: &WaitCase<'_>) -> bool {
    let spans = |hold: &Hold| {
        let until = hold.until_ns.is_some_and(|until| until > case.fork.boot_ns);
        hold.since_ns < case.fork.boot_ns && until && hold.until_tid == Some(hold.tid)
    };
    holder(case).is_some_and(spans)
}

/// Whether probes saw the child take or release it.
pub(super) fn used_here(case: &WaitCase<'_>) -> bool {
    case.evidence.probed.as_ref().is_some_and(|probed| probed.child_used)
}

/// The proof line.
pub(super) fn detail(case: &WaitCase<'_>) -> Option<String> {
    let hold = holder(case)?;
    let before = milliseconds(case.fork.boot_ns.saturating_sub(hold.since_ns));
    let place = place(case, hold).map_or(String::new(), |place| format!(" in {place}"));
    let tid = hold.tid;
    let taken = format!("thread {tid} take it {before} before the fork{place}");
    Some(match hold.until_ns {
        Some(until) => {
            let after = milliseconds(until.saturating_sub(case.fork.boot_ns));
            let by = match hold.until_tid {
                Some(other) if other != tid => format!("thread {other} release it"),
                _ => "release it".to_owned(),
            };
            format!("probes saw {taken} and {by} {after} after the fork")
        }
        None => format!("probes saw {taken}, and nobody release it by now"),
    })
}

/// Where the lock was taken: the function and its line, else the place in the file. Python's own
/// functions say nothing of a Python program.
fn place(case: &WaitCase<'_>, hold: &Hold) -> Option<String> {
    let native = case.evidence.native.as_ref();
    let calls = native.map(|native| native.takers.as_slice()).unwrap_or_default();
    match call_site(calls.iter().filter(|frame| frame.address == hold.caller)) {
        Some(site) => site.map(Frame::short),
        None => hold.place.clone(),
    }
}

/// Why the probes tell nothing of a lock that does not say itself who has it: they came too late, or
/// it is taken in another way than by the functions that are probed.
pub(super) fn too_late(case: &WaitCase<'_>) -> Option<String> {
    let probed = case.evidence.probed.as_ref()?;
    let owner = matches!(case.reading.at_fork, State::Held { owner: Some(_) });
    if owner || probed.holds.iter().any(|hold| hold.address == case.reading.address) {
        return None;
    }
    let by = case.fork.by_pid;
    match probed.parent_since_ns.map(|since| case.fork.boot_ns.checked_sub(since)) {
        Some(Some(before)) => Some(format!(
            "probes on process {by} began {} before the fork and saw nobody take it: it was taken              earlier, or without a call of the functions that are probed",
            milliseconds(before)
        )),
        Some(None) => Some(format!("probes on process {by} began after the fork")),
        None => None,
    }
}

/// That the probes on the child came too late to tell that nobody there took it.
pub(super) fn too_late_here(
    case: &WaitCase<'_>,
    first_write_ns: Option<u64>,
) -> Option<&'static str> {
    let probed = case.evidence.probed.as_ref().filter(|probed| !probed.child_used)?;
    let late = match (probed.child_since_ns, first_write_ns) {
        (Some(since), Some(first)) => first <= since,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    late.then_some(
        "this process wrote to the lock's page before its own probes began: that nobody here took          or released it meanwhile is not proven",
    )
}

fn milliseconds(ns: u64) -> String {
    format!("{:.1} ms", ns as f64 / 1e6)
}
