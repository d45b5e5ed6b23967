//! Buffers that a fork copied with something in them: what each process makes of that.
//!
//! A forked child that lives is looked at now and then, in the background: the pages that it has written since
//! the fork are searched for buffers as inherited, and each is read as it is now, in the child and in the process
//! that forked. Of a child that has ended, its first writes and the pages beside them are still in the kernel's
//! maps; they say which function wrote to a buffer first, and whether the child ended by `exit()`
//! ([`Remains`]). What the parent's other children did with the same buffer is remembered ([`Known`]).
//!
//! A buffer on a page that the child has not written is one that it has not written out.

mod known;
mod look;

use std::{sync::Arc, time::Duration};

use forktrace_common::clone_flags;
use forktrace_model::{
    event::{Body, Event, Task},
    model::{Model, Process},
};
use rustc_hash::FxHashMap;
use tokio::{sync::mpsc, task::spawn_blocking};

pub(super) use self::look::Looked;
use self::{
    known::Known,
    look::{Subject, Work},
};
use super::ends::End;
use crate::kernel::{ForkRecords, Remains};

/// When a child is looked at, since its fork, ns; then each [`REST_NS`].
const AGES_NS: [u64; 5] =
    [120_000_000, 1_000_000_000, 4_000_000_000, 15_000_000_000, 45_000_000_000];
const REST_NS: u64 = 60_000_000_000;
/// Between two looks is at least so many times what the earlier one took.
const REST: u64 = 199;
/// Most children whose time is kept.
const MOST_DUE: usize = 1 << 16;
/// Most children that are looked at in one go.
const MOST_AT_ONCE: usize = 16;
/// Most children that are looked at when tracing ends, and how long that may take.
const MOST_AT_END: usize = 64;
const END: Duration = Duration::from_millis(300);
/// How long reading what ended children left may take then.
pub(super) const READ: Duration = Duration::from_millis(1500);

/// What comes from other threads.
#[derive(Debug)]
pub(super) enum Next {
    /// Children that were looked at.
    Looked(Vec<Looked>),
    /// What a child left that has ended.
    Remains(Remains),
}

/// Looks at forked children.
#[derive(Debug)]
pub(super) struct BuffersWatch {
    sender: mpsc::UnboundedSender<Vec<Looked>>,
    receiver: mpsc::UnboundedReceiver<Vec<Looked>>,
    /// What children left that have ended.
    remains: Option<mpsc::UnboundedReceiver<Remains>>,
    /// By pid.
    due: FxHashMap<u32, u64>,
    known: Known,
    busy: bool,
}

impl BuffersWatch {
    /// `remains`: where what ended children left is handed on.
    pub(super) fn new(remains: Option<mpsc::UnboundedReceiver<Remains>>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (due, known) = (FxHashMap::default(), Known::default());
        BuffersWatch { sender, receiver, remains, due, known, busy: false }
    }

    /// What comes next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Next {
        let remains = async {
            match &mut self.remains {
                Some(remains) => remains.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(looked) = self.receiver.recv() => Next::Looked(looked),
            Some(remains) = remains => Next::Remains(remains),
            // Cannot be: the senders are kept as long as this.
            else => std::future::pending().await,
        }
    }

    /// Takes an event that the model has taken: a child is due some time after its fork, also where nothing
    /// else happens until then.
    pub(super) fn consider(&mut self, event: &Event) {
        let Body::ProcessFork(fork) = &event.body else { return };
        if clone_flags::copies_memory(fork.clone_flags) && self.due.len() < MOST_DUE {
            self.due.insert(fork.child_pid, event.boot_ns.saturating_add(AGES_NS[0]));
        }
    }

    /// When something is due next, `CLOCK_BOOTTIME`, ns.
    pub(super) fn due_ns(&self) -> Option<u64> {
        if self.busy { None } else { self.due.values().min().copied() }
    }

    /// Begins what is due, in the background.
    pub(super) fn begin(&mut self, records: &Arc<ForkRecords>, model: &Model, now_ns: u64) {
        if self.busy || !records.keeps_pages() {
            return;
        }
        let subjects = self.subjects(model, now_ns, MOST_AT_ONCE);
        if subjects.is_empty() {
            return;
        }
        self.busy = true;
        let (sender, records) = (self.sender.clone(), Arc::clone(records));
        spawn_blocking(move || {
            let looked = subjects.into_iter().map(|one| look::at_living(&records, one)).collect();
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(looked);
        });
    }

    /// The children that are to be looked at now; they will not be so again until their time has come.
    fn subjects(&mut self, model: &Model, now_ns: u64, most: usize) -> Vec<Subject> {
        let forked: Vec<&Process> =
            model.living().filter(|process| process.inherited().is_some()).collect();
        let fork_ns = |process: &Process| process.inherited().map_or(now_ns, |fork| fork.boot_ns);
        let mut due = FxHashMap::default();
        for process in &forked {
            let first = || fork_ns(process).saturating_add(AGES_NS[0]);
            due.insert(process.pid, self.due.get(&process.pid).copied().unwrap_or_else(first));
        }
        self.due = due;
        let is_due =
            |process: &&&Process| self.due.get(&process.pid).is_some_and(|due| *due <= now_ns);
        let chosen: Vec<&Process> = forked.iter().filter(is_due).take(most).copied().collect();
        for process in &chosen {
            let ages = AGES_NS.iter().map(|age| fork_ns(process).saturating_add(*age));
            let next = ages.filter(|at| *at > now_ns).min();
            self.due.insert(process.pid, next.unwrap_or(now_ns.saturating_add(REST_NS)));
        }
        chosen.into_iter().filter_map(Subject::of).collect()
    }

    /// Begins to read what a child left that has ended. False: nothing is to be read.
    pub(super) fn begin_remains(&mut self, remains: Remains, end: &End) -> bool {
        let Some(work) = self.work(remains, end) else { return false };
        let sender = self.sender.clone();
        spawn_blocking(move || {
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(vec![look::at_ended(work)]);
        });
        true
    }

    fn work(&self, remains: Remains, end: &End) -> Option<Work> {
        if remains.buffers.is_empty() {
            return None;
        }
        let subject = Subject {
            pid: end.pid,
            comm: end.comm.clone(),
            fork_ns: end.fork_ns,
            by: end.by.clone(),
        };
        let elsewhere = self.known.elsewhere(&subject);
        Some(Work { subject, remains, ended_ns: end.boot_ns, elsewhere })
    }

    /// Takes what has come back. Returns the events that come of it.
    pub(super) fn take(&mut self, all: Vec<Looked>, now_ns: u64) -> Vec<Event> {
        if all.iter().any(|looked| looked.ended_ns.is_none()) {
            self.busy = false;
        }
        for looked in &all {
            let rest = now_ns.saturating_add(looked.took_ns.saturating_mul(REST));
            if let Some(due) = self.due.get_mut(&looked.subject.pid) {
                *due = (*due).max(rest);
            }
        }
        // Everybody first: of two that were looked at together each is told of the other.
        for looked in &all {
            self.known.learn(looked);
        }
        all.into_iter().filter_map(|looked| self.event(looked)).collect()
    }

    fn event(&mut self, looked: Looked) -> Option<Event> {
        let found = self.known.news(&looked)?;
        let subject = &looked.subject;
        let task = Task { pid: subject.pid, tid: subject.pid, comm: subject.comm.clone() };
        let boot_ns = looked.ended_ns.map_or(looked.began_ns, |ended| ended.saturating_sub(1));
        Some(Event { boot_ns, task: Some(task), body: Body::Buffers(Box::new(found)) })
    }

    /// Reads what children left that is there by now, for the end of a trace; blocks its caller. `ended`:
    /// when a child ended.
    pub(super) fn finish_remains(
        &mut self,
        mut ended: impl FnMut(u32, u64) -> Option<End>,
        now_ns: u64,
    ) -> Vec<Event> {
        let mut looked = Vec::new();
        while let Some(Ok(remains)) = self.remains.as_mut().map(mpsc::UnboundedReceiver::try_recv) {
            let end = ended(remains.pid, remains.fork_ns);
            let work = end.and_then(|end| self.work(remains, &end));
            looked.extend(work.map(look::at_ended));
        }
        while let Ok(before) = self.receiver.try_recv() {
            for one in before.iter().filter(|one| one.ended_ns.is_some()) {
                ended(one.subject.pid, one.subject.fork_ns);
            }
            looked.extend(before);
        }
        self.take(looked, now_ns)
    }

    /// Looks at everybody once more, now: nobody is looked at later any more.
    pub(super) fn finish(
        &mut self,
        records: &ForkRecords,
        model: &Model,
        now_ns: u64,
    ) -> Vec<Event> {
        if !records.keeps_pages() {
            return Vec::new();
        }
        self.due.clear();
        let began = std::time::Instant::now();
        let subjects = self.subjects(model, u64::MAX, MOST_AT_END);
        let in_time = subjects.into_iter().take_while(|_| began.elapsed() < END);
        let looked = in_time.map(|subject| look::at_living(records, subject)).collect();
        self.take(looked, now_ns)
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, pid: u32) {
        self.due.remove(&pid);
        self.known.ended(pid);
    }
}
