//! The words of each hazard: one entry of [`words`] each.

use forktrace_model::{
    finding::{Finding, HazardId, Held, Lock, Rule, Severity, WaitDetail},
    locks,
};

use super::{Style, logged, stacks};

/// The names of a hazard.
pub(crate) struct Words {
    /// What is wrong, as a short phrase.
    pub(crate) headline: &'static str,
    /// The end of the sentence `2 children hang …`.
    together: &'static str,
}

/// The words of a hazard.
pub(crate) fn words(hazard: HazardId) -> Words {
    let (headline, together) = match hazard {
        HazardId::InheritedLock => ("inherited lock", " on an inherited lock"),
        HazardId::LostWaker => ("no thread can wake it", " with no thread left to wake it"),
        HazardId::SelfDeadlock => ("it holds the lock itself", " in a self-deadlock"),
        HazardId::Deadlock => ("a circle of waits", " in a circle of waits"),
        HazardId::OrphanedLock => ("the holder is gone", " on a lock whose holder is gone"),
        HazardId::HeldOpen => {
            ("it waits for an end of file", " for an end of file that cannot come")
        }
        HazardId::ThreadsLost => ("work for threads that it does not have", ""),
        HazardId::ForkWithThreads => ("forked beside other threads", ""),
        HazardId::DuplicatedPrng => ("equal random numbers", ""),
        HazardId::UnflushedBuffer => ("output written twice", ""),
        HazardId::SharedDescriptor => {
            ("it shares an open connection or file", " on a shared connection or file")
        }
        HazardId::FileLockLost => ("a lock on a file is lost", " without a lock on a file"),
        HazardId::BlockedSignals => ("signals have been blocked since the fork", ""),
    };
    Words { headline, together }
}

/// The first word of a block.
pub(crate) fn label(severity: Severity) -> &'static str {
    match severity {
        Severity::Hang => "HANG",
        Severity::Corruption => "DATA",
        Severity::Risk => "RISK",
    }
}

/// Label and text of the first two rows: what the task waits for, and who could end the wait. `None`
/// for an inherited lock.
pub(super) fn rows(
    finding: &Finding,
    wait: &WaitDetail,
    style: Style,
) -> Option<[(&'static str, String); 2]> {
    let about = about(&wait.lock, style);
    let address = wait.lock.address;
    match wait.held {
        Held::SinceFork => None,
        Held::ByNobody => Some([
            (
                "waits for",
                format!("a wakeup at {address:#x}{about}; it is not a lock, and nobody holds it"),
            ),
            ("woken by", woken_by(finding).into()),
        ]),
        Held::NotKnown => Some([
            ("waits for", format!("lock {address:#x}{about}")),
            ("held by", "not known; no thread of its process can run".into()),
        ]),
        Held::ByWaiter => Some([
            ("waits for", format!("lock {address:#x}{about} taken after the fork")),
            ("held by", "the waiting thread itself".into()),
        ]),
    }
}

fn woken_by(finding: &Finding) -> &'static str {
    let lost = finding.fork_site().is_some_and(|fork| fork.threads_lost > 0);
    match (finding.has(Rule::AllThreadsBlocked), lost) {
        (true, true) => {
            "nobody: no thread of its process can run; a thread that fork did not copy may have been \
             meant to wake it"
        }
        (true, false) => "nobody: no thread of its process can run",
        (false, true) => {
            "nobody: its process has no other thread; a thread that fork did not copy may have been \
             meant to wake it"
        }
        (false, false) => "nobody: its process has no other thread",
    }
}

/// The lock's kind and place in parentheses, as far as they are known.
pub(super) fn about(lock: &Lock, style: Style) -> String {
    let place = match &lock.place {
        Some(place) => stacks::place(place, style),
        None => style.clean(logged::place(&lock.mapping)).into_owned(),
    };
    let known = [lock.family.name.to_owned(), place];
    let known: Vec<_> = known.into_iter().filter(|text| !text.is_empty()).collect();
    match known.is_empty() {
        true => String::new(),
        false => format!(" ({})", known.join(", ")),
    }
}

/// Whether the lock is a semaphore that the program may use for another purpose than locking. Its value
/// is 0 both if it was taken and if it was not posted yet. (A lock of Python is always a lock.)
pub(super) fn is_semaphore(lock: &Lock) -> bool {
    *lock.family == locks::SEMAPHORE
}

/// What all findings have in common: the end of the first sentence of the result.
pub(super) fn together<'a>(findings: impl Iterator<Item = &'a Finding>) -> &'static str {
    let mut hazards: Vec<HazardId> = findings.map(|finding| finding.hazard).collect();
    hazards.dedup();
    match hazards.as_slice() {
        [hazard] => words(*hazard).together,
        _ => "",
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use forktrace_model::{
        finding::{Confidence, Detail, ForkInfo, ForkSite, LockPlace, Subject},
        locks::LockFamily,
    };

    /// A finding in a child whose parent had `threads_lost` other threads.
    pub(in crate::report) fn finding(hazard: HazardId, threads_lost: u32) -> Finding {
        Finding {
            hazard,
            severity: Severity::Hang,
            confidence: Confidence::Likely,
            subject: Subject { pid: 7, tid: 7, comm: "worker".into(), ppid: 1, ns_pid: None },
            fork: ForkInfo::Observed(Box::new(ForkSite {
                by_pid: 1,
                by_tid: 1,
                by_comm: "master".into(),
                threads_lost,
                ..ForkSite::default()
            })),
            proofs: Vec::new(),
            same_fault_in: Vec::new(),
            waited_by: Vec::new(),
            detail: Detail::Wait(Box::new(wait())),
            remedy: None,
        }
    }

    fn wait() -> WaitDetail {
        WaitDetail {
            waited_ns: 0,
            since_before: false,
            at_most_ns: None,
            not_before_ns: None,
            lock: Lock {
                address: 0x1000,
                futex: 0x1028,
                family: LockFamily::by_name("glibc condition variable").unwrap(),
                op: 0,
                value: 0,
                value_at_fork: Some(0),
                mapping: LockPlace::Heap,
                place: None,
            },
            held: Held::SinceFork,
            holder: None,
            python: Vec::new(),
            python_missing: None,
            stack: Vec::new(),
            stack_cut: None,
            candidates: Vec::new(),
            with_at_fork: None,
        }
    }

    #[test]
    fn each_hazard_has_its_own_rows() {
        let style = Style::default();
        let rows = |held, lost| {
            let wait = WaitDetail { held, ..wait() };
            rows(&finding(HazardId::InheritedLock, lost), &wait, style)
        };
        assert!(rows(Held::SinceFork, 1).is_none());
        let [(_, waits), (label, woken)] = rows(Held::ByNobody, 1).unwrap();
        assert!(
            waits.starts_with("a wakeup at 0x1000 (glibc condition variable, heap)"),
            "{waits}"
        );
        assert_eq!(label, "woken by");
        assert!(woken.contains("a thread that fork did not copy"), "{woken}");
        let [_, (_, woken)] = rows(Held::ByNobody, 0).unwrap();
        assert!(!woken.contains("did not copy"), "{woken}");
        let [_, held] = rows(Held::ByWaiter, 1).unwrap();
        assert_eq!(held, ("held by", "the waiting thread itself".to_owned()));
    }

    #[test]
    fn findings_are_summed_up_by_what_they_share() {
        let [inherited, lost, own] =
            [HazardId::InheritedLock, HazardId::LostWaker, HazardId::SelfDeadlock]
                .map(|hazard| finding(hazard, 1));
        assert_eq!(together([&inherited, &inherited].into_iter()), " on an inherited lock");
        assert_eq!(together([&lost].into_iter()), " with no thread left to wake it");
        assert_eq!(together([&own].into_iter()), " in a self-deadlock");
        assert_eq!(together([&inherited, &own, &inherited].into_iter()), "");
    }
}
