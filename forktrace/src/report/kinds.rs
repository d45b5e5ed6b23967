//! What the HANG block says of the thing that is waited for, by kind of finding.

use super::Style;
use crate::finding::{Finding, Kind};

/// The rows about what is waited for and who could end that, for the kinds that are no inherited
/// lock: label and text of each.
pub(super) fn rows(finding: &Finding, style: Style) -> Option<[(&'static str, String); 2]> {
    let about = about(finding, style);
    let address = finding.lock.address;
    match finding.kind {
        Kind::InheritedLock => None,
        Kind::LostWaker => Some([
            (
                "waits for",
                format!("a wakeup at {address:#x}{about}; that is no lock, nobody holds it"),
            ),
            ("woken by", woken_by(finding).into()),
        ]),
        Kind::SelfDeadlock => Some([
            ("waits for", format!("lock {address:#x}{about} taken after the fork")),
            ("held by", "the waiting thread itself".into()),
        ]),
    }
}

fn woken_by(finding: &Finding) -> &'static str {
    match finding.fork.as_ref().is_some_and(|fork| fork.threads_lost > 0) {
        true => {
            "nobody here: it is the only thread of its process; a thread that the fork did not \
             copy may have been to wake it"
        }
        false => "nobody here: it is the only thread of its process",
    }
}

/// The lock's kind and place in brackets, as far as they are known.
pub(super) fn about(finding: &Finding, style: Style) -> String {
    let known = [&finding.lock.kind, &finding.lock.mapping];
    let known: Vec<_> =
        known.iter().filter(|text| !text.is_empty()).map(|text| style.clean(text)).collect();
    match known.is_empty() {
        true => String::new(),
        false => format!(" ({})", known.join(", ")),
    }
}

/// Whether the lock is a semaphore that may not be used as a lock at all. One at zero was taken, or
/// is yet to be posted: its memory is the same. (A lock of Python is known to be a lock.)
pub(super) fn is_semaphore(finding: &Finding) -> bool {
    finding.lock.kind.starts_with("glibc semaphore")
}

/// What the findings have in common, for the sentence at the end.
pub(super) fn together<'a>(findings: impl Iterator<Item = &'a Finding>) -> &'static str {
    let mut kinds: Vec<Kind> = findings.map(|finding| finding.kind).collect();
    kinds.dedup();
    match kinds.as_slice() {
        [Kind::InheritedLock] => " on an inherited lock",
        [Kind::LostWaker] => " waiting for a lost thread",
        [Kind::SelfDeadlock] => " in a self-deadlock",
        _ => "",
    }
}
