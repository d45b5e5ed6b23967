//! A process goes on without the lock on a file that it relies on, or keeps one that it does not know of.
//!
//! [`description`]: locks of flock(2), which belong to the open file description that fork shares: whoever
//! gives them back does so for all. [`process`]: locks of fcntl(2), which a child does not have. [`kept`]:
//! locks that a child keeps for a process that is gone.

mod description;
mod kept;
mod process;
#[cfg(test)]
mod tests;

use super::{Context, Hazard, HazardId, Reason, Verdict, family, wait::fork::fork_site};
use crate::{
    event::{Body, LockAct, LockOpener, LockSort},
    finding::{
        Confidence, Detail, Fact, FileLockDetail, Finding, ForkInfo, LockLoss, LockParty, Remedy,
        Severity, Subject,
    },
    model::{KnownLock, Model, ProcId, Process},
};

/// How long after an act a process must still be as it was, ns.
const STANDS_NS: u64 = 1_500_000_000;

/// See the module.
pub(super) struct FileLockLost;

impl Hazard for FileLockLost {
    fn id(&self) -> HazardId {
        HazardId::FileLockLost
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        let Body::FileLock(seen) = &cx.event.body else { return Verdict::Unrelated };
        let Some(lock) = cx.model.known_lock(seen) else { return Verdict::Unrelated };
        let case = Case { model: cx.model, lock };
        let found = match (seen.act, seen.sort) {
            (LockAct::Refused, _) => kept::judge(&case),
            (_, LockSort::Posix) => process::judge(&case),
            _ => description::judge(&case),
        };
        match found {
            Some(finding) => Verdict::Finding(Box::new(finding)),
            None => Verdict::Open(Reason::NotHarmful),
        }
    }
}

/// A lock beside the process tree.
struct Case<'a> {
    model: &'a Model,
    lock: &'a KnownLock,
}

/// What is concluded.
struct Weighed {
    loss: LockLoss,
    confidence: Confidence,
    facts: Vec<Fact>,
    taker: ProcId,
    taken_ns: u64,
    other: ProcId,
    lost_ns: u64,
    third: Option<u32>,
    remedy: Remedy,
}

impl<'a> Case<'a> {
    fn process(&self, id: ProcId) -> Option<&'a Process> {
        self.model.get(id)
    }

    /// Whether a process has its descriptors by forks alone from before `since_ns`.
    fn kept_program(&self, id: ProcId, since_ns: u64) -> bool {
        let exec = self.process(id).and_then(|process| process.exec.as_ref());
        exec.is_none_or(|exec| exec.boot_ns < since_ns)
    }

    /// Whether a process lives at `at_ns`.
    fn lived(&self, id: ProcId, at_ns: u64) -> bool {
        self.process(id).is_some_and(|process| process.end_ns.is_none_or(|end| end > at_ns))
    }

    fn pid(&self, id: ProcId) -> u32 {
        self.process(id).map_or(0, |process| process.pid)
    }

    /// What a process was last seen to have of the file.
    fn opener(&self, id: ProcId) -> Option<&LockOpener> {
        let pid = self.pid(id);
        self.lock.look.as_ref()?.1.openers.iter().find(|opener| opener.pid == pid)
    }

    fn is_python(&self, id: ProcId) -> bool {
        let Some(process) = self.process(id) else { return false };
        let exec = process.exec.as_ref().map(|exec| exec.filename.as_str());
        let program = exec.or(process.exe.as_deref()).unwrap_or_default();
        program.contains("python") || process.comm.contains("python")
    }

    fn party(&self, id: ProcId) -> LockParty {
        let fd = self.opener(id).map(|opener| opener.fd);
        let its = |at: &ProcId| *at == id;
        let taker = self.lock.taker.as_ref().filter(|taker| its(&taker.id));
        let acts = self.lock.acts.iter().filter(|act| its(&act.id));
        let fd = fd.or_else(|| taker.and_then(|taker| taker.fd));
        LockParty {
            pid: self.pid(id),
            comm: self.process(id).map(|process| process.comm.clone()).unwrap_or_default(),
            fd: fd.or_else(|| acts.filter_map(|act| act.fd).next()),
            ended: self.process(id).is_none_or(|process| !process.is_alive()),
        }
    }

    fn finding(&self, weighed: Weighed) -> Option<Finding> {
        let Weighed { loss, confidence, mut facts, taker, other, .. } = weighed;
        // Of those who live, the one whom it harms.
        let subject = match loss {
            LockLoss::Released | LockLoss::HeldByBoth => taker,
            LockLoss::EndedWithTaker | LockLoss::Kept => other,
        };
        let subject = self.process(subject)?;
        let forked = [other, taker].into_iter().find_map(|id| self.process(id)?.inherited());
        facts.sort_by_key(Fact::rule);
        let severity = match (loss, confidence) {
            (LockLoss::Kept, _) | (_, Confidence::Suspect) => Severity::Risk,
            _ => Severity::Corruption,
        };
        let path = self.lock.look.as_ref().map(|(_, look)| look.path.clone());
        let third = weighed.third.map(|pid| {
            let process = self.model.latest(pid);
            LockParty {
                pid,
                comm: process.map(|process| process.comm.clone()).unwrap_or_default(),
                fd: None,
                ended: process.is_none_or(|process| !process.is_alive()),
            }
        });
        Some(Finding {
            hazard: HazardId::FileLockLost,
            severity,
            confidence,
            subject: Subject {
                pid: subject.pid,
                tid: subject.pid,
                comm: subject.comm.clone(),
                ppid: subject.ppid,
                ns_pid: subject.ns_pid,
            },
            fork: forked
                .map_or(ForkInfo::None, |fork| ForkInfo::Observed(Box::new(fork_site(fork)))),
            proofs: facts,
            same_fault_in: Vec::new(),
            waited_by: Vec::new(),
            detail: Detail::FileLock(Box::new(FileLockDetail {
                loss,
                sort: self.lock.sort,
                inode: self.lock.inode,
                device: self.lock.device.clone(),
                path: path.unwrap_or_default(),
                taker: self.party(taker),
                taken_ns: weighed.taken_ns,
                other: self.party(other),
                lost_ns: weighed.lost_ns,
                third,
            })),
            remedy: Some(weighed.remedy),
        })
    }
}
