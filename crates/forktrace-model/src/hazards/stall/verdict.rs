//! By what name a stall is known, and how sure it is.

use super::{
    case::{self, StallCase, View},
    chain::{self, Chain},
    stuck_thread,
};
use crate::{
    event::{
        Ended, Python, Task,
        stall::{StallTask, TaskState, TaskWait, ThingKind, Way},
    },
    finding::{
        Confidence, Detail, Fact, Finding, ForkInfo, HazardId, Link, Severity, StallDetail,
        Subject, UnobservedForkSite,
    },
    hazards::{Reason, Verdict, handlers, remedies, wait::fork::fork_site},
    model::ProcId,
};

/// Signals that end a process in the middle of what it does. One that asks it to end (`SIGTERM`, `SIGINT`,
/// `SIGHUP`) often meets it where that is meant.
const CRASHES: [i32; 8] = [
    libc::SIGKILL,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
    libc::SIGSYS,
    libc::SIGTRAP,
];

/// Parts of paths of files that are part of every program: what waits in them waits for somebody else.
const COMMON: [&str; 8] = [
    "/libc.so",
    "/libc-",
    "/ld-linux",
    "/ld-musl",
    "/libpthread",
    "/libstdc++",
    "/python",
    "/libpython",
];

impl StallCase<'_> {
    /// What it is: a finding of one hazard, or none.
    pub(in crate::hazards) fn verdict(&self) -> Verdict {
        match self.finding() {
            Some(finding) => Verdict::Finding(Box::new(finding)),
            None if self.is_unread() || self.stall.in_messages => Verdict::Open(Reason::Unreadable),
            None => Verdict::Innocent(Reason::OthersCanWake),
        }
    }

    /// The finding of this stall; `None`: everybody of the process can run, or too little is known.
    fn finding(&self) -> Option<Finding> {
        let stuck = stuck_thread(self.stall, self.task.pid)?;
        let at = self.stall.tasks.iter().position(|task| task.tid == stuck)?;
        let task = self.stall.tasks.get(at)?;
        let TaskState::Waits(wait) = &task.state else { return None };
        let dead =
            |view: &View| case::live(self.stall, self.task.pid, *view).get(at) == Some(&false);
        let view = View::ALL.into_iter().find(dead)?;
        let chain = chain::follow(self.stall, self.task.pid, at, view);
        // An event loop of a program that was started: nothing of it comes from a fork.
        if !self.is_forked() && case::rests(self.stall, task) {
            return None;
        }
        let hazard = self.hazard(&chain)?;
        let (confidence, mut proofs) = self.weigh(hazard, view, (task, wait), &chain);
        proofs.sort_by_key(Fact::rule);
        Some(self.envelope(hazard, confidence, proofs, task, wait, chain))
    }

    /// What the stall is known by; `None`: none of ours.
    fn hazard(&self, chain: &Chain) -> Option<HazardId> {
        let first = chain.links.first()?;
        let forked = self.is_forked();
        let alone = chain.is_alone();
        if chain.links.iter().any(|link| self.may_rest(link)) {
            return None;
        }
        let orphaned = |link: &Link| match link.thing {
            ThingKind::SysvSemaphore => link.gone.is_some(),
            ThingKind::SharedWord => {
                link.gone.is_some() || link.by.is_empty() || self.may_have_lost_holder(chain)
            }
            ThingKind::FileLock => link.by.is_empty(),
            _ => false,
        };
        Some(match () {
            () if self.is_held_open(first) => HazardId::HeldOpen,
            // Its memory is its own, but what it waits for is not.
            () if !forked && chain.is_circle && !alone => HazardId::Deadlock,
            () if !forked => return None,
            () if chain.links.iter().any(orphaned) => HazardId::OrphanedLock,
            () if chain.is_by_owners() => HazardId::Deadlock,
            () if alone && (self.threads_lost() != Some(0) || !chain.is_circle) => {
                HazardId::LostWaker
            }
            () => HazardId::Deadlock,
        })
    }

    /// Whether a task may be meant to wait for a System V semaphore that somebody changed who is gone and was
    /// not killed in the middle of something, as far as is known: who takes what another has counted ends so.
    fn may_rest(&self, link: &Link) -> bool {
        let gone = link.gone.filter(|_| link.thing == ThingKind::SysvSemaphore);
        gone.is_some_and(|pid| self.crashed(pid).is_none() || !self.is_like_a_lock(link))
    }

    /// Whether a task waits for a semaphore as one that has a lock to take.
    fn is_like_a_lock(&self, link: &Link) -> bool {
        let task = self.stall.tasks.iter().find(|task| task.tid == link.task.tid);
        let semaphore = task.and_then(|task| case::semaphore(self.stall, task));
        semaphore.is_some_and(|semaphore| (semaphore.value, semaphore.wants) == (0, 1))
    }

    /// The signal by which a process was killed where it was, and not asked to end.
    fn crashed(&self, pid: u32) -> Option<u8> {
        let process = self.model.latest(pid).filter(|process| !process.is_alive())?;
        match process.ended? {
            Ended::Signal(signal) => CRASHES.contains(&i32::from(signal)).then_some(signal),
            Ended::Code(_) => None,
        }
    }

    /// Whether a lock in shared memory may have been left behind: all who have it wait for it, or for a
    /// child, and another process that had it has ended.
    fn may_have_lost_holder(&self, chain: &Chain) -> bool {
        let waits = |link: &Link| matches!(link.thing, ThingKind::SharedWord | ThingKind::Children);
        let parent = self.process.parent.and_then(|id| self.model.get(id));
        let mut siblings = parent.into_iter().flat_map(|parent| &parent.children);
        let ended = |id: &ProcId| self.model.get(*id).is_some_and(|one| !one.is_alive());
        chain.links.iter().all(waits) && siblings.any(ended)
    }

    /// Whether the end of a pipe or socket is waited for that only forked children have open, and the
    /// waiter itself perhaps.
    fn is_held_open(&self, first: &Link) -> bool {
        use ThingKind::{Pipe, TcpSocket, UnixSocket};
        let ends = matches!(first.thing, Pipe | UnixSocket | TcpSocket);
        let others = || first.by.iter().filter(|pid| **pid != self.task.pid);
        let sibling = |pid: &u32| {
            let other = self.model.live(*pid).filter(|other| other.inherited().is_some());
            other.is_some_and(|other| other.ppid == self.process.ppid)
        };
        let by_chance = |pid: &u32| sibling(pid) || self.is_leaked(first, *pid);
        let is_own_alone = others().next().is_none();
        ends && first.way == Way::Read
            && !first.by.is_empty()
            && (self.is_forked() || !is_own_alone || self.process.fork.is_some())
            && others().all(by_chance)
    }

    /// Whether process `pid` has what a link waits for only because it was started with it.
    fn is_leaked(&self, link: &Link, pid: u32) -> bool {
        let mut things = self.stall.things.iter();
        let thing = things.find(|thing| {
            let has = thing.users.iter().any(|user| user.pid == pid);
            has && (thing.kind, &thing.name) == (link.thing, &link.name)
        });
        thing.is_some_and(|thing| case::is_leaked(self.stall, thing, self.task.pid, pid))
    }

    /// How sure it is, and why.
    fn weigh(
        &self,
        hazard: HazardId,
        view: View,
        (task, wait): (&StallTask, &TaskWait),
        chain: &Chain,
    ) -> (Confidence, Vec<Fact>) {
        let mut facts = vec![self.nobody(chain)];
        facts.extend(chain.links.iter().filter_map(|link| self.holder_gone(link)));
        let lost = self.threads_lost().filter(|lost| *lost > 0 && hazard == HazardId::LostWaker);
        if let Some(threads_lost) = lost {
            facts.push(Fact::ThreadsLost { threads_lost });
        }
        // To wait for each other's locks is not how a program rests, nor how it is woken.
        let alone = chain.is_alone() && !chain.is_by_owners();
        facts.extend(chain.is_by_owners().then_some(Fact::OwnersWait {}));
        let mut sure = match view {
            View::Safest => Confidence::Certain,
            View::NoShutdown => self.beside_others(wait, &mut facts),
            View::Records | View::LastOperator => Confidence::Likely,
            View::NoHandlers => self.beside_handlers(hazard, chain, &mut facts),
            View::OwnThings => self.of_own_thing(&mut facts),
            View::NotUsed => self.of_unused(chain, &mut facts),
            View::Polling => self.of_polling(task, wait, &mut facts),
        };
        let unheld = |link: &Link| link.by.is_empty() && link.thing != ThingKind::SysvSemaphore;
        if view >= View::Records && chain.links.iter().any(unheld) {
            facts.push(Fact::HeldByNobody {});
        }
        sure = sure.min(self.limit(chain, &mut facts));
        // It may be how the program means to rest, useless as that is.
        if alone
            && matches!(hazard, HazardId::LostWaker | HazardId::Deadlock)
            && self.threads_lost() == Some(0)
        {
            sure = sure.min(Confidence::Likely);
            facts.push(Fact::NoThreadLost {});
        }
        (sure, facts)
    }

    /// That who had what a task waits for is gone.
    fn holder_gone(&self, link: &Link) -> Option<Fact> {
        let owner = link.gone?;
        match link.thing {
            ThingKind::SysvSemaphore => {
                Some(Fact::LastOperatorKilled { pid: owner, signal: self.crashed(owner)? })
            }
            _ => Some(Fact::HolderGone { owner }),
        }
    }

    /// What a chain of waits does not prove, however dead its tasks are.
    fn limit(&self, chain: &Chain, facts: &mut Vec<Fact>) -> Confidence {
        let has = |task: &&StallTask| chain.links.iter().any(|link| link.task.tid == task.tid);
        let mut limit = Confidence::Certain;
        for task in self.stall.tasks.iter().filter(has) {
            if case::rests(self.stall, task) {
                facts.push(Fact::MaySleep {});
                limit = limit.min(match self.threads_lost() {
                    Some(0) => Confidence::Suspect,
                    _ => Confidence::Likely,
                });
            }
            if case::semaphore(self.stall, task).is_some() {
                facts.push(Fact::MayBeRaised {});
                limit = limit.min(Confidence::Likely);
            }
            if let Some(name) = case::may_be_opened(self.stall, task) {
                facts.push(Fact::MayBeOpened { name: name.to_owned() });
                limit = limit.min(Confidence::Likely);
            }
        }
        facts.dedup();
        limit
    }

    /// Somebody who can run has the waiter's own end of a socket.
    fn beside_others(&self, wait: &TaskWait, facts: &mut Vec<Fact>) -> Confidence {
        let things = wait.on.iter().filter_map(|on| case::thing(self.stall, on));
        let users = things.flat_map(|thing| thing.users.iter().filter(|user| user.shuts));
        let mut pids: Vec<u32> = users.map(|user| user.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        facts.push(Fact::MayBeShutDown { pids });
        Confidence::Likely
    }

    fn nobody(&self, chain: &Chain) -> Fact {
        let mut pids: Vec<u32> = chain.links.iter().map(|link| link.task.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        Fact::NobodyCanEnd {
            tasks: self.stall.tasks.iter().filter(|task| pids.contains(&task.pid)).count() as u64,
            processes: pids.len() as u64,
        }
    }

    /// A handler could end the wait. In a circle through several processes it would have to do the work
    /// of another task; a process that only rests may mean to be woken by one, and so may one whose
    /// wait is meant to be cut off after a time, or whose master has workers that it tells to go on.
    fn beside_handlers(
        &self,
        hazard: HazardId,
        chain: &Chain,
        facts: &mut Vec<Fact>,
    ) -> Confidence {
        let of = |link: &Link| self.handlers(link.task.pid);
        let mask = chain.links.iter().filter_map(of).fold(0, |all, mask| all | mask);
        facts.push(Fact::Handlers { signals: Some(handlers::numbers(mask)) });
        let alone = chain.is_alone() && !chain.is_by_owners();
        match hazard {
            // A handler is how a process that is alone is meant to be woken.
            HazardId::LostWaker | HazardId::Deadlock | HazardId::HeldOpen if alone => {
                Confidence::Suspect
            }
            _ if chain.is_by_owners() => Confidence::Likely,
            _ if chain.links.iter().any(|link| self.is_meant_to_be_cut_off(link, chain)) => {
                Confidence::Suspect
            }
            HazardId::Deadlock if chain.links.iter().any(|link| self.may_be_told(link)) => {
                Confidence::Suspect
            }
            _ => Confidence::Likely,
        }
    }

    /// Whether a timer, or the end of a child that can run, interrupts the wait of a task.
    fn is_meant_to_be_cut_off(&self, link: &Link, chain: &Chain) -> bool {
        let pid = link.task.pid;
        let timers = case::process(self.stall, pid).and_then(|process| process.timers);
        let handlers = self.handlers(pid).unwrap_or(0);
        let in_chain = |pid: u32| chain.links.iter().any(|link| link.task.pid == pid);
        let has_others = || {
            let children = self.model.live(pid).into_iter().flat_map(|process| &process.children);
            let mut living =
                children.filter_map(|id| self.model.get(*id)).filter(|one| one.is_alive());
            living.any(|child| !in_chain(child.pid))
        };
        timers.is_some_and(|timers| timers > 0)
            || handlers & handlers::ALARMS != 0
            || handlers & handlers::bit(libc::SIGCHLD) != 0 && has_others()
    }

    /// Whether a task waits for data of its parent, which a signal may make send it: a worker at rest waits so for
    /// its master, which waits for the end of its workers.
    fn may_be_told(&self, link: &Link) -> bool {
        use ThingKind::{Eventfd, Pipe, TcpSocket, UnixSocket};
        let parent = case::process(self.stall, link.task.pid).map(|process| process.ppid);
        matches!(link.thing, Pipe | UnixSocket | TcpSocket | Eventfd)
            && parent
                .is_some_and(|parent| link.by.contains(&parent) && self.handlers(parent) != Some(0))
    }

    /// Others have what the process made to wake itself. That a library waits, whose threads were lost,
    /// makes it likely that they do not use it.
    fn of_own_thing(&self, facts: &mut Vec<Fact>) -> Confidence {
        let library = self.stall.stack.frames.iter().filter_map(|frame| frame.module.as_deref());
        let mut libraries = library.filter(|path| {
            path.contains(".so") && !COMMON.iter().any(|common| path.contains(common))
        });
        match (libraries.next(), self.threads_lost()) {
            (Some(module), Some(1..)) => {
                facts.push(Fact::WaitsInLibrary { module: module.to_owned() });
                Confidence::Likely
            }
            _ => Confidence::Suspect,
        }
    }

    /// Only programs that seem not to use it have the other end. They may have been given it on purpose.
    fn of_unused(&self, chain: &Chain, facts: &mut Vec<Fact>) -> Confidence {
        let others = chain.links.first().into_iter().flat_map(|first| first.by.iter().copied());
        facts.push(Fact::NotUsed { pids: others.filter(|pid| *pid != self.task.pid).collect() });
        Confidence::Suspect
    }

    /// The wait has a timeout, which has run out often.
    fn of_polling(&self, task: &StallTask, wait: &TaskWait, facts: &mut Vec<Fact>) -> Confidence {
        if let Some(polls) = wait.polls {
            let for_ns = wait.since_ns.saturating_sub(polls.since_ns);
            facts.push(Fact::PollsInVain { times: polls.times, for_ns });
        }
        let quiet = self.handlers(self.task.pid) == Some(0);
        let in_vain = self.in_vain(task, wait);
        let sure = match (self.threads_lost(), &in_vain) {
            (Some(1..), Some(_)) if quiet => Confidence::Likely,
            _ => Confidence::Suspect,
        };
        if in_vain.is_none() {
            facts.push(Fact::MayLookElsewhere {});
        }
        facts.extend(in_vain);
        sure
    }

    /// The handlers of a process that count; `None`: not known.
    fn handlers(&self, pid: u32) -> Option<u64> {
        let process = case::process(self.stall, pid)?;
        Some(handlers::that_count(process.handlers?, process.runtime))
    }

    fn envelope(
        &self,
        hazard: HazardId,
        confidence: Confidence,
        proofs: Vec<Fact>,
        task: &StallTask,
        wait: &TaskWait,
        chain: Chain,
    ) -> Finding {
        let (python, python_missing) = match &self.stall.python {
            Python::Frames(frames) => (frames.clone(), None),
            Python::None(why) => (Vec::new(), Some(why.clone())),
        };
        let since_ns =
            wait.polls.filter(|_| wait.timed).map_or(wait.since_ns, |polls| polls.since_ns);
        let detail = StallDetail {
            waited_ns: self.boot_ns.saturating_sub(since_ns),
            chain: chain.links,
            python,
            python_missing,
            stack: self.stall.stack.frames.clone(),
            stack_cut: self.stall.stack.cut.clone(),
        };
        let mut finding = Finding {
            hazard,
            severity: Severity::Hang,
            confidence,
            subject: Subject {
                pid: task.pid,
                tid: task.tid,
                comm: task.comm.clone(),
                ppid: self.process.ppid,
                ns_pid: case::process(self.stall, task.pid).and_then(|process| process.ns_pid),
            },
            fork: self.fork_info(),
            proofs,
            same_fault_in: Vec::new(),
            waited_by: self.waited_by(),
            detail: Detail::Stall(Box::new(detail)),
            remedy: None,
        };
        let fork = self.fork().cloned().unwrap_or_default();
        finding.remedy = remedies::of(&finding, &fork);
        finding
    }

    fn fork_info(&self) -> ForkInfo {
        if let Some(fork) = self.fork() {
            return ForkInfo::Observed(Box::new(fork_site(fork)));
        }
        let Some(late) = &self.stall.late else { return ForkInfo::None };
        let parent = late.relative.as_ref().filter(|relative| relative.parent);
        ForkInfo::Unobserved(Box::new(UnobservedForkSite {
            boot_ns: late.start_ns,
            by_pid: parent.map(|parent| parent.pid),
            by_comm: parent.map(|parent| parent.comm.clone()),
            by_tid: parent.and_then(|parent| parent.forker),
            ..UnobservedForkSite::default()
        }))
    }

    /// Tasks that wait for the end of the process.
    fn waited_by(&self) -> Vec<Task> {
        let waits = |task: &&StallTask| {
            let TaskState::Waits(wait) = &task.state else { return false };
            wait.on.iter().any(|on| {
                let thing = case::thing(self.stall, on);
                let children = thing.filter(|thing| thing.kind == ThingKind::Children);
                children
                    .is_some_and(|thing| thing.users.iter().any(|user| user.pid == self.task.pid))
            })
        };
        let task =
            |task: &StallTask| Task { pid: task.pid, tid: task.tid, comm: task.comm.clone() };
        self.stall.tasks.iter().filter(waits).map(task).collect()
    }
}
