//! What each event changes in the tree.

use std::sync::Arc;

use forktrace_common::clone_flags::{self, CLONE_PARENT};

use super::{Change, Exec, Fork, Model, ProcId, Process, START_TOLERANCE_NS, Thread};
use crate::event::{
    Body, Ended, Event, Evidence, FutexWait, LostThreads, ProcessExec, ProcessFork, ProcessOwner,
    ProcessSnapshot, Task, ThreadName, ThreadStart,
};

impl Model {
    /// Takes one event into account. Events must come in the order of their time.
    pub fn apply(&mut self, event: &Event) -> Vec<Change> {
        self.forget();
        let mut changes = Vec::new();
        let at = event.boot_ns;
        let (first, latest) = self.span_ns.unwrap_or((at, at));
        self.span_ns = Some((first, latest.max(at)));
        match (&event.body, &event.task) {
            (Body::TraceStart(start), _) => {
                self.min_wait_ns = start.min_wait_ns;
                self.machine = start.machine();
            }
            (Body::EventsLost(lost), _) => self.lost(lost.count),
            (Body::Resync(look), _) => self.resynced(at, look.listed_ns, &mut changes),
            (Body::ProcessSnapshot(seen), Some(task)) => {
                self.snapshot(at, task, seen, &mut changes);
            }
            (Body::ProcessFork(fork), Some(task)) => self.fork(at, task, fork, &mut changes),
            (Body::ThreadStart(start), Some(task)) => {
                self.thread_start(at, task, start, &mut changes);
            }
            (Body::ProcessExec(exec), Some(task)) => self.exec(at, task, exec, &mut changes),
            (Body::ThreadExit(exit), Some(task)) => {
                self.thread_exit(at, task, exit.group_dead, &mut changes);
                self.ended_so(task.pid, exit.ended);
            }
            (Body::ProcessExit(exit), Some(task)) => {
                self.rename(task);
                self.end(task.pid, at, &mut changes);
                self.ended_so(task.pid, exit.ended);
            }
            (Body::ProcessOwner(owner), Some(task)) => self.owner(task, owner),
            (Body::FutexWait(wait), Some(task)) => {
                self.rename(task);
                self.futex_wait(at, task, wait);
            }
            (Body::Evidence(look), Some(task)) => self.renamed(task, look),
            (Body::LostThreads(lost), Some(task)) => self.lost_threads(task, lost),
            (Body::SocketUse(seen), Some(task)) => {
                self.rename(task);
                self.socket_use(at, task, seen);
            }
            (Body::FileLock(seen), Some(task)) => self.file_lock(at, task, seen),
            (Body::FileUse(seen), _) => self.file_use(seen),
            _ => {}
        }
        changes
    }

    fn snapshot(
        &mut self,
        at: u64,
        task: &Task,
        seen: &ProcessSnapshot,
        changes: &mut Vec<Change>,
    ) {
        if seen.resync {
            self.seen_again.insert(task.pid);
        }
        let same = self.live(task.pid).is_some_and(|known| {
            known.start_ns == 0 || known.start_ns.abs_diff(seen.start_ns) <= START_TOLERANCE_NS
        });
        if !same {
            self.end(task.pid, at, changes);
            let id = self.appear(task.pid, seen.start_ns, &task.comm, changes);
            if let Some(process) = self.by_id(id) {
                process.threads_known_ns = None;
            }
        }
        let parent = self.live.get(&seen.ppid).copied();
        let Some(process) = self.get_mut(task.pid) else { return };
        if process.start_ns == 0 {
            process.start_ns = seen.start_ns;
            process.began_ns = seen.start_ns;
        }
        if seen.command {
            process.began_ns = at;
        }
        process.comm.clone_from(&task.comm);
        process.ppid = seen.ppid;
        process.parent = parent;
        process.ns_pid = seen.ns_pid;
        process.exe.clone_from(&seen.exe);
        process.resynced |= seen.resync;
        let id = process.id;
        process.uid = seen.uid.or(process.uid);
        set_text(&mut process.cgroup, seen.cgroup.as_deref());
        // Threads that are known from events are known better than from a snapshot.
        if process.threads_known_ns.is_none() || seen.resync {
            process.threads_known_ns = Some(seen.read_ns);
            process.had_threads |= seen.threads.len() > 1;
            let mut before = std::mem::take(&mut process.threads);
            for thread in &seen.threads {
                let mut known = before.remove(&thread.tid).unwrap_or_default();
                known.comm.clone_from(&thread.comm);
                process.threads.insert(thread.tid, known);
            }
        }
        if seen.resync {
            self.complete.push(id);
        }
        if let Some(parent) = parent.and_then(|parent| self.by_id(parent))
            && let Err(place) = parent.children.binary_search(&id)
        {
            parent.children.insert(place, id);
        }
        if let Some(known) = &seen.known {
            self.take_known(id, known, same);
        }
    }

    fn owner(&mut self, task: &Task, owner: &ProcessOwner) {
        let Some(process) = self.get_mut(task.pid) else { return };
        process.uid = owner.uid.or(process.uid);
        set_text(&mut process.cgroup, owner.cgroup.as_deref());
    }

    /// Adds a process.
    fn appear(&mut self, pid: u32, start_ns: u64, comm: &str, changes: &mut Vec<Change>) -> ProcId {
        // Four billion processes are more than a machine makes in years.
        let id = ProcId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        self.processes.push(Process::new(id, pid, start_ns, comm));
        self.live.insert(pid, id);
        self.complete.push(id);
        changes.push(Change::Appeared(id));
        id
    }

    /// The task's process; one that was never announced is added. It was alive before the trace and
    /// is about to be looked at, unless something was lost: then it may be anybody's.
    fn known(&mut self, task: &Task, changes: &mut Vec<Change>) -> ProcId {
        self.rename(task);
        if let Some(id) = self.live.get(&task.pid) {
            return *id;
        }
        let id = self.appear(task.pid, 0, &task.comm, changes);
        let lossy = self.counts.lost > 0;
        let Some(process) = self.by_id(id) else { return id };
        process.incomplete = lossy;
        process.threads_known_ns = None;
        process.threads.insert(task.tid, Thread { comm: task.comm.clone(), ..Thread::default() });
        id
    }

    /// Every event of a task tells its present name.
    fn rename(&mut self, task: &Task) {
        let Some(process) = self.get_mut(task.pid) else { return };
        if task.tid == task.pid && process.comm != task.comm {
            process.comm.clone_from(&task.comm);
        }
        if let Some(thread) = process.threads.get_mut(&task.tid)
            && thread.comm != task.comm
        {
            thread.comm.clone_from(&task.comm);
        }
    }

    /// A closer look shows the names of all threads.
    fn renamed(&mut self, task: &Task, look: &Evidence) {
        self.rename(task);
        for thread in look.threads.iter().filter(|thread| !thread.comm.is_empty()) {
            self.rename(&Task { pid: task.pid, tid: thread.tid, comm: thread.comm.clone() });
        }
    }

    /// A look at the threads that a child does not have shows their names: they are given after the start of
    /// a thread, and no event tells of that.
    fn lost_threads(&mut self, task: &Task, lost: &LostThreads) {
        self.rename(task);
        let Some(process) = self.get_mut(task.pid).filter(|process| process.exec.is_none()) else {
            return;
        };
        let Some(fork) = process.fork.as_mut().filter(|fork| fork.boot_ns == lost.fork_ns) else {
            return;
        };
        let mut words = lost.threads.iter().filter_map(|thread| thread.word.as_ref());
        let has_changed = words.any(|word| word.changed_ns.is_some());
        process.lost_threads = has_changed.then(|| Arc::new(lost.clone()));
        let before = Arc::clone(fork);
        let now = Arc::make_mut(fork);
        for thread in &mut now.lost {
            let seen = lost.threads.iter().find(|seen| seen.tid == thread.tid);
            if let Some(seen) = seen.filter(|seen| !seen.comm.is_empty()) {
                thread.comm.clone_from(&seen.comm);
            }
        }
        let after = Arc::clone(fork);
        self.threaded_forks.renamed(&before, &after);
        if let Some(by) = after.by.and_then(|by| self.by_id(by)).filter(|by| by.is_alive()) {
            for thread in &after.lost {
                if let Some(known) = by.threads.get_mut(&thread.tid) {
                    known.comm.clone_from(&thread.comm);
                }
            }
        }
    }

    fn fork(&mut self, at: u64, task: &Task, fork: &ProcessFork, changes: &mut Vec<Change>) {
        let by = self.known(task, changes);
        // The pid is in use again, so that the end of its former process was missed.
        self.end(fork.child_pid, at, changes);
        if clone_flags::copies_memory(fork.clone_flags) {
            self.counts.forks += 1;
        } else {
            self.counts.vforks += 1;
        }
        let Some(creator) = self.get(by) else { return };
        let sibling = fork.clone_flags & CLONE_PARENT != 0;
        let (parent, ppid) = match sibling {
            true => (creator.parent, creator.ppid),
            false => (Some(by), task.pid),
        };
        let others = creator.threads.iter().filter(|(tid, _)| **tid != task.tid);
        let lost = others
            .map(|(tid, thread)| ThreadName { tid: *tid, comm: thread.comm.clone() })
            .collect();
        let incomplete = creator.incomplete && !creator.resynced;
        let lost_known = !incomplete && creator.threads_known_ns.is_some_and(|known| known <= at);
        let (uid, cgroup) = (creator.uid, creator.cgroup.clone());
        let before = creator.inherited_shared();
        let made = Fork {
            boot_ns: at,
            by: Some(by),
            by_pid: task.pid,
            by_tid: task.tid,
            by_comm: task.comm.clone(),
            clone_flags: fork.clone_flags,
            lost,
            lost_known,
            ..Fork::default()
        };
        let child = self.appear(fork.child_pid, at, &task.comm, changes);
        if let Some(creator) = self.by_id(by) {
            creator.children.push(child);
        }
        let Some(process) = self.by_id(child) else { return };
        process.ppid = ppid;
        process.parent = parent;
        process.incomplete = incomplete;
        (process.uid, process.cgroup) = (uid, cgroup);
        let leader = Thread { comm: task.comm.clone(), start_ns: at, ..Thread::default() };
        process.threads.insert(fork.child_pid, leader);
        let made = Arc::new(made.after(before));
        process.fork = Some(Arc::clone(&made));
        self.threaded_forks.forked(&made);
    }

    fn thread_start(
        &mut self,
        at: u64,
        task: &Task,
        start: &ThreadStart,
        changes: &mut Vec<Change>,
    ) {
        let id = self.known(task, changes);
        self.counts.threads += 1;
        let thread = Thread { comm: task.comm.clone(), start_ns: at, ..Thread::default() };
        let Some(process) = self.by_id(id) else { return };
        process.had_threads = true;
        process.threads.insert(start.child_tid, thread);
        self.counts.child_threads += u64::from(process.inherited().is_some());
    }

    /// All other threads are gone, and the caller has the leader's number, whoever it was
    /// (`de_thread`, `fs/exec.c`, Linux 6.18).
    fn exec(&mut self, at: u64, task: &Task, exec: &ProcessExec, changes: &mut Vec<Change>) {
        let id = self.known(task, changes);
        self.counts.execs += 1;
        let Some(process) = self.by_id(id) else { return };
        process.comm.clone_from(&task.comm);
        let first = process.fork.clone().filter(|_| process.exec.is_none());
        process.exec = Some(Exec { boot_ns: at, filename: exec.filename.clone() });
        process.threads.clear();
        let leader = Thread { comm: task.comm.clone(), start_ns: at, ..Thread::default() };
        process.threads.insert(task.pid, leader);
        process.threads_known_ns.get_or_insert(at);
        if let Some(fork) = first {
            self.threaded_forks.execed(&fork);
        }
        changes.push(Change::Execed(id));
    }

    /// The leader may end before its process does.
    fn thread_exit(
        &mut self,
        at: u64,
        task: &Task,
        group_dead: Option<bool>,
        changes: &mut Vec<Change>,
    ) {
        self.rename(task);
        let Some(process) = self.get_mut(task.pid) else { return };
        process.threads.remove(&task.tid);
        let ended = group_dead.unwrap_or(process.threads.is_empty());
        if ended {
            self.end(task.pid, at, changes);
        }
    }

    /// Ends the living process with this pid, if there is one. To whom the kernel gives its
    /// children cannot be seen, so their parent is not known from here on (ppid 0).
    fn end(&mut self, pid: u32, at: u64, changes: &mut Vec<Change>) {
        let Some(id) = self.live.remove(&pid) else { return };
        self.ended.insert(pid, id);
        self.counts.exits += 1;
        let Some(process) = self.by_id(id) else { return };
        process.end_ns = Some(at);
        process.threads.clear();
        let children = std::mem::take(&mut process.children);
        for child in &children {
            if let Some(child) = self.by_id(*child)
                && child.parent == Some(id)
                && child.is_alive()
            {
                child.parent = None;
                child.ppid = 0;
            }
        }
        if let Some(process) = self.by_id(id) {
            process.children = children;
        }
        changes.push(Change::Ended(id));
    }

    /// Says how the process with this pid ended, if it has.
    fn ended_so(&mut self, pid: u32, how: Option<Ended>) {
        if self.live.contains_key(&pid) {
            return;
        }
        let process = self.ended.get(&pid).copied().and_then(|id| self.by_id(id));
        if let Some(process) = process {
            process.ended = process.ended.or(how);
        }
    }

    fn futex_wait(&mut self, at: u64, task: &Task, wait: &FutexWait) {
        let long = at.saturating_sub(wait.wait.enter_ns) >= self.min_wait_ns;
        let Some(process) = self.get_mut(task.pid) else { return };
        let thread = process
            .threads
            .entry(task.tid)
            .or_insert_with(|| Thread { comm: task.comm.clone(), ..Thread::default() });
        let counted = thread.counted_ns == wait.wait.enter_ns;
        if long {
            thread.counted_ns = wait.wait.enter_ns;
        }
        thread.wait = wait.goes_on().then(|| wait.wait.clone());
        if long && !counted {
            self.counts.long_waits += 1;
        }
    }

    fn lost(&mut self, count: u64) {
        self.counts.lost = self.counts.lost.saturating_add(count);
        for id in std::mem::take(&mut self.complete) {
            if let Some(process) = self.by_id(id).filter(|process| process.is_alive()) {
                process.incomplete = true;
                process.resynced = false;
            }
        }
    }

    /// A new look at `/proc` is over: what it did not show has ended, unless it was made after the
    /// look had begun.
    fn resynced(&mut self, at: u64, listed_ns: u64, changes: &mut Vec<Change>) {
        let seen = std::mem::take(&mut self.seen_again);
        let began = |pid: u32| self.live(pid).map_or(0, |process| process.start_ns);
        let may_be_missing = |pid: u32| listed_ns != 0 && began(pid) >= listed_ns;
        let unseen = self.live.keys().copied().filter(|pid| !seen.contains(pid));
        let gone: Vec<u32> = unseen.filter(|pid| !may_be_missing(*pid)).collect();
        for pid in gone {
            self.end(pid, at, changes);
        }
    }
}

/// Sets a text that many processes share, where it is another one.
fn set_text(shared: &mut Option<Arc<str>>, text: Option<&str>) {
    if let Some(text) = text
        && shared.as_deref() != Some(text)
    {
        *shared = Some(text.into());
    }
}
