//! The table of workloads and what must be said of them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    log::{Log, number},
    pythons::Rooted,
    run::{Ended, Job},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::check::{self, Hang};

/// How long a case may take; the workloads end by themselves after a few seconds.
const LIMIT: Duration = Duration::from_secs(40);

/// What must be said of a workload.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// One finding, certain.
    Certain(Hang),
    /// One finding, of the kind and confidence that it says.
    Finding(Hang),
    /// No finding, no suspicion.
    Nothing,
    /// It hangs, but not for what it inherited: no finding that says so is more than a suspicion.
    NotInherited,
    /// No finding; a suspicion is allowed, as the memory looks like an inherited lock.
    NoMoreThanSuspect,
}

/// One workload and what must be said of it.
struct Case {
    name: &'static str,
    /// The Python that runs it, if not this machine's.
    python: Option<Rooted>,
    program: &'static str,
    args: &'static [&'static str],
    expect: Expect,
}

const fn case(
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    expect: Expect,
) -> Case {
    Case { name, python: None, program, args, expect }
}

/// The same, run by another Python.
const fn rooted(
    python: Rooted,
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    expect: Expect,
) -> Case {
    Case { python: Some(python), ..case(name, program, args, expect) }
}

const fn owned(lock: &'static str) -> Expect {
    Expect::Certain(Hang::owned(lock))
}

const fn ownerless(lock: &'static str) -> Expect {
    Expect::Certain(Hang::ownerless(lock))
}

const fn lost_waker(lock: &'static str) -> Expect {
    Expect::Finding(Hang::lost_waker(lock))
}

const MUTEX: Expect = Expect::Certain(Hang::MUTEX);
const RECURSIVE: Expect = Expect::Certain(Hang::RECURSIVE);
const ERRORCHECK: Expect = Expect::Certain(Hang::ERRORCHECK);
const ADAPTIVE: Expect = Expect::Certain(Hang::ADAPTIVE);
const WRITER: Expect = Expect::Certain(Hang::WRITER);
const READERS: Expect = Expect::Certain(Hang::READERS);
const SEMAPHORE: Expect = Expect::Certain(Hang::SEMAPHORE);
const PYTHON: Expect = Expect::Certain(Hang::PYTHON);
const ROBUST: Expect = owned("glibc mutex (robust)");
const ROBUST_RECURSIVE: Expect = owned("glibc mutex (robust, recursive)");
const ROBUST_ERRORCHECK: Expect = owned("glibc mutex (robust, error-checking)");
const ROBUST_ADAPTIVE: Expect = owned("glibc mutex (robust, adaptive)");
const PASSED_ON: Expect =
    Expect::Finding(Hang::passed_on("glibc mutex (robust, priority inheriting)"));
const INTERNAL: Expect = ownerless("glibc internal lock");
const GUARD: Expect = ownerless("C++ static initialisation guard");
const MUSL: Expect = ownerless("musl mutex");
const MUSL_RECURSIVE: Expect = owned("musl mutex (recursive)");
const MUSL_ERRORCHECK: Expect = owned("musl mutex (error-checking)");
const MUSL_ROBUST: Expect = owned("musl mutex (robust)");
const MUSL_FILE: Expect = owned("musl FILE lock");
const MUSL_WRITER: Expect = ownerless("musl rwlock (held for writing)");
const MUSL_READER: Expect = ownerless("musl rwlock (held for reading)");
const MUSL_ONCE: Expect = ownerless("musl pthread_once");
const LOST_CONDITION: Expect = lost_waker("glibc condition variable");
const LOST_BARRIER: Expect = lost_waker("glibc barrier");
const LOST_WORD: Expect = lost_waker("futex word");
const SELF: Expect = Expect::Finding(Hang::self_deadlock("glibc mutex"));
const SELF_ADAPTIVE: Expect = Expect::Finding(Hang::self_deadlock("glibc mutex (adaptive)"));
const SELF_ROBUST: Expect = Expect::Finding(Hang::self_deadlock("glibc mutex (robust)"));
const PY_LOCK: Expect = Expect::Certain(Hang::PY_LOCK);
const PY_RLOCK: Expect = Expect::Certain(Hang::PY_RLOCK);
const RUST_MUTEX: Expect = ownerless("Rust std Mutex");
const RUST_WRITER: Expect = ownerless("Rust std RwLock (held for writing)");
const RUST_READER: Expect = ownerless("Rust std RwLock (held for reading)");
const RUST_ONCE: Expect = ownerless("Rust std Once");
const LOT_MUTEX: Expect = ownerless("parking_lot Mutex");
const LOT_WRITER: Expect = ownerless("parking_lot RwLock (held for writing)");
const LOT_READER: Expect = ownerless("parking_lot RwLock (held for reading)");
const V313: Rooted = Rooted::V313;
const V314: Rooted = Rooted::V314;
const NOTHING: Expect = Expect::Nothing;
const MAYBE: Expect = Expect::NoMoreThanSuspect;
const OWN_FAULT: Expect = Expect::NotInherited;

#[rustfmt::skip]
static CASES: &[Case] = &[
    case("hang_mutex_normal", "inherited_mutex.c", &["normal", "thread", "keep", "single"], MUTEX),
    case("hang_mutex_recursive", "inherited_mutex.c", &["recursive", "thread", "keep", "single"], RECURSIVE),
    case("hang_mutex_errorcheck", "inherited_mutex.c", &["errorcheck", "thread", "keep", "single"], ERRORCHECK),
    case("hang_mutex_adaptive", "inherited_mutex.c", &["adaptive", "thread", "keep", "single"], ADAPTIVE),
    case("hang_mutex_of_the_forking_thread", "inherited_mutex.c", &["normal", "forker", "keep", "single"], MUTEX),
    case("hang_recursive_of_the_forking_thread", "inherited_mutex.c", &["recursive", "forker", "keep", "single"], RECURSIVE),
    case("hang_mutex_released_since", "inherited_mutex.c", &["normal", "thread", "release", "single"], MUTEX),
    case("hang_mutex_of_forker_released_since", "inherited_mutex.c", &["normal", "forker", "release", "single"], MUTEX),
    case("hang_mutex_parent_dead", "inherited_mutex.c", &["normal", "thread", "die", "single"], MUTEX),
    case("hang_errorcheck_parent_dead", "inherited_mutex.c", &["errorcheck", "forker", "die", "single"], ERRORCHECK),
    case("hang_mutex_child_has_threads", "inherited_mutex.c", &["normal", "thread", "keep", "threads"], MUTEX),
    case("hang_mutex_released_child_has_threads", "inherited_mutex.c", &["recursive", "thread", "release", "threads"], RECURSIVE),
    case("hang_rwlock_read_of_writer", "inherited_rwlock.c", &["write", "read"], WRITER),
    case("hang_rwlock_write_of_writer", "inherited_rwlock.c", &["write", "write"], WRITER),
    case("hang_rwlock_write_of_reader", "inherited_rwlock.c", &["read", "write"], READERS),
    case("hang_semaphore", "inherited_semaphore.c", &[], SEMAPHORE),
    case("hang_mutex_robust", "inherited_mutex.c", &["normal-robust", "thread", "keep", "single"], ROBUST),
    case("hang_mutex_robust_of_the_forking_thread", "inherited_mutex.c", &["normal-robust", "forker", "keep", "single"], ROBUST),
    case("hang_mutex_robust_recursive", "inherited_mutex.c", &["recursive-robust", "thread", "release", "single"], ROBUST_RECURSIVE),
    case("hang_mutex_robust_errorcheck", "inherited_mutex.c", &["errorcheck-robust", "thread", "die", "single"], ROBUST_ERRORCHECK),
    case("hang_mutex_robust_adaptive", "inherited_mutex.c", &["adaptive-robust", "thread", "keep", "threads"], ROBUST_ADAPTIVE),
    case("hang_mutex_shared_attribute", "inherited_mutex.c", &["normal-shared", "thread", "keep", "single"], MUTEX),
    case("hang_mutex_shared_attribute_released", "inherited_mutex.c", &["recursive-shared", "thread", "release", "threads"], RECURSIVE),
    case("hang_mutex_robust_prio_inherit", "pi_mutex.c", &["normal-robust", "thread", "keep"], PASSED_ON),
    case("hang_mutex_robust_prio_inherit_of_forker", "pi_mutex.c", &["normal-robust", "forker", "keep"], PASSED_ON),
    case("hang_mutex_robust_prio_inherit_passed_on", "pi_mutex.c", &["normal-robust", "thread", "later"], PASSED_ON),
    case("hang_rwlock_behind_queued_writer", "inherited_rwlock.c", &["queued", "read"], READERS),
    case("hang_glibc_internal", "inherited_libc.c", &["parent"], INTERNAL),
    case("hang_cxx_mutex", "inherited_cxx.cc", &["mutex", "parent"], MUTEX),
    case("hang_cxx_recursive_mutex", "inherited_cxx.cc", &["recursive", "parent"], RECURSIVE),
    case("hang_cxx_shared_mutex_writer", "inherited_cxx.cc", &["shared-write", "parent"], WRITER),
    case("hang_cxx_shared_mutex_reader", "inherited_cxx.cc", &["shared-read", "parent"], READERS),
    case("hang_cxx_static_guard", "inherited_cxx.cc", &["static", "parent"], GUARD),
    case("hang_musl_mutex", "inherited.musl.c", &["normal", "parent"], MUSL),
    case("hang_musl_recursive", "inherited.musl.c", &["recursive", "parent"], MUSL_RECURSIVE),
    case("hang_musl_errorcheck", "inherited.musl.c", &["errorcheck", "parent"], MUSL_ERRORCHECK),
    case("hang_musl_robust", "inherited.musl.c", &["robust", "parent"], MUSL_ROBUST),
    case("hang_musl_file", "inherited.musl.c", &["file", "parent"], MUSL_FILE),
    case("hang_musl_writer", "inherited.musl.c", &["write", "parent"], MUSL_WRITER),
    case("hang_musl_reader", "inherited.musl.c", &["read", "parent"], MUSL_READER),
    case("hang_musl_once", "inherited.musl.c", &["once", "parent"], MUSL_ONCE),
    case("lost_waker_condition", "lost_waker.cc", &["cond", "never"], LOST_CONDITION),
    case("lost_waker_barrier", "lost_waker.cc", &["barrier", "never"], LOST_BARRIER),
    case("lost_waker_atomic", "lost_waker.cc", &["atomic", "never"], LOST_WORD),
    case("lost_waker_atomic_byte", "lost_waker.cc", &["byte", "never"], LOST_WORD),
    case("lost_waker_cxx_semaphore", "lost_waker.cc", &["counting", "never"], LOST_WORD),
    case("lost_waker_openmp", "lost_team.omp.c", &["parent"], LOST_WORD),
    case("self_deadlock_normal", "self_deadlock.c", &["normal"], SELF),
    case("self_deadlock_adaptive", "self_deadlock.c", &["adaptive"], SELF_ADAPTIVE),
    case("self_deadlock_robust", "self_deadlock.c", &["robust"], SELF_ROBUST),
    case("hang_grandchild", "inherited_grandchild.c", &[], MUTEX),
    case("hang_python", "hang.py", &[], PYTHON),
    case("hang_python_lock_of_thread", "lock_of_thread.py", &["Lock"], PYTHON),
    case("hang_python_rlock_of_thread", "lock_of_thread.py", &["RLock"], PYTHON),
    case("hang_python_buffer", "buffer_of_thread.py", &[], PYTHON),
    case("hang_rust_mutex", "std_locks.rs", &["mutex", "thread", "keep"], RUST_MUTEX),
    case("hang_rust_mutex_released_since", "std_locks.rs", &["mutex", "thread", "release"], RUST_MUTEX),
    case("hang_rust_mutex_of_the_forking_thread", "std_locks.rs", &["mutex", "forker", "release"], RUST_MUTEX),
    case("hang_rust_mutex_static", "std_locks.rs", &["mutex-static", "thread", "keep"], RUST_MUTEX),
    case("hang_rust_write_of_writer", "std_locks.rs", &["write", "thread", "release"], RUST_WRITER),
    case("hang_rust_read_of_writer", "std_locks.rs", &["write-read", "thread", "keep"], RUST_WRITER),
    case("hang_rust_write_of_reader", "std_locks.rs", &["read", "thread", "keep"], RUST_READER),
    case("hang_rust_stdout", "std_locks.rs", &["stdout", "thread", "keep"], RUST_MUTEX),
    case("hang_rust_once", "std_locks.rs", &["once", "forker", "keep"], RUST_ONCE),
    case("hang_rust_lazylock", "std_locks.rs", &["lazy", "forker", "keep"], RUST_ONCE),
    case("hang_parking_lot_mutex", "parking_lot_locks.rs", &["mutex", "thread", "keep"], LOT_MUTEX),
    case("hang_parking_lot_mutex_released_since", "parking_lot_locks.rs", &["mutex", "forker", "release"], LOT_MUTEX),
    case("hang_parking_lot_reentrant", "parking_lot_locks.rs", &["reentrant", "thread", "keep"], LOT_MUTEX),
    case("hang_parking_lot_write_of_writer", "parking_lot_locks.rs", &["write", "thread", "release"], LOT_WRITER),
    case("hang_parking_lot_read_of_writer", "parking_lot_locks.rs", &["write-read", "thread", "keep"], LOT_WRITER),
    case("hang_parking_lot_write_of_reader", "parking_lot_locks.rs", &["read", "thread", "keep"], LOT_READER),
    case("hang_parking_lot_upgradable", "parking_lot_locks.rs", &["upgradable", "thread", "keep"], LOT_READER),
    rooted(V313, "hang_python313", "hang.py", &[], PY_LOCK),
    rooted(V313, "hang_python313_lock_of_thread", "lock_of_thread.py", &["Lock"], PY_LOCK),
    rooted(V313, "hang_python313_lock_released_since", "lock_of_thread.py", &["Lock", "6", "release"], PY_LOCK),
    rooted(V313, "hang_python313_rlock_of_thread", "lock_of_thread.py", &["RLock"], PYTHON),
    rooted(V313, "hang_python313_condition", "lock_of_thread.py", &["Condition"], PYTHON),
    rooted(V314, "hang_python314", "hang.py", &[], PY_LOCK),
    rooted(V314, "hang_python314_lock_of_thread", "lock_of_thread.py", &["Lock"], PY_LOCK),
    rooted(V314, "hang_python314_rlock_of_thread", "lock_of_thread.py", &["RLock"], PY_RLOCK),
    rooted(V314, "hang_python314_rlock_released_since", "lock_of_thread.py", &["RLock", "6", "release"], PY_RLOCK),
    rooted(V314, "hang_python314_rlock_child_has_threads", "lock_of_thread.py", &["RLock", "6", "release", "threads"], PY_RLOCK),
    rooted(V314, "hang_python314_condition", "lock_of_thread.py", &["Condition"], PY_RLOCK),
    rooted(V314, "hang_python314_buffer", "buffer_of_thread.py", &[], PYTHON),

    case("quiet_released_before", "released_before.c", &[], NOTHING),
    case("quiet_atfork", "atfork.c", &[], NOTHING),
    case("quiet_exec", "exec_child.c", &[], NOTHING),
    case("quiet_threads_only", "threads_only.c", &[], NOTHING),
    case("quiet_vfork", "spawned.c", &["vfork"], NOTHING),
    case("quiet_posix_spawn", "spawned.c", &["posix_spawn"], NOTHING),
    case("quiet_daemon", "daemon.c", &[], NOTHING),
    case("quiet_shared_mutex", "shared_mutex.c", &[], NOTHING),
    case("quiet_shared_robust_mutex", "shared_mutex.c", &["3", "robust"], NOTHING),
    case("quiet_prio_inherit_aborts", "pi_mutex.c", &["normal", "thread", "keep"], NOTHING),
    case("quiet_prio_inherit_owner_gone", "pi_mutex.c", &["normal", "thread", "exit"], MAYBE),
    case("quiet_prio_inherit_robust_owner_gone", "pi_mutex.c", &["normal-robust", "thread", "exit"], NOTHING),
    case("quiet_glibc_file", "glibc_file.c", &[], NOTHING),
    case("quiet_once", "once.c", &[], NOTHING),
    case("quiet_glibc_internal", "inherited_libc.c", &["child"], NOTHING),
    case("quiet_self_recursive", "self_deadlock.c", &["recursive"], NOTHING),
    case("quiet_cxx_mutex", "inherited_cxx.cc", &["mutex", "child"], NOTHING),
    case("quiet_cxx_shared_mutex", "inherited_cxx.cc", &["shared-read", "child"], NOTHING),
    case("quiet_cxx_static_guard", "inherited_cxx.cc", &["static", "child"], NOTHING),
    case("quiet_musl_mutex", "inherited.musl.c", &["normal", "child"], NOTHING),
    case("quiet_musl_recursive", "inherited.musl.c", &["recursive", "child"], NOTHING),
    case("quiet_musl_file", "inherited.musl.c", &["file", "child"], NOTHING),
    case("quiet_musl_rwlock", "inherited.musl.c", &["write", "child"], NOTHING),
    case("quiet_musl_once", "inherited.musl.c", &["once", "child"], NOTHING),
    case("quiet_idle_pool", "idle_pool.c", &["3"], NOTHING),
    case("quiet_condition_woken", "lost_waker.cc", &["cond", "by-thread"], NOTHING),
    case("quiet_barrier_woken", "lost_waker.cc", &["barrier", "by-thread"], NOTHING),
    case("quiet_atomic_woken", "lost_waker.cc", &["atomic", "by-thread"], NOTHING),
    case("quiet_cxx_semaphore_woken", "lost_waker.cc", &["counting", "by-thread"], NOTHING),
    case("quiet_openmp", "lost_team.omp.c", &["child"], NOTHING),
    case("quiet_timed_wait", "timed_wait.c", &[], NOTHING),
    case("quiet_condition", "condition.c", &[], NOTHING),
    case("quiet_semaphore_event", "semaphore_event.c", &[], MAYBE),
    case("quiet_young_semaphore", "young_semaphore.c", &[], NOTHING),
    case("quiet_semaphore_of_thread", "semaphore_of_thread.c", &[], MAYBE),
    case("quiet_killed", "killed.c", &[], NOTHING),
    case("quiet_futex_storm", "futex_storm.c", &["500", "2"], NOTHING),
    case("quiet_10000_forks", "quick_forks.c", &["10000"], NOTHING),
    case("quiet_python_mp_lock", "mp_lock.py", &[], NOTHING),
    case("quiet_python_timed_acquire", "timed_acquire.py", &[], NOTHING),
    case("quiet_python_pool", "pool.py", &[], NOTHING),
    case("quiet_python_executor", "executor.py", &[], NOTHING),
    case("quiet_python_event", "event.py", &[], MAYBE),
    case("quiet_python_sleeper", "sleeper.py", &[], MAYBE),
    case("quiet_python_atfork", "atfork.py", &[], MAYBE),
    case("quiet_python_spawn", "started.py", &["spawn"], NOTHING),
    case("quiet_python_forkserver", "started.py", &["forkserver"], NOTHING),
    case("quiet_rust_mutex", "quiet_locks.rs", &["std-mutex"], NOTHING),
    case("quiet_rust_rwlock", "quiet_locks.rs", &["std-rwlock"], NOTHING),
    case("quiet_rust_once", "quiet_locks.rs", &["std-once"], NOTHING),
    case("quiet_rust_condvar", "quiet_locks.rs", &["condvar"], NOTHING),
    case("quiet_rust_park", "quiet_locks.rs", &["park"], NOTHING),
    case("quiet_rust_channel", "quiet_locks.rs", &["channel"], NOTHING),
    case("quiet_rust_join", "quiet_locks.rs", &["join"], NOTHING),
    case("quiet_parking_lot_mutex", "quiet_locks.rs", &["parking-lot-mutex"], NOTHING),
    case("quiet_parking_lot_condvar", "quiet_locks.rs", &["parking-lot-condvar"], NOTHING),
    case("own_rust_mutex", "own_fault.rs", &["std-mutex"], OWN_FAULT),
    case("own_rust_condvar", "own_fault.rs", &["condvar"], OWN_FAULT),
    case("own_rust_park", "own_fault.rs", &["park"], OWN_FAULT),
    case("own_parking_lot_mutex", "own_fault.rs", &["parking-lot-mutex"], OWN_FAULT),
    case("own_parking_lot_condvar", "own_fault.rs", &["parking-lot-condvar"], OWN_FAULT),
    rooted(V313, "own_python313_lock", "own_fault.py", &["lock"], OWN_FAULT),
    rooted(V313, "own_python313_event", "own_fault.py", &["event"], OWN_FAULT),
    rooted(V314, "own_python314_lock", "own_fault.py", &["lock"], OWN_FAULT),
    rooted(V314, "own_python314_event", "own_fault.py", &["event"], OWN_FAULT),
    rooted(V313, "quiet_python313_join", "waits.py", &["join"], NOTHING),
    rooted(V313, "quiet_python313_queue", "waits.py", &["queue"], MAYBE),
    rooted(V313, "quiet_python313_event", "event.py", &[], MAYBE),
    rooted(V313, "quiet_python313_threads_at_rest", "waits.py", &["executor"], MAYBE),
    rooted(V313, "quiet_python313_timed_acquire", "timed_acquire.py", &[], NOTHING),
    rooted(V313, "quiet_python313_reinit", "waits.py", &["reinit"], MAYBE),
    rooted(V313, "quiet_python313_executor", "executor.py", &[], NOTHING),
    rooted(V314, "quiet_python314_join", "waits.py", &["join"], NOTHING),
    rooted(V314, "quiet_python314_queue", "waits.py", &["queue"], MAYBE),
    rooted(V314, "quiet_python314_event", "event.py", &[], MAYBE),
    rooted(V314, "quiet_python314_threads_at_rest", "waits.py", &["executor"], MAYBE),
    rooted(V314, "quiet_python314_timed_acquire", "timed_acquire.py", &[], NOTHING),
    rooted(V314, "quiet_python314_reinit", "waits.py", &["reinit"], MAYBE),
    rooted(V314, "quiet_python314_mp_lock", "mp_lock.py", &[], NOTHING),
];

/// One trial a case.
pub(crate) fn trials() -> Vec<Trial> {
    let of = |case: &'static Case| {
        let python_hang = matches!(case.expect, Expect::Certain(hang) if hang.python);
        let own = match case.python {
            Some(python) => Need::Rooted(python),
            None if python_hang => Need::SemaphorePython,
            None => workload::need(case.program),
        };
        trial(case.name, &[Need::Tracing, own, Need::Setpriv], || run(case))
    };
    CASES.iter().map(of).collect()
}

/// Traces the workload from its start to its end.
fn run(case: &Case) -> Result<()> {
    let mut args: Vec<String> = ["-q", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    args.extend(match case.python {
        Some(python) => python.command(case.program, case.args)?,
        None => workload::command(case.program, case.args)?,
    });
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    judge(case, &ended).with_context(|| ended.said())
}

fn judge(case: &Case, ended: &Ended) -> Result<()> {
    ensure!(ended.code == 0, "exit status {}", ended.code);
    let log = Log::read(&ended.log())?;
    let facts = Facts::read(&ended.stdout);
    log.expect_whole()?;
    log.expect_all_ended()?;
    expect_tree(&log, &facts)?;
    match case.expect {
        Expect::Certain(hang) | Expect::Finding(hang) => {
            let finding = check::one_finding(&log, None)?;
            check::hang(finding, hang, &facts, case.program)?;
        }
        Expect::NotInherited => {
            let inherited =
                |line: &&Value| line.get("kind").is_some_and(|kind| kind == "inherited-lock");
            let wrong: Vec<_> = log.sure_findings().into_iter().filter(inherited).collect();
            ensure!(wrong.is_empty(), "found {wrong:#?}");
        }
        Expect::Nothing => ensure!(log.findings().is_empty(), "found {:#?}", log.findings()),
        Expect::NoMoreThanSuspect => {
            ensure!(log.sure_findings().is_empty(), "found {:#?}", log.sure_findings());
        }
    }
    check::blocks(&ended.stdout, &log)?;
    check::report(ended, &log)
}

/// Every process that the workload spoke of is in the tree, and every fork that it counted.
fn expect_tree(log: &Log, facts: &Facts) -> Result<()> {
    let processes = log.processes();
    for fact in ["born", "stuck", "forker"] {
        for pid in facts.all(fact) {
            ensure!(processes.contains(&pid), "process {pid} ({fact}) is not in the tree");
        }
    }
    for count in facts.all("threads") {
        let started = log.of("thread.start").count();
        ensure!(u64::try_from(started)? == count, "{started} threads seen, not {count}");
    }
    for count in facts.all("forks") {
        let children = log.children();
        ensure!(u64::try_from(children.len())? == count, "{} forks, not {count}", children.len());
        let sum: u64 = children.iter().sum();
        ensure!(sum == facts.one("pidsum")?, "the children are not those that were forked");
        let root = number(log.of("process.snapshot").next().context("no root")?, "/pid");
        let others = log.of("process.fork").filter(|line| number(line, "/pid") != root).count();
        ensure!(others == 0, "{others} forks with a wrong parent");
    }
    Ok(())
}
