//! Signals that a child has blocked since its fork, because the thread that forked had, and that are there
//! for it: a SIGTERM that does not end a worker.
//!
//! *Likely*: the mask is that of the fork, and the signal was there at each look for seconds. *Suspect*: the
//! mask at the fork had every signal, as the C library has it for a moment within fork, or the first look was
//! late, and the process may have blocked this one itself.
//!
//! Silent: the child blocked it itself; a thread waits for it or a signalfd has it (the event is not made);
//! SIGCHLD without a handler, or without an ended child that nobody waited for.

use forktrace_common::signals;

use super::{Context, Hazard, HazardId, Verdict, wait::fork::fork_site};
use crate::{
    event::{BlockedSignals, Body, PendingSignal, Task},
    finding::{
        Confidence, Detail, Fact, Finding, ForkInfo, Remedy, Severity, SignalsDetail, Subject,
    },
    model::Process,
};

/// How long a signal must have been there, ns: a section in which it is not to come is shorter.
const LONG_NS: u64 = 4_000_000_000;
/// At how many looks.
const LOOKS: u32 = 3;
/// How soon after the fork the first look must have been, ns: later the process may have changed its mask and
/// changed it again.
const SOON_NS: u64 = 2_000_000_000;

/// See the module.
pub(super) struct BlockedSignalsHazard;

impl Hazard for BlockedSignalsHazard {
    fn id(&self) -> HazardId {
        HazardId::BlockedSignals
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        let (Body::BlockedSignals(seen), Some(task)) = (&cx.event.body, &cx.event.task) else {
            return Verdict::Unrelated;
        };
        let Some(process) = cx.model.live(task.pid) else { return Verdict::Unrelated };
        match finding(seen, task, process) {
            Some(finding) => Verdict::Finding(Box::new(finding)),
            None => Verdict::Unrelated,
        }
    }
}

fn finding(seen: &BlockedSignals, task: &Task, process: &Process) -> Option<Finding> {
    let fork = process.inherited()?;
    let matters = |pending: &&PendingSignal| {
        let bit = signals::bit(pending.signal);
        let inherited = seen.blocked & seen.at_fork & seen.at_first & bit != 0;
        let long = pending.for_ns >= LONG_NS && pending.looks >= LOOKS;
        let child = pending.signal != signals::CHLD || pending.handled && !seen.zombies.is_empty();
        inherited && long && child && signals::ENDING.contains(&pending.signal)
    };
    let pending: Vec<PendingSignal> = seen.pending.iter().filter(matters).cloned().collect();
    let first = pending.first()?;
    let signals: Vec<i32> = pending.iter().map(|pending| pending.signal).collect();
    let all = signals::is_every(seen.at_fork) && !signals::is_every(seen.blocked);
    let unsure = all || seen.first_after_ns > SOON_NS;
    let mut facts = vec![
        Fact::BlockedSinceFork { signals: signals.clone() },
        Fact::SignalPending { signals, looks: first.looks, for_ns: first.for_ns },
        Fact::NobodyTakesSignals {},
    ];
    if !seen.zombies.is_empty() {
        facts.push(Fact::Unreaped { pids: seen.zombies.clone() });
    }
    facts.sort_by_key(Fact::rule);
    let is_python = process.comm.contains("python")
        || process.exe.as_deref().is_some_and(|exe| exe.contains("python"))
        || process.exec.as_ref().is_some_and(|exec| exec.filename.contains("python"));
    Some(Finding {
        hazard: HazardId::BlockedSignals,
        severity: Severity::Risk,
        confidence: if unsure { Confidence::Suspect } else { Confidence::Likely },
        subject: Subject {
            pid: process.pid,
            tid: task.tid,
            comm: process.comm.clone(),
            ppid: process.ppid,
            ns_pid: process.ns_pid,
        },
        fork: ForkInfo::Observed(Box::new(fork_site(fork))),
        proofs: facts,
        same_fault_in: Vec::new(),
        waited_by: Vec::new(),
        detail: Detail::Signals(Box::new(SignalsDetail { pending, zombies: seen.zombies.clone() })),
        remedy: Some(match is_python {
            true => Remedy::UnblockSignalsPython,
            false => Remedy::UnblockSignals,
        }),
    })
}

#[cfg(test)]
mod tests {
    use forktrace_common::signals::{CHLD, TERM, bit};

    use super::*;
    use crate::{
        event::{Event, ProcessFork},
        hazards::{self},
        model::Model,
    };

    const CHILD: u32 = 71;

    fn seen(signal: i32) -> BlockedSignals {
        let pending = PendingSignal { signal, for_ns: LONG_NS, looks: LOOKS, handled: true };
        let mask = bit(signal);
        BlockedSignals {
            blocked: mask,
            at_fork: mask,
            at_first: mask,
            first_after_ns: 1,
            pending: vec![pending],
            zombies: Vec::new(),
        }
    }

    fn judged(seen: BlockedSignals) -> Option<Confidence> {
        let mut model = Model::default();
        let task = |pid| Some(Task { pid, tid: pid, comm: "worker".into() });
        let fork = ProcessFork { child_pid: CHILD, clone_flags: 0x0120_0011 };
        model.apply(&Event { boot_ns: 1, task: task(70), body: Body::ProcessFork(fork) });
        let body = Body::BlockedSignals(Box::new(seen));
        match hazards::judge(&Event { boot_ns: 9, task: task(CHILD), body }, &model) {
            Verdict::Finding(finding) => Some(finding.confidence),
            _ => None,
        }
    }

    #[test]
    fn a_signal_that_stays_is_likely() {
        assert_eq!(judged(seen(TERM)), Some(Confidence::Likely));
        let of = |change: fn(&mut BlockedSignals)| {
            let mut seen = seen(TERM);
            change(&mut seen);
            judged(seen)
        };
        assert_eq!(of(|seen| seen.at_fork = 0), None, "it blocked it itself");
        assert_eq!(of(|seen| seen.at_first = 0), None, "the same");
        assert_eq!(of(|seen| seen.blocked = 0), None);
        assert_eq!(of(|seen| seen.pending[0].for_ns = LONG_NS - 1), None, "a section");
        assert_eq!(of(|seen| seen.pending[0].looks = 2), None);
        assert_eq!(of(|seen| seen.pending[0].signal = 10), None, "SIGUSR1");
        assert_eq!(of(|seen| seen.at_fork = u64::MAX), Some(Confidence::Suspect), "by fork");
        let late = of(|seen| seen.first_after_ns = 2 * SOON_NS);
        assert_eq!(late, Some(Confidence::Suspect), "it may have blocked it itself");
    }

    #[test]
    fn an_ended_child_makes_sigchld_matter() {
        assert_eq!(judged(seen(CHLD)), None);
        let unreaped = BlockedSignals { zombies: vec![80], ..seen(CHLD) };
        assert_eq!(judged(unreaped.clone()), Some(Confidence::Likely));
        let mut ignored = unreaped;
        ignored.pending.iter_mut().for_each(|pending| pending.handled = false);
        assert_eq!(judged(ignored), None, "there is nobody to tell");
    }
}
