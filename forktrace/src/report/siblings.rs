//! One fault in many tasks. The first task gets a complete HANG block, each further task two lines: a
//! server may have hundreds of workers, and the block that differs must be easy to find.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use super::{Style, hang, plural, stuck};
use forktrace_model::{
    event::PythonFrame,
    finding::{Confidence, Detail, Finding, HazardId, Key},
};

/// Tasks remembered at most. After that, all are forgotten and complete blocks are printed again.
const MOST_SHOWN: usize = 1_000;

/// The faults that have been shown in a complete block.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    first: FxHashMap<Fault, First>,
    /// The faults shown for each task, by process and thread.
    of_task: FxHashMap<(u32, u32), Vec<Fault>>,
    /// How sure the latest block was about what processes share, by the process and what it is.
    of_shared: FxHashMap<(u32, Key), Confidence>,
}

/// A finding that was shown in a complete block.
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
    /// `None` if the process that forked is unknown: the address may belong to another program.
    fn of(finding: &Finding) -> Option<Self> {
        let lock = finding.lock().map(|lock| (lock.address, lock.family.id));
        let work = || finding.threads()?.threads.first()?.work.as_ref().map(|work| (work.word, ""));
        let generator = || {
            let first = finding.generators()?.found.first()?;
            Some((first.address, first.kind.id()))
        };
        let buffer = || {
            let first = finding.buffers()?.found.first()?;
            Some((first.address, first.kind.id()))
        };
        let (address, lock) = lock.or_else(work).or_else(generator).or_else(buffer)?;
        Some(Fault {
            hazard: finding.hazard,
            confidence: finding.confidence,
            forked_by: finding.forked_by()?,
            address,
            lock,
        })
    }
}

impl Shown {
    /// The other task with the same fault that has a complete block.
    pub(crate) fn first_with(&self, finding: &Finding) -> Option<&First> {
        let first = self.first.get(&Fault::of(finding)?)?;
        (first.tid != finding.subject.tid).then_some(first)
    }

    /// How sure an earlier block was about the same thing that processes share.
    pub(super) fn before(&self, finding: &Finding) -> Option<Confidence> {
        self.of_shared.get(&(finding.subject.pid, finding.key())).copied()
    }

    /// Remembers a finding that has been shown.
    pub(crate) fn add(&mut self, finding: &Finding) {
        if finding.descriptor().is_some() || finding.file_lock().is_some() {
            if self.of_shared.len() >= MOST_SHOWN {
                self.of_shared.clear();
            }
            self.of_shared.insert((finding.subject.pid, finding.key()), finding.confidence);
        }
        if self.first_with(finding).is_some() {
            return;
        }
        let Some(fault) = Fault::of(finding) else { return };
        if self.of_task.len() >= MOST_SHOWN {
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

    /// Forgets a task whose wait has ended, so that later blocks do not refer to it.
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
    /// Process, thread and lock address of the finding.
    pub(crate) fn subject(&self) -> (u32, u32, u64) {
        (self.pid, self.tid, self.address)
    }

    /// Writes the short block of another task with the same fault. It shows where the task is stuck
    /// only if the stack differs.
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
            "{:#x}, same as {}[{}]{thread} above; ",
            self.address,
            style.clean(&self.comm),
            self.pid,
        );
        text.push_str(&match finding.same_fault_in.len() as u64 {
            0 => "both threads are in one process".into(),
            others => {
                let processes = plural(others.saturating_add(1), "process", "processes");
                format!(
                    "now {}{processes}",
                    if finding.may_have_more_siblings() { "at least " } else { "" }
                )
            }
        });
        let label = match &finding.detail {
            Detail::Threads(_) => "same word",
            Detail::Generators(_) => "same state",
            Detail::Buffers(_) => "same buffer",
            _ => "same lock",
        };
        hang::row(w, style, label, &text)?;
        if self.python != finding.python() || self.functions != functions(finding) {
            for (label, text) in stuck::rows(finding, style) {
                hang::row(w, style, label, &text)?;
            }
        }
        Ok(())
    }
}

/// The functions of a stack, without line numbers.
fn functions(finding: &Finding) -> Vec<Option<String>> {
    finding.stack().iter().map(|frame| frame.symbol.clone()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::report::{Clock, hazards::tests::finding, text::Text};
    use forktrace_model::finding::{Detail, ForkInfo, ForkSite, UnobservedForkSite, WaitDetail};

    /// The blocks printed for these findings.
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

    /// A finding whose fork was not observed; `by_pid`: the process that forked, if known.
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
        assert!(last.contains("0x1000, same as worker[7] above; now 3 processes"), "{last}");
    }

    #[test]
    fn the_stack_is_shown_if_it_differs() {
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
        // The same task again: more is known now.
        whole(of(7, &[]));
    }

    #[test]
    fn workers_forked_before_the_trace_are_grouped_too() {
        let blocks = printed(&[late(7, &[], Some(1)), late(8, &[7], Some(1))]);
        let last = blocks.last().unwrap();
        assert!(last.contains("0x1000, same as worker[7] above; now 2 processes"), "{last}");
        assert!(last.contains("has been stuck for 0 ms to 2.0 s and"), "{last}");
    }

    #[test]
    fn no_block_refers_to_a_task_that_has_resumed() {
        let mut shown = Shown::default();
        shown.add(&of(7, &[]));
        assert!(shown.first_with(&of(8, &[7])).is_some());
        shown.ended(&of(7, &[]));
        assert!(shown.first_with(&of(8, &[])).is_none());
    }

    #[test]
    fn the_number_of_remembered_tasks_is_limited() {
        let mut shown = Shown::default();
        for pid in 0..3 * MOST_SHOWN as u32 {
            shown.add(&forked_by(pid, of(pid, &[])));
            assert!(shown.of_task.len() <= MOST_SHOWN && shown.first.len() <= MOST_SHOWN);
        }
    }

    #[test]
    fn what_becomes_surer_is_not_told_twice() {
        let shared = |confidence| Finding {
            hazard: HazardId::SharedDescriptor,
            confidence,
            detail: Detail::Descriptor(Box::default()),
            ..of(7, &[])
        };
        let blocks = printed(&[shared(Confidence::Likely), shared(Confidence::Certain)]);
        let [first, second] = blocks.as_slice() else { unreachable!("{blocks:#?}") };
        assert!(first.contains("leads to") && !first.contains("surer"), "{first}");
        assert!(
            second.contains("this was likely above") && !second.contains("leads to"),
            "{second}"
        );
    }
}
