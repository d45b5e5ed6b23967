//! Which advice fits which case.

use crate::{
    event::{
        PythonFrame, ThreadName,
        stacks::{Frame, Place},
    },
    finding::{
        Confidence, Detail, Finding, ForkInfo, HazardId, Held, Holder, Lock, LockPlace, Remedy,
        Severity, Subject, WaitDetail,
    },
    hazards::remedies,
    locks::LockFamily,
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

fn finding(held: Held, lock: &str) -> Finding {
    Finding {
        hazard: HazardId::InheritedLock,
        severity: Severity::Hang,
        confidence: Confidence::Certain,
        subject: Subject { pid: 20, tid: 20, comm: "worker".into(), ppid: FORKER, ns_pid: None },
        fork: ForkInfo::None,
        proofs: Vec::new(),
        same_fault_in: Vec::new(),
        waited_by: Vec::new(),
        detail: Detail::Wait(Box::new(WaitDetail {
            waited_ns: 0,
            since_before: false,
            at_most_ns: None,
            not_before_ns: None,
            lock: Lock {
                address: 0x1000,
                futex: 0x1000,
                family: LockFamily::by_name(lock).unwrap(),
                op: 0,
                value: 2,
                value_at_fork: Some(1),
                mapping: LockPlace::Heap,
                place: None,
            },
            held,
            holder: None,
            python: Vec::new(),
            python_missing: None,
            stack: Vec::new(),
            stack_cut: None,
            candidates: Vec::new(),
            with_at_fork: None,
        })),
        remedy: None,
    }
}

fn with(mut finding: Finding, change: impl FnOnce(&mut WaitDetail)) -> Finding {
    if let Detail::Wait(wait) = &mut finding.detail {
        change(wait);
    }
    finding
}

fn inside(symbol: &str, module: &str, finding: Finding) -> Finding {
    let (symbol, module) = (Some(symbol.to_owned()), Some(module.to_owned()));
    let frame = Frame { symbol, module, ..Frame::default() };
    with(finding, |wait| wait.stack = vec![frame])
}

fn in_python(finding: Finding) -> Finding {
    let frame = PythonFrame { file: "app.py".into(), line: 1, function: "main".into() };
    with(finding, |wait| wait.python = vec![frame])
}

fn held_by(tid: u32, finding: Finding) -> Finding {
    with(finding, |wait| wait.holder = Some(Holder::new(FORKER, tid, None)))
}

#[track_caller]
fn fits(finding: &Finding, fork: &Fork, remedy: Remedy) {
    assert_eq!(remedies::of(finding, fork), Some(remedy));
}

#[test]
fn the_language_decides() {
    let threads = fork("app", true);
    let lock = |kind| finding(Held::SinceFork, kind);
    fits(&lock("glibc mutex"), &threads, Remedy::LockAtFork);
    fits(&in_python(lock("Python threading lock (sem_t)")), &threads, Remedy::PythonStartMethod);
    fits(&lock("Rust std Mutex"), &threads, Remedy::RustLock);
    fits(&lock("parking_lot RwLock (held for writing)"), &threads, Remedy::RustLock);
    fits(&lock("C++ static initialisation guard"), &threads, Remedy::InitialiseBeforeFork);
    fits(&lock("Rust std Once"), &threads, Remedy::InitialiseBeforeFork);
    fits(&lock("glibc internal lock"), &threads, Remedy::LibraryLock);
}

#[test]
fn a_lock_of_native_code_under_python_is_not_for_pythons_fork_handlers() {
    let threads = fork("app", true);
    let lock = |kind| in_python(finding(Held::SinceFork, kind));
    for kind in ["glibc mutex", "parking_lot Mutex", "Python lock (PyMutex)"] {
        fits(&lock(kind), &threads, Remedy::PythonNativeLock);
    }
    fits(&lock("C++ static initialisation guard"), &threads, Remedy::InitialiseBeforeFork);
    fits(&lock("glibc internal lock"), &threads, Remedy::LibraryLock);
}

#[test]
fn a_lock_of_the_thread_that_forked_is_released_before() {
    let alone = fork("app", false);
    fits(&finding(Held::SinceFork, "glibc mutex"), &alone, Remedy::ReleaseBeforeFork);
    let held = |by| held_by(by, finding(Held::SinceFork, "glibc mutex"));
    fits(&held(FORKER), &fork("app", true), Remedy::ReleaseBeforeFork);
    fits(&held(OTHER), &fork("app", true), Remedy::LockAtFork);
    let python = in_python(finding(Held::SinceFork, "Python threading lock (sem_t)"));
    fits(&python, &alone, Remedy::PythonReleaseBeforeFork);
    fits(&python, &fork("app", true), Remedy::PythonStartMethod);
}

#[test]
fn servers_and_libraries_have_settings_of_their_own() {
    let lock = in_python(finding(Held::SinceFork, "Python threading lock (sem_t)"));
    fits(&lock, &fork("uwsgi", true), Remedy::Uwsgi);
    fits(&lock, &fork("gunicorn", true), Remedy::Gunicorn);
    fits(&lock, &fork("celery", true), Remedy::Celery);
    let file = inside("_enter_buffered_busy", "/usr/lib/libpython3.11.so.1.0", lock);
    fits(&file, &fork("app", true), Remedy::PythonBufferedFile);
    let team = finding(Held::ByNobody, "futex word");
    fits(&team, &fork("app", true), Remedy::LostThreads);
    let team = inside("GOMP_parallel", "/usr/lib/libgomp.so.1.0.0", team);
    fits(&team, &fork("app", true), Remedy::Openmp);
    let print = finding(Held::SinceFork, "Rust std Mutex");
    let print = inside("<std::io::stdio::Stdout>::lock", "/srv/app/server", print);
    fits(&print, &fork("app", true), Remedy::RustStdout);
}

#[test]
fn known_libraries_have_advice_of_their_own() {
    let threads = fork("app", true);
    let event = || finding(Held::ByNobody, "futex word");
    let lock = || finding(Held::SinceFork, "glibc mutex");
    for (symbol, module, remedy) in [
        ("<tokio::runtime::park::Inner>::park", "/x/_polars_runtime.abi3.so", Remedy::Polars),
        ("<rayon_core::latch::LockLatch>::wait", "/x/tokenizers.abi3.so", Remedy::Tokenizers),
        ("grpc_core::Fork::AwaitThreads", "/srv/app/server", Remedy::Grpc),
        ("rd_kafka_flush", "/x/confluent_kafka.libs/librdkafka-1.so", Remedy::Librdkafka),
        ("zmq::signaler_t::wait", "/usr/lib/libzmq.so.5", Remedy::Zeromq),
        ("runtime.futex", "/srv/app/libgo.so", Remedy::GoRuntime),
        ("Monitor::wait", "/usr/lib/jvm/lib/server/libjvm.so", Remedy::Jvm),
        ("spdlog::details::thread_pool::post", "/srv/app/server", Remedy::Spdlog),
        ("g_cond_wait", "/usr/lib/libglib-2.0.so.0", Remedy::Glib),
        ("rb_nogvl", "/usr/bin/ruby", Remedy::Ruby),
        ("exec_blas", "/x/libscipy_openblas64_.so", Remedy::Openblas),
    ] {
        fits(&inside(symbol, module, event()), &threads, remedy);
        fits(&inside(symbol, module, in_python(lock())), &threads, remedy);
    }
    let of_ssl = inside("CRYPTO_THREAD_write_lock", "/usr/lib/libcrypto.so.3", lock());
    fits(&of_ssl, &threads, Remedy::Openssl);
    // What a generic function was made for says nothing, nor does what is above the interpreter.
    let generic = inside("app::run::<polars_core::frame::DataFrame>", "/srv/app/server", event());
    fits(&generic, &threads, Remedy::LostThreads);
    let above = with(inside("lock_PyThread", "/usr/bin/python3", in_python(event())), |wait| {
        let frame = |symbol: &str, module: &str| Frame {
            symbol: Some(symbol.to_owned()),
            module: Some(module.to_owned()),
            ..Frame::default()
        };
        wait.stack.push(frame("_PyEval_EvalFrameDefault", "/usr/bin/python3"));
        wait.stack.push(frame("polars::call", "/x/_polars.abi3.so"));
    });
    fits(&above, &threads, Remedy::PythonLostThreads);
}

#[test]
fn no_handler_is_advised_for_a_lock_of_libc_or_the_loader() {
    let lock = with(finding(Held::SinceFork, "glibc mutex"), |wait| {
        let path = "/lib64/ld-linux-x86-64.so.2".to_owned();
        wait.lock.place = Some(Place::Module { path, section: None, symbol: None, offset: 8 });
    });
    fits(&lock, &fork("app", true), Remedy::LibraryLock);
    fits(&in_python(lock), &fork("app", true), Remedy::LibraryLock);
}

#[test]
fn a_queue_or_an_executor_is_made_in_the_child() {
    let calls = |files: [&str; 2]| {
        with(in_python(finding(Held::ByNobody, "futex word")), |wait| {
            let frame = |file: &str| PythonFrame { file: file.into(), ..PythonFrame::default() };
            wait.python = files.map(frame).to_vec();
        })
    };
    let threads = fork("app", true);
    let library = "/usr/lib/python3.11";
    let future = format!("{library}/concurrent/futures/_base.py");
    let condition = format!("{library}/threading.py");
    fits(&calls([&condition, &future]), &threads, Remedy::PythonExecutor);
    fits(&calls([&condition, &format!("{library}/queue.py")]), &threads, Remedy::PythonExecutor);
    fits(&calls([&condition, "/srv/app/queue_of_mine.py"]), &threads, Remedy::PythonLostThreads);
}

#[test]
fn every_wait_has_advice() {
    for held in [Held::SinceFork, Held::ByNobody, Held::ByWaiter] {
        for lost in [true, false] {
            assert!(remedies::of(&finding(held, "futex word"), &fork("", lost)).is_some());
        }
    }
}
