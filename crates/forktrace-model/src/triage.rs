//! What more is to be read of a process whose wait was sampled. Pure: this says what is worth its
//! price, and [`crate::judge::Judge`] alone says what is reported.

use crate::{
    event::{
        Body, Event, Evidence,
        stacks::{Fate, TaskNow},
    },
    finding::{Finding, HazardId},
    hazards::{self, Verdict},
    model::{Fork, Model},
};

/// Most threads that are shown as possible holders.
const CANDIDATES: usize = 8;
/// Most lost threads whose names are read: each costs some microseconds.
const MOST_NAMES: usize = 1024;

/// Most threads of the waiting process whose stacks are read: one that is not read may have the lock,
/// so that of more none is.
const BESIDE: usize = 64;

/// What more is to be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// Nothing: what is known is enough, or more would tell nothing.
    Nothing,
    /// The Python side of the process: it may tell a hang from a thread at rest.
    Python,
    /// Native stacks, for a finding that is about to be made, and the Python side if it was not read.
    Stacks(Box<StackPlan>),
}

/// Whose stacks explain a finding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StackPlan {
    /// Address of the lock.
    pub lock: u64,
    /// The forking process, where it still runs the program that it forked with.
    pub parent: Option<u32>,
    /// Whether it is known who had the lock at the fork.
    pub holder_is_named: bool,
    /// Threads that may hold the lock, with what became of them as far as events tell.
    pub holders: Vec<TaskNow>,
    /// Threads of the forking process that the fork lost and that live, at most [`MOST_NAMES`].
    pub lost: Vec<u32>,
    /// Other threads of the waiting process, one of which may hold the lock.
    pub beside: Vec<u32>,
}

/// Says what more is to be read after a sample. `event` carries the evidence so far; `python_read`:
/// the Python side was read already, with whatever result.
pub fn triage(event: &Event, python_read: bool, model: &Model) -> Need {
    let Body::Evidence(evidence) = &event.body else { return Need::Nothing };
    match hazards::judge(event, model) {
        Verdict::Finding(finding) if evidence.native.is_none() => {
            let pid = event.task.as_ref().map_or(0, |task| task.pid);
            Need::Stacks(Box::new(plan(pid, evidence, Some(&finding), model)))
        }
        Verdict::Open(_) if !python_read && hazards::wants_python(evidence, model.machine()) => {
            Need::Python
        }
        // Which lock it is shows in the function that waits.
        Verdict::Open(_) if hazards::wants_stack(evidence, model.machine()) => {
            let pid = event.task.as_ref().map_or(0, |task| task.pid);
            let plan = plan(pid, evidence, None, model);
            Need::Stacks(Box::new(StackPlan { lock: evidence.wait.uaddr, ..plan }))
        }
        _ => Need::Nothing,
    }
}

fn plan(pid: u32, evidence: &Evidence, finding: Option<&Finding>, model: &Model) -> StackPlan {
    let fork = model.live(pid).and_then(|process| process.inherited());
    let runs_on = |fork: &&Fork| {
        !matches!(fate(model, fork, fork.by_pid), Fate::Replaced | Fate::Gone | Fate::Unknown)
    };
    StackPlan {
        lock: finding.and_then(Finding::lock).map_or(0, |lock| lock.address),
        parent: fork.filter(runs_on).map(|fork| fork.by_pid),
        holder_is_named: finding.and_then(Finding::holder).is_some(),
        holders: fork.map(|fork| holders(evidence, finding, model, fork)).unwrap_or_default(),
        lost: fork.filter(runs_on).map(|fork| alive(model, fork)).unwrap_or_default(),
        beside: beside(evidence, finding),
    }
}

/// The threads that a fork lost and that live.
fn alive(model: &Model, fork: &Fork) -> Vec<u32> {
    let lost = fork.lost.iter().map(|thread| thread.tid).take(MOST_NAMES);
    lost.filter(|tid| fate(model, fork, *tid) == Fate::Alive).collect()
}

/// The other threads of the process, where the lock does not say which of them has it.
fn beside(evidence: &Evidence, finding: Option<&Finding>) -> Vec<u32> {
    let waiter = finding.map(|finding| finding.subject.tid);
    let tids = evidence.threads.iter().map(|thread| thread.tid);
    let others: Vec<u32> = tids.filter(|tid| Some(*tid) != waiter).collect();
    let is_ownerless = finding.is_none_or(|finding| {
        finding.hazard == HazardId::InheritedLock && finding.holder().is_none()
    });
    if is_ownerless && others.len() <= BESIDE { others } else { Vec::new() }
}

/// The thread that the lock names, or all that may have had it.
fn holders(
    evidence: &Evidence,
    finding: Option<&Finding>,
    model: &Model,
    fork: &Fork,
) -> Vec<TaskNow> {
    let now = |tid, comm| TaskNow {
        pid: fork.by_pid,
        tid,
        comm,
        fate: fate(model, fork, tid),
        ..TaskNow::default()
    };
    match finding.and_then(Finding::holder) {
        // Its number is one of another pid namespace.
        Some(_) if evidence.ns_pid.is_some() => Vec::new(),
        Some(holder) if holder.pid != fork.by_pid => {
            let Some(fork) = fork_by(model, fork, holder.pid) else { return Vec::new() };
            let (tid, comm, pid) = (holder.tid, holder.comm.clone(), holder.pid);
            vec![TaskNow { pid, tid, comm, fate: fate(model, fork, tid), ..TaskNow::default() }]
        }
        Some(holder) => vec![now(holder.tid, holder.comm.clone())],
        None => {
            let lost = fork.lost.iter().take(CANDIDATES);
            lost.map(|lost| now(lost.tid, Some(lost.comm.clone()))).collect()
        }
    }
}

/// The fork by process `pid` that the memory came through before it came through `fork`.
fn fork_by<'a>(model: &'a Model, fork: &'a Fork, pid: u32) -> Option<&'a Fork> {
    let mut fork = fork;
    while fork.by_pid != pid {
        let before = model.get(fork.by?)?.fork.as_ref()?;
        // Times only fall: a damaged log cannot make a circle of it.
        fork = Some(before).filter(|before| before.boot_ns < fork.boot_ns)?;
    }
    Some(fork)
}

/// What became of a thread that the forking process had at the fork.
fn fate(model: &Model, fork: &Fork, tid: u32) -> Fate {
    let Some(by) = fork.by else { return Fate::Unknown };
    // Only who has ended is ever forgotten.
    let Some(process) = model.get(by) else { return Fate::Gone };
    if !process.is_alive() {
        return Fate::Gone;
    }
    if process.exec.as_ref().is_some_and(|exec| exec.boot_ns > fork.boot_ns) {
        return Fate::Replaced;
    }
    // A number that was used again belongs to a thread that began later.
    match process.threads.get(&tid) {
        Some(thread) if thread.start_ns <= fork.boot_ns => Fate::Alive,
        _ => Fate::Exited,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::event::{
        ProcessExec, ProcessExit, ProcessFork, ProcessSnapshot, Task, ThreadExit, ThreadName,
    };

    const PARENT: u32 = 10;
    const CHILD: u32 = 20;

    fn of(pid: u32, boot_ns: u64, body: Body) -> Event {
        Event { boot_ns, task: Some(Task { pid, tid: pid, comm: "a".into() }), body }
    }

    /// A process with two threads that forked.
    fn model() -> Model {
        let threads = [PARENT, PARENT + 1].map(|tid| ThreadName { tid, comm: "a".into() });
        let seen = ProcessSnapshot { threads: threads.to_vec(), ..ProcessSnapshot::default() };
        let fork = ProcessFork { child_pid: CHILD, clone_flags: 0 };
        let mut model = Model::default();
        model.apply(&of(PARENT, 1, Body::ProcessSnapshot(seen)));
        model.apply(&of(PARENT, 50, Body::ProcessFork(fork)));
        model
    }

    fn fate_of(model: &Model, tid: u32) -> Fate {
        fate(model, model.live(CHILD).unwrap().inherited().unwrap(), tid)
    }

    #[test]
    fn what_is_no_evidence_needs_nothing() {
        let exit = of(CHILD, 60, Body::ProcessExit(ProcessExit::default()));
        assert_eq!(triage(&exit, false, &model()), Need::Nothing);
    }

    #[test]
    fn a_wait_that_is_over_needs_nothing() {
        let evidence = of(CHILD, 60, Body::Evidence(Box::default()));
        assert_eq!(triage(&evidence, false, &model()), Need::Nothing);
    }

    #[test]
    fn names_are_read_of_lost_threads_that_live() {
        let mut model = model();
        let lost = |model: &Model| alive(model, model.live(CHILD).unwrap().inherited().unwrap());
        assert_eq!(lost(&model), [PARENT + 1]);
        let mut exit =
            of(PARENT, 70, Body::ThreadExit(ThreadExit { group_dead: Some(false), ended: None }));
        if let Some(task) = &mut exit.task {
            task.tid = PARENT + 1;
        }
        model.apply(&exit);
        assert!(lost(&model).is_empty());
    }

    #[test]
    fn the_fate_of_a_holder_is_what_the_events_tell() {
        let mut model = model();
        assert_eq!(fate_of(&model, PARENT + 1), Fate::Alive);
        assert_eq!(fate_of(&model, PARENT + 2), Fate::Exited, "no such thread at the fork");
        let exec = Body::ProcessExec(ProcessExec { old_tid: PARENT, filename: "b".into() });
        model.apply(&of(PARENT, 70, exec));
        assert_eq!(fate_of(&model, PARENT), Fate::Replaced);
        model.apply(&of(PARENT, 80, Body::ProcessExit(ProcessExit::default())));
        assert_eq!(fate_of(&model, PARENT), Fate::Gone);
    }
}
