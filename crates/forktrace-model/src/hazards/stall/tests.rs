//! Stalls made by hand, and what is said of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod messages;
mod owners;
mod polls;
mod semaphores;
mod unsure;

use proptest::prelude::*;

use super::*;
use crate::{
    event::{
        Event, ProcessExec, ProcessFork, ProcessSnapshot, Task, ThreadName,
        stacks::{Frame, Stack},
        stall::{
            On, Polls, StallProcess, StallTask, TaskState, TaskWait, Thing, ThingKind, User, Way,
        },
    },
    finding::{Confidence, Finding, Rule},
    hazards::{self, Reason},
    model::Model,
};

const PARENT: u32 = 70;
const THREAD: u32 = 72;
const CHILD: u32 = 80;
const SECOND: u64 = 1_000_000_000;

/// A process with `threads` threads that forked [`CHILD`], and a sibling of that, 81.
fn model(threads: u32) -> Model {
    let event = |boot_ns, body| Event { boot_ns, task: Some(task(PARENT)), body };
    let comm = || "app".to_owned();
    let threads = [PARENT, THREAD].into_iter().take(threads as usize);
    let threads = threads.map(|tid| ThreadName { tid, comm: comm() }).collect();
    let mut model = Model::default();
    let seen = ProcessSnapshot { threads, ppid: 1, read_ns: 2, ..ProcessSnapshot::default() };
    model.apply(&event(1, Body::ProcessSnapshot(seen)));
    for child_pid in [CHILD, CHILD + 1] {
        model.apply(&event(50, Body::ProcessFork(ProcessFork { child_pid, clone_flags: 0 })));
    }
    model
}

fn task(pid: u32) -> Task {
    Task { pid, tid: pid, comm: "app".into() }
}

/// A stall under construction.
#[derive(Default)]
struct Made(Stall);

impl Made {
    fn process(mut self, pid: u32, handlers: u64) -> Self {
        let process =
            StallProcess { pid, handlers: Some(handlers), timers: Some(0), ..Default::default() };
        self.0.processes.push(process);
        self
    }

    /// A thing, and who reads from it (`r`), writes to it (`w`), or both.
    fn thing(mut self, kind: ThingKind, users: &[(u32, &str)]) -> Self {
        let user = |(pid, can): &(u32, &str)| User {
            pid: *pid,
            reads: can.contains('r'),
            writes: can.contains('w'),
            ..User::default()
        };
        let users = users.iter().map(user).collect();
        self.0.things.push(Thing { kind, users, ..Thing::default() });
        self
    }

    fn named(mut self, name: &str) -> Self {
        let latest = self.0.things.last_mut().expect("there is one");
        name.clone_into(&mut latest.name);
        self
    }

    /// A task that waits for the latest thing.
    fn waits(self, pid: u32, tid: u32, way: Way) -> Self {
        let thing = self.0.things.len() as u32 - 1;
        let on = vec![On { thing, fd: Some(5), way }];
        self.state(pid, tid, TaskState::Waits(TaskWait { on, since_ns: 60, ..TaskWait::default() }))
    }

    fn state(mut self, pid: u32, tid: u32, state: TaskState) -> Self {
        self.0.tasks.push(StallTask { pid, tid, state, comm: "app".into(), ns_tid: None });
        self
    }

    fn wait(&mut self, at: usize) -> &mut TaskWait {
        match &mut self.0.tasks[at].state {
            TaskState::Waits(wait) => wait,
            _ => unreachable!("it waits"),
        }
    }

    fn judged(self, model: &Model) -> Verdict {
        let body = Body::Stall(Box::new(self.0));
        hazards::judge(&Event { boot_ns: 20 * SECOND, task: Some(task(CHILD)), body }, model)
    }

    fn finding(self) -> Finding {
        match self.judged(&model(2)) {
            Verdict::Finding(finding) => *finding,
            other => unreachable!("{other:?}"),
        }
    }

    fn ends_by_itself(self) -> bool {
        self.judged(&model(2)) == Verdict::Innocent(Reason::OthersCanWake)
    }
}

fn said(finding: &Finding) -> (HazardId, Confidence) {
    (finding.hazard, finding.confidence)
}

/// The child waits for a shared lock, a thread of the parent for a pipe, the parent for the child.
fn circle() -> Made {
    Made::default()
        .process(PARENT, 2)
        .process(CHILD, 0)
        .thing(ThingKind::SharedWord, &[(PARENT, "w"), (CHILD, "w")])
        .named("/dev/zero (deleted)")
        .waits(CHILD, CHILD, Way::Wake)
        .thing(ThingKind::Pipe, &[(PARENT, "rw"), (CHILD, "rw")])
        .waits(PARENT, THREAD, Way::Read)
        .thing(ThingKind::Children, &[(CHILD, "w")])
        .waits(PARENT, PARENT, Way::Exit)
}

/// SIGINT is that of bit 1; a program's own handler of SIGTERM.
const TERM: u64 = 1 << 14;

#[test]
fn a_circle_across_processes_is_certain_unless_a_handler_may_run() {
    let mut python = circle();
    python.0.processes[0].runtime = Some(crate::event::stall::Runtime::Python);
    let finding = python.finding();
    assert_eq!(said(&finding), (HazardId::Deadlock, Confidence::Certain));
    let chain = &finding.stall().unwrap().chain;
    let tids: Vec<u32> = chain.iter().map(|link| link.task.tid).collect();
    assert_eq!(tids, [CHILD, THREAD, PARENT]);
    assert_eq!(finding.waited_by, [task(PARENT)]);
    let mut handled = circle();
    handled.0.processes[0].handlers = Some(TERM);
    let finding = handled.finding();
    assert_eq!(said(&finding), (HazardId::Deadlock, Confidence::Likely));
    assert!(finding.has(Rule::Handlers) && finding.has(Rule::NobodyCanEnd));
}

#[test]
fn a_circle_that_a_timer_or_a_master_may_cut_is_suspect() {
    let confidence = |made: Made| said(&made.finding()).1;
    let with = |handlers: u64, timers| {
        let mut made = circle();
        (made.0.processes[0].handlers, made.0.processes[0].timers) = (Some(handlers), Some(timers));
        made
    };
    let alarm = 1 << (libc::SIGALRM - 1);
    assert_eq!(confidence(with(alarm, 0)), Confidence::Suspect);
    assert_eq!(confidence(with(0, 1)), Confidence::Suspect, "a timer of POSIX");
    let worker = |handlers| {
        let mut made = Made::default()
            .process(PARENT, handlers)
            .process(CHILD, 0)
            .thing(ThingKind::Pipe, &[(PARENT, "w"), (CHILD, "r")])
            .waits(CHILD, CHILD, Way::Read)
            .thing(ThingKind::Children, &[(CHILD, "w")])
            .waits(PARENT, PARENT, Way::Exit);
        made.0.processes[1].ppid = PARENT;
        made
    };
    assert_eq!(confidence(worker(0)), Confidence::Certain);
    assert_eq!(confidence(worker(TERM)), Confidence::Suspect, "it is told to stop");
}

#[test]
fn one_task_that_can_run_frees_all() {
    for state in [
        TaskState::Moves,
        TaskState::Unknown,
        TaskState::Waits(TaskWait { timed: true, ..TaskWait::default() }),
        TaskState::Waits(TaskWait { outside: true, ..TaskWait::default() }),
        TaskState::Waits(TaskWait::default()),
    ] {
        assert!(circle().state(PARENT, 73, state).ends_by_itself());
    }
    let mut unread = circle();
    unread.0.things[0].users.push(User { pid: 99, writes: true, ..User::default() });
    assert!(unread.ends_by_itself(), "99 has it, and is not among the tasks");
}

#[test]
fn who_waits_for_an_end_that_it_has_itself_waits_for_ever() {
    let pipe = |users: &[(u32, &str)]| {
        Made::default().process(CHILD, 0).thing(ThingKind::Pipe, users).waits(
            CHILD,
            CHILD,
            Way::Read,
        )
    };
    assert_eq!(said(&pipe(&[(CHILD, "rw")]).finding()), (HazardId::HeldOpen, Confidence::Certain));
    let sibling =
        |state| pipe(&[(CHILD, "r"), (CHILD + 1, "w")]).state(CHILD + 1, CHILD + 1, state);
    assert!(sibling(TaskState::Moves).ends_by_itself());
}

#[test]
fn who_polls_what_it_alone_can_end_may_rest() {
    let alone = |kind, polled| {
        let mut made = Made::default().process(CHILD, 0).thing(kind, &[(CHILD, "rw")]).waits(
            CHILD,
            CHILD,
            Way::Read,
        );
        made.wait(0).polled = polled;
        made
    };
    let of = |made: Made, threads| match made.judged(&model(threads)) {
        Verdict::Finding(finding) => {
            assert_eq!(finding.has(Rule::MaySleep), finding.confidence != Confidence::Certain);
            said(&finding)
        }
        other => unreachable!("{other:?}"),
    };
    use HazardId::{HeldOpen, LostWaker};
    assert_eq!(of(alone(ThingKind::Eventfd, true), 2), (LostWaker, Confidence::Likely));
    assert_eq!(of(alone(ThingKind::Eventfd, false), 2), (LostWaker, Confidence::Certain));
    for kind in [ThingKind::Pipe, ThingKind::UnixSocket] {
        assert_eq!(of(alone(kind, true), 2), (HeldOpen, Confidence::Likely));
        assert_eq!(of(alone(kind, true), 1), (HeldOpen, Confidence::Suspect));
        assert_eq!(of(alone(kind, false), 1), (HeldOpen, Confidence::Certain));
    }
}

#[test]
fn who_has_the_same_end_of_a_socket_could_shut_it_down() {
    let socket = |state: Option<TaskState>| {
        let mut made = Made::default()
            .process(CHILD, 0)
            .process(PARENT, 0)
            .process(90, 0)
            .thing(ThingKind::UnixSocket, &[(PARENT, "rw"), (CHILD, ""), (90, "")])
            .waits(CHILD, CHILD, Way::Read);
        for user in &mut made.0.things[0].users[1..] {
            user.shuts = true;
        }
        let made =
            made.thing(ThingKind::Children, &[(CHILD, "w")]).waits(PARENT, PARENT, Way::Exit);
        match state {
            Some(state) => made.state(90, 90, state),
            None => made.waits(90, 90, Way::Exit),
        }
    };
    let finding = socket(Some(TaskState::Moves)).finding();
    assert_eq!(said(&finding), (HazardId::Deadlock, Confidence::Likely));
    assert!(finding.has(Rule::MayBeShutDown));
    assert_eq!(finding.stall().unwrap().chain[0].by, [PARENT]);
    let finding = socket(None).finding();
    assert_eq!(said(&finding), (HazardId::Deadlock, Confidence::Certain), "90 waits for the child");
    let mut own_thread = socket(None).state(CHILD, CHILD + 5, TaskState::Moves);
    own_thread.0.things[1].kind = ThingKind::PrivateWord;
    own_thread.0.things[1].users[0].pid = PARENT;
    assert_eq!(said(&own_thread.finding()), (HazardId::Deadlock, Confidence::Likely));
}

#[test]
fn a_program_that_was_started_with_the_end_of_a_pipe_does_not_use_it() {
    let pipe = |fd, exe: &str| {
        let mut made = Made::default()
            .process(CHILD, 0)
            .process(90, 0)
            .thing(ThingKind::Pipe, &[(CHILD, "r"), (90, "w")])
            .waits(CHILD, CHILD, Way::Read)
            .state(90, 90, TaskState::Moves);
        made.0.things[0].users[1].fd = Some(fd);
        for (process, exe) in made.0.processes.iter_mut().zip(["/app", exe]) {
            exe.clone_into(&mut process.exe);
        }
        made
    };
    let finding = pipe(7, "/bin/sleep").finding();
    assert_eq!(said(&finding), (HazardId::HeldOpen, Confidence::Suspect));
    assert_eq!(finding.stall().unwrap().chain[0].by, [90]);
    assert!(pipe(1, "/bin/sleep").ends_by_itself(), "its standard output");
    assert!(pipe(7, "/app").ends_by_itself(), "the same program");
    let socket = |by_name| {
        let mut made = pipe(7, "/bin/sleep");
        made.0.things[0].kind = ThingKind::UnixSocket;
        made.0.things[0].by_name = by_name;
        made
    };
    assert_eq!(socket(false).finding().confidence, Confidence::Suspect, "one of a pair");
    assert!(socket(true).ends_by_itself(), "a server that it connected to");
    let mut given = pipe(7, "/bin/gpg");
    given.0.processes[1].ppid = CHILD;
    assert!(given.ends_by_itself(), "the reader has started it");
    let mut fed = pipe(7, "/usr/sbin/sshd");
    fed.0.processes[0].ppid = 90;
    assert!(fed.ends_by_itself(), "it has started the reader");
    let mut deeper = pipe(7, "/bin/gpg").process(91, 0);
    deeper.0.processes[2].ppid = CHILD;
    deeper.0.processes[1].ppid = 91;
    assert!(deeper.ends_by_itself(), "through a shell");
    let mut both = pipe(7, "/app");
    both.0.things[0].users[1].reads = true;
    assert!(both.ends_by_itself(), "both ends, as both sides of multiprocessing.Pipe have them");
}

#[test]
fn a_shared_lock_that_nobody_has_by_their_own_record_is_orphaned() {
    let semaphore = |holds| {
        let mut made = Made::default()
            .process(PARENT, 0)
            .process(CHILD, 0)
            .thing(ThingKind::SharedWord, &[(PARENT, "w"), (CHILD, "w")])
            .named("/dev/shm/sem.mp-1 (deleted)")
            .waits(CHILD, CHILD, Way::Wake)
            .state(PARENT, PARENT, TaskState::Moves);
        made.0.things[0].users[0].holds = holds;
        made.0.things[0].users[1].holds = Some(false);
        made
    };
    let finding = semaphore(Some(false)).finding();
    assert_eq!(said(&finding), (HazardId::OrphanedLock, Confidence::Likely));
    assert!(semaphore(Some(true)).ends_by_itself(), "the parent has it, and can run");
    assert!(semaphore(None).ends_by_itself(), "whether the parent has it is not known");
}

#[test]
fn a_library_that_lost_its_thread_waits_in_vain_on_its_own_eventfd() {
    let eventfd = || {
        Made::default()
            .process(CHILD, 0)
            .process(PARENT, 0)
            .thing(ThingKind::Eventfd, &[(CHILD, "rw"), (PARENT, "rw")])
            .waits(CHILD, CHILD, Way::Read)
            .state(PARENT, PARENT, TaskState::Moves)
    };
    assert_eq!(said(&eventfd().finding()), (HazardId::LostWaker, Confidence::Suspect));
    let mut made = eventfd();
    let module = Some("/usr/lib/libzmq.so.5".to_owned());
    made.0.stack = Stack { frames: vec![Frame { module, ..Frame::default() }], cut: None };
    assert_eq!(said(&made.finding()), (HazardId::LostWaker, Confidence::Likely));
}

#[test]
fn a_parent_that_rests_until_somebody_ends_it_can_run() {
    let resting = |handlers| {
        Made::default()
            .process(CHILD, 0)
            .process(PARENT, handlers)
            .thing(ThingKind::Pipe, &[(CHILD, "r"), (PARENT, "w")])
            .waits(CHILD, CHILD, Way::Read)
            .thing(ThingKind::PrivateWord, &[(PARENT, "w")])
            .waits(PARENT, PARENT, Way::Wake)
    };
    assert!(resting(1 << 1).ends_by_itself(), "SIGINT ends it");
    assert_eq!(said(&resting(0).finding()).0, HazardId::Deadlock);
}

#[test]
fn who_only_waits_for_the_end_of_a_stuck_child_is_told_with_that() {
    let made = Made::default()
        .process(CHILD, 0)
        .process(CHILD + 1, 0)
        .thing(ThingKind::Children, &[(CHILD + 1, "w")])
        .waits(CHILD, CHILD, Way::Exit)
        .thing(ThingKind::PrivateWord, &[(CHILD, "w")])
        .waits(CHILD, CHILD + 5, Way::Wake)
        .thing(ThingKind::PrivateWord, &[(CHILD + 1, "w")])
        .waits(CHILD + 1, CHILD + 1, Way::Wake);
    assert_eq!(stuck_thread(&made.0, CHILD), None);
    assert_eq!(stuck_thread(&made.0, CHILD + 1), Some(CHILD + 1));
}

#[test]
fn a_handler_is_how_a_process_that_rests_is_woken() {
    let resting = || {
        Made::default().process(CHILD, TERM).thing(ThingKind::PrivateWord, &[(CHILD, "w")]).waits(
            CHILD,
            CHILD,
            Way::Wake,
        )
    };
    assert_eq!(said(&resting().finding()), (HazardId::LostWaker, Confidence::Suspect));
    let Verdict::Finding(finding) = resting().judged(&model(1)) else { unreachable!("a suspect") };
    assert_eq!(said(&finding), (HazardId::LostWaker, Confidence::Suspect));
}

#[test]
fn an_event_loop_of_a_program_that_was_started_rests() {
    let mut model = model(2);
    let exec = ProcessExec { old_tid: CHILD, filename: "loop".into() };
    model.apply(&Event { boot_ns: 55, task: Some(task(CHILD)), body: Body::ProcessExec(exec) });
    let own_end = |polled| {
        let mut made = Made::default()
            .process(CHILD, 0)
            .thing(ThingKind::Pipe, &[(CHILD, "rw")])
            .waits(CHILD, CHILD, Way::Read);
        made.wait(0).polled = polled;
        made.judged(&model)
    };
    assert_eq!(own_end(true), Verdict::Innocent(Reason::OthersCanWake));
    let Verdict::Finding(finding) = own_end(false) else { unreachable!("it reads") };
    assert_eq!(said(&finding), (HazardId::HeldOpen, Confidence::Certain));
}

#[test]
fn a_stall_about_a_process_that_goes_on_resolves_the_one_before() {
    let event = |stall| Event { boot_ns: 1, task: Some(task(CHILD)), body: Body::Stall(stall) };
    let moves = Made::default().state(CHILD, CHILD, TaskState::Moves);
    assert_eq!(ended_by(&event(Box::new(circle().0))), None);
    assert_eq!(ended_by(&event(Box::new(moves.0))), Some(Key::of_stall()));
}

/// A task of process [`CHILD`] or [`PARENT`] that moves, polls or waits for some of three things.
fn any_task() -> impl Strategy<Value = (u32, TaskState)> {
    let way = prop::sample::select(vec![Way::Read, Way::Write, Way::Wake]);
    let on = (0..3_u32, way).prop_map(|(thing, way)| On { thing, fd: Some(5), way });
    let wait = (any::<bool>(), prop::collection::vec(on, 0..3)).prop_map(|(timed, on)| {
        let polls = Polls { times: 100, since_ns: SECOND, cpu_ns: 0, transfers: Some(0) };
        let (since_ns, polls) = (12 * SECOND, Some(polls));
        TaskState::Waits(TaskWait { timed, on, since_ns, polls, ..TaskWait::default() })
    });
    let state = prop_oneof![1 => Just(TaskState::Moves), 9 => wait];
    (prop::sample::select(vec![CHILD, PARENT]), state)
}

fn any_thing() -> impl Strategy<Value = Thing> {
    use ThingKind::{Epoll, Eventfd, Pipe, PrivateWord, SharedWord, UnixSocket};
    let kinds = vec![Epoll, Eventfd, Pipe, PrivateWord, SharedWord, UnixSocket];
    let user = (any::<(bool, bool, bool, bool)>(), any::<Option<bool>>(), any::<bool>());
    let user = user.prop_map(|((is_child, reads, writes, shuts), holds, low)| User {
        pid: if is_child { CHILD } else { PARENT },
        fd: Some(if low { 1 } else { 7 }),
        reads,
        writes,
        shuts,
        // Only who can release a lock can have it.
        holds: holds.map(|holds| holds && writes),
    });
    (prop::sample::select(kinds), prop::collection::vec(user, 0..4))
        .prop_map(|(kind, users)| Thing { kind, users, ..Thing::default() })
}

proptest! {
    #[test]
    fn nobody_can_run_in_a_more_daring_view_who_cannot_in_a_safer_one(
        tasks in prop::collection::vec(any_task(), 1..6),
        things in prop::collection::vec(any_thing(), 3),
        handlers in any::<(bool, bool)>(),
    ) {
        let mut made = Made::default()
            .process(CHILD, if handlers.0 { TERM } else { 0 })
            .process(PARENT, if handlers.1 { TERM } else { 0 });
        made.0.processes[0].exe = "/app".into();
        made.0.processes[1].exe = "/bin/other".into();
        made.0.things = things;
        for (tid, (pid, state)) in (CHILD..).zip(tasks) {
            made = made.state(pid, tid, state);
        }
        let live = View::ALL.map(|view| case::live(&made.0, CHILD, view));
        for pair in live.windows(2) {
            prop_assert!(pair[1].iter().zip(&pair[0]).all(|(daring, safe)| daring <= safe));
        }
    }
}
