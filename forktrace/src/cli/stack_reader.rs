//! What is to be read of native code for a wait that is about to become a finding.

use std::collections::BTreeMap;

use forktrace_common::maps::PAGE_SIZE;

use forktrace_model::{
    event::{
        Evidence, Task,
        stacks::{Fate, TaskNow},
    },
    finding::Finding,
    model::{Fork, Model},
};

use forktrace_collect::{
    inspect::stacks::{Ask, ForkMoment},
    kernel::Maps,
};

/// Pages of the forking thread's stack that are looked at.
const STACK_PAGES: u64 = 32;
/// Most threads that are shown as possible holders.
const CANDIDATES: usize = 8;

/// Takes what the maps and the model know, now: the reading itself runs elsewhere.
pub(super) fn ask(
    task: &Task,
    evidence: &Evidence,
    finding: &Finding,
    maps: &Maps,
    model: &Model,
) -> Ask {
    let fork = model.live(task.pid).and_then(|process| process.inherited());
    let around = evidence.now.as_ref().map(|window| (window.address, window.bytes.len()));
    let probed = evidence.probed.iter().flat_map(|probed| &probed.holds);
    let runs_on = |fork: &&Fork| {
        !matches!(fate(model, fork, fork.by_pid), Fate::Replaced | Fate::Gone | Fate::Unknown)
    };
    let holders = fork.map(|fork| holders(evidence, finding, model, fork)).unwrap_or_default();
    let tids = holders.iter().map(|holder| holder.tid).chain([task.tid]);
    Ask {
        returns: tids.filter_map(|tid| Some((tid, maps.return_of(tid)?))).collect(),
        task: task.clone(),
        threads: Ask::tids(&evidence.threads),
        uaddr: evidence.wait.uaddr,
        lock: finding.lock().map_or(0, |lock| lock.address),
        takers: probed.map(|hold| hold.caller).collect(),
        around,
        fork: fork_moment(maps, task.pid),
        parent: fork.filter(runs_on).map(|fork| fork.by_pid),
        holder_is_named: finding.holder().is_some(),
        holders,
    }
}

fn fork_moment(maps: &Maps, pid: u32) -> Result<ForkMoment, String> {
    let registers = maps.registers_at_fork(pid);
    let registers = registers.ok_or("the registers at the fork were not kept")?;
    let size = PAGE_SIZE as u64;
    let first = registers.sp & !(size - 1);
    let starts = (0..STACK_PAGES).map(|page| first.saturating_add(page * size));
    let pages: BTreeMap<_, _> =
        starts.map(|start| (start, maps.inherited_page(pid, start))).collect();
    Ok(ForkMoment { registers, pages })
}

/// The thread that the lock names, or all that may have had it.
fn holders(evidence: &Evidence, finding: &Finding, model: &Model, fork: &Fork) -> Vec<TaskNow> {
    let now = |tid, comm| TaskNow {
        pid: fork.by_pid,
        tid,
        comm,
        fate: fate(model, fork, tid),
        ..TaskNow::default()
    };
    match finding.holder() {
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
