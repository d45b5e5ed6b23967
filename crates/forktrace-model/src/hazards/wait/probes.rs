//! What probes on lock functions (`--locks`) add: who had the lock when the memory was copied.

use super::{Assessment, WaitCase};
use crate::{
    event::{Hold, Probed, stacks::Frame},
    finding::Fact,
    frames::call_site,
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
    holder(case).is_some_and(|hold| hold.tid != case.fork.site().by_tid)
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
        let until = hold.until_ns.is_some_and(|until| until > case.fork.site().boot_ns);
        hold.since_ns < case.fork.site().boot_ns && until && hold.until_tid == Some(hold.tid)
    };
    holder(case).is_some_and(spans)
}

/// Whether probes saw the child take or release it.
pub(super) fn used_here(case: &WaitCase<'_>) -> bool {
    case.evidence.probed.as_ref().is_some_and(|probed| probed.child_used)
}

/// Who had the lock when the memory was copied, as probes saw it, or why they tell nothing.
pub(in crate::hazards) fn holder_seen(case: &WaitCase<'_>) -> Option<Assessment> {
    if case.fork.is_unobserved() {
        return None;
    }
    Some(Assessment::note(seen(case).or_else(|| too_late(case))?))
}

fn seen(case: &WaitCase<'_>) -> Option<Fact> {
    let hold = holder(case)?;
    let fork_ns = case.fork.site().boot_ns;
    let (call, place) = place(case, hold);
    Some(Fact::HolderSeen {
        tid: hold.tid,
        before_ns: fork_ns.saturating_sub(hold.since_ns),
        after_ns: hold.until_ns.map(|until| until.saturating_sub(fork_ns)),
        released_by: hold.until_tid.filter(|other| *other != hold.tid),
        call,
        place,
    })
}

/// Where the lock was taken: the call in the program, else the place in the file. Python's own
/// functions say nothing of a Python program.
fn place(case: &WaitCase<'_>, hold: &Hold) -> (Option<Box<Frame>>, Option<String>) {
    let native = case.evidence.native.as_ref();
    let calls = native.map(|native| native.takers.as_slice()).unwrap_or_default();
    match call_site(calls.iter().filter(|frame| frame.address == hold.caller)) {
        Some(site) => (site.cloned().map(Box::new), None),
        None => (None, hold.place.clone()),
    }
}

/// The probes came too late, or the lock is taken in another way than by the functions that are probed.
fn too_late(case: &WaitCase<'_>) -> Option<Fact> {
    let probed = case.evidence.probed.as_ref()?;
    let owner = matches!(case.reading.at_fork, State::Held { owner: Some(_) });
    if owner || probed.holds.iter().any(|hold| hold.address == case.reading.address) {
        return None;
    }
    let fork = case.fork.site();
    let before_ns = fork.boot_ns.checked_sub(probed.parent_since_ns?);
    Some(Fact::ProbesLate { pid: fork.by_pid, before_ns })
}

/// Whether the probes on the child came too late to show that nobody there took it.
pub(super) fn are_too_late_here(case: &WaitCase<'_>, first_write_ns: Option<u64>) -> bool {
    let probed = case.evidence.probed.as_ref().filter(|probed| !probed.child_used);
    let Some(probed) = probed else { return false };
    match (probed.child_since_ns, first_write_ns) {
        (Some(since), Some(first)) => first <= since,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}
