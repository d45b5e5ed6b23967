//! Files and epoll instances that a fork has copied the descriptors of: who uses them since.
//!
//! ```text
//!  fork ─► due in 100 ms, again in 1 s ─► inventory: which descriptors of the family are of one open
//!                                        │ description
//!                                        ▼
//!                                  looks at these, ever less often ── something new ─► event
//! ```
//!
//! Nothing is attached and no system call is watched: `/proc` shows offsets, bytes, and who waits. Families whose
//! members share no such thing cost two inventories.

mod epoll;
mod family;
mod offset;

use std::sync::{Arc, atomic::AtomicU64};

use forktrace_model::{
    event::{Body, Event, Task},
    hazards::family_root,
    model::{Model, ProcId, Process},
};
use rustc_hash::FxHashMap;
use tokio::{sync::mpsc, task::spawn_blocking};

pub(super) use self::family::Looked;
use self::family::{Family, Member};
use crate::clock;

/// When a family is searched for what it shares, after a fork in it, ns: by the first time who execs at once
/// has done so.
const INVENTORIES_NS: [u64; 2] = [100_000_000, 1_000_000_000];
/// Least time between two looks at who belongs to which family, ns.
const SORT_NS: u64 = 50_000_000;
/// It is at least so many times what the earlier one took.
const REST: u64 = 99;
/// Most families that are kept, and members of one that are looked at.
const MOST_FAMILIES: usize = 256;
const MOST_MEMBERS: usize = 32;

/// Looks at families.
#[derive(Debug)]
pub(super) struct OpenFiles {
    sender: mpsc::UnboundedSender<Vec<Looked>>,
    receiver: mpsc::UnboundedReceiver<Vec<Looked>>,
    families: FxHashMap<ProcId, Family>,
    /// Names what is shared.
    ids: Arc<AtomicU64>,
    /// Processes have come since the families were sorted.
    stale: bool,
    /// From when on they may be sorted again, `CLOCK_BOOTTIME`, ns.
    sort_ns: u64,
    reading: bool,
}

impl OpenFiles {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        OpenFiles {
            sender,
            receiver,
            families: FxHashMap::default(),
            ids: Arc::default(),
            stale: false,
            sort_ns: 0,
            reading: false,
        }
    }

    /// Takes an event that the model has taken.
    pub(super) fn consider(&mut self, event: &Event) {
        self.stale |= matches!(event.body, Body::ProcessFork(_) | Body::ProcessSnapshot(_));
    }

    /// What comes back next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Vec<Looked> {
        match self.receiver.recv().await {
            Some(looked) => looked,
            // Cannot be: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// Whether families are being looked at.
    pub(super) fn is_reading(&self) -> bool {
        self.reading
    }

    /// When something is due next, `CLOCK_BOOTTIME`, ns.
    pub(super) fn due_ns(&self) -> Option<u64> {
        if self.reading {
            return None;
        }
        let sort = self.stale.then_some(self.sort_ns);
        self.families.values().filter_map(Family::due_ns).chain(sort).min()
    }

    /// Begins what is due, in the background.
    pub(super) fn begin(&mut self, model: &Model, now_ns: u64) {
        if self.reading {
            return;
        }
        if self.stale && now_ns >= self.sort_ns {
            self.sort(model, now_ns);
            let took_ns = clock::boot_ns().saturating_sub(now_ns);
            self.sort_ns = now_ns.saturating_add(took_ns.saturating_mul(REST).max(SORT_NS));
        }
        let is_due = |family: &Family| family.due_ns().is_some_and(|due_ns| due_ns <= now_ns);
        let due: Vec<ProcId> =
            self.families.iter().filter(|(_, family)| is_due(family)).map(|(id, _)| *id).collect();
        let due: Vec<Family> = due.iter().filter_map(|root| self.families.remove(root)).collect();
        if due.is_empty() {
            return;
        }
        self.reading = true;
        let (sender, ids) = (self.sender.clone(), Arc::clone(&self.ids));
        spawn_blocking(move || {
            let looked = due.into_iter().map(|family| family.look(&ids)).collect();
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(looked);
        });
    }

    /// Takes what has come back. Returns the events that come of it.
    pub(super) fn take(&mut self, looked: Vec<Looked>, model: &Model, now_ns: u64) -> Vec<Event> {
        self.reading = false;
        let mut events = Vec::new();
        for Looked { family, news } in looked {
            for seen in news {
                let lives = |pid: u32| model.live(pid).is_some();
                let Some(first) = seen.holders.iter().find(|holder| lives(holder.pid)) else {
                    continue;
                };
                let task = Task { pid: first.pid, tid: first.pid, comm: first.comm.clone() };
                let body = Body::FileUse(Box::new(seen));
                events.push(Event { boot_ns: now_ns, task: Some(task), body });
            }
            self.families.insert(family.root(), family);
        }
        events
    }

    /// Sorts the living processes by family.
    fn sort(&mut self, model: &Model, now_ns: u64) {
        self.stale = false;
        let mut members: FxHashMap<ProcId, Vec<Member>> = FxHashMap::default();
        for process in model.living() {
            let root = family_root(model, process.id);
            members.entry(root).or_default().push(member(process, false));
        }
        // Who runs another program has what it inherited all the same.
        for process in model.living().filter(|process| process.exec.is_some()) {
            let Some(by) = process.fork.as_ref().and_then(|fork| fork.by) else { continue };
            if let Some(family) = members.get_mut(&family_root(model, by)) {
                family.push(member(process, true));
            }
        }
        members.retain(|_, members| members.iter().filter(|member| !member.is_outside).count() > 1);
        self.families.retain(|root, _| members.contains_key(root));
        for (root, mut members) in members {
            members.sort_by_key(|member| (member.is_outside, member.id));
            members.truncate(MOST_MEMBERS);
            let has_room = self.families.len() < MOST_FAMILIES;
            match self.families.get_mut(&root) {
                Some(family) => family.update(members, now_ns),
                None if has_room => {
                    self.families.insert(root, Family::new(root, members, now_ns));
                }
                None => {}
            }
        }
    }
}

fn member(process: &Process, is_outside: bool) -> Member {
    Member { id: process.id, pid: process.pid, comm: process.comm.clone(), is_outside }
}
