//! One fault in many tasks: the first has a whole HANG block, each further one two lines. A server
//! has hundreds of workers, and whoever reads must not look for the one block that differs.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use super::{Style, hang, plural};
use forktrace_model::{
    event::PythonFrame,
    finding::HazardId,
    finding::{Confidence, Finding},
};

/// How many faults are remembered, at most: then it begins anew, with whole blocks.
const MOST_TOLD: usize = 1_000;

/// What has been told in a whole block.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    first: FxHashMap<Fault, First>,
    /// The faults that were told of a task, by process and thread.
    of_task: FxHashMap<(u32, u32), Vec<Fault>>,
}

/// A finding that was told in a whole block.
#[derive(Debug)]
pub(crate) struct First {
    address: u64,
    comm: String,
    pid: u32,
    tid: u32,
    python: Vec<PythonFrame>,
    functions: Vec<Option<String>>,
}

/// What makes two findings one fault.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Fault {
    hazard: HazardId,
    confidence: Confidence,
    forked_by: u32,
    address: u64,
    lock: &'static str,
}

impl Fault {
    /// `None` where it is not known who forked: then it may be another program's address.
    fn of(finding: &Finding) -> Option<Self> {
        let lock = finding.lock()?;
        Some(Fault {
            hazard: finding.hazard,
            confidence: finding.confidence,
            forked_by: finding.forked_by()?,
            address: lock.address,
            lock: lock.family.id,
        })
    }
}

impl Shown {
    /// The task of which the same has been told. Not the very same one, of which more is known now.
    pub(crate) fn told(&self, finding: &Finding) -> Option<&First> {
        let first = self.first.get(&Fault::of(finding)?)?;
        (first.tid != finding.subject.tid).then_some(first)
    }

    /// Remembers a finding that has been written.
    pub(crate) fn add(&mut self, finding: &Finding) {
        if self.told(finding).is_some() {
            return;
        }
        let Some(fault) = Fault::of(finding) else { return };
        if self.of_task.len() >= MOST_TOLD {
            *self = Shown::default();
        }
        let task = (finding.subject.pid, finding.subject.tid);
        self.of_task.entry(task).or_default().push(fault.clone());
        let address = fault.address;
        self.first.entry(fault).or_insert_with(|| First {
            address,
            comm: finding.subject.comm.clone(),
            pid: finding.subject.pid,
            tid: finding.subject.tid,
            python: finding.python().to_vec(),
            functions: functions(finding),
        });
    }

    /// Forgets a task that waits no more: nobody should be sent there.
    pub(super) fn ended(&mut self, finding: &Finding) {
        let task = (finding.subject.pid, finding.subject.tid);
        for fault in self.of_task.remove(&task).unwrap_or_default() {
            if self.first.get(&fault).is_some_and(|first| (first.pid, first.tid) == task) {
                self.first.remove(&fault);
            }
        }
    }
}

impl First {
    /// Process, thread and lock that it was told of.
    pub(crate) fn subject(&self) -> (u32, u32, u64) {
        (self.pid, self.tid, self.address)
    }

    /// Writes the short block of another task with the same fault; where it is stuck only if that
    /// is elsewhere.
    pub(super) fn write_again(
        &self,
        w: &mut impl Write,
        finding: &Finding,
        style: Style,
    ) -> io::Result<()> {
        hang::header(w, finding, style)?;
        let thread = match self.tid == self.pid {
            true => String::new(),
            false => format!(" thread {}", self.tid),
        };
        let mut text = format!(
            "{:#x} as {}[{}]{thread} above; ",
            self.address,
            style.clean(&self.comm),
            self.pid,
        );
        text.push_str(&match finding.same_fault_in.len() as u64 {
            0 => "one fault, in the same process".into(),
            others => {
                let processes = plural(others.saturating_add(1), "process", "processes");
                let least = if finding.may_have_more_siblings() { "at least " } else { "" };
                format!("one fault, now in {least}{processes}")
            }
        });
        hang::row(w, style, "same lock", &text)?;
        if self.python != finding.python() || self.functions != functions(finding) {
            for (label, text) in hang::stuck_at(finding, style) {
                hang::row(w, style, label, &text)?;
            }
        }
        Ok(())
    }
}

/// The functions of a stack, without the lines in them.
fn functions(finding: &Finding) -> Vec<Option<String>> {
    finding.stack().iter().map(|frame| frame.symbol.clone()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::report::{Clock, hazards::tests::finding, text::Text};
    use forktrace_model::finding::{Detail, ForkInfo, ForkSite, UnobservedForkSite, WaitDetail};

    /// What is printed of these, one after the other.
    fn printed(findings: &[Finding]) -> Vec<String> {
        let clock = Clock { offset_ns: 0, zone: jiff::tz::TimeZone::UTC };
        let mut text = Text::new(Vec::new(), Style::default(), clock, true);
        for finding in findings {
            text.finding(finding).unwrap();
        }
        let text = String::from_utf8(text.out().clone()).unwrap();
        text.split("HANG").skip(1).map(|block| block.trim_end().to_owned()).collect()
    }

    fn of(tid: u32, siblings: &[u32]) -> Finding {
        let mut finding = finding(HazardId::InheritedLock, 1);
        (finding.subject.pid, finding.subject.tid) = (tid, tid);
        Finding { same_fault_in: siblings.to_vec(), ..finding }
    }

    /// The same of a fork that was not seen, by that process or by nobody knows whom.
    fn late(tid: u32, siblings: &[u32], by_pid: Option<u32>) -> Finding {
        let site = UnobservedForkSite { by_pid, ..UnobservedForkSite::default() };
        let fork = ForkInfo::Unobserved(Box::new(site));
        let finding = Finding { fork, ..of(tid, siblings) };
        with(finding, |wait| wait.at_most_ns = Some(2_000_000_000))
    }

    fn with(mut finding: Finding, change: impl FnOnce(&mut WaitDetail)) -> Finding {
        if let Detail::Wait(wait) = &mut finding.detail {
            change(wait);
        }
        finding
    }

    fn forked_by(by_pid: u32, finding: Finding) -> Finding {
        let site = ForkSite { by_pid, ..finding.fork_site().unwrap().clone() };
        Finding { fork: ForkInfo::Observed(Box::new(site)), ..finding }
    }

    #[test]
    fn a_further_worker_with_the_same_fault_has_two_lines() {
        let blocks = printed(&[of(7, &[]), of(8, &[7]), of(9, &[7, 8])]);
        let lines: Vec<_> = blocks.iter().map(|block| block.lines().count()).collect();
        assert!(matches!(lines.as_slice(), [first, 2, 2] if *first > 3), "{blocks:#?}");
        let last = blocks.last().unwrap();
        assert!(last.contains("worker[9]") && last.contains("likely"), "{last}");
        assert!(
            last.contains("0x1000 as worker[7] above; one fault, now in 3 processes"),
            "{last}"
        );
    }

    #[test]
    fn where_it_is_stuck_is_told_if_that_is_elsewhere() {
        let python = |function: &str| {
            vec![PythonFrame { file: "app.py".into(), line: 3, function: function.into() }]
        };
        let first = with(of(7, &[]), |wait| wait.python = python("count"));
        let same = with(of(8, &[7]), |wait| wait.python = python("count"));
        let other = with(of(9, &[7, 8]), |wait| wait.python = python("flush"));
        let blocks = printed(&[first, same, other]);
        assert!(!blocks.get(1).unwrap().contains("stuck at"), "{blocks:#?}");
        assert!(blocks.get(2).unwrap().contains("app.py:3 in flush"), "{blocks:#?}");
    }

    #[test]
    fn another_fault_has_a_whole_block() {
        let whole = |one: Finding| {
            let blocks = printed(&[of(7, &[]), one]);
            assert!(!blocks.last().unwrap().contains("same lock"), "{blocks:#?}");
        };
        whole(with(of(8, &[]), |wait| wait.lock.address = 0x2000));
        whole(forked_by(2, of(8, &[])));
        whole(Finding { confidence: Confidence::Certain, ..of(8, &[7]) });
        whole(Finding { fork: ForkInfo::None, ..of(8, &[]) });
        whole(late(8, &[], None));
        // The very same task, of which more is known.
        whole(of(7, &[]));
    }

    #[test]
    fn workers_that_were_forked_before_the_trace_are_told_together_too() {
        let blocks = printed(&[late(7, &[], Some(1)), late(8, &[7], Some(1))]);
        let last = blocks.last().unwrap();
        assert!(
            last.contains("0x1000 as worker[7] above; one fault, now in 2 processes"),
            "{last}"
        );
        assert!(last.contains("has been stuck for 0 ms to 2.0 s and"), "{last}");
    }

    #[test]
    fn nobody_is_sent_to_a_task_that_waits_no_more() {
        let mut shown = Shown::default();
        shown.add(&of(7, &[]));
        assert!(shown.told(&of(8, &[7])).is_some());
        shown.ended(&of(7, &[]));
        assert!(shown.told(&of(8, &[])).is_none());
    }

    #[test]
    fn what_was_told_is_not_remembered_for_ever() {
        let mut shown = Shown::default();
        for pid in 0..3 * MOST_TOLD as u32 {
            shown.add(&forked_by(pid, of(pid, &[])));
            assert!(shown.of_task.len() <= MOST_TOLD && shown.first.len() <= MOST_TOLD);
        }
    }
}
