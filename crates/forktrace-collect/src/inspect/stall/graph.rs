//! Tasks, what they wait for, and the tasks that could end it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use forktrace_model::event::stall::{
    Cut, On, Stall, StallProcess, StallTask, TaskState, TaskWait, Way,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Asks, KnownThreads,
    call::{Call, Target},
    host::Host,
    look::{self, Blocked, Doing, Look},
    process, socket_timeout,
    things::{Things, Waiter, Waits},
};
use crate::{
    arch::{Blocking, HOST},
    clock,
    inspect::{
        Error,
        proc_text::{self, State, Status},
        scan,
        threads::APART,
    },
};

/// Most processes and tasks of a stall.
const MOST_PROCESSES: usize = 64;
const MOST_TASKS: usize = 512;
/// How often a thread that polls and runs is looked at again.
const AGAIN: usize = 5;

/// A task, and how it was first looked at.
#[derive(Clone, Debug)]
struct Node {
    task: StallTask,
    look: Look,
}

/// A process that was looked at.
#[derive(Debug, Default)]
struct Member {
    /// Its tasks, by their places.
    tasks: Vec<usize>,
    facts: StallProcess,
    /// What became of it when it was looked at.
    cut: Option<Cut>,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    host: &'a Host,
    known: &'a KnownThreads,
    nodes: Vec<Node>,
    things: Things<'a>,
    members: FxHashMap<u32, Member>,
    /// When the last first look was taken.
    looked: Instant,
    too_many: bool,
}

impl<'a> Graph<'a> {
    pub(super) fn new(host: &'a Host, known: &'a KnownThreads, asks: Asks) -> Self {
        Graph {
            host,
            known,
            nodes: Vec::new(),
            things: Things::new(host, asks),
            members: FxHashMap::default(),
            looked: Instant::now(),
            too_many: false,
        }
    }

    /// Reads a process, those who could end what it waits for, those who could end what they wait for,
    /// and so on.
    pub(super) fn follow(&mut self, pid: u32) {
        let mut next = VecDeque::from([pid]);
        let mut seen = FxHashSet::from_iter([pid]);
        let mut tasks = 0;
        while let Some(at) = next.pop_front() {
            if seen.len() > MOST_PROCESSES || tasks > MOST_TASKS {
                self.too_many = true;
                return;
            }
            let users = self.member(at);
            tasks += self.members.get(&at).map_or(0, |member| member.tasks.len());
            // Whatever the others of such a process wait for: it can go on.
            if at == pid || !self.runs(at) {
                next.extend(users.into_iter().filter(|user| seen.insert(*user)));
            }
        }
        self.add_waiting_parent(pid);
    }

    /// Reads a process, once. Returns who could end what it waits for.
    fn member(&mut self, pid: u32) -> Vec<u32> {
        if !self.members.contains_key(&pid) {
            self.read(pid);
        }
        let tasks = self.members.get(&pid).map(|member| member.tasks.as_slice());
        let of = |at: &usize| self.nodes.get(*at).map(|node| self.users_of(&node.task));
        let mut users: Vec<u32> =
            tasks.unwrap_or_default().iter().filter_map(of).flatten().collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    fn users_of(&self, task: &StallTask) -> Vec<u32> {
        let TaskState::Waits(wait) = &task.state else { return Vec::new() };
        let things = wait.on.iter().filter_map(|on| self.things.all.get(on.thing as usize));
        things.flat_map(|thing| thing.users.iter().map(|user| user.pid)).collect()
    }

    /// Whether some task of a process goes on whatever the others do.
    fn runs(&self, pid: u32) -> bool {
        let Some(member) = self.members.get(&pid) else { return true };
        let mut nodes = member.tasks.iter().filter_map(|at| self.nodes.get(*at));
        nodes.any(|node| match &node.task.state {
            TaskState::Moves | TaskState::Unknown => true,
            TaskState::Waits(wait) => wait.outside || wait.timed && wait.polls.is_none(),
        })
    }

    fn read(&mut self, pid: u32) {
        let looked_ns = clock::boot_ns();
        let looks = look::at_threads(pid);
        self.looked = Instant::now();
        let cut = match &looks {
            Ok(_) => None,
            Err(Error::Denied { .. }) => Some(Cut::Denied),
            Err(_) => Some(Cut::Changed),
        };
        let looks = looks.unwrap_or_default();
        let threads = looks.len();
        let mut member = Member { cut, ..Member::default() };
        for look in looks {
            let Ok(status) = Status::of(pid, look.tid) else { continue };
            // A first thread that has ended stays listed.
            if status.state == State::Ended {
                continue;
            }
            let look = self.at_rest(pid, look);
            let state = self.state(pid, threads, &look, &status, looked_ns);
            let task = StallTask {
                pid,
                tid: look.tid,
                ns_tid: status.ns_id.filter(|ns_tid| *ns_tid != look.tid),
                comm: proc_text::comm(pid, look.tid).unwrap_or_default(),
                state,
            };
            member.tasks.push(self.nodes.len());
            self.nodes.push(Node { task, look });
        }
        let tid = member.tasks.first().and_then(|at| self.nodes.get(*at)).map(|node| node.look.tid);
        member.facts = process::facts(pid, tid.unwrap_or(pid), self.host);
        self.members.insert(pid, member);
    }

    /// A thread that polls may be met between two waits: it is looked at again.
    fn at_rest(&self, pid: u32, mut look: Look) -> Look {
        let known = self.known.get(&(pid, look.tid));
        for _ in 0..AGAIN {
            if look.doing != Doing::Runs || known.is_none_or(|known| known.polls.is_none()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
            look = look::at(pid, look.tid);
        }
        look
    }

    fn state(
        &mut self,
        pid: u32,
        threads: usize,
        look: &Look,
        status: &Status,
        looked_ns: u64,
    ) -> TaskState {
        let known = self.known.get(&(pid, look.tid));
        let same = known.filter(|known| look.is_still(&known.look));
        let since_ns = same.map_or(looked_ns, |known| known.since_ns);
        let blocked = match look.doing {
            Doing::Stopped => return stopped(None, since_ns),
            Doing::Blocked(blocked) if status.state == State::Stopped => {
                return stopped(Some(&blocked), since_ns);
            }
            Doing::Runs => return TaskState::Moves,
            Doing::Unknown => return TaskState::Unknown,
            Doing::Blocked(blocked) => blocked,
        };
        let call = Call::of(blocked.number, blocked.arguments);
        let mut waits = Waits {
            timed: call.timed,
            outside: cannot_go_on(status.state, &blocked)
                || status.filtered && is_held_by_a_filter(pid, look.tid),
            on: Vec::new(),
        };
        let stack = blocked.place.0;
        let forked = scan::is_forked(pid);
        let waiter = Waiter { pid, tid: look.tid, stack, threads, forked };
        // What else ends it makes no difference to one that ends anyway.
        let polled = call.is_poll();
        if !waits.outside && !call.is_outside() {
            for target in call.targets {
                if let Target::File(fd, way) = target {
                    waits.add_timeout(socket_timeout::of(pid, look.tid, fd, way));
                }
                if let Target::Connected(fd) = target {
                    waits.add_timeout(socket_timeout::of(pid, look.tid, fd, Way::Write));
                }
                self.things.add(waiter, target, &mut waits);
            }
        } else {
            waits.outside = true;
        }
        let polls = known
            .and_then(|known| known.polls.as_ref())
            .filter(|polls| waits.timed && polls.call == (blocked.number, blocked.place));
        let polls = polls.and_then(|polls| super::polls(pid, look, polls));
        TaskState::Waits(TaskWait {
            call: u64::try_from(blocked.number).unwrap_or_default(),
            since_ns,
            timed: waits.timed,
            outside: waits.outside,
            polled,
            stopped: false,
            on: distinct(waits.on),
            others: false,
            polls,
        })
    }

    /// Adds the parent of a process if it waits for its end.
    fn add_waiting_parent(&mut self, pid: u32) {
        let Some(parent) = self.host.processes().get(&pid).map(|process| process.ppid) else {
            return;
        };
        if self.members.contains_key(&parent) || !may_wait(parent) {
            return;
        }
        self.member(parent);
    }

    /// Looks at every task again, [`APART`] after all were looked at for the first time. Who has run in
    /// between moves.
    pub(super) fn look_again(&mut self) {
        std::thread::sleep(APART.saturating_sub(self.looked.elapsed()).max(Duration::ZERO));
        for (pid, member) in &mut self.members {
            let Ok(now) = look::at_threads(*pid) else {
                member.cut = member.cut.or(Some(Cut::Changed));
                for at in &member.tasks {
                    self.nodes[*at].task.state = TaskState::Moves;
                }
                continue;
            };
            let now: FxHashMap<u32, Look> = now.into_iter().map(|look| (look.tid, look)).collect();
            for at in &member.tasks {
                let Some(node) = self.nodes.get_mut(*at) else { continue };
                let look = now.get(&node.look.tid);
                let still = look.is_some_and(|look| look.is_still(&node.look));
                let polls = polls(&node.task) && look.is_some_and(|look| look.may_poll(&node.look));
                if !still && !polls && node.task.state != TaskState::Unknown {
                    node.task.state = TaskState::Moves;
                }
            }
            let known: FxHashSet<u32> =
                member.tasks.iter().filter_map(|at| Some(self.nodes.get(*at)?.look.tid)).collect();
            for look in now.into_values().filter(|look| !known.contains(&look.tid)) {
                // The first thread may have ended, and stays listed.
                if look.tid == *pid {
                    continue;
                }
                member.tasks.push(self.nodes.len());
                let task = StallTask {
                    pid: *pid,
                    tid: look.tid,
                    state: TaskState::Moves,
                    ..StallTask::default()
                };
                self.nodes.push(Node { task, look });
            }
        }
    }

    /// How each task was looked at first, by tid.
    pub(super) fn looks(&self) -> FxHashMap<u32, Look> {
        self.nodes.iter().map(|node| (node.look.tid, node.look)).collect()
    }

    /// What concerns one process.
    pub(super) fn stall(&self, pid: u32) -> Stall {
        let mut pids = vec![pid];
        let mut next = 0;
        while let Some(at) = pids.get(next).copied() {
            next += 1;
            if at == pid || !self.runs(at) {
                let tasks = self.members.get(&at).map(|member| member.tasks.as_slice());
                let nodes = tasks.unwrap_or_default().iter().filter_map(|at| self.nodes.get(*at));
                for user in nodes.flat_map(|node| self.users_of(&node.task)).collect::<Vec<_>>() {
                    if self.members.contains_key(&user) && !pids.contains(&user) {
                        pids.push(user);
                    }
                }
            }
        }
        let parent = self.host.processes().get(&pid).map(|process| process.ppid);
        pids.extend(
            parent.filter(|parent| self.members.contains_key(parent) && !pids.contains(parent)),
        );
        let mut stall = Stall::default();
        let mut places = FxHashMap::default();
        for pid in pids {
            let Some(member) = self.members.get(&pid) else { continue };
            stall.processes.push(member.facts.clone());
            stall.cut = stall.cut.or(member.cut);
            for node in member.tasks.iter().filter_map(|at| self.nodes.get(*at)) {
                let mut task = node.task.clone();
                self.renumber(&mut task, &mut stall, &mut places);
                stall.tasks.push(task);
            }
        }
        stall.cut = stall.cut.or(self.too_many.then_some(Cut::TooMany));
        stall
    }

    fn renumber(&self, task: &mut StallTask, stall: &mut Stall, places: &mut FxHashMap<u32, u32>) {
        let TaskState::Waits(wait) = &mut task.state else { return };
        for on in &mut wait.on {
            let Some(thing) = self.things.all.get(on.thing as usize) else { continue };
            on.thing = *places.entry(on.thing).or_insert_with(|| {
                stall.things.push(thing.clone());
                u32::try_from(stall.things.len() - 1).unwrap_or(u32::MAX)
            });
        }
    }
}

/// Whether a filter of system calls has handed the call to another process, which answers for the kernel
/// (seccomp_unotify(2)): the task waits for that, whatever the call is (`seccomp_do_user_notification`, inlined or
/// not, `kernel/seccomp.c`, Linux 6.18).
fn is_held_by_a_filter(pid: u32, tid: u32) -> bool {
    proc_text::wait_channel(pid, tid).contains("seccomp")
}

/// Whether a task is in a state in which its call says little: it waits for something that no signal
/// interrupts, as for a disk. Of those a parent that waits for a child of `vfork` is known.
fn cannot_go_on(state: State, blocked: &Blocked) -> bool {
    let vfork = matches!(
        HOST.blocking(blocked.number),
        Some(Blocking::Vfork | Blocking::Clone | Blocking::Clone3)
    );
    match state {
        State::Sleeps => vfork,
        State::Fixed => !vfork,
        State::Ended => true,
        // It runs again by now: the second look shows it.
        State::Stopped | State::Other => false,
    }
}

/// A task that is stopped, in a call perhaps.
fn stopped(call: Option<&Blocked>, since_ns: u64) -> TaskState {
    let call = call.and_then(|blocked| u64::try_from(blocked.number).ok());
    TaskState::Waits(TaskWait {
        call: call.unwrap_or_default(),
        since_ns,
        stopped: true,
        ..TaskWait::default()
    })
}

/// Whether a thread of a process may wait for the end of a child.
fn may_wait(pid: u32) -> bool {
    let waits = |look: &Look| match look.doing {
        Doing::Blocked(blocked) => matches!(
            HOST.blocking(blocked.number),
            Some(
                Blocking::Wait
                    | Blocking::WaitId
                    | Blocking::Poll
                    | Blocking::PollTime
                    | Blocking::Select
                    | Blocking::Epoll
                    | Blocking::EpollTime
            )
        ),
        Doing::Runs | Doing::Stopped | Doing::Unknown => false,
    };
    look::at_threads(pid).is_ok_and(|looks| looks.iter().any(waits))
}

/// Without what is there twice.
fn distinct(on: Vec<On>) -> Vec<On> {
    let mut seen: Vec<(u32, Way)> = Vec::new();
    let is_new = |on: &On| {
        let new = !seen.contains(&(on.thing, on.way));
        seen.extend(new.then_some((on.thing, on.way)));
        new
    };
    on.into_iter().filter(is_new).collect()
}

/// Whether a task waits.
pub(super) fn waits(task: &StallTask) -> bool {
    matches!(task.state, TaskState::Waits(_))
}

/// Whether a task polls.
pub(super) fn polls(task: &StallTask) -> bool {
    matches!(&task.state, TaskState::Waits(wait) if wait.polls.is_some())
}

/// What was read of the tasks at these places is not believed.
pub(super) fn set_unknown(stall: &mut Stall, places: &[usize]) {
    for at in places {
        if let Some(task) = stall.tasks.get_mut(*at) {
            task.state = TaskState::Unknown;
        }
    }
}
