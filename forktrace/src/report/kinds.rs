//! What the HANG block says of the thing that is waited for, by kind of finding.

use super::{Style, stacks};
use forktrace_model::finding::{Finding, Kind};

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
    let lock = &finding.lock;
    let place = match &lock.place {
        Some(place) => stacks::place(place, style),
        None => style.clean(&lock.mapping).into_owned(),
    };
    let known = [style.clean(&lock.kind).into_owned(), place];
    let known: Vec<_> = known.into_iter().filter(|text| !text.is_empty()).collect();
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

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use forktrace_model::finding::{Confidence, ForkSite, Lock};

    /// A finding about a thread that was not copied, or none.
    pub(in crate::report) fn finding(kind: Kind, threads_lost: u32) -> Finding {
        Finding {
            kind,
            confidence: Confidence::Likely,
            pid: 7,
            tid: 7,
            comm: "worker".into(),
            ppid: 1,
            ns_pid: None,
            waited_ns: 0,
            lock: Lock {
                address: 0x1000,
                futex: 0x1028,
                kind: "glibc condition variable".into(),
                op: String::new(),
                value: 0,
                value_at_fork: Some(0),
                mapping: "heap".into(),
                place: None,
            },
            holder: None,
            fork: Some(ForkSite {
                boot_ns: 0,
                by_pid: 1,
                by_tid: 1,
                by_comm: "master".into(),
                threads_lost,
                lost: Vec::new(),
                stack: Vec::new(),
                stack_cut: None,
            }),
            unseen_fork: None,
            since_before: false,
            at_most_ns: None,
            not_before_ns: None,
            evidence: Vec::new(),
            same_lock_in: Vec::new(),
            python: Vec::new(),
            python_missing: None,
            stack: Vec::new(),
            stack_cut: None,
            candidates: Vec::new(),
            with_at_fork: None,
            advice: String::new(),
        }
    }

    #[test]
    fn what_is_waited_for_and_who_could_end_that() {
        let style = Style::default();
        let rows = |kind, lost| rows(&finding(kind, lost), style);
        assert!(rows(Kind::InheritedLock, 1).is_none());
        let [(_, waits), (label, woken)] = rows(Kind::LostWaker, 1).unwrap();
        assert!(
            waits.starts_with("a wakeup at 0x1000 (glibc condition variable, heap)"),
            "{waits}"
        );
        assert_eq!(label, "woken by");
        assert!(woken.contains("a thread that the fork did not copy"), "{woken}");
        let [_, (_, woken)] = rows(Kind::LostWaker, 0).unwrap();
        assert!(!woken.contains("did not copy"), "{woken}");
        let [_, held] = rows(Kind::SelfDeadlock, 1).unwrap();
        assert_eq!(held, ("held by", "the waiting thread itself".to_owned()));
    }

    #[test]
    fn findings_are_summed_up_by_what_they_share() {
        let [inherited, lost, own] =
            [Kind::InheritedLock, Kind::LostWaker, Kind::SelfDeadlock].map(|kind| finding(kind, 1));
        assert_eq!(together([&inherited, &inherited].into_iter()), " on an inherited lock");
        assert_eq!(together([&lost].into_iter()), " waiting for a lost thread");
        assert_eq!(together([&own].into_iter()), " in a self-deadlock");
        assert_eq!(together([&inherited, &own, &inherited].into_iter()), "");
    }
}
