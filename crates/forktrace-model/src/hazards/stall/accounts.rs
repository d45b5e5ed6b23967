//! Which threads of a stall are accounted for.
//!
//! Who is not known counts as one who can run where a hang is concluded, and as one who cannot where
//! it is said that there is none.

use super::case::{self, Ends, View};
use crate::{
    event::{
        Doing, Task,
        stall::{On, Stall, StallTask, TaskState, TaskWait},
    },
    hazards::live,
};

/// A thread that waits, and whether it can ever run again.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The thread.
    pub task: Task,
    /// The call that it is in.
    pub doing: Doing,
    /// Since when it is known to be in it, `CLOCK_BOOTTIME`, ns.
    pub since_ns: u64,
    /// Whether somebody who can run, or something outside, could end its wait; `None`: not known.
    pub can_run: Option<bool>,
    /// It is stopped: only who continues it ends that.
    pub stopped: bool,
    /// It can never run again though no handler ends a wait, and it is no event loop that rests: whatever the
    /// process was made for, it has come to its end.
    pub is_stuck: bool,
}

/// What a stall tells of the threads of process `pid` that wait.
pub fn accounts(stall: &Stall, pid: u32) -> Vec<Account> {
    let live = case::live(stall, pid, View::MOST_DARING);
    let quiet = case::live(stall, pid, View::LastOperator);
    let ends: Vec<Ends> = (0..stall.tasks.len()).map(|at| known_ends(stall, pid, at)).collect();
    let known = live::live(&ends);
    let account = |(at, task): (usize, &StallTask)| {
        let is = |live: &[bool]| live.get(at) == Some(&true);
        let can_run = match (is(&live), is(&known)) {
            // Others than those who are expected to may raise a semaphore.
            (false, _) if case::semaphore(stall, task).is_some() => None,
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        };
        let (doing, since_ns, stopped) = match &task.state {
            TaskState::Moves => return None,
            TaskState::Waits(wait) => (doing(stall, wait), wait.since_ns, wait.stopped),
            TaskState::Unknown => (Doing::Unknown, 0, false),
        };
        let is_stuck = can_run == Some(false) && !is(&quiet) && !case::rests(stall, task);
        let task = Task { pid: task.pid, tid: task.tid, comm: task.comm.clone() };
        Some(Account { task, doing, since_ns, can_run, stopped, is_stuck })
    };
    let own = |(_, task): &(usize, &StallTask)| task.pid == pid;
    stall.tasks.iter().enumerate().filter(own).filter_map(account).collect()
}

/// Whether a thread of process `pid` polls, and could never go on if its timeouts ran out for ever.
pub fn polls_for_nobody(stall: &Stall, pid: u32, tid: u32) -> bool {
    let mut untimed = stall.clone();
    let own = |task: &StallTask| (task.pid, task.tid) == (pid, tid);
    let Some(at) = stall.tasks.iter().position(own) else { return false };
    match (stall.tasks.get(at), untimed.tasks.get_mut(at).map(|task| &mut task.state)) {
        (Some(task), Some(TaskState::Waits(wait)))
            if wait.timed && case::polls_idly(stall, task, wait) =>
        {
            wait.timed = false;
        }
        _ => return false,
    }
    accounts(&untimed, pid)
        .iter()
        .any(|account| account.task.tid == tid && account.can_run == Some(false))
}

/// Who is known to be able to end the wait of the task at `at`.
fn known_ends(stall: &Stall, pid: u32, at: usize) -> Ends {
    let nobody = Ends::Tasks(Vec::new());
    let Some(task) = stall.tasks.get(at) else { return nobody };
    let wait = match &task.state {
        TaskState::Moves => return Ends::Anything,
        TaskState::Unknown => return nobody,
        TaskState::Waits(wait) if wait.stopped => return nobody,
        TaskState::Waits(wait) => wait,
    };
    let in_vain = task.pid == pid && case::polls_in_vain(stall, task, wait);
    let process = case::process(stall, task.pid);
    let rests = process.is_some_and(|process| process.handlers.is_some())
        && case::handler_may_run(stall, task, wait, pid, View::NoHandlers);
    if wait.outside || wait.others || wait.timed && !in_vain || rests {
        return Ends::Anything;
    }
    let mut others: Vec<usize> = wait.on.iter().flat_map(|on| known(stall, task, on)).collect();
    others.sort_unstable();
    others.dedup();
    Ends::Tasks(others)
}

/// The tasks that are known to be able to do what is waited for.
fn known(stall: &Stall, task: &StallTask, on: &On) -> Vec<usize> {
    let Some(thing) = case::thing(stall, on) else { return Vec::new() };
    let pids: Vec<u32> = case::pids(thing, on.way, View::NoShutdown).collect();
    let owner = case::owner(stall, task, thing);
    let could = |(_, task): &(usize, &StallTask)| {
        pids.contains(&task.pid) && owner.is_none_or(|owner| case::is(task, owner))
    };
    stall.tasks.iter().enumerate().filter(could).map(|(at, _)| at).collect()
}

fn doing(stall: &Stall, wait: &TaskWait) -> Doing {
    let mut things = wait.on.iter().filter_map(|on| case::thing(stall, on));
    let word = things.find_map(|thing| Some((thing.word?, thing.op?)));
    match word {
        Some((uaddr, op)) => Doing::Futex { uaddr, op, val: 0, timed: wait.timed },
        None => Doing::Syscall(wait.call),
    }
}
