//! Reading a living process and what the programs kept of it. Reading memory and symbols may take a
//! tenth of a second, and stacks take seconds: all of this is for threads other than the loop's.

use std::{collections::BTreeMap, sync::Arc};

use forktrace_common::maps::PAGE_SIZE;
use forktrace_model::{
    event::{Evidence, Probed, PythonLock, Window, stacks::Fate},
    locks,
    triage::StackPlan,
};

use super::{
    Placement, Probe, Reading, Subject,
    captured::{Captured, Pages},
};
use crate::{
    arch,
    inspect::{
        self,
        evidence::{DESCRIPTOR_LEN, DESCRIPTOR_TID, descriptor_tid},
        python::Observation,
        sample,
        stacks::{Ask, ForkMoment},
    },
    kernel::{ChildRecords, ForkRecords, Visitor},
};

/// Pages of the forking thread's stack that are read.
const STACK_PAGES: u64 = 32;

/// Reads through `/proc` and from the programs' maps.
pub(in crate::engine) struct LiveProbe {
    pub(in crate::engine) records: Arc<ForkRecords>,
    pub(in crate::engine) registers: Visitor,
}

impl Probe for LiveProbe {
    /// From the few bytes around the futex word.
    fn place(&self, subject: &Subject) -> Placement {
        let (pid, wait) = (subject.task.pid, &subject.wait);
        let target = inspect::evidence::around(pid, wait.uaddr)
            .and_then(|window| locks::target(wait, &window, arch::machine()));
        let owner = target.and_then(|lock| inspect::evidence::owner_of(pid, lock));
        Placement { target, owner }
    }

    fn sample(&self, subject: &Subject, placement: Placement) -> Evidence {
        let Subject { task, wait, .. } = subject;
        let captured = Captured::take(&self.records, subject, placement);
        let locks = subject.locks.as_ref().map(|question| question.answer(&self.records));
        let shared_with = subject.shared_with.clone();
        let mut evidence = inspect::evidence::collect(task, wait, &captured, shared_with);
        if let Some(blocked) = &subject.blocked {
            evidence.still_waiting &= sample::is_still(task.pid, blocked);
        }
        if subject.fork_unseen && evidence.still_waiting && !evidence.denied {
            inspect::unobserved_fork::add(&mut evidence, task);
        }
        if evidence.still_waiting {
            evidence.waited_by = inspect::stall::waited_by(task.pid);
        }
        evidence.probed = locks.map(|(parent, probed)| placed(parent, probed));
        evidence
    }

    fn read(&self, subject: &Subject, evidence: &mut Evidence, reading: Reading) {
        let Reading { python, stacks } = reading;
        // Before Python's frames are read: that makes the kernel copy pages.
        let ask = stacks.map(|plan| self.ask(subject, evidence, *plan));
        let (parent, is_named) =
            ask.as_ref().map_or((None, false), |ask| (ask.parent, ask.holder_is_named));
        self.read_stacks(subject, evidence, ask, python);
        let is_rlock = evidence.python_lock.as_ref().is_some_and(PythonLock::is_rlock);
        // Otherwise the first write that released the lock names its holder; it must stay visible.
        if let (Some(parent), true) = (parent, is_named || is_rlock) {
            add_python_of_holders(evidence, parent);
        }
        // It may have waited for its turn.
        evidence.still_waiting &= inspect::evidence::is_in(&subject.task, &evidence.wait);
        if python {
            self.add_inherited(subject.task.pid, evidence);
        }
    }
}

impl LiveProbe {
    /// Native stacks and the Python side, each on a thread of its own.
    fn read_stacks(
        &self,
        subject: &Subject,
        evidence: &mut Evidence,
        ask: Option<Ask>,
        python: bool,
    ) {
        let (pid, tid) = (subject.task.pid, subject.task.tid);
        let thread = evidence.threads.iter().find(|thread| thread.tid == tid);
        let ns_tid = thread.and_then(|thread| thread.ns_tid).unwrap_or(tid);
        let uaddr = evidence.wait.uaddr;
        std::thread::scope(|scope| {
            let read = || inspect::python::look(pid, tid, ns_tid, uaddr);
            let python = python.then(|| scope.spawn(read));
            if let Some(ask) = ask {
                let registers = self.registers.clone();
                evidence.native = Some(Box::new(inspect::stacks::read(ask, registers)));
            }
            if let Some(python) = python {
                let Observation { python, lock, threads } = python.join().unwrap_or_default();
                evidence.python = python;
                evidence.python_lock = lock;
                evidence.python_threads = threads;
            }
        });
    }

    /// What is to be read of stacks, with what the programs kept for it.
    fn ask(&self, subject: &Subject, evidence: &Evidence, plan: StackPlan) -> Ask {
        let task = &subject.task;
        let probed = evidence.probed.iter().flat_map(|probed| &probed.holds);
        let tids = plan.holders.iter().map(|holder| holder.tid).chain([task.tid]);
        let tids = tids.chain(plan.beside.iter().copied());
        Ask {
            returns: tids.filter_map(|tid| Some((tid, self.records.return_of(tid)?))).collect(),
            task: task.clone(),
            threads: Ask::tids(&evidence.threads),
            uaddr: evidence.wait.uaddr,
            lock: plan.lock,
            takers: probed.map(|hold| hold.caller).collect(),
            around: evidence.now.as_ref().map(|window| (window.address, window.bytes.len())),
            fork: fork_moment(&self.records, task.pid),
            parent: plan.parent,
            holder_is_named: plan.holder_is_named,
            holders: plan.holders,
            lost: plan.lost,
            beside: plan.beside,
        }
    }

    /// Adds what the maps know of the Python object that was found.
    fn add_inherited(&self, pid: u32, evidence: &mut Evidence) {
        let Some(lock) = &mut evidence.python_lock else { return };
        let kept = self.records.of_child(pid);
        let inherited = |now: &Window| {
            let pages = Pages::take(now.address, |start| kept.inherited_page(start));
            pages.window(now.address, now.address.saturating_add(now.bytes.len() as u64))
        };
        lock.at_fork = inherited(&lock.now);
        for method in &mut lock.exits {
            method.at_fork = inherited(&method.now);
        }
        let owner = lock.at_fork.known().and_then(|then| lock.rlock(then));
        lock.owner_tid = owner.and_then(|(owner, _)| tid_at_fork(&kept, owner));
    }
}

/// The tid of the thread with this descriptor, as a child inherited it. glibc's fork writes to the
/// descriptors of the threads that the child does not have, so that their pages are kept.
fn tid_at_fork(kept: &ChildRecords<'_>, descriptor: u64) -> Option<u32> {
    let word = descriptor.checked_add(DESCRIPTOR_TID)?;
    let pages = Pages::take(word, |start| kept.inherited_page(start));
    let end = descriptor.checked_add(DESCRIPTOR_LEN as u64)?;
    descriptor_tid(descriptor, pages.window(descriptor, end).known()?)
}

/// What is known of the thread that forked a process, at the fork.
pub(in crate::engine) fn fork_moment(
    records: &ForkRecords,
    pid: u32,
) -> Result<ForkMoment, String> {
    let registers = records.registers_at_fork(pid);
    let registers = registers.ok_or("the registers at the fork were not kept")?;
    let size = PAGE_SIZE as u64;
    let first = registers.sp & !(size - 1);
    let starts = (0..STACK_PAGES).map(|page| first.saturating_add(page * size));
    let kept = records.of_child(pid);
    let pages: BTreeMap<_, _> = starts.map(|start| (start, kept.inherited_page(start))).collect();
    Ok(ForkMoment { registers, pages })
}

/// Names the code that took a lock. A child has it where its parent has.
fn placed(parent: u32, mut probed: Probed) -> Probed {
    for hold in &mut probed.holds {
        hold.place = place(parent, hold.caller);
    }
    probed
}

/// An address of code as `file+offset`, the offset being that in the file.
pub(in crate::engine) fn place(pid: u32, address: u64) -> Option<String> {
    let mapping = inspect::memory::mapping(pid, address)?;
    let name = mapping.path.rsplit('/').next().filter(|name| !name.is_empty())?;
    let offset = (address - mapping.start).saturating_add(mapping.offset);
    Some(format!("{name}+{offset:#x}"))
}

/// Adds the Python frames of the threads that may hold the lock.
fn add_python_of_holders(evidence: &mut Evidence, parent: u32) {
    let Some(native) = &mut evidence.native else { return };
    let alive: Vec<_> =
        native.holders.iter_mut().filter(|holder| holder.fate == Fate::Alive).collect();
    if alive.is_empty() {
        return;
    }
    let tids = alive.iter().map(|holder| holder.tid).collect();
    let mut frames: BTreeMap<_, _> = inspect::python::frames(parent, tids).into_iter().collect();
    for holder in alive {
        holder.python = frames.remove(&holder.tid).unwrap_or_default();
    }
}
