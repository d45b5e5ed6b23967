//! Locks without an owner field in children whose other threads live on.

use super::*;
use crate::event::{
    FirstWrite, KeptMethod, LockUse, PythonFrame, PythonLock, PythonThread, Waiter,
};

/// The child's thread that waits; its main thread is the heir of the forking one.
const WORKER: u32 = 202;
const ENTER: u64 = 10 * SECOND;
const LOCK: u64 = 0x7000_0000_1000;
const EXIT: u64 = 0x7000_0000_2000;
const LOCK_TYPE: u64 = 0x5555;

fn write(tid: u32, boot_ns: u64, function: Option<&str>) -> Option<FirstWrite> {
    let function = function.map(str::to_owned);
    let module = Some("/lib/libc.so.6".to_owned());
    Some(FirstWrite { boot_ns, tid, address: UADDR, other_ns: 0, times: None, module, function })
}

fn words(address: u64, words: &[u64]) -> Window {
    Window { address, bytes: words.iter().flat_map(|word| word.to_le_bytes()).collect() }
}

/// A lock object: references, type, semaphore, and for an `RLock` owner and count.
fn object(semaphore: u64, owner: u64, count: u64) -> Window {
    words(LOCK, &[2, LOCK_TYPE, semaphore, owner, count, 0])
}

/// A bound method: references, type, definition, self.
fn exit_method(references: u64) -> Window {
    words(EXIT, &[references, 0x6666, 0x7777, LOCK])
}

fn thread(tid: u32, lock_use: LockUse) -> PythonThread {
    PythonThread { tid: Some(tid), ident: u64::from(tid) << 12, lock_use, innermost: None }
}

fn waiter(tid: u32) -> Waiter {
    Waiter { tid, enter_ns: ENTER, times: None }
}

/// A worker of a prefork server: its thread waits in `with lock:`, the first to write to the word;
/// the parent's other thread has released the lock since the fork.
fn worker() -> Scene {
    let mut scene = Scene::semaphore();
    let evidence = &mut scene.evidence;
    evidence.threads = vec![
        sample(CHILD, Doing::Syscall(43), false),
        sample(HELPER, Doing::Running, true),
        sample(WORKER, in_futex(SEM_OP, false), false),
    ];
    evidence.waiters = vec![waiter(WORKER)];
    evidence.first_writes.child = write(WORKER, ENTER - 9000, None);
    evidence.first_writes.forker = write(POLLER, 6 * SECOND, Some("sem_post"));
    let object = object(UADDR, 0, 0);
    evidence.python_lock = Some(PythonLock {
        address: LOCK,
        type_name: "_thread.lock".into(),
        now: object.clone(),
        at_fork: AtFork::Known(object),
        exits: Vec::new(),
        owner_tid: None,
    });
    evidence.python_threads = vec![
        thread(CHILD, LockUse::Nothing),
        thread(HELPER, LockUse::Nothing),
        thread(WORKER, LockUse::With),
    ];
    scene
}

/// The same, but something else on the word's page was written before.
fn busy_page() -> Scene {
    let mut scene = worker();
    let write = scene.evidence.first_writes.child.as_mut().unwrap();
    (write.address, write.tid, write.boot_ns) = (UADDR + 64, CHILD, 5 * SECOND);
    let now = exit_method(1);
    let at_fork = AtFork::Known(now.clone());
    scene.lock().exits = vec![KeptMethod { address: EXIT, now, at_fork, ..KeptMethod::default() }];
    scene
}

impl Scene {
    fn lock(&mut self) -> &mut PythonLock {
        self.evidence.python_lock.as_mut().unwrap()
    }

    fn in_frame(mut self, file: &str, function: &str) -> Self {
        let frame = PythonFrame { file: file.into(), line: 1, function: function.into() };
        self.evidence.python = Python::Frames(vec![frame]);
        self
    }

    fn judge_as(&self, tid: u32) -> Verdict {
        let look = Body::Evidence(Box::new(self.evidence.clone()));
        judge(&event(11 * SECOND, CHILD, tid, look), &self.model())
    }

    fn of_worker(&self) -> Finding {
        match self.judge_as(WORKER) {
            Verdict::Finding(finding) => *finding,
            other => panic!("expected a finding, got {other:?}"),
        }
    }
}

/// Why, and what is changed.
type Change = (&'static str, fn(&mut Scene));

fn expect(changes: &[Change], base: fn() -> Scene, confidence: Confidence) {
    for (why, change) in changes {
        let mut scene = base();
        change(&mut scene);
        assert_eq!(scene.of_worker().confidence, confidence, "{why}");
    }
}

#[test]
fn untouched_here_and_released_by_a_thread_that_is_not_here_is_certain() {
    let finding = worker().of_worker();
    assert_eq!(finding.confidence, Confidence::Certain);
    let holder = finding.holder().cloned().unwrap();
    assert_eq!((holder.pid, holder.tid, holder.comm.as_deref()), (PARENT, POLLER, Some("t101")));
    // A second waiter wrote nothing first, but the first one still waits.
    let mut scene = worker();
    scene.evidence.waiters.push(Waiter { tid: HELPER, enter_ns: ENTER + SECOND / 2, times: None });
    scene.evidence.threads[1] = sample(HELPER, in_futex(SEM_OP, false), false);
    scene.evidence.python_threads[1].lock_use = LockUse::With;
    let Verdict::Finding(second) = scene.judge_as(HELPER) else { panic!() };
    assert_eq!(second.confidence, Confidence::Certain);
}

#[test]
fn what_leaves_a_doubt_about_the_first_write_is_no_proof() {
    expect(
        &[
            ("no write was seen", |s| s.evidence.first_writes.child = None),
            ("another address", |s| s.evidence.first_writes.child.as_mut().unwrap().address -= 8),
            ("another thread", |s| s.evidence.first_writes.child.as_mut().unwrap().tid = HELPER),
            ("long before", |s| {
                s.evidence.first_writes.child.as_mut().unwrap().boot_ns -= SECOND;
            }),
            ("after the wait began", |s| {
                s.evidence.first_writes.child.as_mut().unwrap().boot_ns = ENTER + 1;
            }),
            ("two threads at once", |s| {
                s.evidence.first_writes.child.as_mut().unwrap().other_ns = ENTER - 5000;
            }),
            ("code that is not known", |s| {
                s.evidence.first_writes.child.as_mut().unwrap().module = None;
            }),
            ("the first waiter went away", |s| s.evidence.waiters = vec![]),
            ("wakes are not known", |s| s.evidence.wakes_since_fork = None),
        ],
        worker,
        Confidence::Suspect,
    );
}

#[test]
fn where_wakes_are_not_seen_the_count_of_blocks_tells_that_it_is_the_first_attempt() {
    // It was found in the wait a second after it wrote: it may have been in others before.
    let found = |times: u64| {
        let mut scene = worker().without_wakes();
        scene.evidence.first_writes.child.as_mut().unwrap().times = Some(7);
        scene.evidence.waiters =
            vec![Waiter { tid: WORKER, enter_ns: ENTER + SECOND, times: Some(times) }];
        scene
    };
    assert_eq!(found(8).of_worker().confidence, Confidence::Certain);
    assert_eq!(found(9).of_worker().confidence, Confidence::Suspect, "it blocked before");
    let mut threaded = found(8);
    threaded.after_fork = had_another_thread();
    assert_eq!(threaded.of_worker().confidence, Confidence::Suspect, "who was woken?");
    let mut unknown = found(8);
    unknown.evidence.first_writes.child.as_mut().unwrap().times = None;
    assert_eq!(unknown.of_worker().confidence, Confidence::Suspect, "the kernel does not say");
}

#[test]
fn what_the_child_released_or_made_anew_is_its_own() {
    for function in ["sem_post", "sem_init"] {
        let mut scene = worker();
        scene.evidence.first_writes.child = write(CHILD, 6 * SECOND, Some(function));
        assert_eq!(scene.judge_as(WORKER), Verdict::Innocent(Reason::ReleasedHere));
    }
}

#[test]
fn the_heir_may_release_what_the_forking_thread_had() {
    expect(
        &[
            ("the forking thread released it in the parent", |s| {
                s.evidence.first_writes.forker = write(PARENT, 6 * SECOND, Some("sem_post"));
            }),
            ("who had it is not known", |s| s.evidence.first_writes.forker = None),
            ("the parent's write was no release", |s| {
                s.evidence.first_writes.forker = write(POLLER, 6 * SECOND, None);
            }),
            ("the parent's write was elsewhere", |s| {
                s.evidence.first_writes.forker.as_mut().unwrap().address += 32;
            }),
        ],
        worker,
        Confidence::Suspect,
    );
    // Even if it waits for it itself: it may wait for who opens what it closed.
    let mut scene = worker();
    scene.evidence.first_writes.forker = None;
    scene.evidence.waiters.push(waiter(CHILD));
    assert_eq!(scene.of_worker().confidence, Confidence::Suspect);
    // A thread that was lost had it, in a block.
    let now = exit_method(1);
    let at_fork = AtFork::Known(now.clone());
    scene.lock().exits = vec![KeptMethod { address: EXIT, now, at_fork, ..KeptMethod::default() }];
    assert_eq!(scene.of_worker().confidence, Confidence::Certain);
}

#[test]
fn where_a_lost_thread_was_in_a_block_is_told() {
    let hold = PythonFrame { file: "app.py".into(), line: 35, function: "hold".into() };
    let left = || {
        let mut scene = busy_page();
        let exit = &mut scene.lock().exits[0];
        (exit.on_frame, exit.left_at) = (Some(false), Some(hold.clone()));
        scene
    };
    assert_eq!(busy_page().of_worker().wait().unwrap().with_at_fork, None, "not read");
    assert_eq!(left().of_worker().wait().unwrap().with_at_fork, Some(hold.clone()));
    let refused: [Change; 3] = [
        ("the heir's own block", |s| s.lock().exits[0].on_frame = Some(true)),
        ("the method is younger", |s| s.lock().exits[0].at_fork = AtFork::Known(exit_method(0))),
        ("it may have waited for the lock", |s| {
            s.evidence.at_fork = AtFork::Known(sem(0, 1));
        }),
    ];
    for (why, change) in refused {
        let mut scene = left();
        change(&mut scene);
        assert_eq!(scene.of_worker().wait().unwrap().with_at_fork, None, "{why}");
    }
}

#[test]
fn what_the_heir_has_on_a_frame_is_not_said_to_be_of_a_lost_thread() {
    let said = |scene: &Scene| scene.of_worker().has(Rule::WithAtFork);
    let mut scene = busy_page();
    assert!(said(&scene));
    scene.lock().exits[0].on_frame = Some(true);
    assert!(!said(&scene));
}

#[test]
fn who_was_made_after_the_fork_did_not_have_the_lock_then() {
    let mut scene = worker();
    scene.evidence.first_writes.forker = write(POLLER + 40, 6 * SECOND, Some("sem_post"));
    assert_eq!(scene.of_worker().confidence, Confidence::Suspect);
}

#[test]
fn a_thread_that_releases_by_hand_may_open_a_gate() {
    let mut scene = worker();
    scene.evidence.python_threads[1].lock_use = LockUse::Calls;
    assert_eq!(scene.of_worker().confidence, Confidence::Suspect);
}

#[test]
fn only_what_is_used_as_a_lock_is_one() {
    expect(
        &[("taken by hand", |s| s.evidence.python_threads[2].lock_use = LockUse::Refers)],
        worker,
        Confidence::Likely,
    );
    expect(&[("a bare semaphore", |s| s.evidence.python_lock = None)], worker, Confidence::Suspect);
    let mut queue = worker();
    queue.lock().type_name = "_queue.SimpleQueue".into();
    assert_eq!(queue.judge_as(WORKER), Verdict::Open(Reason::OthersCanWake));
    let mut scene = worker();
    scene.evidence.python_threads[2].lock_use = LockUse::Refers;
    scene.evidence.python_threads[2].innermost =
        Some(PythonFrame { function: "Condition.__enter__".into(), ..PythonFrame::default() });
    assert_eq!(scene.of_worker().confidence, Confidence::Certain, "with condition:");
}

#[test]
fn on_a_page_that_was_written_before_a_kept_with_block_makes_it_likely() {
    let finding = busy_page().of_worker();
    assert_eq!(finding.confidence, Confidence::Likely);
    assert_eq!(finding.holder().cloned().unwrap().tid, POLLER);
    expect(
        &[
            ("nobody waited at the fork, so that it was who was in the block", |s| {
                s.evidence.first_writes.forker = None;
            }),
            ("the method was not written since", |s| {
                s.lock().exits[0].at_fork = AtFork::Unknown(Missing::NoFault);
                s.evidence.python_read_ns = Some(ENTER + SECOND);
            }),
        ],
        busy_page,
        Confidence::Likely,
    );
    expect(
        &[
            ("nothing was kept: the memory may have been used again", |s| s.lock().exits.clear()),
            ("the method was dead at the fork", |s| {
                s.lock().exits[0].at_fork = AtFork::Known(exit_method(0));
            }),
            ("not every write was seen", |s| {
                s.lock().exits[0].at_fork = AtFork::Unknown(Missing::NoFault);
                s.evidence.python_read_ns = Some(ENTER - SECOND);
            }),
            ("the method at the fork is not known", |s| {
                s.lock().exits[0].at_fork = AtFork::Unknown(Missing::LimitReached);
            }),
            ("the object had another semaphore", |s| {
                s.lock().at_fork = AtFork::Known(object(UADDR + 64, 0, 0));
            }),
            ("a thread is inside", |s| s.evidence.python_threads[1].lock_use = LockUse::With),
            ("the heir has it in a variable", |s| {
                s.evidence.python_threads[0].lock_use = LockUse::Refers;
            }),
            ("the forking thread had it", |s| {
                s.evidence.first_writes.forker = write(PARENT, 6 * SECOND, Some("sem_post"));
            }),
            ("another thread waited at the fork, and may be who was in the block", |s| {
                s.evidence.first_writes.forker = None;
                s.evidence.at_fork = AtFork::Known(sem(0, 1));
            }),
        ],
        busy_page,
        Confidence::Suspect,
    );
}

#[test]
fn an_rlock_tells_its_owner() {
    let rlock = |owner: u64| {
        let mut scene = worker();
        scene.evidence.first_writes = crate::event::FirstWrites::default();
        let object = object(UADDR, owner, 1);
        let lock = scene.lock();
        lock.type_name = "_thread.RLock".into();
        (lock.now, lock.at_fork) = (object.clone(), AtFork::Known(object));
        scene
    };
    let lost = u64::from(POLLER) << 12;
    assert_eq!(rlock(lost).of_worker().confidence, Confidence::Certain);
    let heir = u64::from(CHILD) << 12;
    assert_eq!(rlock(heir).of_worker().confidence, Confidence::Suspect);
    let mut scene = rlock(lost);
    scene.lock().at_fork = AtFork::Known(object(UADDR, lost, 2));
    assert_eq!(scene.of_worker().confidence, Confidence::Suspect, "it was taken since");
    let mut scene = rlock(lost);
    scene.evidence.python_threads.pop();
    assert_eq!(scene.of_worker().confidence, Confidence::Suspect, "a thread that is not known");
}

#[test]
fn an_rlocks_owner_is_named_by_the_descriptor_that_was_inherited() {
    let holder = |owner_tid, count| {
        let mut scene = worker();
        scene.evidence.first_writes.forker = None;
        let lock = scene.lock();
        lock.type_name = "_thread.RLock".into();
        lock.now = object(UADDR, 0x5000, count);
        lock.at_fork = AtFork::Known(object(UADDR, 0x5000, 1));
        lock.owner_tid = owner_tid;
        scene.of_worker().holder().map(|holder| holder.tid)
    };
    assert_eq!(holder(Some(POLLER), 1), Some(POLLER));
    assert_eq!(holder(Some(POLLER), 2), None, "it was taken since");
    assert_eq!(holder(Some(9999), 1), None, "no thread of the process that forked");
    assert_eq!(holder(None, 1), None);
}

#[test]
fn an_rlock_that_was_kept_and_has_the_same_owner_is_certain() {
    let rlock = |owner: u64, count: u64| {
        let mut scene = busy_page();
        // A new thread of the child has the number of the lost one.
        scene.evidence.python_threads[1].ident = 0x5000;
        let lock = scene.lock();
        lock.type_name = "_thread.RLock".into();
        lock.now = object(UADDR, owner, count);
        lock.at_fork = AtFork::Known(object(UADDR, 0x5000, 1));
        scene
    };
    assert_eq!(rlock(0x5000, 1).of_worker().confidence, Confidence::Certain);
    assert_eq!(rlock(0x5000, 2).of_worker().confidence, Confidence::Likely);
    assert_eq!(rlock(0x6000, 1).of_worker().confidence, Confidence::Likely);
}

#[test]
fn pythons_own_waits_for_signals_are_ordinary() {
    let waits = [
        ("/usr/lib/python3.11/threading.py", "Condition.wait"),
        ("/usr/lib/python3.9/threading.py", "wait"),
        ("/usr/lib/python3.11/threading.py", "Thread._wait_for_tstate_lock"),
        ("<frozen importlib._bootstrap>", "_ModuleLock.acquire"),
    ];
    for (file, function) in waits {
        let scene = worker().in_frame(file, function);
        assert_eq!(scene.judge_as(WORKER), Verdict::Open(Reason::OthersCanWake), "{function}");
    }
    for (file, function) in [("/srv/app.py", "wait"), ("threading.py", "Condition.__enter__")] {
        let scene = worker().in_frame(file, function);
        assert_eq!(scene.of_worker().confidence, Confidence::Certain, "{function}");
    }
}

#[test]
fn siblings_stuck_on_one_lock_name_each_other() {
    const SIBLING: u32 = 300;
    let mut model = worker().model();
    let fork = ProcessFork { child_pid: SIBLING, clone_flags: 0x0120_0000 };
    model.apply(&event(6 * SECOND, PARENT, PARENT, Body::ProcessFork(fork)));
    let look = |pid: u32, evidence: &Evidence| {
        event(11 * SECOND, pid, WORKER, Body::Evidence(Box::new(evidence.clone())))
    };
    let mut judge = Judge::default();
    let scene = worker();
    let Some(Outcome::Found(first)) = judge.apply(&look(CHILD, &scene.evidence), &model) else {
        panic!()
    };
    assert_eq!(first.same_fault_in, [0u32; 0]);
    let Some(Outcome::Found(second)) = judge.apply(&look(SIBLING, &scene.evidence), &model) else {
        panic!()
    };
    assert_eq!(second.same_fault_in, [CHILD]);
    let mut other = worker();
    other.evidence.at_fork = AtFork::Unknown(Missing::NoFault);
    other.evidence.wait.uaddr += 4096;
    assert!(!matches!(judge.apply(&look(SIBLING, &other.evidence), &model),
        Some(Outcome::Found(finding)) if !finding.same_fault_in.is_empty()));
}

#[test]
fn a_zero_word_in_static_memory_is_proven_by_the_post_of_the_process_that_forked() {
    let in_static_memory = || {
        let mut scene = Scene::semaphore();
        let mapping = scene.evidence.mapping.as_mut().unwrap();
        mapping.path = "/srv/app/server".into();
        scene
    };
    assert_eq!(in_static_memory().confidence(), Confidence::Likely);
    let mut scene = in_static_memory();
    scene.evidence.first_writes.forker = write(PARENT, 6 * SECOND, Some("sem_post"));
    assert_eq!(scene.confidence(), Confidence::Certain);
    scene.evidence.first_writes.forker = write(PARENT, 6 * SECOND, Some("memset"));
    assert_eq!(scene.confidence(), Confidence::Likely, "another write says nothing of it");
}

#[test]
fn what_is_taken_by_hand_is_no_more_than_a_suspect_while_somebody_may_release_it_so() {
    let by_hand = || {
        let mut scene = worker();
        for thread in &mut scene.evidence.python_threads {
            if thread.tid == Some(WORKER) {
                thread.lock_use = LockUse::Refers;
            }
        }
        scene
    };
    expect(
        &[
            ("the main thread calls release", |s| {
                s.evidence.python_threads[0].lock_use = LockUse::Calls;
            }),
            ("a handler may release it", |s| s.evidence.handlers = Some(1 << 9)),
        ],
        by_hand,
        Confidence::Suspect,
    );
    assert_eq!(by_hand().of_worker().confidence, Confidence::Likely);
    let mut joins = by_hand();
    let frame = PythonFrame {
        file: "/usr/lib/python3.11/threading.py".into(),
        line: 1,
        function: "Thread._wait_for_tstate_lock".into(),
    };
    let main = &mut joins.evidence.python_threads[0];
    (main.lock_use, main.innermost) = (LockUse::Calls, Some(frame));
    assert_eq!(joins.of_worker().confidence, Confidence::Likely, "a join calls acquire itself");
}
