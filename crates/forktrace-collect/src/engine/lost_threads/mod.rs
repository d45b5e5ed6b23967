//! The threads that forked children do not have: what each of them waited for, and whether the child has
//! handed it work since.
//!
//! ```text
//!  process.fork ─► due in 100 ms ─► first look: what the parent's other threads wait for ─► event
//!                                         │ words
//!                                         ▼
//!                                   looks at these words in the child ── one has changed ─► event
//! ```
//!
//! Nothing is attached or stopped: the calls that threads are in are read in `/proc`, and the words in the
//! memory of the child. A child that execs at once costs nothing.

mod read;

use std::sync::Arc;

use forktrace_common::{clone_flags, maps::WaitState};
use forktrace_model::{
    event::{Body, Event, LostThreads, Task, ThreadName},
    hazards::MOMENT_NS,
    model::{Model, ProcId, Process},
};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::{sync::mpsc, task::spawn_blocking};

use self::read::{Known, Reader};
use crate::kernel::{ForkRecords, Visitor};

/// How long after its fork a child is looked at: by then one that execs at once has done so, ns.
const SETTLED_NS: u64 = 100_000_000;
/// When a child is looked at again, after its fork, ns; then each [`REST_NS`].
const AGES_NS: [u64; 12] = [
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    3_000_000_000,
    4_000_000_000,
    6_000_000_000,
    8_000_000_000,
    10_000_000_000,
    13_000_000_000,
    16_000_000_000,
    20_000_000_000,
    30_000_000_000,
];
const REST_NS: u64 = 30_000_000_000;
/// How long after a change of a word the child is looked at again, to see whether it is still so, ns.
const AGAIN_NS: [u64; 2] = [MOMENT_NS + 50_000_000, 5_100_000_000];

/// Most children that are watched, and that wait for their first look.
const MOST_WATCHED: usize = 512;
/// Most children that are read at once, in the background.
const MOST_AT_ONCE: usize = 16;
/// Most threads of one forking process that are looked at.
const MOST_THREADS: usize = 64;

/// A child to be read, and what is known of its fork.
#[derive(Clone, Debug)]
struct Subject {
    id: ProcId,
    task: Task,
    fork_ns: u64,
    /// The process that forked, where it lives and has the memory that it forked with.
    parent: Option<u32>,
    lost: Vec<ThreadName>,
    /// Threads of `lost` that were in a futex wait before the fork and still are: the word, by tid.
    waits: FxHashMap<u32, u64>,
    /// What was seen before, and when, `CLOCK_BOOTTIME`, ns.
    before: Option<Box<LostThreads>>,
    read_ns: u64,
}

/// A child that was read.
#[derive(Debug)]
pub(super) struct Done {
    id: ProcId,
    task: Task,
    /// What was seen; `None`: nothing could be.
    seen: Option<Box<LostThreads>>,
    /// Whether that is worth an event.
    news: bool,
}

/// A child that is watched.
#[derive(Debug)]
struct Watched {
    seen: Box<LostThreads>,
    read_ns: u64,
    due_ns: u64,
}

/// Which children are looked at, and when.
#[derive(Debug)]
pub(super) struct LostThreadsWatch {
    sender: mpsc::UnboundedSender<Vec<Done>>,
    receiver: mpsc::UnboundedReceiver<Vec<Done>>,
    reader: Arc<Reader>,
    /// Children that wait for their first look, and their forks.
    new: Vec<(ProcId, u32, u64)>,
    watched: FxHashMap<ProcId, Watched>,
    /// Those that are being read.
    reading: FxHashSet<ProcId>,
}

impl LostThreadsWatch {
    /// `audit`: stacks are read in any case.
    pub(super) fn new(records: Arc<ForkRecords>, registers: Visitor, audit: bool) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        LostThreadsWatch {
            sender,
            receiver,
            reader: Arc::new(Reader { records, registers, audit, known: Known::default() }),
            new: Vec::new(),
            watched: FxHashMap::default(),
            reading: FxHashSet::default(),
        }
    }

    /// Takes an event that `model` has taken.
    pub(super) fn consider(&mut self, event: &Event, model: &Model) {
        let Body::ProcessFork(fork) = &event.body else { return };
        let Some(child) = model.live(fork.child_pid) else { return };
        let Some(made) = child.fork.as_ref().filter(|made| made.boot_ns == event.boot_ns) else {
            return;
        };
        let lost = clone_flags::copies_memory(made.clone_flags) && !made.lost.is_empty();
        if lost && self.new.len() < MOST_WATCHED {
            self.new.push((child.id, child.pid, made.boot_ns));
        }
    }

    /// What comes back next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Vec<Done> {
        match self.receiver.recv().await {
            Some(done) => done,
            // Cannot be: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// Begins what is due, in the background. `waits`: the futex waits of this moment, where they are seen.
    pub(super) fn begin(
        &mut self,
        model: &Model,
        now_ns: u64,
        waits: impl FnOnce() -> Vec<WaitState>,
    ) {
        if !self.reading.is_empty() {
            return;
        }
        let subjects = self.due(model, now_ns, waits);
        if subjects.is_empty() {
            return;
        }
        self.reading = subjects.iter().map(|subject| subject.id).collect();
        let (reader, sender) = (Arc::clone(&self.reader), self.sender.clone());
        spawn_blocking(move || {
            let done = subjects.into_iter().map(|subject| reader.read(subject)).collect();
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(done);
        });
    }

    /// Whether children are being read.
    pub(super) fn is_reading(&self) -> bool {
        !self.reading.is_empty()
    }

    /// When the next child is due, `CLOCK_BOOTTIME`, ns; `None`: none is, or what is being read tells its
    /// end.
    pub(super) fn next_ns(&self) -> Option<u64> {
        let new = self.new.iter().map(|(_, _, fork_ns)| fork_ns.saturating_add(SETTLED_NS));
        let next = self.watched.values().map(|watched| watched.due_ns).chain(new).min();
        next.filter(|_| self.reading.is_empty())
    }

    /// The children that are due.
    fn due(
        &mut self,
        model: &Model,
        now_ns: u64,
        waits: impl FnOnce() -> Vec<WaitState>,
    ) -> Vec<Subject> {
        let mut subjects = Vec::new();
        let mut first = Vec::new();
        self.new.retain(|(id, pid, fork_ns)| {
            let is_due = now_ns >= fork_ns.saturating_add(SETTLED_NS);
            if is_due && first.len() < MOST_AT_ONCE {
                first.push((*id, *pid));
                return false;
            }
            true
        });
        for (id, pid) in first {
            subjects.extend(child(model, id, pid).and_then(|child| subject(model, child, None, 0)));
        }
        if !subjects.is_empty() {
            add_waits(&mut subjects, &waits());
        }
        self.watched.retain(|id, watched| {
            let Some(child) = model.get(*id).and_then(|one| child(model, *id, one.pid)) else {
                return false;
            };
            if now_ns >= watched.due_ns && subjects.len() < MOST_AT_ONCE {
                let before = Some(watched.seen.clone());
                subjects.extend(subject(model, child, before, watched.read_ns));
            }
            true
        });
        subjects
    }

    /// Takes what has come back. Returns the events that come of it.
    pub(super) fn take(&mut self, done: Vec<Done>, model: &Model, now_ns: u64) -> Vec<Event> {
        self.reading.clear();
        done.into_iter().filter_map(|done| self.event(done, model, now_ns)).collect()
    }

    fn event(&mut self, done: Done, model: &Model, now_ns: u64) -> Option<Event> {
        let Done { id, task, seen, news } = done;
        let Some(seen) = seen.filter(|_| child(model, id, task.pid).is_some()) else {
            self.watched.remove(&id);
            return None;
        };
        let changed = seen.threads.iter().filter_map(|thread| thread.word.as_ref()?.changed_ns);
        let changed_ns = changed.max();
        let has_word = seen.threads.iter().any(|thread| thread.word.is_some());
        if has_word && (self.watched.len() < MOST_WATCHED || self.watched.contains_key(&id)) {
            let due_ns = next_look(seen.fork_ns, now_ns);
            let again =
                AGAIN_NS.iter().filter_map(|after| Some(changed_ns?.saturating_add(*after)));
            let due_ns = again.filter(|again| *again > now_ns).fold(due_ns, u64::min);
            self.watched.insert(id, Watched { seen: seen.clone(), read_ns: now_ns, due_ns });
        }
        news.then_some(Event { boot_ns: now_ns, task: Some(task), body: Body::LostThreads(seen) })
    }

    /// Looks once more at everything that is watched, now: nothing is looked at later any more. Blocks its
    /// caller.
    pub(super) fn finish(&mut self, model: &Model, now_ns: u64) -> Vec<Event> {
        for watched in self.watched.values_mut() {
            watched.due_ns = now_ns;
        }
        let subjects = self.due(model, now_ns, Vec::new);
        let done: Vec<Done> =
            subjects.into_iter().map(|subject| self.reader.read(subject)).collect();
        self.take(done, model, now_ns)
    }
}

/// When a child that was forked at `fork_ns` is looked at again.
fn next_look(fork_ns: u64, now_ns: u64) -> u64 {
    let at = AGES_NS.into_iter().map(|age| fork_ns.saturating_add(age)).find(|at| *at > now_ns);
    at.unwrap_or_else(|| now_ns.saturating_add(REST_NS))
}

/// A child that lives, and has the memory that it inherited.
fn child(model: &Model, id: ProcId, pid: u32) -> Option<&Process> {
    let child = model.live(pid).filter(|child| child.id == id)?;
    child.inherited().is_some().then_some(child)
}

fn subject(
    model: &Model,
    child: &Process,
    before: Option<Box<LostThreads>>,
    read_ns: u64,
) -> Option<Subject> {
    let fork = child.inherited()?;
    let parent = fork.by.and_then(|by| model.get(by)).filter(|by| by.is_alive());
    let same = |by: &&Process| by.exec.as_ref().is_none_or(|exec| exec.boot_ns < fork.boot_ns);
    Some(Subject {
        id: child.id,
        task: Task { pid: child.pid, tid: child.pid, comm: child.comm.clone() },
        fork_ns: fork.boot_ns,
        parent: parent.filter(same).map(|by| by.pid),
        lost: fork.lost.iter().take(MOST_THREADS).cloned().collect(),
        waits: FxHashMap::default(),
        before,
        read_ns,
    })
}

/// Adds the waits that had begun before the fork and go on.
fn add_waits(subjects: &mut [Subject], waits: &[WaitState]) {
    for subject in subjects.iter_mut().filter(|subject| subject.before.is_none()) {
        let Some(parent) = subject.parent else { continue };
        let its = waits.iter().filter(|wait| wait.tgid == parent);
        let older = its.filter(|wait| wait.enter_ns != 0 && wait.enter_ns < subject.fork_ns);
        subject.waits = older.map(|wait| (wait.tid, wait.uaddr)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_looked_at_less_and_less_often() {
        let second = 1_000_000_000;
        assert_eq!(next_look(10, 20), 10 + second / 2);
        assert_eq!(next_look(10, 10 + second), 10 + 2 * second);
        assert_eq!(next_look(10, 100 * second), 130 * second);
        assert!(AGES_NS.is_sorted());
    }
}
