//! The state of the model as events, from which another model comes out the same for everything
//! that is alive.

use std::sync::Arc;

use super::{Exec, Fork, Model, ProcId, Process, Thread};
use crate::event::{
    Body, Event, FutexWait, Known, KnownExec, KnownFork, KnownThread, ProcessSnapshot, Task,
    ThreadName,
};

impl Model {
    /// All that is alive, as events of the time `boot_ns` (`CLOCK_BOOTTIME`, ns): a
    /// `process.snapshot` for each process, those that were made by others after these, then the
    /// long waits that go on. `resync`: they follow a loss.
    pub fn carried(&self, boot_ns: u64, resync: bool) -> Vec<Event> {
        let alive = || self.processes.iter().filter(|process| process.is_alive());
        let mut events: Vec<Event> =
            alive().map(|process| self.carried_process(process, boot_ns, resync)).collect();
        events.extend(alive().flat_map(|process| waits(process, boot_ns)));
        events
    }

    /// One living process, as an event.
    pub fn carried_process(&self, process: &Process, boot_ns: u64, resync: bool) -> Event {
        let known = Known {
            began_ns: process.began_ns,
            forks: process
                .fork
                .iter()
                .flat_map(|fork| fork.line())
                .map(|fork| self.known_fork(fork))
                .collect(),
            forks_cut: process.fork.as_ref().is_some_and(|fork| fork.cut),
            exec: process
                .exec
                .as_ref()
                .map(|exec| KnownExec { boot_ns: exec.boot_ns, filename: exec.filename.clone() }),
            had_threads: process.had_threads,
            incomplete: process.incomplete,
            resynced: process.resynced,
            threads_known_ns: process.threads_known_ns,
            threads: process
                .threads
                .iter()
                .filter(|(_, thread)| thread.start_ns > 0)
                .map(|(tid, thread)| KnownThread { tid: *tid, start_ns: thread.start_ns })
                .collect(),
        };
        let threads = process.threads.iter();
        let snapshot = ProcessSnapshot {
            ppid: process.ppid,
            start_ns: process.start_ns,
            exe: process.exe.clone(),
            ns_pid: process.ns_pid,
            threads: threads
                .map(|(tid, thread)| ThreadName { tid: *tid, comm: thread.comm.clone() })
                .collect(),
            resync,
            read_ns: process.threads_known_ns.unwrap_or(0),
            command: false,
            uid: process.uid,
            cgroup: process.cgroup.as_deref().map(str::to_owned),
            known: Some(Box::new(known)),
        };
        let task = Task { pid: process.pid, tid: process.pid, comm: process.comm.clone() };
        Event { boot_ns, task: Some(task), body: Body::ProcessSnapshot(snapshot) }
    }

    fn known_fork(&self, fork: &Fork) -> KnownFork {
        KnownFork {
            boot_ns: fork.boot_ns,
            by_pid: fork.by_pid,
            by_tid: fork.by_tid,
            by_comm: fork.by_comm.clone(),
            by_alive: fork.by.and_then(|by| self.get(by)).is_some_and(Process::is_alive),
            clone_flags: fork.clone_flags,
            lost: fork.lost.clone(),
            lost_known: fork.lost_known,
        }
    }

    /// Takes over what was known of a process. `same`: it is known here already, by its events.
    pub(super) fn take_known(&mut self, id: ProcId, known: &Known, same: bool) {
        let mut line = None;
        for fork in known.forks.iter().rev() {
            // A damaged log may name a later process: nobody forks before it has begun.
            let by =
                self.live(fork.by_pid).filter(|by| fork.by_alive && by.start_ns <= fork.boot_ns);
            let made = Fork {
                boot_ns: fork.boot_ns,
                by: by.map(|by| by.id).filter(|by| *by < id),
                by_pid: fork.by_pid,
                by_tid: fork.by_tid,
                by_comm: fork.by_comm.clone(),
                clone_flags: fork.clone_flags,
                lost: fork.lost.clone(),
                lost_known: fork.lost_known,
                cut: known.forks_cut,
                ..Fork::default()
            };
            line = Some(Arc::new(match line {
                Some(before) => made.after(Some(before)),
                None => made,
            }));
        }
        let by = line.as_ref().and_then(|fork| fork.by);
        self.complete.push(id);
        let Some(process) = self.by_id(id) else { return };
        process.had_threads |= known.had_threads;
        process.incomplete = known.incomplete;
        process.resynced = known.resynced;
        process.threads_known_ns = known.threads_known_ns;
        for thread in &known.threads {
            if let Some(here) = process.threads.get_mut(&thread.tid) {
                here.start_ns = thread.start_ns;
            }
        }
        if known.exec.is_some() || !same {
            process.exec = known
                .exec
                .as_ref()
                .map(|exec| Exec { boot_ns: exec.boot_ns, filename: exec.filename.clone() });
        }
        process.began_ns = known.began_ns;
        if same && process.fork.is_some() {
            return;
        }
        let counted = line.clone().filter(|_| known.exec.is_none());
        process.fork = line;
        if let Some(fork) = counted {
            self.threaded_forks.forked(&fork);
        }
        if let Some(by) = by.and_then(|by| self.by_id(by))
            && let Err(place) = by.children.binary_search(&id)
        {
            by.children.insert(place, id);
        }
    }
}

fn waits(process: &Process, boot_ns: u64) -> impl Iterator<Item = Event> {
    process.threads.iter().filter_map(move |(tid, thread): (&u32, &Thread)| {
        let body =
            Body::FutexWait(FutexWait { wait: thread.wait.clone()?, ..FutexWait::default() });
        let task = Task { pid: process.pid, tid: *tid, comm: thread.comm.clone() };
        Some(Event { boot_ns, task: Some(task), body })
    })
}
