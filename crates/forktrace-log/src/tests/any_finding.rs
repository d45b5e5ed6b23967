//! Strategies: any line of a finding.

use forktrace_model::{
    event::ThreadName,
    finding::{
        DescriptorDetail, DescriptorUser, Effect, FileLockDetail, ForkSite, Holder, LockParty,
        Severity, SignalsDetail, UnobservedForkSite,
    },
};
use proptest::{collection::btree_map, collection::vec, option, prelude::*};
use serde_json::Value;

use super::{
    any::{python_frame, task, text, thread_name},
    native,
};
use crate::{FindingLine, LockLine, ProofLine, WaitLine};

fn lock() -> impl Strategy<Value = LockLine> {
    let place = option::of(native::place());
    (any::<[u64; 2]>(), text(), any::<u32>(), any::<Option<u32>>(), place).prop_map(
        |([address, futex], word, value, value_at_fork, place)| LockLine {
            address,
            futex,
            kind: word.clone(),
            family: value_at_fork.map(|_| word.clone()),
            op: word.clone(),
            value,
            value_at_fork,
            mapping: word,
            place,
        },
    )
}

fn fork_site() -> impl Strategy<Value = ForkSite> {
    let stack = native::stack();
    (any::<u64>(), any::<[u32; 3]>(), text(), vec(thread_name(), 0..3), stack).prop_map(
        |(boot_ns, [by_pid, by_tid, threads_lost], by_comm, lost, stack)| ForkSite {
            boot_ns,
            by_pid,
            by_tid,
            by_comm,
            threads_lost,
            lost,
            stack: stack.frames,
            stack_cut: stack.cut,
        },
    )
}

fn holder() -> impl Strategy<Value = Holder> {
    (native::task_now(), any::<Option<bool>>()).prop_map(|(now, holding)| Holder {
        pid: now.pid,
        tid: now.tid,
        comm: now.comm,
        fate: holding.map(|_| now.fate),
        doing: holding.map(|_| now.doing),
        holding,
        stack: now.stack.frames,
        python: now.python,
    })
}

fn unobserved() -> impl Strategy<Value = UnobservedForkSite> {
    (any::<u64>(), any::<Option<u32>>(), option::of(text()), any::<bool>()).prop_map(
        |(boot_ns, by_pid, by_comm, lost)| UnobservedForkSite {
            boot_ns,
            by_pid,
            by_tid: by_pid,
            by_thread: by_comm.clone(),
            by_comm,
            lost,
            owner_tid: by_pid,
            older_threads: by_pid
                .map(|tid| ThreadName { tid, comm: "older".into() })
                .into_iter()
                .collect(),
        },
    )
}

fn wait() -> impl Strategy<Value = WaitLine> {
    let stacks = (native::stack(), vec(native::task_now(), 0..2), vec(python_frame(), 0..3));
    let missing = option::of(text());
    (any::<u64>(), any::<u32>(), lock(), option::of(holder()), stacks, missing).prop_map(
        |(waited_ns, number, lock, holder, (stack, candidates, python), python_missing)| WaitLine {
            waited_ns,
            lock,
            holder,
            since_before: number % 2 == 0,
            at_most_ns: (number % 5 == 0).then_some(waited_ns),
            not_before_ns: (number % 3 == 0).then_some(waited_ns),
            with_at_fork: python.first().cloned(),
            python,
            python_missing,
            stack: stack.frames,
            stack_cut: stack.cut,
            candidates,
        },
    )
}

fn proof() -> impl Strategy<Value = ProofLine> {
    let effects = vec![Effect::Supports, Effect::Weakens, Effect::Missing];
    let facts = btree_map(text(), text().prop_map(Value::String), 0..2);
    (text(), option::of(prop::sample::select(effects)), text(), facts)
        .prop_map(|(rule, effect, detail, facts)| ProofLine { rule, effect, detail, facts })
}

/// Any line of a finding: of a wait, or of a hazard that is none.
pub(super) fn finding() -> impl Strategy<Value = FindingLine> {
    let severities = vec![Severity::Hang, Severity::Corruption, Severity::Risk];
    let severity = option::of(prop::sample::select(severities));
    let fork = (option::of(fork_site()), option::of(unobserved())).boxed();
    let subject = (task(), any::<u32>(), any::<Option<u32>>());
    let kind = prop::sample::select(vec!["inherited-lock", "lost-waker", "self-deadlock"]);
    let confidence = prop::sample::select(vec!["certain", "likely", "suspect"]);
    let words = (kind, confidence, option::of(text()), vec(proof(), 0..3), text());
    (severity, subject, option::of(wait()).boxed(), fork, words).prop_map(
        |(severity, (task, ppid, ns_pid), wait, (fork, unseen_fork), words)| FindingLine {
            kind: words.0.to_owned(),
            severity,
            confidence: words.1.to_owned(),
            pid: task.pid,
            tid: task.tid,
            comm: task.comm,
            ppid,
            ns_pid,
            wait,
            fork,
            unseen_fork,
            evidence: words.3,
            same_lock_in: ns_pid.into_iter().collect(),
            waited_by: Vec::new(),
            stall: None,
            threads: None,
            generators: Vec::new(),
            buffers: Vec::new(),
            shared: ns_pid.map(|pid| DescriptorDetail {
                users: vec![DescriptorUser { pid, ..DescriptorUser::default() }],
                ..DescriptorDetail::default()
            }),
            file_lock: ns_pid.map(|pid| FileLockDetail {
                other: LockParty { pid, ..LockParty::default() },
                ..FileLockDetail::default()
            }),
            signals: ns_pid
                .map(|pid| SignalsDetail { zombies: vec![pid], ..SignalsDetail::default() }),
            remedy: words.2,
            advice: words.4,
        },
    )
}
