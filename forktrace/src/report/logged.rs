//! A finding as its line in the log has it: with the sentences beside the facts.

use std::collections::BTreeMap;

use forktrace_log::{FindingLine, LockLine, ProofLine, StallLine, WaitLine};
use forktrace_model::{
    finding::{Fact, Finding, HazardId, Lock, LockPlace, StallDetail, WaitDetail},
    futex_op::wait_op,
};
use serde::Serialize;
use serde_json::Value;

use super::{advice, hang, proofs};

/// The line of a finding.
pub fn line(finding: &Finding) -> FindingLine {
    let subject = &finding.subject;
    let sentences = proofs::of(finding);
    FindingLine {
        kind: name(&finding.hazard),
        severity: Some(finding.severity),
        confidence: hang::word(finding.confidence).to_owned(),
        pid: subject.pid,
        tid: subject.tid,
        comm: subject.comm.clone(),
        ppid: subject.ppid,
        ns_pid: subject.ns_pid,
        wait: finding.wait().map(wait),
        fork: finding.fork_site().cloned(),
        unseen_fork: finding.unobserved_fork().cloned(),
        evidence: finding
            .proofs
            .iter()
            .zip(sentences)
            .map(|(fact, text)| proof(fact, text))
            .collect(),
        same_lock_in: finding.same_fault_in.clone(),
        waited_by: finding.waited_by.clone(),
        stall: finding.stall().map(stall),
        threads: finding.threads().cloned(),
        generators: finding.generators().map(|detail| detail.found.clone()).unwrap_or_default(),
        buffers: finding.buffers().map(|detail| detail.found.clone()).unwrap_or_default(),
        shared: finding.descriptor().cloned(),
        file_lock: finding.file_lock().cloned(),
        signals: finding.signals().cloned(),
        remedy: finding.remedy.as_ref().map(name),
        advice: finding.remedy.map(advice::text).unwrap_or_default().to_owned(),
    }
}

/// The name of a hazard: `kind` in the log.
pub fn kind(hazard: HazardId) -> String {
    name(&hazard)
}

/// Where a lock lies, in a word or two; empty: not known.
pub(crate) fn place(place: &LockPlace) -> &str {
    match place {
        LockPlace::Unknown => "",
        LockPlace::Heap => "heap",
        LockPlace::Anonymous => "anonymous memory",
        LockPlace::Named(name) => name,
    }
}

fn stall(stall: &StallDetail) -> StallLine {
    StallLine {
        waited_ns: stall.waited_ns,
        chain: stall.chain.clone(),
        python: stall.python.clone(),
        python_missing: stall.python_missing.clone(),
        stack: stall.stack.clone(),
        stack_cut: stall.stack_cut.clone(),
    }
}

fn wait(wait: &WaitDetail) -> WaitLine {
    WaitLine {
        waited_ns: wait.waited_ns,
        lock: lock(&wait.lock),
        holder: wait.holder.clone(),
        since_before: wait.since_before,
        at_most_ns: wait.at_most_ns,
        not_before_ns: wait.not_before_ns,
        python: wait.python.clone(),
        python_missing: wait.python_missing.clone(),
        stack: wait.stack.clone(),
        stack_cut: wait.stack_cut.clone(),
        candidates: wait.candidates.clone(),
        with_at_fork: wait.with_at_fork.clone(),
    }
}

fn lock(lock: &Lock) -> LockLine {
    LockLine {
        address: lock.address,
        futex: lock.futex,
        kind: lock.family.name.to_owned(),
        family: Some(lock.family.id.to_owned()),
        op: wait_op(lock.op),
        value: lock.value,
        value_at_fork: lock.value_at_fork,
        mapping: place(&lock.mapping).to_owned(),
        place: lock.place.clone(),
    }
}

fn proof(fact: &Fact, detail: String) -> ProofLine {
    let rule = fact.rule();
    let facts = match serde_json::to_value(fact) {
        Ok(Value::Object(mut facts)) => {
            facts.remove("rule");
            facts.into_iter().collect()
        }
        _ => BTreeMap::new(),
    };
    ProofLine { rule: rule.name().to_owned(), effect: Some(rule.effect()), detail, facts }
}

/// The name of something that is a word in the log.
fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}
