//! Who could end each wait of a stall.

use forktrace_common::futex::{FUTEX_PRIVATE_FLAG, FUTEX_WAIT};
use rustc_hash::FxHashSet;

use crate::{
    arch::Machine,
    event::{
        RelativeThread, Task, Wait,
        stall::{
            On, Stall, StallProcess, StallTask, SysvSemaphore, TaskState, TaskWait, Thing,
            ThingKind, User, Way,
        },
    },
    hazards::{handlers, live},
    locks::{self, Code, Scene, State},
    model::{Fork, Model, Process},
};

pub(super) use crate::hazards::live::Ends;

/// What is taken for granted when it is said who could end a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// Nothing but that a lock is released by the owner that it names: whoever could end a wait counts, and a
    /// signal's handler could end any.
    Safest,
    /// Nobody shuts down the end of a socket at which another task waits (shutdown(2)).
    NoShutdown,
    /// What locks and programs record of who holds something is right.
    Records,
    /// Nobody raises a System V semaphore but the process that changed it last, and while that lives its
    /// waiter's relatives.
    LastOperator,
    /// No handler ends a wait for another task.
    NoHandlers,
    /// What a process made to wake itself (an eventfd, a pipe of which it has both ends) is not used by
    /// those who have it only because they were forked, or forked.
    OwnThings,
    /// A program that was started with the other end of a pipe or socket, beyond its standard streams,
    /// does not use it.
    NotUsed,
    /// A timeout that runs out again and again, and after which the task does nothing but to wait
    /// again, changes nothing.
    Polling,
}

impl View {
    /// The last of them: who can run in this view can run in all.
    pub(super) const MOST_DARING: View = View::Polling;

    /// All views, from the safest on: each takes more for granted than those before it, so that nobody
    /// can run in it who could not before.
    pub(super) const ALL: [View; 8] = [
        View::Safest,
        View::NoShutdown,
        View::Records,
        View::LastOperator,
        View::NoHandlers,
        View::OwnThings,
        View::NotUsed,
        View::Polling,
    ];
}

/// How often and how long a task must have polled, ns, until its timeouts count for nothing.
const POLLS: u64 = 10;
const POLLS_NS: u64 = 10_000_000_000;
/// At least so many times the CPU time that it took.
const IDLE: u64 = 100;
/// The same of a task that waits for nothing but the time.
const IDLE_SLEEPER: u64 = 20;

/// A stall, the model, and the process that it is about.
pub(crate) struct StallCase<'a> {
    pub(super) stall: &'a Stall,
    pub(super) task: &'a Task,
    pub(super) process: &'a Process,
    pub(super) model: &'a Model,
    /// When it was read, `CLOCK_BOOTTIME`, ns.
    pub(super) boot_ns: u64,
}

impl<'a> StallCase<'a> {
    pub(in crate::hazards) fn new(
        boot_ns: u64,
        task: &'a Task,
        stall: &'a Stall,
        model: &'a Model,
    ) -> Option<Self> {
        let process = model.live(task.pid)?;
        Some(StallCase { stall, task, process, model, boot_ns })
    }

    /// The fork that made its memory, where that was seen.
    pub(super) fn fork(&self) -> Option<&'a Fork> {
        self.process.inherited()
    }

    /// Whether its memory comes from a fork.
    pub(super) fn is_forked(&self) -> bool {
        let late = self.stall.late.as_ref();
        let unseen = || self.process.fork.is_none() && self.process.exec.is_none();
        self.fork().is_some() || unseen() && late.is_some_and(|late| late.not_execed)
    }

    /// Whether too little could be read to say who can run.
    pub(in crate::hazards) fn is_unread(&self) -> bool {
        let own = |task: &&StallTask| task.pid == self.task.pid;
        let unknown = |task: &StallTask| task.state == TaskState::Unknown;
        !self.stall.tasks.iter().any(|task| own(&task))
            || self.stall.tasks.iter().filter(own).any(unknown)
    }

    /// Threads that the fork lost; `None`: not known.
    pub(super) fn threads_lost(&self) -> Option<u64> {
        match (self.fork(), &self.stall.late) {
            (Some(fork), _) => Some(fork.lost.len() as u64),
            (None, Some(late)) => {
                let parent = late.relative.as_ref().filter(|relative| relative.parent)?;
                let older = |thread: &&RelativeThread| thread.start_ns <= late.start_ns;
                Some((parent.threads.iter().filter(older).count() as u64).saturating_sub(1))
            }
            (None, None) => None,
        }
    }
}

/// Which of the tasks of a stall can run, in one view, where it is about process `pid`.
pub(super) fn live(stall: &Stall, pid: u32, view: View) -> Vec<bool> {
    let ends: Vec<Ends> = (0..stall.tasks.len()).map(|at| ends(stall, pid, at, view)).collect();
    live::live(&ends)
}

/// Who could end the wait of the task at `at`.
pub(super) fn ends(stall: &Stall, pid: u32, at: usize, view: View) -> Ends {
    let Some(task) = stall.tasks.get(at) else { return Ends::Anything };
    let TaskState::Waits(wait) = &task.state else { return Ends::Anything };
    if wait.outside
        || wait.stopped
        || wait.others
        || wait.on.is_empty()
        || wait.timed
            && !(view >= View::Polling && task.pid == pid && polls_in_vain(stall, task, wait))
        || handler_may_run(stall, task, wait, pid, view)
    {
        return Ends::Anything;
    }
    let mut others = Vec::new();
    for on in &wait.on {
        match of_thing(stall, task, on, view) {
            Some(some) => others.extend(some),
            None => return Ends::Anything,
        }
    }
    others.sort_unstable();
    others.dedup();
    Ends::Tasks(others)
}

/// Whether a signal's handler may end the wait, or may make the task go on.
pub(super) fn handler_may_run(
    stall: &Stall,
    task: &StallTask,
    wait: &TaskWait,
    pid: u32,
    view: View,
) -> bool {
    let process = process(stall, task.pid);
    let Some(handlers) = process.and_then(|process| process.handlers) else { return true };
    let timers = process.and_then(|process| process.timers).unwrap_or(0) > 0;
    let runtime = process.and_then(|process| process.runtime);
    // Who was not lost a thread may rest by design until somebody ends the program.
    let rests = task.pid != pid
        && wait.on.iter().all(|on| kind(stall, on) == ThingKind::PrivateWord)
        && handlers::that_end_a_rest(handlers) != 0;
    rests || view < View::NoHandlers && (timers || handlers::that_count(handlers, runtime) != 0)
}

/// The tasks that could end a wait for a thing; `None`: not all of them are known.
fn of_thing(stall: &Stall, task: &StallTask, on: &On, view: View) -> Option<Vec<usize>> {
    let thing = thing(stall, on)?;
    if thing.kind == ThingKind::Other {
        return None;
    }
    if thing.kind == ThingKind::SysvSemaphore && view < View::LastOperator {
        return None;
    }
    // Who has it today are not all who could end the wait: others may open it by name, or take it out of a
    // message.
    let may_be_anybodys = is_open_to_all(thing) || stall.in_messages && may_be_in_message(thing);
    if may_be_anybodys && owner(stall, task, thing).is_none() {
        return None;
    }
    // Whoever has an epoll instance could add files to it. Nobody does that for others.
    if thing.kind == ThingKind::Epoll && view >= View::OwnThings {
        return Some(Vec::new());
    }
    let own = view >= View::OwnThings && is_own_thing(thing, task, on.way);
    let unused = |pid: u32| {
        view >= View::NotUsed && on.way == Way::Read && is_leaked(stall, thing, task.pid, pid)
    };
    let pids = pids(thing, on.way, view);
    let pids = pids.filter(|pid| (!own || *pid == task.pid) && !unused(*pid));
    let mut found = Vec::new();
    for pid in pids {
        let before = found.len();
        let of = |(at, other): (usize, &StallTask)| (other.pid == pid).then_some(at);
        found.extend(stall.tasks.iter().enumerate().filter_map(of));
        if found.len() == before {
            return None;
        }
    }
    match owner(stall, task, thing) {
        Some(owner) => {
            found.retain(|at| stall.tasks.get(*at).is_some_and(|task| is(task, owner)));
            Some(found)
        }
        None => Some(found),
    }
}

/// Whether a process could be sent a descriptor by which to end a wait. Shared memory without a file has
/// none (`shmem_zero_setup`, `mm/shmem.c`, Linux 6.18, names it so), nor has a segment of System V.
fn may_be_in_message(thing: &Thing) -> bool {
    match thing.kind {
        ThingKind::Pipe
        | ThingKind::UnixSocket
        | ThingKind::TcpSocket
        | ThingKind::Eventfd
        | ThingKind::FileLock => true,
        ThingKind::SharedWord => {
            !thing.name.starts_with("/dev/zero") && !thing.name.starts_with("/SYSV")
        }
        _ => false,
    }
}

/// The processes that could do what is waited for.
pub(super) fn pids<'a>(
    thing: &'a Thing,
    way: Way,
    view: View,
) -> impl Iterator<Item = u32> + use<'a> {
    let recorded = view >= View::Records
        && !thing.users.is_empty()
        && thing.users.iter().all(|user| user.holds.is_some());
    let can = move |user: &&User| match way {
        _ if user.shuts && view < View::NoShutdown => true,
        Way::Write => user.reads,
        _ if recorded => user.holds == Some(true),
        Way::Read | Way::Wake | Way::Release | Way::Exit => user.writes,
    };
    let mut seen = FxHashSet::default();
    thing.users.iter().filter(can).map(|user| user.pid).filter(move |pid| seen.insert(*pid))
}

/// The owner of a lock that a task waits for, by the number in it, who alone may release it. In memory of one
/// process it counts if it is another living thread of that: a number of the forking process, copied
/// with the lock, says nothing of who releases it here, and a thread that waits for itself may be meant to be
/// freed by another one.
pub(super) fn owner(stall: &Stall, task: &StallTask, thing: &Thing) -> Option<u32> {
    let owner = recorded(thing)?;
    let has = |pid: u32| thing.users.iter().any(|user| user.pid == pid);
    let other = |other: &StallTask| other.tid != task.tid && has(other.pid) && is(other, owner);
    let counts = match thing.kind {
        ThingKind::SharedWord => true,
        ThingKind::PrivateWord => stall.tasks.iter().any(other),
        _ => false,
    };
    counts.then_some(owner)
}

/// The owner that the words of a lock name, or the thread whose end a word stands for.
fn recorded(thing: &Thing) -> Option<u32> {
    if !matches!(thing.kind, ThingKind::SharedWord | ThingKind::PrivateWord) {
        return None;
    }
    thing.owner.or_else(|| recorded_by(thing, thing.op?))
}

/// The owner that the words of a lock name, for which one waits by a futex operation.
fn recorded_by(thing: &Thing, op: u32) -> Option<u32> {
    let (now, word) = (thing.now.as_ref()?, thing.word?);
    // Who waits for a lock expects the word that says so.
    let val = now.word(word).map_or(0, u64::from);
    let wait = Wait { uaddr: word, op, val, ..Wait::default() };
    let scene = Scene {
        machine: Machine::default(),
        wait: &wait,
        mapping: thing.mapping.as_ref(),
        now,
        at_fork: None,
        module: None,
        libc: None,
        target: None,
        code: Code::default(),
    };
    let reading = locks::read(&scene)?;
    match reading.now {
        State::Held { owner } if !reading.family.anyone_may_release => owner,
        _ => None,
    }
}

/// Whether a lock's word names this task.
pub(super) fn is(task: &StallTask, owner: u32) -> bool {
    task.ns_tid.unwrap_or(task.tid) == owner
}

/// Whether a process made a thing to wake itself: it has all ends of it. Who waits for a pipe or a socket
/// alone waits for data.
fn is_own_thing(thing: &Thing, task: &StallTask, way: Way) -> bool {
    let TaskState::Waits(wait) = &task.state else { return false };
    let wakes = match thing.kind {
        ThingKind::Eventfd => true,
        ThingKind::Pipe | ThingKind::UnixSocket | ThingKind::TcpSocket => wait.polled,
        _ => false,
    };
    let has_both = |user: &User| user.pid == task.pid && user.writes && user.reads;
    way == Way::Read && wakes && thing.users.iter().any(has_both)
}

/// Whether a task waits in `poll` or its like for nothing but what only its process can end. An event loop
/// that has nothing to do rests so, until a signal ends the program.
pub(super) fn rests(stall: &Stall, task: &StallTask) -> bool {
    let TaskState::Waits(wait) = &task.state else { return false };
    let own = |on: &On| {
        let waker = |thing: &&Thing| {
            use ThingKind::{Epoll, Eventfd, Pipe, TcpSocket, UnixSocket};
            matches!(thing.kind, Pipe | UnixSocket | TcpSocket | Eventfd | Epoll)
        };
        thing(stall, on)
            .filter(waker)
            .is_some_and(|thing| pids(thing, on.way, View::NoShutdown).all(|pid| pid == task.pid))
    };
    wait.polled && !wait.on.is_empty() && wait.on.iter().all(own)
}

/// The name of a file in whose memory a task waits, and which others may open by it.
pub(super) fn may_be_opened<'a>(stall: &'a Stall, task: &StallTask) -> Option<&'a str> {
    let TaskState::Waits(wait) = &task.state else { return None };
    let mut things = wait.on.iter().filter_map(|on| thing(stall, on));
    things.find(|thing| is_open_to_all(thing)).map(|thing| thing.name.as_str())
}

/// Whether a word is in memory that others may come to have by its name, as by `sem_open`. A segment of System
/// V shared memory is attached by its number, though `maps` calls its file deleted from the start (`newseg`,
/// `ipc/shm.c`, Linux 6.18). Another file that is called so may have a second name.
fn is_open_to_all(thing: &Thing) -> bool {
    let name = &thing.name;
    let named = name.starts_with("/SYSV") || !name.ends_with(" (deleted)");
    thing.kind == ThingKind::SharedWord && (thing.by_name || named)
}

/// Whether process `pid` has the other end of a pipe or socket that process `reader` waits for only
/// because it was started with it: it runs another program, and has it beyond its standard streams.
/// A program that the reader itself has started is given what it has, and told its number, as by GPGME
/// (`--status-fd`); who has started the reader made the pipe to feed it, as sshd does for a command; who
/// has what is reached by a name may have opened it itself.
pub(super) fn is_leaked(stall: &Stall, thing: &Thing, reader: u32, pid: u32) -> bool {
    let ends = matches!(thing.kind, ThingKind::Pipe | ThingKind::UnixSocket) && !thing.by_name;
    let user = thing.users.iter().find(|user| user.pid == pid && user.writes);
    let exe = |pid| {
        let exe = process(stall, pid).map(|process| process.exe.as_str());
        exe.filter(|exe| !exe.is_empty())
    };
    let other_program = exe(reader).zip(exe(pid)).is_some_and(|(reader, other)| reader != other);
    let beyond = |user: &User| user.fd.is_some_and(|fd| fd > libc::STDERR_FILENO);
    let related = descends(stall, pid, reader) || descends(stall, reader, pid);
    ends && other_program && user.is_some_and(beyond) && !related
}

/// Whether a process of a stall was started by another one, or by one that was started by it.
fn descends(stall: &Stall, pid: u32, from: u32) -> bool {
    let parent = |pid: &u32| process(stall, *pid).map(|process| process.ppid);
    let line = std::iter::successors(Some(pid), parent);
    // Numbers that were read at different times might go round in a circle.
    line.skip(1).take(stall.processes.len()).any(|parent| parent == from)
}

/// Whether a task's timeouts have run out often and for long, and it did nothing else. Who tries for a lock that
/// names somebody who is not here as its owner may write that it does.
pub(super) fn polls_in_vain(stall: &Stall, task: &StallTask, wait: &TaskWait) -> bool {
    wait.polls.is_some_and(|polls| {
        let lasted = wait.since_ns.saturating_sub(polls.since_ns);
        polls.times >= POLLS && lasted >= POLLS_NS && polls_idly(stall, task, wait)
    })
}

/// The owner that a lock in memory of one process names, where that is no thread of the process.
pub(super) fn absent_owner(stall: &Stall, task: &StallTask, wait: &TaskWait) -> Option<u32> {
    let [on] = wait.on.as_slice() else { return None };
    let thing = thing(stall, on).filter(|thing| thing.kind == ThingKind::PrivateWord)?;
    // Who tries for a while waits by another operation than who waits for ever (`__futex_abstimed_wait64`,
    // `nptl/futex-internal.c`, glibc 2.36); the words of the lock are the same.
    let untimed = FUTEX_WAIT | thing.op? & FUTEX_PRIVATE_FLAG;
    let owner = recorded(thing).or_else(|| recorded_by(thing, untimed))?;
    let mut own = stall.tasks.iter().filter(|other| other.pid == task.pid);
    (!own.any(|other| is(other, owner))).then_some(owner)
}

/// Whether a task has done nothing but to go back to the same wait, as far as is known and matters.
pub(super) fn polls_idly(stall: &Stall, task: &StallTask, wait: &TaskWait) -> bool {
    wait.polls.is_some_and(|polls| {
        let lasted = wait.since_ns.saturating_sub(polls.since_ns);
        // Who only sleeps between two looks at a flag wakes up more often than who waits to be woken.
        let idle = if wait.on.is_empty() { IDLE_SLEEPER } else { IDLE };
        let rests = polls.cpu_ns.saturating_mul(idle) <= lasted;
        rests && (polls.transfers == Some(0) || absent_owner(stall, task, wait).is_some())
    })
}

/// Whether the task at `at` waits for threads of its own process alone.
pub(super) fn waits_inside(stall: &Stall, at: usize) -> bool {
    let Some(TaskState::Waits(wait)) = stall.tasks.get(at).map(|task| &task.state) else {
        return true;
    };
    wait.on.iter().all(|on| kind(stall, on) == ThingKind::PrivateWord)
}

/// Whether the task at `at` waits for the end of a child.
pub(super) fn waits_for_child(stall: &Stall, at: usize) -> bool {
    let Some(TaskState::Waits(wait)) = stall.tasks.get(at).map(|task| &task.state) else {
        return false;
    };
    wait.on.iter().any(|on| kind(stall, on) == ThingKind::Children)
}

/// The System V semaphore that a task waits for, if it does.
pub(super) fn semaphore(stall: &Stall, task: &StallTask) -> Option<SysvSemaphore> {
    let TaskState::Waits(wait) = &task.state else { return None };
    wait.on.iter().find_map(|on| thing(stall, on)?.semaphore)
}

/// The process of a stall.
pub(super) fn process(stall: &Stall, pid: u32) -> Option<&StallProcess> {
    stall.processes.iter().find(|process| process.pid == pid)
}

/// What is waited for.
pub(super) fn thing<'a>(stall: &'a Stall, on: &On) -> Option<&'a Thing> {
    stall.things.get(usize::try_from(on.thing).ok()?)
}

fn kind(stall: &Stall, on: &On) -> ThingKind {
    thing(stall, on).map_or(ThingKind::Other, |thing| thing.kind)
}

/// How much a thing says about a wait, the least number most.
pub(super) fn rank(kind: ThingKind) -> u8 {
    match kind {
        ThingKind::SharedWord
        | ThingKind::FileLock
        | ThingKind::Children
        | ThingKind::SysvSemaphore => 0,
        ThingKind::Pipe | ThingKind::UnixSocket | ThingKind::TcpSocket => 1,
        ThingKind::Eventfd => 2,
        ThingKind::PrivateWord => 3,
        ThingKind::Epoll | ThingKind::Other => 4,
    }
}
