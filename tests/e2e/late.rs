//! Attaching to a hang that is there already, or to a child that was forked already.

use std::{fs, time::Duration};

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

use crate::check;

const LIMIT: Duration = Duration::from_secs(40);
/// How long a workload may take to get going.
const START: Duration = Duration::from_secs(15);
/// How long a hang is old before the tracer attaches.
const OLD: Duration = Duration::from_millis(500);
/// How long the workloads hang: long enough for a slow machine to attach and to look twice.
const HANGS: &str = "12";

/// Which process the tracer is pointed at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Parent,
    Child,
    Host,
}
use Target::{Child, Host, Parent};

/// What must be said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// One finding, likely; its holder is known or not.
    Likely { holder: bool },
    /// A suspect, printed or hidden.
    Suspect { printed: bool },
    /// One finding, likely, of a lock that the waiter has itself.
    OwnFault,
    /// One finding, likely, whose parent is gone.
    Orphan,
    /// One finding, likely or certain, of whatever name: nobody could end the wait.
    ByAnyName,
    /// No finding; a suspect is allowed.
    NoMoreThanSuspect,
    /// No finding at all.
    Nothing,
}
use Expect::{ByAnyName, Likely, NoMoreThanSuspect, Nothing, Orphan, OwnFault, Suspect};

struct Case {
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    target: Target,
    expect: Expect,
    /// The Python that runs it; `None`: this machine's.
    python: Option<Rooted>,
}

const fn case(
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    target: Target,
    expect: Expect,
) -> Case {
    Case { name, program, args, target, expect, python: None }
}

/// A worker of `late_worker.py` under another Python than this machine's.
const fn rooted(
    python: Rooted,
    name: &'static str,
    args: &'static [&'static str],
    target: Target,
    expect: Expect,
) -> Case {
    Case { name, program: "late_worker.py", args, target, expect, python: Some(python) }
}

const OWNED: Expect = Likely { holder: true };
const OWNERLESS: Expect = Likely { holder: false };
const HIDDEN: Expect = Suspect { printed: false };
const PRINTED: Expect = Suspect { printed: true };

#[rustfmt::skip]
static CASES: &[Case] = &[
    case("late_mutex_parent", "inherited_mutex.c", &["normal", "thread", "keep", "single"], Parent, OWNED),
    case("late_mutex_child", "inherited_mutex.c", &["normal", "thread", "keep", "single"], Child, OWNED),
    case("late_mutex_host", "inherited_mutex.c", &["normal", "thread", "keep", "single"], Host, OWNED),
    case("late_recursive", "inherited_mutex.c", &["recursive", "thread", "keep", "single"], Parent, OWNED),
    case("late_mutex_of_the_forking_thread", "inherited_mutex.c", &["normal", "forker", "keep", "single"], Parent, OWNED),
    case("late_mutex_of_forker_released_since", "inherited_mutex.c", &["normal", "forker", "release", "single"], Parent, OWNED),
    case("late_mutex_child_has_threads", "inherited_mutex.c", &["normal", "thread", "keep", "threads"], Child, OWNED),
    case("late_mutex_released_holder_gone", "inherited_mutex.c", &["normal", "thread", "release", "single"], Parent, OWNERLESS),
    case("late_mutex_released_holder_gone_child", "inherited_mutex.c", &["normal", "thread", "release", "single"], Child, OWNERLESS),
    case("late_mutex_parent_dead", "inherited_mutex.c", &["normal", "thread", "die", "single"], Child, Orphan),
    case("late_page_of_the_latest_fork", "late_page.c", &["latest"], Parent, OWNERLESS),
    case("late_page_of_the_latest_fork_host", "late_page.c", &["latest"], Host, OWNERLESS),
    case("late_page_shared_with_a_sibling", "late_page.c", &["shared"], Child, OWNERLESS),
    case("late_page_after_a_later_fork", "late_page.c", &["gone"], Parent, OWNERLESS),
    case("late_page_written_since", "late_page.c", &["written"], Child, OWNERLESS),
    case("late_page_free_at_fork", "late_page.c", &["free"], Child, ByAnyName),
    case("late_page_taken_by_the_parent_since", "late_page.c", &["retaken"], Child, ByAnyName),
    case("late_page_of_a_helper_in_the_same_memory", "late_page.c", &["helper"], Child, ByAnyName),
    case("late_self_deadlock", "late_quiet.c", &["self"], Child, OwnFault),
    case("late_python_parent", "lock_of_thread.py", &["Lock"], Parent, OWNERLESS),
    case("late_python_child", "lock_of_thread.py", &["Lock"], Child, OWNERLESS),
    case("late_python_worker_parent", "late_worker.py", &["with"], Parent, PRINTED),
    case("late_python_worker_child", "late_worker.py", &["with"], Child, PRINTED),
    case("late_python_worker_rlock", "late_worker.py", &["rlock"], Parent, PRINTED),
    case("late_python_worker_beside_a_pool", "late_worker.py", &["pool"], Parent, PRINTED),
    case("late_python_worker_by_hand", "late_worker.py", &["hand"], Child, HIDDEN),
    case("late_python_worker_by_itself", "late_worker.py", &["chain"], Child, NoMoreThanSuspect),
    case("late_python_worker_host", "late_worker.py", &["with"], Host, HIDDEN),
    case("late_quiet_worker_generator", "late_worker.py", &["generator"], Child, NoMoreThanSuspect),
    rooted(Rooted::V313, "late_python313_worker_parent", &["with"], Parent, PRINTED),
    rooted(Rooted::V313, "late_python313_worker_child", &["with"], Child, PRINTED),
    rooted(Rooted::V314, "late_python314_worker_child", &["with"], Child, PRINTED),
    rooted(Rooted::V314, "late_python314_worker_rlock", &["rlock"], Child, PRINTED),
    case("late_parking_lot", "parking_lot_locks.rs", &["mutex", "thread", "keep"], Child, OWNERLESS),

    case("late_quiet_join", "late_quiet.c", &["join"], Child, Nothing),
    case("late_quiet_pool", "late_quiet.c", &["pool"], Parent, Nothing),
    case("late_own_dead_thread", "late_quiet.c", &["dead"], Child, ByAnyName),
    case("late_quiet_exec", "late_quiet.c", &["exec"], Child, Nothing),
    case("late_own_shared", "late_quiet.c", &["shared"], Child, ByAnyName),
    case("late_quiet_timed", "late_quiet.c", &["timed"], Child, Nothing),
    case("late_quiet_same_memory", "late_quiet.c", &["vm"], Child, Nothing),
    case("late_own_parked", "late_quiet.c", &["parked"], Child, ByAnyName),
    case("late_quiet_handler", "late_quiet.c", &["posted"], Child, NoMoreThanSuspect),
    case("late_own_alone", "late_quiet.c", &["alone"], Child, ByAnyName),
    case("late_quiet_event", "event.py", &[], Parent, NoMoreThanSuspect),
    case("late_quiet_python_pool", "pool.py", &[], Parent, Nothing),
    case("late_quiet_python_executor", "executor.py", &[], Parent, Nothing),
    case("late_quiet_worker_at_rest", "late_worker.py", &["rest"], Child, Nothing),
    case("late_quiet_worker_joins", "late_worker.py", &["join"], Child, Nothing),
    case("late_quiet_worker_event", "late_worker.py", &["event"], Child, Nothing),
    case("late_quiet_worker_condition", "late_worker.py", &["condition"], Child, Nothing),
    case("late_quiet_worker_contended", "late_worker.py", &["contended"], Child, Nothing),
    rooted(Rooted::V313, "late_quiet_worker313_at_rest", &["rest"], Child, Nothing),
    rooted(Rooted::V314, "late_quiet_worker314_at_rest", &["rest"], Child, Nothing),
    rooted(Rooted::V314, "late_quiet_worker314_joins", &["join"], Child, Nothing),
    rooted(Rooted::V314, "late_quiet_worker314_condition", &["condition"], Child, Nothing),
];

/// What they rest on is that the parent has not written the page since the latest fork, and that no
/// third process has it.
const LATEST: [&str; 2] = ["late_page_of_the_latest_fork", "late_page_of_the_latest_fork_host"];

pub(crate) fn trials() -> Vec<Trial> {
    let of = |case: &'static Case| {
        let own = match (case.python, case.program) {
            (Some(python), _) => Need::Rooted(python),
            (None, "lock_of_thread.py" | "late_worker.py") => Need::SemaphorePython,
            (None, program) => workload::need(program),
        };
        let mut needs = vec![Need::Tracing, own, Need::Setpriv];
        needs.extend(LATEST.contains(&case.name).then_some(Need::PagesSinceFork));
        trial(case.name, &needs, || run(case))
    };
    let mut trials: Vec<Trial> = CASES.iter().map(of).collect();
    let needs = [Need::Tracing, Need::Cc, Need::Setpriv];
    trials.push(trial("late_fork_before_and_wait_after", &needs, blocks_after_the_attach));
    trials.push(trial("late_mutex_in_a_pid_namespace", &needs, in_a_pid_namespace));
    trials.push(trial("late_several_children", &needs, several_children));
    trials.push(trial("late_wait_interrupted_in_every_look", &needs, interrupted));
    trials.push(trial("late_hang_ended_by_a_supervisor", &needs, || ended_soon(&[])));
    trials
        .push(trial("late_hang_ended_by_a_supervisor_exact", &needs, || ended_soon(&["--exact"])));
    trials
}

/// The stuck process, or the job's own where the workload names none.
fn stuck(job: &Job) -> Result<u32> {
    let facts = Facts::read(&job.stdout());
    let named = facts.all("stuck").next();
    Ok(named.map(u32::try_from).transpose()?.unwrap_or(job.pid()))
}

fn start(case: &Case) -> Result<Job> {
    let mut command = match case.python {
        Some(python) => python.command(case.program, case.args)?,
        None => workload::command(case.program, case.args)?,
    };
    command.push(HANGS.to_owned());
    let mut job = Job::start(&command, &[])?;
    let source = fs::read_to_string(workload::source(case.program));
    if source.is_ok_and(|text| !text.contains("stuck")) {
        // It says nothing of itself: by then it rests.
        std::thread::sleep(4 * OLD);
    } else {
        job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
        std::thread::sleep(OLD);
    }
    Ok(job)
}

fn arguments(target: Target, parent: u32, child: u32) -> Vec<String> {
    let mut args = ["-q", "-d", "5s", "-o", "{log}"].map(str::to_owned).to_vec();
    match target {
        Parent => args.extend(["-p".to_owned(), parent.to_string()]),
        Child => args.extend(["-p".to_owned(), child.to_string()]),
        Host => args.push("-a".to_owned()),
    }
    args
}

fn run(case: &Case) -> Result<()> {
    let job = start(case)?;
    let child = stuck(&job)?;
    let before = switches(child);
    let traced = Job::forktrace(&arguments(case.target, job.pid(), child))?.wait(LIMIT)?;
    let after = switches(child);
    let facts = Facts::read(&job.stdout());
    drop(job);
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        let hangs = !matches!(case.expect, NoMoreThanSuspect | Nothing);
        ensure!(!hangs || before.is_some() && before == after, "it ran: {before:?} {after:?}");
        let log = Log::read(&traced.log())?;
        log.expect_whole()?;
        judge(case, &traced, &log, &facts, child)
    };
    judge().with_context(|| traced.said())
}

/// How often a process's first thread has left a CPU.
fn switches(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let lines: Vec<&str> = status.lines().filter(|line| line.contains("ctxt_switches")).collect();
    (lines.len() == 2).then(|| lines.join(" "))
}

fn judge(case: &Case, traced: &Ended, log: &Log, facts: &Facts, child: u32) -> Result<()> {
    let mut findings = log.findings();
    // The host may have others.
    let own = |line: &&Value| number(line, "/pid") == Some(u64::from(child));
    findings.retain(|line| case.target != Host || own(line));
    let confidence = |line: &Value| line.get("confidence").cloned().unwrap_or_default();
    let sure = findings.iter().filter(|line| confidence(line) != "suspect").count();
    let blocks = |text: &str| check::hang_blocks(text);
    let named = format!("[{child}]");
    let block = blocks(&traced.stdout).iter().any(|block| block.contains(&named));
    match case.expect {
        Likely { holder } => {
            let [one] = findings.as_slice() else { anyhow::bail!("found {findings:#?}") };
            ensure!(confidence(one) == "likely" && block, "not likely: {one:#}");
            late(one, facts, child, true).with_context(|| format!("{one:#}"))?;
            let known = one.get("holder").is_some_and(Value::is_object);
            ensure!(known == holder, "wrong holder: {one:#}");
            if holder {
                ensure!(number(one, "/holder/tid") == Some(facts.one("holder")?), "{one:#}");
            }
        }
        Suspect { printed } => {
            let [one] = findings.as_slice() else { anyhow::bail!("found {findings:#?}") };
            ensure!(confidence(one) == "suspect" && block == printed, "not a suspect: {one:#}");
            late(one, facts, child, true).with_context(|| format!("{one:#}"))?;
            ensure!(printed || traced.prints(" hidden"), "not reported");
        }
        OwnFault => {
            let [one] = findings.as_slice() else { anyhow::bail!("found {findings:#?}") };
            let own = one.get("kind").is_some_and(|kind| kind == "self-deadlock");
            ensure!(own && confidence(one) == "likely" && block, "{one:#}");
        }
        Orphan => {
            let [one] = findings.as_slice() else { anyhow::bail!("found {findings:#?}") };
            let orphan = one.pointer("/unseen_fork/by_pid").is_some_and(Value::is_null);
            ensure!(orphan && confidence(one) == "likely" && block, "{one:#}");
        }
        ByAnyName => ensure!(sure == 1 && findings.len() == 1 && block, "found {findings:#?}"),
        NoMoreThanSuspect => log.expect_nothing_sure()?,
        Nothing => {
            log.expect_no_finding()?;
            ensure!(!block, "a block without a finding");
        }
    }
    let again = traced.report(&["-q"])?.stdout;
    ensure!(blocks(&traced.stdout) == blocks(&again), "the report says: {again}");
    Ok(())
}

/// Fails unless the finding says what can be said of a fork that was not seen.
fn late(finding: &Value, facts: &Facts, child: u32, before: bool) -> Result<()> {
    ensure!(number(finding, "/pid") == Some(u64::from(child)), "another process");
    ensure!(finding.get("fork").is_some_and(Value::is_null), "a fork that was not seen");
    let forker = facts.one("forker")?;
    ensure!(number(finding, "/unseen_fork/by_pid") == Some(forker), "another parent");
    ensure!(number(finding, "/unseen_fork/by_tid") == Some(forker), "another thread");
    let since_before = finding.get("since_before").is_some_and(|value| value == true);
    ensure!(since_before == before, "since before the trace: {since_before}");
    Ok(())
}

/// The child was forked before the attach and blocks after it.
fn blocks_after_the_attach() -> Result<()> {
    let mut command = workload::command("late_page.c", &["later"])?;
    command.push(HANGS.to_owned());
    let mut job = Job::start(&command, &[("WORKLOAD_WAITS", "1")])?;
    job.until("ready", START, |job| job.stdout().contains("ready="))?;
    let child = stuck(&job)?;
    let mut tracer = Job::forktrace(&arguments(Parent, job.pid(), child))?;
    tracer.until("attached", START, |tracer| tracer.log_text().contains("process.snapshot"))?;
    std::thread::sleep(OLD);
    job.tell()?;
    let traced = tracer.wait(LIMIT)?;
    let facts = Facts::read(&job.stdout());
    drop(job);
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        let finding = check::one_finding(&log, Some(u64::from(child)))?;
        ensure!(finding.get("confidence").is_some_and(|sure| sure == "likely"), "{finding:#}");
        late(finding, &facts, child, false).with_context(|| format!("{finding:#}"))
    };
    judge().with_context(|| traced.said())
}

/// Somebody ends the process that hangs soon after the attach, before or in the middle of the look
/// that would tell: whatever is said, it is no all-clear.
fn ended_soon(flags: &[&str]) -> Result<()> {
    let ended =
        workload::command("inherited_mutex.c", &["normal", "thread", "keep", "single", "3"])?;
    let unnoticed = workload::command("killed_hang.c", &["3"])?;
    for (command, tenths) in [(&ended, 14), (&ended, 17), (&unnoticed, 13), (&ended, 20)] {
        let mut job = Job::start(command, &[])?;
        job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
        std::thread::sleep(Duration::from_millis(100 * tenths));
        let pid = job.pid().to_string();
        let args = [&["-q", "-p", &pid], flags].concat();
        let traced = Job::forktrace(&args)?.wait(LIMIT)?;
        job.wait(LIMIT)?.expect_code(0)?;
        ensure!(!traced.is_clear(), "after {tenths} tenths of a second:\n{}", traced.said());
    }
    Ok(())
}

/// The wait is interrupted in every sample, and goes on: it is not seen as one wait, and the summary
/// does not report that no child hangs.
fn interrupted() -> Result<()> {
    let mut command = ["-q", "--exact", "--"].map(str::to_owned).to_vec();
    command.extend(workload::command("killed_hang.c", &["3", "ticks"])?);
    let traced = Job::forktrace(&command)?.wait(LIMIT)?;
    traced.expect_code(0)?;
    let told = traced.stdout.contains("of forked children could not be checked");
    ensure!(told && !traced.is_clear(), "{}", traced.said());
    Ok(())
}

/// One fault in several children is printed once in full, and each of the others in two lines. Each
/// has the longest time that it can have lasted.
fn several_children() -> Result<()> {
    let mut command = workload::command("several_stuck.c", &["children"])?;
    command.push(HANGS.to_owned());
    let mut job = Job::start(&command, &[])?;
    job.until("stuck", START, |job| job.stdout().matches("stuck=").count() == 3)?;
    std::thread::sleep(OLD);
    let traced = Job::forktrace(&arguments(Parent, job.pid(), 0))?.wait(LIMIT)?;
    drop(job);
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        let blocks = check::hang_blocks(&traced.stdout);
        let short = blocks.iter().filter(|block| block.contains("same lock")).count();
        ensure!(blocks.len() == 3 && short == 2, "not one fault");
        ensure!(blocks[0].contains("the hang began later"), "not since when at most");
        for finding in Log::read(&traced.log())?.findings() {
            let (least, most) = (number(finding, "/waited_ns"), number(finding, "/at_most_ns"));
            let apart = most.zip(least).and_then(|(most, least)| most.checked_sub(least));
            ensure!(apart >= Some(OLD.as_nanos() as u64), "{finding:#}");
        }
        Ok(())
    };
    judge().with_context(|| traced.said())
}

/// The lock's owner is named by its number in the namespace.
fn in_a_pid_namespace() -> Result<()> {
    let mut command = ["unshare", "--pid", "--fork"].map(str::to_owned).to_vec();
    let args = ["normal", "thread", "keep", "single", HANGS];
    command.extend(workload::command("inherited_mutex.c", &args)?);
    let mut job = Job::start(&command, &[])?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    std::thread::sleep(OLD);
    let traced = Job::forktrace(&arguments(Parent, job.pid(), 0))?.wait(LIMIT)?;
    let facts = Facts::read(&job.stdout());
    drop(job);
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        let finding = check::one_finding(&log, None)?;
        let holder = number(finding, "/holder/tid");
        let named = finding.pointer("/holder/comm").is_some_and(Value::is_string);
        ensure!(number(finding, "/ns_pid") == Some(facts.one("stuck")?), "{finding:#}");
        ensure!(holder != Some(facts.one("holder")?) && named, "{finding:#}");
        ensure!(finding.get("confidence").is_some_and(|sure| sure == "likely"), "{finding:#}");
        Ok(())
    };
    judge().with_context(|| traced.said())
}
