//! A finding in which every text is the same one.

use forktrace_model::{
    event::{
        Doing, PythonFrame, ThreadName,
        stacks::{Fate, Frame, Place, Stack, TaskNow},
    },
    finding::{
        Confidence, Detail, Fact, Finding, ForkInfo, ForkSite, HazardId, Held, Holder, Lock,
        LockPlace, Remedy, Severity, Subject, UnobservedForkSite, WaitDetail,
    },
    locks::{FAMILIES, SEMAPHORE},
};

use super::sample_trace::PID;

/// What of a finding is known, chosen by the bits of a number.
#[derive(Clone, Copy)]
struct Sample<'a> {
    text: &'a str,
    choice: u8,
}

/// A finding. What of it is known is chosen by a number.
pub(super) fn finding(text: &str, choice: u8) -> Finding {
    let sample = Sample { text, choice };
    let fork = match sample.has(2) {
        true => ForkInfo::Unobserved(Box::new(sample.unobserved())),
        false => ForkInfo::Observed(Box::new(sample.fork())),
    };
    let proofs = vec![
        Fact::PythonLock { type_name: text.into(), by_hand: sample.has(0) },
        Fact::OwnerOfParent { owner: 5, comm: text.into() },
    ];
    Finding {
        hazard: if sample.has(6) { HazardId::LostWaker } else { HazardId::InheritedLock },
        severity: Severity::Hang,
        confidence: Confidence::Likely,
        subject: Subject { pid: PID, tid: PID, comm: text.into(), ppid: 6, ns_pid: None },
        fork,
        proofs,
        same_fault_in: Vec::new(),
        waited_by: Vec::new(),
        detail: Detail::Wait(Box::new(sample.wait())),
        remedy: Some(Remedy::LockAtFork),
    }
}

impl Sample<'_> {
    fn has(self, bit: u8) -> bool {
        self.choice >> bit & 1 != 0
    }

    fn some(self) -> Option<String> {
        Some(self.text.to_owned())
    }

    fn stack(self) -> Vec<Frame> {
        vec![Frame {
            address: 1,
            symbol: self.some().filter(|_| self.has(0)),
            module: self.some(),
            offset: None,
            file: self.some().filter(|_| self.has(1)),
            line: Some(1).filter(|_| self.has(2)),
            build_id: self.some(),
        }]
    }

    fn python(self) -> Vec<PythonFrame> {
        let line = PythonFrame { file: self.text.into(), line: 1, function: self.text.into() };
        self.has(3).then_some(line).into_iter().collect()
    }

    fn fork(self) -> ForkSite {
        ForkSite {
            boot_ns: 2,
            by_pid: 6,
            by_tid: if self.has(4) { 5 } else { 6 },
            by_comm: self.text.into(),
            threads_lost: 1,
            lost: vec![ThreadName { tid: 5, comm: self.text.into() }],
            stack: self.stack(),
            stack_cut: self.some(),
        }
    }

    fn unobserved(self) -> UnobservedForkSite {
        UnobservedForkSite {
            boot_ns: 2,
            by_pid: Some(6),
            by_comm: self.some(),
            by_tid: Some(5),
            by_thread: self.some(),
            lost: false,
            owner_tid: None,
            older_threads: vec![ThreadName { tid: 6, comm: self.text.into() }],
        }
    }

    fn holder(self) -> Holder {
        Holder {
            stack: self.stack(),
            python: self.python(),
            fate: Some(Fate::Alive),
            doing: Some(Doing::Running),
            holding: Some(self.has(5)),
            ..Holder::new(6, 5, self.some())
        }
    }

    fn candidate(self) -> TaskNow {
        TaskNow {
            pid: 6,
            tid: 5,
            comm: self.some(),
            fate: Fate::Alive,
            doing: Doing::Running,
            stack: Stack { frames: self.stack(), cut: self.some() },
            python: self.python(),
        }
    }

    fn lock(self) -> Lock {
        let (section, symbol) = (self.some(), self.some());
        let place = Place::Module { path: self.text.into(), section, symbol, offset: 0 };
        let family = FAMILIES.get(usize::from(self.choice) % FAMILIES.len());
        Lock {
            address: 0x1000,
            futex: 0x1000,
            family: family.copied().unwrap_or(&SEMAPHORE),
            op: u32::from(self.choice),
            value: 2,
            value_at_fork: Some(2),
            mapping: LockPlace::Named(self.text.into()),
            place: Some(place).filter(|_| self.has(5)),
        }
    }

    fn wait(self) -> WaitDetail {
        WaitDetail {
            waited_ns: 1,
            since_before: false,
            at_most_ns: None,
            not_before_ns: None,
            lock: self.lock(),
            held: if self.has(6) { Held::ByNobody } else { Held::SinceFork },
            holder: Some(self.holder()).filter(|_| !self.has(7)),
            with_at_fork: self.python().first().cloned(),
            python: self.python(),
            python_missing: self.some(),
            stack: if self.has(0) { self.stack() } else { Vec::new() },
            stack_cut: self.some().filter(|_| self.has(1)),
            candidates: vec![self.candidate()],
        }
    }
}
