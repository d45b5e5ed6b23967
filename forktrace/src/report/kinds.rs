//! The rows of the HANG block that depend on the kind of finding.

use super::{Style, stacks};
use forktrace_model::finding::{Finding, Kind};

/// Label and text of the first two rows: what the task waits for, and who could end the wait. `None`
/// for an inherited lock.
pub(super) fn rows(finding: &Finding, style: Style) -> Option<[(&'static str, String); 2]> {
    let about = about(finding, style);
    let address = finding.lock.address;
    match finding.kind {
        Kind::InheritedLock => None,
        Kind::LostWaker => Some([
            (
                "waits for",
                format!("a wakeup at {address:#x}{about}; it is not a lock, and nobody holds it"),
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
            "nobody: its process has no other thread; a thread that fork did not copy may have been \
             meant to wake it"
        }
        false => "nobody: its process has no other thread",
    }
}

/// The lock's kind and place in parentheses, as far as they are known.
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

/// Whether the lock is a semaphore that the program may use for another purpose than locking. Its value
/// is 0 both if it was taken and if it was not posted yet. (A lock of Python is always a lock.)
pub(super) fn is_semaphore(finding: &Finding) -> bool {
    finding.lock.kind.starts_with("glibc semaphore")
}

/// What all findings have in common: the end of the first sentence of the result.
pub(super) fn together<'a>(findings: impl Iterator<Item = &'a Finding>) -> &'static str {
    let mut kinds: Vec<Kind> = findings.map(|finding| finding.kind).collect();
    kinds.dedup();
    match kinds.as_slice() {
        [Kind::InheritedLock] => " on an inherited lock",
        [Kind::LostWaker] => " with no thread left to wake it",
        [Kind::SelfDeadlock] => " in a self-deadlock",
        _ => "",
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use forktrace_model::finding::{Confidence, ForkSite, Lock};

    /// A finding in a child whose parent had `threads_lost` other threads.
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
    fn each_kind_has_its_own_rows() {
        let style = Style::default();
        let rows = |kind, lost| rows(&finding(kind, lost), style);
        assert!(rows(Kind::InheritedLock, 1).is_none());
        let [(_, waits), (label, woken)] = rows(Kind::LostWaker, 1).unwrap();
        assert!(
            waits.starts_with("a wakeup at 0x1000 (glibc condition variable, heap)"),
            "{waits}"
        );
        assert_eq!(label, "woken by");
        assert!(woken.contains("a thread that fork did not copy"), "{woken}");
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
        assert_eq!(together([&lost].into_iter()), " with no thread left to wake it");
        assert_eq!(together([&own].into_iter()), " in a self-deadlock");
        assert_eq!(together([&inherited, &own, &inherited].into_iter()), "");
    }
}
