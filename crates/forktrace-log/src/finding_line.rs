//! The line of a finding: what the judge concluded, with the sentences that people read.

use std::collections::BTreeMap;

use forktrace_model::{
    event::{
        Buffer, Generator, PythonFrame, Task,
        stacks::{Frame, Place, TaskNow},
    },
    finding::{
        Confidence, DescriptorDetail, Effect, FileLockDetail, ForkSite, HazardId, Holder, Link,
        Severity, SignalsDetail, ThreadsDetail, UnobservedForkSite,
    },
    json_number,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A hazard of fork that was found, with everything that speaks for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindingLine {
    /// Which hazard: a [`HazardId`], or one that a later version knows.
    #[schemars(with = "HazardId")]
    pub kind: String,
    /// What it does to the process. Logs of 0.1 do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// How sure this is.
    #[schemars(with = "Confidence")]
    pub confidence: String,
    /// The process that it is about.
    pub pid: u32,
    /// The task.
    pub tid: u32,
    /// The task's name.
    pub comm: String,
    /// The process's parent.
    pub ppid: u32,
    /// The pid inside the process's own pid namespace, where that differs.
    pub ns_pid: Option<u32>,
    /// The wait, where the hazard is one.
    #[serde(flatten)]
    pub wait: Option<WaitLine>,
    /// The fork, where it was observed.
    pub fork: Option<ForkSite>,
    /// What is known of the fork where it was not observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen_fork: Option<UnobservedForkSite>,
    /// The rules that led here: what supports the finding, what weakens it, what is missing; each
    /// strongest first.
    pub evidence: Vec<ProofLine>,
    /// Other processes of the forking process with this very fault: one fault in all of them. No more
    /// than 1,000 are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_lock_in: Vec<u32>,
    /// Tasks that wait for the end of the process. Logs of 0.1 do not have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waited_by: Vec<Task>,
    /// Who waits for whom, where the hazard is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall: Option<StallLine>,
    /// The threads that the process does not have, where the hazard is about them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<ThreadsDetail>,
    /// Random number generators that several processes draw the same numbers from, the surest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generators: Vec<Generator>,
    /// Buffers whose content several processes write, the surest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buffers: Vec<Buffer>,
    /// What several processes use, where the hazard is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<DescriptorDetail>,
    /// A lock on a file, where the hazard is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_lock: Option<FileLockDetail>,
    /// Signals that the process does not take, where the hazard is about such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signals: Option<SignalsDetail>,
    /// Which advice fits, in a word that does not change. Logs of 0.1 do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What to do.
    pub advice: String,
}

impl FindingLine {
    /// Whether it says that a task hangs, likely or for certain. Logs of 0.1, which name no severity,
    /// have only hangs.
    pub fn is_hang(&self) -> bool {
        let hang = self.severity.is_none_or(|severity| severity == Severity::Hang);
        hang && ["likely", "certain"].contains(&self.confidence.as_str())
    }
}

/// A task that is in a call, of whatever kind, that nobody can end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StallLine {
    /// How long it is known to have been waiting when this was judged, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub waited_ns: u64,
    /// Who waits for whom, from the stuck task on.
    pub chain: Vec<Link>,
    /// Python frames of the stuck task, innermost first.
    pub python: Vec<PythonFrame>,
    /// Why there are no Python frames, when there are none.
    pub python_missing: Option<String>,
    /// Native frames of the stuck task, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
    /// Why native callers may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_cut: Option<String>,
}

/// A wait on a futex word that cannot end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaitLine {
    /// How long it had been waiting when this was judged, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub waited_ns: u64,
    /// The lock.
    pub lock: LockLine,
    /// Who held the lock at the fork, where known; of a self-deadlock the stuck task itself.
    pub holder: Option<Holder>,
    /// The wait had begun before tracing did: it has lasted longer than `waited_ns`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub since_before: bool,
    /// How long it can have been waiting at most, ns, where the wait had begun before tracing did: the
    /// task itself is no older.
    #[serde(with = "json_number::opt", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Number>")]
    pub at_most_ns: Option<u64>,
    /// The wait was found by sampling (without `--exact`): it began after this time (`CLOCK_BOOTTIME`, ns), and
    /// has lasted `waited_ns` at least.
    #[serde(with = "json_number::opt", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Number>")]
    pub not_before_ns: Option<u64>,
    /// Python frames of the stuck task, innermost first.
    pub python: Vec<PythonFrame>,
    /// Why there are no Python frames, when there are none.
    pub python_missing: Option<String>,
    /// Native frames of the stuck task, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
    /// Why native callers may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_cut: Option<String>,
    /// Where nothing says who held the lock: threads of the forking process that may have, beside
    /// the one that forked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<TaskNow>,
    /// Where a thread that is not in the stuck process was at the fork, in a `with` block of the lock:
    /// its Python frame of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_at_fork: Option<PythonFrame>,
}

/// The lock of a finding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LockLine {
    /// Address of the lock object.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// Address of the futex word.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub futex: u64,
    /// Its kind in words: `glibc mutex`.
    pub kind: String,
    /// Its kind in a word that does not change: `glibc-mutex`. Logs of 0.1 do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// The wait's `op` in words: `WAIT_BITSET private realtime`.
    pub op: String,
    /// The word while waiting.
    pub value: u32,
    /// The word as inherited, where known.
    pub value_at_fork: Option<u32>,
    /// Where the word lies: `heap`, a file's path, …
    pub mapping: String,
    /// The same more closely, where it is data of a program or on a stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// One rule that was applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProofLine {
    /// Short name of the rule: `held-at-fork`.
    pub rule: String,
    /// What it does to the conclusion. Logs of 0.1 do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// What was seen, in words.
    pub detail: String,
    /// What was seen, for programs; absent where the rule's name says it all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
}
