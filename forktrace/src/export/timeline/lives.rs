//! The lives of processes and threads: names, beginnings, ends.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{End, MAX_ITEMS, MAX_NAMES, Name, Thread};
use crate::pipeline::Step;
use forktrace_model::{
    event::{Body, Event, ThreadExit},
    model::{Change, Model, ProcId},
};

/// What the model forgets of a process.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) ppid: u32,
    pub(super) parent: Option<ProcId>,
    pub(super) names: Vec<Name>,
    pub(super) snapshot: bool,
    pub(super) end: Option<End>,
}

/// All lives so far.
#[derive(Debug, Default)]
pub(super) struct Lives {
    /// By place in the model.
    pub(super) processes: Vec<Life>,
    pub(super) threads: Vec<Thread>,
    /// Living threads: places in `threads`, by tid.
    living: FxHashMap<ProcId, BTreeMap<u32, usize>>,
    pub(super) left_out: u64,
    pub(super) names_left_out: u64,
    /// Threads that ended at the latest event while their process went on.
    pub(super) ended: Vec<(ProcId, u32)>,
}

impl Lives {
    /// Takes one event, after the model has.
    pub(super) fn event(&mut self, event: &Event, step: &Step, model: &Model) {
        self.ended.clear();
        let at = event.boot_ns;
        for change in &step.changes {
            match change {
                Change::Appeared(_) => self.processes.push(Life::default()),
                Change::Ended(id) => self.process_ended(*id, event),
                Change::Execed(id) => {
                    let Some(leader) = model.get(*id).map(|process| process.pid) else { continue };
                    let living = self.living.entry(*id).or_default();
                    let others = living.extract_if(.., |tid, _| *tid != leader).collect();
                    self.end_threads(*id, others, at, End::Exec);
                    self.begin_thread(*id, leader, "", at);
                }
            }
        }
        let (Some(task), Some(id)) = (&event.task, step.process) else { return };
        match &event.body {
            Body::ProcessFork(fork) => {
                if let Some(child) = model.live(fork.child_pid) {
                    self.begin_thread(child.id, fork.child_pid, &child.comm, at);
                    self.named(child.id, model, at, None);
                }
            }
            Body::ThreadStart(start) => {
                if let Some(place) = self.living(id, start.child_tid) {
                    let old = BTreeMap::from([(start.child_tid, place)]);
                    self.end_threads(id, old, at, End::NumberUsedAgain);
                }
                self.begin_thread(id, start.child_tid, &task.comm, at);
            }
            Body::ProcessSnapshot(_) => self.snapshot(id, model, at),
            Body::ThreadExit(ThreadExit { .. }) => {
                let place = self.living.get_mut(&id).and_then(|living| living.remove(&task.tid));
                if let Some(place) = place {
                    let old = BTreeMap::from([(task.tid, place)]);
                    self.end_threads(id, old, at, End::Exit);
                }
                return;
            }
            _ => {}
        }
        if model.get(id).is_some_and(|process| process.is_alive()) {
            self.begin_thread(id, task.tid, &task.comm, 0);
            let filename = match &event.body {
                Body::ProcessExec(exec) => Some(exec.filename.clone()),
                _ => None,
            };
            self.named(id, model, at, filename);
        }
    }

    fn living(&self, id: ProcId, tid: u32) -> Option<usize> {
        self.living.get(&id)?.get(&tid).copied()
    }

    /// Adds a thread, unless it lives already: then it gets its present name, if one is given.
    fn begin_thread(&mut self, id: ProcId, tid: u32, comm: &str, began_ns: u64) {
        if let Some(thread) = self.living(id, tid).and_then(|at| self.threads.get_mut(at)) {
            if !comm.is_empty() && thread.comm != comm {
                comm.clone_into(&mut thread.comm);
            }
            return;
        }
        if self.threads.len() >= MAX_ITEMS {
            self.left_out += 1;
            return;
        }
        self.living.entry(id).or_default().insert(tid, self.threads.len());
        let comm = comm.to_owned();
        let thread = Thread { process: id.0, tid, comm, began_ns, ended_ns: None, end: None };
        self.threads.push(thread);
    }

    fn end_threads(&mut self, id: ProcId, which: BTreeMap<u32, usize>, at: u64, how: End) {
        for (tid, place) in which {
            if let Some(thread) = self.threads.get_mut(place) {
                thread.ended_ns = Some(at);
                thread.end = Some(how);
            }
            if let Some(living) = self.living.get_mut(&id) {
                living.remove(&tid);
            }
            self.ended.push((id, tid));
        }
    }

    fn process_ended(&mut self, id: ProcId, event: &Event) {
        let how = match &event.body {
            Body::Resync(_) => End::GoneAtResync,
            Body::ThreadExit(ThreadExit { group_dead: None, .. }) => End::LastThread,
            Body::ProcessExit(_) | Body::ThreadExit(_) => End::Exit,
            _ => End::NumberUsedAgain,
        };
        if let Some(life) = self.processes.get_mut(id.0 as usize) {
            life.end = Some(how);
        }
        let threads = self.living.remove(&id).unwrap_or_default();
        // The thread that the event is about ended by itself.
        let own = event.task.as_ref().filter(|_| how == End::Exit || how == End::LastThread);
        let own = own.and_then(|task| threads.get(&task.tid)).copied();
        self.end_threads(id, threads, event.boot_ns, End::WithProcess);
        if let Some(thread) = own.and_then(|place| self.threads.get_mut(place)) {
            thread.end = Some(End::Exit);
        }
    }

    /// A look at `/proc` shows all threads: the model knows which of them it believes.
    fn snapshot(&mut self, id: ProcId, model: &Model, at: u64) {
        let Some(process) = model.get(id) else { return };
        if let Some(life) = self.processes.get_mut(id.0 as usize) {
            life.snapshot = true;
            if life.ppid == 0 {
                life.ppid = process.ppid;
                life.parent = process.parent;
            }
        }
        let living = self.living.entry(id).or_default();
        let gone = living.extract_if(.., |tid, _| !process.threads.contains_key(tid)).collect();
        self.end_threads(id, gone, at, End::GoneAtResync);
        for (tid, thread) in &process.threads {
            self.begin_thread(id, *tid, &thread.comm, thread.start_ns);
        }
    }

    /// Notes a process's name, where it has a new one, and its first parent.
    fn named(&mut self, id: ProcId, model: &Model, at: u64, filename: Option<String>) {
        let Some(process) = model.get(id) else { return };
        let Some(life) = self.processes.get_mut(id.0 as usize) else { return };
        if life.names.is_empty() && life.ppid == 0 {
            life.ppid = process.ppid;
            life.parent = process.parent;
        }
        let same = life.names.last().is_some_and(|name| name.comm == process.comm);
        if same && filename.is_none() {
            return;
        }
        if life.names.len() >= MAX_NAMES {
            self.names_left_out += 1;
            return;
        }
        life.names.push(Name { since_ns: at, comm: process.comm.clone(), filename });
    }
}
