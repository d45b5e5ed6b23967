//! After an act on a lock: who of the family has the file open, at once and some time later.

use forktrace_model::{
    event::{Body, Event, FileLock, LockAct, LockSort, Task},
    model::{Model, ProcId, Process},
};

use super::Subject;

/// When the processes are looked at after an act, ns.
const AFTER_NS: [u64; 3] = [0, 1_600_000_000, 4_000_000_000];
/// Most acts after which somebody is to be looked at.
const MOST: usize = 256;
/// Most processes that are looked at for one act.
const MOST_PIDS: usize = 128;
/// Most generations that are followed.
const DEPTH: usize = 64;

/// An act after which the processes are looked at.
#[derive(Clone, Debug)]
struct Watched {
    act: Box<FileLock>,
    task: Task,
    act_ns: u64,
    /// Which of [`AFTER_NS`] comes next.
    next: usize,
}

impl Watched {
    fn due_ns(&self) -> u64 {
        let after = AFTER_NS.get(self.next).copied().unwrap_or(u64::MAX);
        self.act_ns.saturating_add(after)
    }

    fn is_same(&self, act: &FileLock) -> bool {
        let of = |act: &FileLock| (act.inode, act.owner, act.act);
        of(&self.act) == of(act)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FileLocks(Vec<Watched>);

impl FileLocks {
    pub(super) fn consider(&mut self, event: &Event) {
        let (Body::FileLock(act), Some(task)) = (&event.body, &event.task) else { return };
        if act.look.is_some() || self.0.len() >= MOST {
            return;
        }
        // Of what comes again and again, the latest.
        self.0.retain(|watched| !watched.is_same(act));
        let act_ns = event.boot_ns;
        self.0.push(Watched { act: act.clone(), task: task.clone(), act_ns, next: 0 });
    }

    pub(super) fn due_ns(&self) -> Option<u64> {
        self.0.iter().map(Watched::due_ns).min()
    }

    pub(super) fn due(&mut self, model: &Model, now_ns: u64) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for watched in self.0.iter_mut().filter(|watched| watched.due_ns() <= now_ns) {
            watched.next += 1;
            subjects.extend(subject(watched, model));
        }
        self.0.retain(|watched| watched.next < AFTER_NS.len());
        subjects
    }
}

/// The family of the process that took the lock; the event is about one of them that lives.
fn subject(watched: &Watched, model: &Model) -> Option<Subject> {
    let taker = model.latest(watched.act.taken.pid)?;
    let mut pids = Vec::new();
    if taker.is_alive() {
        pids.push(taker.pid);
    }
    below(model, taker, &mut pids, DEPTH);
    if let Some(by) = model.live(watched.task.pid).filter(|by| !pids.contains(&by.pid))
        && watched.act.act != LockAct::Refused
    {
        pids.push(by.pid);
    }
    let told = model.live(*pids.first()?)?;
    Some(Subject::File {
        task: Task { pid: told.pid, tid: told.pid, comm: told.comm.clone() },
        act: watched.act.clone(),
        act_ns: watched.act_ns,
        by: watched.task.pid,
        pids,
    })
}

/// The living processes that a process has forked, and those that they have.
fn below(model: &Model, process: &Process, pids: &mut Vec<u32>, depth: usize) {
    if depth == 0 {
        return;
    }
    let is_forked = |child: &&Process| child.fork.is_some();
    let children: Vec<ProcId> = process.children.clone();
    for child in children.into_iter().filter_map(|id| model.get(id)).filter(is_forked) {
        if pids.len() >= MOST_PIDS {
            return;
        }
        if child.is_alive() && !pids.contains(&child.pid) {
            pids.push(child.pid);
        }
        below(model, child, pids, depth - 1);
    }
}

/// Whether an act is worth an event: a POSIX lock that a process loses by a close concerns others if it has
/// forked, and one that somebody does not get if who took it is gone.
pub(in crate::engine) fn is_of_concern(act: &FileLock, model: &Model) -> bool {
    let Some(taker) = model.latest(act.taken.pid) else { return false };
    match (act.act, act.sort) {
        (LockAct::Refused, _) => !taker.is_alive(),
        (LockAct::Closed, LockSort::Posix) => !taker.children.is_empty(),
        _ => true,
    }
}
