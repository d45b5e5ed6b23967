//! The table of workloads and what must be said of them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    log::{Log, number},
    run::{Ended, Job},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;

use crate::check::{self, Hang};

/// How long a case may take; the workloads end by themselves after a few seconds.
const LIMIT: Duration = Duration::from_secs(40);

/// What must be said of a workload.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// One finding, certain.
    Certain(Hang),
    /// No finding, no suspicion.
    Nothing,
    /// No finding; a suspicion is allowed, as the memory looks like an inherited lock.
    NoMoreThanSuspect,
}

/// One workload and what must be said of it.
struct Case {
    name: &'static str,
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
    Case { name, program, args, expect }
}

const MUTEX: Expect = Expect::Certain(Hang::MUTEX);
const RECURSIVE: Expect = Expect::Certain(Hang::RECURSIVE);
const ERRORCHECK: Expect = Expect::Certain(Hang::ERRORCHECK);
const ADAPTIVE: Expect = Expect::Certain(Hang::ADAPTIVE);
const WRITER: Expect = Expect::Certain(Hang::WRITER);
const READERS: Expect = Expect::Certain(Hang::READERS);
const SEMAPHORE: Expect = Expect::Certain(Hang::SEMAPHORE);
const PYTHON: Expect = Expect::Certain(Hang::PYTHON);
const NOTHING: Expect = Expect::Nothing;
const MAYBE: Expect = Expect::NoMoreThanSuspect;

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
    case("hang_grandchild", "inherited_grandchild.c", &[], MUTEX),
    case("hang_python", "hang.py", &[], PYTHON),
    case("hang_python_lock_of_thread", "lock_of_thread.py", &["Lock"], PYTHON),
    case("hang_python_rlock_of_thread", "lock_of_thread.py", &["RLock"], PYTHON),

    case("quiet_released_before", "released_before.c", &[], NOTHING),
    case("quiet_atfork", "atfork.c", &[], NOTHING),
    case("quiet_exec", "exec_child.c", &[], NOTHING),
    case("quiet_threads_only", "threads_only.c", &[], NOTHING),
    case("quiet_vfork", "spawned.c", &["vfork"], NOTHING),
    case("quiet_posix_spawn", "spawned.c", &["posix_spawn"], NOTHING),
    case("quiet_daemon", "daemon.c", &[], NOTHING),
    case("quiet_shared_mutex", "shared_mutex.c", &[], NOTHING),
    case("quiet_timed_wait", "timed_wait.c", &[], NOTHING),
    case("quiet_condition", "condition.c", &[], NOTHING),
    case("quiet_semaphore_event", "semaphore_event.c", &[], MAYBE),
    case("quiet_semaphore_of_thread", "semaphore_of_thread.c", &[], MAYBE),
    case("quiet_killed", "killed.c", &[], NOTHING),
    case("quiet_futex_storm", "futex_storm.c", &["500", "2"], NOTHING),
    case("quiet_10000_forks", "quick_forks.c", &["10000"], NOTHING),
    case("quiet_python_mp_lock", "mp_lock.py", &[], NOTHING),
    case("quiet_python_timed_acquire", "timed_acquire.py", &[], NOTHING),
    case("quiet_python_pool", "pool.py", &[], NOTHING),
    case("quiet_python_executor", "executor.py", &[], NOTHING),
    case("quiet_python_event", "event.py", &[], MAYBE),
    case("quiet_python_atfork", "atfork.py", &[], MAYBE),
    case("quiet_python_spawn", "started.py", &["spawn"], NOTHING),
    case("quiet_python_forkserver", "started.py", &["forkserver"], NOTHING),
];

/// One trial a case.
pub(crate) fn trials() -> Vec<Trial> {
    let of = |case: &'static Case| {
        let python_hang = matches!(case.expect, Expect::Certain(hang) if hang.python);
        let own = if python_hang { Need::SemaphorePython } else { workload::need(case.program) };
        trial(case.name, &[Need::Tracing, own, Need::Setpriv], || run(case))
    };
    CASES.iter().map(of).collect()
}

/// Traces the workload from its start to its end.
fn run(case: &Case) -> Result<()> {
    let mut args: Vec<String> = ["-q", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    args.extend(workload::command(case.program, case.args)?);
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
        Expect::Certain(hang) => {
            let finding = check::one_finding(&log, None)?;
            check::hang(finding, hang, &facts, case.program)?;
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
