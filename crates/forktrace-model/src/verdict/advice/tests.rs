//! What is advised in which case.

use super::advice;
use crate::{
    event::{PythonFrame, ThreadName, stacks::Frame},
    finding::{Confidence, Finding, Holder, Kind, Lock},
    model::Fork,
};

const FORKER: u32 = 10;
const OTHER: u32 = 11;

fn fork(by_comm: &str, lost: bool) -> Fork {
    let other = ThreadName { tid: OTHER, comm: "other".into() };
    Fork {
        boot_ns: 0,
        by: None,
        by_pid: FORKER,
        by_tid: FORKER,
        by_comm: by_comm.into(),
        clone_flags: 0,
        lost: lost.then_some(other).into_iter().collect(),
        lost_known: true,
        ..Fork::default()
    }
}

fn finding(kind: Kind, lock: &str) -> Finding {
    Finding {
        kind,
        confidence: Confidence::Certain,
        pid: 20,
        tid: 20,
        comm: "worker".into(),
        ppid: FORKER,
        ns_pid: None,
        waited_ns: 0,
        lock: Lock {
            address: 0x1000,
            futex: 0x1000,
            kind: lock.into(),
            op: String::new(),
            value: 2,
            value_at_fork: Some(1),
            mapping: "heap".into(),
            place: None,
        },
        holder: None,
        fork: None,
        unseen_fork: None,
        since_before: false,
        at_most_ns: None,
        not_before_ns: None,
        evidence: Vec::new(),
        same_lock_in: Vec::new(),
        python: Vec::new(),
        python_missing: None,
        stack: Vec::new(),
        stack_cut: None,
        candidates: Vec::new(),
        with_at_fork: None,
        advice: String::new(),
    }
}

fn inside(symbol: &str, module: &str, finding: Finding) -> Finding {
    let (symbol, module) = (Some(symbol.to_owned()), Some(module.to_owned()));
    Finding { stack: vec![Frame { symbol, module, ..Frame::default() }], ..finding }
}

fn in_python(finding: Finding) -> Finding {
    let frame = PythonFrame { file: "app.py".into(), line: 1, function: "main".into() };
    Finding { python: vec![frame], ..finding }
}

#[track_caller]
fn says(finding: &Finding, fork: &Fork, words: &str) {
    let text = advice(finding, fork);
    assert!(text.contains(words), "{text}");
}

#[test]
fn the_language_decides() {
    let threads = fork("app", true);
    let lock = |kind| finding(Kind::InheritedLock, kind);
    says(&lock("glibc mutex"), &threads, "pthread_atfork()");
    says(&in_python(lock("Python threading lock (sem_t)")), &threads, "register_at_fork");
    says(&lock("Rust std Mutex"), &threads, "guard across the fork");
    says(&lock("parking_lot RwLock (held for writing)"), &threads, "guard across the fork");
    says(&lock("C++ static initialisation guard"), &threads, "initialised once");
    says(&lock("Rust std Once"), &threads, "initialised once");
    says(&lock("glibc internal lock"), &threads, "C library's own");
}

#[test]
fn a_lock_of_native_code_under_python_is_not_for_pythons_fork_handlers() {
    let threads = fork("app", true);
    let lock = |kind| in_python(finding(Kind::InheritedLock, kind));
    for kind in ["glibc mutex", "parking_lot Mutex", "Python lock (PyMutex)"] {
        says(&lock(kind), &threads, "belongs to native code");
    }
    says(&lock("C++ static initialisation guard"), &threads, "initialised once");
    says(&lock("glibc internal lock"), &threads, "C library's own");
}

#[test]
fn a_lock_of_the_thread_that_forked_is_released_before() {
    let alone = fork("app", false);
    says(&finding(Kind::InheritedLock, "glibc mutex"), &alone, "release the lock before fork()");
    let mut held = finding(Kind::InheritedLock, "glibc mutex");
    held.holder = Some(Holder::new(FORKER, FORKER, None));
    says(&held, &fork("app", true), "release the lock before fork()");
    held.holder = Some(Holder::new(FORKER, OTHER, None));
    says(&held, &fork("app", true), "fork before the threads are started");
    let python = in_python(finding(Kind::InheritedLock, "Python threading lock (sem_t)"));
    says(&python, &alone, "release the lock before the fork");
    says(&python, &fork("app", true), "take the lock in os.register_at_fork");
}

#[test]
fn servers_and_libraries_have_settings_of_their_own() {
    let lock = in_python(finding(Kind::InheritedLock, "Python threading lock (sem_t)"));
    says(&lock, &fork("uwsgi", true), "lazy-apps");
    says(&lock, &fork("gunicorn", true), "--preload");
    says(&lock, &fork("celery", true), "worker_process_init");
    let file = inside("_enter_buffered_busy", "/usr/lib/libpython3.11.so.1.0", lock);
    says(&file, &fork("app", true), "os.write()");
    let team = finding(Kind::LostWaker, "futex word");
    says(&team, &fork("app", true), "in the child, after the fork");
    let team = inside("GOMP_parallel", "/usr/lib/libgomp.so.1.0.0", team);
    says(&team, &fork("app", true), "omp_pause_resource_all");
    let print = finding(Kind::InheritedLock, "Rust std Mutex");
    let print = inside("<std::io::stdio::Stdout>::lock", "/srv/app/server", print);
    says(&print, &fork("app", true), "libc::write");
}

#[test]
fn every_case_has_advice() {
    for kind in [Kind::InheritedLock, Kind::LostWaker, Kind::SelfDeadlock] {
        for lost in [true, false] {
            assert_ne!(advice(&finding(kind, ""), &fork("", lost)), "");
        }
    }
}
