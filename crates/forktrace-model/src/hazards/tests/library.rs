//! Locks that libraries keep for themselves, in children whose other threads live on.

use super::*;
use crate::event::{
    FirstWrite, Libc, Module, UnobservedFork, Waiter,
    stacks::{Fate, TaskNow, ThreadBeside},
};

const LIBC: &str = "/usr/lib/libc.so.6";
const PROGRAM: &str = "/usr/bin/server";
const CRYPTO: &str = "/usr/lib/libcrypto.so.3";
const WORKER: u32 = 202;

/// Frames from pairs of a function, empty where it is not known, and its file.
fn frames(code: &[(&str, &str)]) -> Vec<Frame> {
    let frame = |(symbol, module): &(&str, &str)| Frame {
        symbol: Some((*symbol).to_owned()).filter(|symbol| !symbol.is_empty()),
        module: Some((*module).into()),
        ..Frame::default()
    };
    code.iter().map(frame).collect()
}

fn beside(tid: u32, code: &[(&str, &str)]) -> ThreadBeside {
    ThreadBeside::new(tid, Stack { frames: frames(code), cut: None })
}

const MAIN: [(&str, &str); 4] = [
    ("main", PROGRAM),
    ("__libc_start_call_main", LIBC),
    ("__libc_start_main_impl", LIBC),
    ("_start", PROGRAM),
];
const STARTED: [(&str, &str); 3] = [("worker", PROGRAM), ("start_thread", LIBC), ("clone3", LIBC)];
const CONVERT: [(&str, &str); 2] = [("__GI___lll_lock_wait_private", LIBC), ("__tz_convert", LIBC)];

fn joined(
    inner: &[(&'static str, &'static str)],
    outer: &[(&'static str, &'static str)],
) -> Vec<(&'static str, &'static str)> {
    [inner, outer].concat()
}

/// The heir waits for the lock over the time zone, held by a lost thread that is still inside, and
/// another thread rests.
fn zone() -> Scene {
    let word = |value: u32| window(&[value, 0, 0, 0]);
    let mut scene = Scene::new(MUTEX_OP, 2, word(1), word(2));
    let evidence = &mut scene.evidence;
    evidence.module = Some(Module { path: LIBC.into(), address: 0x1da700 });
    evidence.libc = Some(Libc::Glibc);
    evidence.threads.push(sample(HELPER, Doing::Syscall(34), false));
    evidence.waiters = vec![Waiter { tid: CHILD, enter_ns: 10 * SECOND, times: None }];
    let stack = Stack { frames: frames(&joined(&CONVERT, &MAIN)), cut: None };
    let rests = joined(&[("__libc_pause", LIBC)], &STARTED);
    evidence.native = Some(Box::new(NativeStacks {
        stack,
        beside: vec![beside(HELPER, &rests)],
        ..NativeStacks::default()
    }));
    scene
}

impl Scene {
    fn native(&mut self) -> &mut NativeStacks {
        self.evidence.native.as_mut().unwrap()
    }

    fn helper(&mut self, inner: &[(&'static str, &'static str)]) {
        self.native().beside = vec![beside(HELPER, &joined(inner, &STARTED))];
    }
}

#[test]
fn a_lock_of_libc_is_proven_where_every_other_thread_is_outside_of_it() {
    let finding = zone().finding();
    assert_eq!(finding.confidence, Confidence::Certain);
    assert!(finding.has(Rule::NobodyInLibrary));
    for inner in [
        &[("__GI___poll", LIBC)][..],
        // Names of inner functions are not known where the library has no table of them.
        &[("", LIBC), ("", LIBC), ("pthread_cond_wait", LIBC)],
        &[("__futex_abstimed_wait_common64", LIBC), ("__new_sem_wait_slow64", LIBC)],
        &[("epoll_wait", LIBC), ("uv__io_poll", "/usr/lib/libuv.so.1")],
        // A handler of a signal runs on top of a wait.
        &[("__GI___poll", LIBC), ("handler", PROGRAM), ("__restore_rt", LIBC), ("pause", LIBC)],
    ] {
        let mut scene = zone();
        scene.helper(inner);
        assert_eq!(scene.confidence(), Confidence::Certain, "{inner:?}");
    }
    // A handler cannot release it.
    let mut scene = zone();
    scene.evidence.handlers = Some(1 << 13);
    assert_eq!(scene.confidence(), Confidence::Certain);
}

#[test]
fn a_thread_that_may_be_inside_of_the_library_may_have_the_lock() {
    for inner in [
        &[("__GI___open64_nocancel", LIBC), ("__tzfile_read", LIBC), ("__tz_convert", LIBC)][..],
        &[("__GI___libc_write", LIBC), ("_IO_flush_all_lockp", LIBC), ("fflush", LIBC)],
        &[("pause", LIBC), ("callback", PROGRAM), ("qsort", LIBC)],
        &[("pause", LIBC), ("handler", PROGRAM), ("", LIBC), ("__tz_convert", LIBC)],
        &[("", LIBC)],
    ] {
        let mut scene = zone();
        scene.helper(inner);
        assert_eq!(scene.confidence(), Confidence::Suspect, "{inner:?}");
    }
    let mut cut = zone();
    cut.native().beside[0].cut = Some("no frame".into());
    assert_eq!(cut.confidence(), Confidence::Suspect);
    let mut unread = zone();
    unread.native().beside.clear();
    assert_eq!(unread.confidence(), Confidence::Suspect);
    let mut own = zone();
    let nested = joined(
        &CONVERT,
        &joined(&[("handler", PROGRAM), ("", LIBC), ("__tz_convert", LIBC)], &MAIN),
    );
    own.native().stack.frames = frames(&nested);
    assert_eq!(own.confidence(), Confidence::Suspect, "the waiter itself may have it");
    let mut helper = zone();
    helper.native().beside = vec![beside(
        HELPER,
        &[("sigwaitinfo", LIBC), ("timer_helper_thread", LIBC), ("clone3", LIBC)],
    )];
    assert_eq!(helper.confidence(), Confidence::Suspect, "a thread of the library's own");
}

#[test]
fn the_lock_of_a_file_is_left_out_because_a_program_can_keep_it() {
    let mut scene = zone();
    let word = |value: u32| window(&[value, 1, 0x5000, 0x7f00]);
    scene.evidence.at_fork = AtFork::Known(word(1));
    scene.evidence.now = Some(word(2));
    assert_eq!(scene.confidence(), Confidence::Suspect);
}

#[test]
fn another_thread_that_waits_for_it_too_is_inside_to_take_it() {
    let mut scene = zone();
    scene.evidence.threads.push(sample(WORKER, in_futex(MUTEX_OP, false), false));
    scene.evidence.waiters.push(Waiter { tid: WORKER, enter_ns: 10 * SECOND, times: None });
    assert_eq!(scene.confidence(), Confidence::Suspect, "its stack was not read");
    let stack = joined(&CONVERT, &STARTED);
    scene.native().beside.push(beside(WORKER, &stack));
    assert_eq!(scene.confidence(), Confidence::Certain);
}

#[test]
fn beside_a_thread_that_runs_a_lost_one_inside_makes_it_likely() {
    let mut scene = zone();
    scene.evidence.threads[1] = sample(HELPER, Doing::Running, true);
    scene.native().beside = vec![ThreadBeside::new(HELPER, Stack::missing("the thread runs"))];
    assert_eq!(scene.confidence(), Confidence::Suspect);
    let holder = |doing| TaskNow {
        pid: PARENT,
        tid: POLLER,
        fate: Fate::Alive,
        doing,
        stack: Stack {
            frames: frames(&joined(&[("open", LIBC), ("__tz_convert", LIBC)], &STARTED)),
            cut: None,
        },
        ..TaskNow::default()
    };
    scene.native().holders = vec![holder(Doing::Syscall(257))];
    assert_eq!(scene.confidence(), Confidence::Suspect, "the parent's copy is not known");
    scene.native().in_parent = Some(window(&[2, 0, 0, 0]));
    let finding = scene.finding();
    assert_eq!(finding.confidence, Confidence::Likely);
    assert!(finding.has(Rule::HolderInLibrary));
    scene.native().in_parent = Some(window(&[0, 0, 0, 0]));
    assert_eq!(scene.confidence(), Confidence::Suspect, "the parent's copy is free");
    scene.native().in_parent = Some(window(&[2, 0, 0, 0]));
    scene.native().holders = vec![holder(in_futex(MUTEX_OP, false))];
    assert_eq!(scene.confidence(), Confidence::Suspect, "it waits for the lock itself");
}

#[test]
fn after_the_fact_the_same_stacks_make_it_likely() {
    let mut scene = zone();
    scene.evidence.at_fork = AtFork::default();
    scene.evidence.late = Some(Box::new(UnobservedFork {
        start_ns: 5 * SECOND,
        not_execed: true,
        ..UnobservedFork::default()
    }));
    let seen = ProcessSnapshot {
        threads: vec![ThreadName { tid: CHILD, comm: "a".into() }],
        ..Default::default()
    };
    let model = |evidence: &Evidence| {
        let mut model = Model::default();
        model.apply(&event(6 * SECOND, CHILD, CHILD, Body::ProcessSnapshot(seen.clone())));
        let look = Body::Evidence(Box::new(evidence.clone()));
        judge(&event(11 * SECOND, CHILD, CHILD, look), &model)
    };
    let Verdict::Finding(finding) = model(&scene.evidence) else { panic!() };
    assert_eq!(finding.confidence, Confidence::Likely);
    // Nothing is known of the other thread: a suspect, which is shown to who asked for the process.
    scene.native().beside.clear();
    let Verdict::Finding(finding) = model(&scene.evidence) else { panic!() };
    assert_eq!(finding.confidence, Confidence::Suspect);
    assert!(finding.is_shown(false, &[CHILD].into_iter().collect()));
    assert!(!finding.is_shown(false, &[PARENT + 50].into_iter().collect()));
}

/// A lock for readers that a library of the program takes, in the heir.
fn of_library() -> Scene {
    // From the lock on: readers, writers, two words to wait on, padding, …: held by one reader, and
    // wanted by a writer.
    let lock = |words: [u32; 4]| {
        let words = words.iter().chain(&[0; 12]);
        Window { address: UADDR - 8, bytes: words.flat_map(|word| word.to_le_bytes()).collect() }
    };
    let mut scene = zone();
    scene.evidence.module = None;
    (scene.evidence.wait.op, scene.evidence.wait.val) = (SEM_OP, 2);
    scene.evidence.threads[0] = sample(CHILD, in_futex(SEM_OP, false), false);
    scene.evidence.at_fork = AtFork::Known(lock([8, 0, 0, 0]));
    scene.evidence.now = Some(lock([10, 0, 2, 1]));
    let waits = [
        ("__futex_abstimed_wait_common64", LIBC),
        ("pthread_rwlock_wrlock", LIBC),
        ("CRYPTO_THREAD_write_lock", CRYPTO),
        ("ossl_store_put", CRYPTO),
    ];
    scene.native().stack.frames = frames(&joined(&waits, &MAIN));
    scene
}

#[test]
fn a_lock_of_another_library_is_likely_and_certain_if_nobody_used_it() {
    let mut scene = of_library();
    assert_eq!(scene.confidence(), Confidence::Likely);
    attempt(&mut scene, "pthread_rwlock_wrlock");
    assert_eq!(scene.confidence(), Confidence::Certain);
    let mut inside = of_library();
    inside.helper(&[("pause", LIBC), ("callback", PROGRAM), ("OSSL_STORE_load", CRYPTO)]);
    assert_eq!(inside.confidence(), Confidence::Suspect);
    // The caller of the functions that lock is the program itself: it may have locked for longer.
    let mut program = of_library();
    program.native().stack.frames.retain(|frame| frame.symbol.as_deref() != Some("ossl_store_put"));
    assert_eq!(program.confidence(), Confidence::Suspect);
}

/// The attempt that waits, as the child's first write to the lock's page.
fn attempt(scene: &mut Scene, function: &str) {
    scene.evidence.first_writes.child = Some(FirstWrite {
        boot_ns: 10 * SECOND - 9000,
        tid: CHILD,
        address: UADDR,
        other_ns: 0,
        times: None,
        module: Some(LIBC.into()),
        function: Some(function.into()),
    });
}

#[test]
fn an_untouched_lock_that_only_its_holder_releases_is_proven_where_the_heir_waits() {
    let mut scene = zone();
    scene.evidence.native = None;
    scene.evidence.threads[1] = sample(HELPER, Doing::Running, true);
    assert_eq!(scene.confidence(), Confidence::Suspect);
    attempt(&mut scene, "localtime_r");
    let finding = scene.finding();
    assert_eq!(finding.confidence, Confidence::Certain);
    assert!(finding.has(Rule::UntouchedSinceFork));
    attempt(&mut scene, "pthread_rwlock_unlock");
    assert_eq!(scene.confidence(), Confidence::Suspect, "it was released");
    attempt(&mut scene, "localtime_r");
    scene.evidence.wakes_since_fork = Some(1);
    assert!(!matches!(scene.judge(), Verdict::Finding(_)), "it was released");
}
