//! The threads that a fork did not copy, with what they run in the process that forked: what a thread polls for
//! may be theirs to bring.

use forktrace_model::{
    event::{
        LostThread, RelativeThread, Task, ThreadName, UnobservedFork,
        stall::{Stall, TaskState},
    },
    model::{Model, Process},
};
use rustc_hash::FxHashSet;

use crate::{inspect::stacks, kernel::Visitor};

/// Most threads that a fork did not copy whose stacks are read.
const MOST_LOST: usize = 8;

/// The stacks of threads that the fork of a process did not copy, if its thread `task` polls. `lost`: these
/// threads, where the fork was seen. Blocks.
pub(super) fn stacks(
    stall: &Stall,
    task: &Task,
    lost: &[Task],
    registers: &Visitor,
) -> Vec<LostThread> {
    if !polls(stall, task) {
        return Vec::new();
    }
    let older = stall.late.as_deref().map(older_threads);
    let lost = older.as_deref().unwrap_or(lost);
    lost.iter().map(|task| stack_of(task, registers)).collect()
}

/// Whether a thread of a stall goes back to the same wait again and again.
fn polls(stall: &Stall, task: &Task) -> bool {
    let own = stall.tasks.iter().find(|one| (one.pid, one.tid) == (task.pid, task.tid));
    own.is_some_and(|one| match &one.state {
        TaskState::Waits(wait) => wait.timed && wait.polls.is_some(),
        TaskState::Moves | TaskState::Unknown => false,
    })
}

/// A thread that a fork did not copy, with its stack.
fn stack_of(task: &Task, registers: &Visitor) -> LostThread {
    let stack = stacks::of_thread(task.clone(), registers.clone());
    let Task { tid, comm, .. } = task.clone();
    LostThread { tid, comm, stack: Some(Box::new(stack)), ..LostThread::default() }
}

/// The threads of the parent that a fork which was not seen did not copy, as far as is known.
fn older_threads(late: &UnobservedFork) -> Vec<Task> {
    let Some(parent) = late.relative.as_ref().filter(|relative| relative.parent) else {
        return Vec::new();
    };
    let lost = |thread: &&RelativeThread| {
        thread.start_ns <= late.start_ns && parent.forker.is_some_and(|forker| forker != thread.tid)
    };
    let older: Vec<ThreadName> = parent
        .threads
        .iter()
        .filter(lost)
        .map(|thread| ThreadName { tid: thread.tid, comm: thread.comm.clone() })
        .collect();
    some_of(parent.pid, &older)
}

/// Threads that the fork of a process did not copy, where the process that forked lives and runs what it ran
/// then.
pub(super) fn threads(model: &Model, process: &Process) -> Vec<Task> {
    let found = process.inherited().and_then(|fork| {
        let by = model.get(fork.by?).filter(|by| by.is_alive())?;
        let same = by.exec.as_ref().is_none_or(|exec| exec.boot_ns < fork.boot_ns);
        same.then_some((by.pid, &fork.lost))
    });
    found.map(|(pid, lost)| some_of(pid, lost)).unwrap_or_default()
}

/// Some threads of a process: one of each name before others.
fn some_of(pid: u32, lost: &[ThreadName]) -> Vec<Task> {
    let mut names = FxHashSet::default();
    let (new, again): (Vec<_>, Vec<_>) =
        lost.iter().partition(|thread| names.insert(thread.comm.as_str()));
    let task = |thread: &ThreadName| Task { pid, tid: thread.tid, comm: thread.comm.clone() };
    new.into_iter().chain(again).take(MOST_LOST).map(task).collect()
}
