//! What probes on lock functions (`--locks`) add: who had the lock when the memory was copied.

use super::Case;
use crate::event::{Hold, Probed};

/// The only thread that had the lock while the memory was copied, if there is exactly one.
pub(super) fn holder<'a>(case: &Case<'a>) -> Option<&'a Hold> {
    let probed = case.evidence.probed.as_ref()?;
    let mut holds = probed.holds.iter().filter(|hold| hold.address == case.reading.address);
    let first = holds.next()?;
    holds.all(|hold| hold.tid == first.tid).then_some(first)
}

/// Whether that thread is another than the one that forked: then it does not exist in the child,
/// and nobody there took over what it held.
pub(super) fn holder_is_lost(case: &Case<'_>) -> bool {
    holder(case).is_some_and(|hold| hold.tid != case.fork.by_tid)
}

/// Whether the child was probed before it first wrote to the lock's page, at `first_write_ns`, and
/// was not seen to take or release the lock since: then it never did.
pub(super) fn never_used(case: &Case<'_>, first_write_ns: Option<u64>) -> bool {
    let Some(Probed { child_since_ns: Some(since), child_used: false, .. }) = case.evidence.probed
    else {
        return false;
    };
    first_write_ns.is_some_and(|first| first > since)
}

/// Whether that thread gave the lock back itself, or has it still: it uses it as a lock, not as a
/// signal.
pub(super) fn is_given_back(case: &Case<'_>) -> bool {
    holder(case).is_some_and(|hold| match hold.until_ns {
        Some(_) => hold.until_tid == Some(hold.tid),
        None => true,
    })
}

/// Whether probes saw the child take or release it.
pub(super) fn used_here(case: &Case<'_>) -> bool {
    case.evidence.probed.as_ref().is_some_and(|probed| probed.child_used)
}

/// The proof line.
pub(super) fn detail(case: &Case<'_>) -> Option<String> {
    let hold = holder(case)?;
    let before = case.fork.boot_ns.saturating_sub(hold.since_ns);
    let place = hold.place.as_ref().map_or(String::new(), |place| format!(" (called at {place})"));
    let after = match hold.until_ns {
        Some(until) => format!(
            " and released it {} after",
            milliseconds(until.saturating_sub(case.fork.boot_ns))
        ),
        None => " and has not released it since".to_owned(),
    };
    Some(format!(
        "probes saw thread {} take it {} before the fork{place}{after}",
        hold.tid,
        milliseconds(before)
    ))
}

fn milliseconds(ns: u64) -> String {
    format!("{:.1} ms", ns as f64 / 1e6)
}
