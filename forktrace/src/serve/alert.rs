//! A finding as it is reported: with who it is about, and a name that stays.

use std::hash::Hasher as _;

use forktrace_log::{FindingLine, proc_uid};
use forktrace_model::{
    finding::{Finding, Key, Severity},
    model::ProcId,
};
use rustc_hash::FxHasher;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::workload::Workload;
use crate::{
    pipeline::Follow,
    report::{Clock, brief, logged},
};

/// Bytes of a finding's name.
const NAME: usize = 8;
/// Innermost frames that tell one fault from another.
const FRAMES: usize = 12;

/// Names an open finding: its process, and what it is about within it.
pub type Subject = (ProcId, Key);

/// A finding to be reported.
#[derive(Clone, Debug, Serialize)]
pub struct Alert {
    /// The same for the same wait of the same process, also if it is judged again from a log.
    pub id: String,
    /// When it was judged, `CLOCK_REALTIME`, RFC 3339.
    pub time: String,
    /// One line.
    pub text: String,
    /// Findings of the same fault that were not reported since the one before this.
    pub held_back: u64,
    /// Who it is about.
    pub workload: Workload,
    /// The finding as the log has it.
    pub finding: FindingLine,
    /// The whole block.
    #[serde(skip)]
    pub block: String,
    /// It was reported, and not held back.
    #[serde(skip)]
    pub reported: bool,
    /// When it was judged, `CLOCK_BOOTTIME`, ns.
    #[serde(skip)]
    pub boot_ns: u64,
    /// Since when it lasts, `CLOCK_BOOTTIME`, ns.
    #[serde(skip)]
    pub since_ns: u64,
    /// Names the fault: findings of one fault are reported once.
    #[serde(skip)]
    pub fault: u64,
    /// What it does.
    #[serde(skip)]
    pub severity: Severity,
    /// The finding.
    #[serde(skip)]
    pub judged: Finding,
}

impl Alert {
    /// Of a finding that was judged at `boot_ns` (`CLOCK_BOOTTIME`).
    pub fn new(
        finding: &Finding,
        process: ProcId,
        since_ns: u64,
        follow: &Follow,
        clock: &Clock,
        boot_ns: u64,
    ) -> Self {
        let model = follow.model();
        let known = model.get(process);
        let workload = match known {
            Some(process) => Workload::of(process, model),
            None => Workload {
                executable: finding.subject.comm.clone(),
                comm: finding.subject.comm.clone(),
                ..Workload::default()
            },
        };
        let uid = known
            .map_or_else(|| proc_uid("", finding.subject.pid, 0), |process| follow.uid(process));
        Alert {
            id: name(&uid, finding),
            time: clock.timestamp(boot_ns),
            text: brief::line(finding, clock),
            held_back: 0,
            reported: false,
            fault: fault(finding, &workload),
            workload,
            finding: logged::line(finding),
            block: brief::block(finding, clock),
            boot_ns,
            since_ns,
            severity: finding.severity,
            judged: finding.clone(),
        }
    }

    /// The name of the kind of the lock in a word; empty: none.
    pub fn lock_kind(&self) -> &'static str {
        self.judged.lock().map_or("", |lock| lock.family.id)
    }
}

/// The name of a finding: of whose it is, and of what.
fn name(proc_uid: &str, finding: &Finding) -> String {
    let mut hash = Sha256::new();
    hash.update(proc_uid);
    hash.update(format!("{:?}", finding.key()));
    let digest = hash.finalize();
    digest.iter().take(NAME).map(|byte| format!("{byte:02x}")).collect()
}

/// One program that hangs at one place in one way has one fault, however many of its processes do: workers
/// that a supervisor starts again have other parents and other addresses.
fn fault(finding: &Finding, workload: &Workload) -> u64 {
    let mut hash = FxHasher::default();
    let mut add = |text: &str| {
        hash.write(text.as_bytes());
        hash.write_u8(0xff);
    };
    add(&logged::kind(finding.hazard));
    add(workload.path.as_deref().unwrap_or(&workload.executable));
    let python = finding.python();
    for frame in python.iter().take(FRAMES) {
        add(&frame.file);
        add(&frame.function);
        add(&frame.line.to_string());
    }
    // Below Python the interpreter's own frames are the same wherever it waits.
    if python.is_empty() {
        for frame in finding.stack().iter().take(FRAMES) {
            add(frame.module.as_deref().unwrap_or_default());
            add(frame.symbol.as_deref().unwrap_or_default());
            if frame.symbol.is_none() {
                add(&frame.offset.unwrap_or_default().to_string());
            }
        }
    }
    hash.finish()
}
