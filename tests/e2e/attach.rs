//! `-p` and `-a`: attaching to what runs already.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::{Hang, Truth, begins_a_page},
    log::{Log, number},
    run::{Ended, Job},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::check;

const LIMIT: Duration = Duration::from_secs(40);
/// How long a workload or the tracer may take to get going.
const START: Duration = Duration::from_secs(15);
/// A process that is about to go this long after the attach must be in the tree, ns.
const SETTLED_NS: u64 = 200_000_000;

/// A workload that waits for a line, and then hangs.
struct Waiting {
    program: &'static str,
    args: &'static [&'static str],
    hang: Hang,
}

static IN_C: Waiting = Waiting {
    program: "inherited_mutex.c",
    args: &["normal", "thread", "release", "single"],
    hang: Hang::MUTEX,
};
static IN_PYTHON: Waiting =
    Waiting { program: "lock_of_thread.py", args: &["Lock"], hang: Hang::PYTHON };

/// How the command line names what to trace.
#[derive(Clone, Copy)]
enum Target {
    Pid,
    List,
    RepeatedPid,
    All,
}

static TARGETS: &[(&str, Target, &[&Waiting])] = &[
    ("attach_pid_c", Target::Pid, &[&IN_C]),
    ("attach_pid_python", Target::Pid, &[&IN_PYTHON]),
    ("attach_pid_list", Target::List, &[&IN_C, &IN_PYTHON]),
    ("attach_pid_repeated", Target::RepeatedPid, &[&IN_C, &IN_C]),
    ("attach_all", Target::All, &[&IN_C, &IN_PYTHON]),
];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc, Need::SemaphorePython];
    let of = |(name, target, workloads): &'static (&str, Target, &[&Waiting])| {
        trial(*name, &needs, || hang_after_attach(*target, workloads))
    };
    let mut trials: Vec<Trial> = TARGETS.iter().map(of).collect();
    trials.push(trial("attach_while_forks_go_on", &needs, || busy_tree(false)));
    trials.push(trial("attach_all_while_forks_go_on", &needs, || busy_tree(true)));
    trials.push(trial("attach_to_churning_python", &needs, || churn(false)));
    trials.push(trial("attach_all_to_churning_python", &needs, || churn(true)));
    trials.push(trial("attach_to_a_hang", &needs, attach_late));
    trials.push(trial("dump_of_a_hang", &needs, dump));
    let needs = [Need::Tracing, Need::Unshare, Need::Ext4];
    trials.push(trial("attach_all_beside_threads_of_the_kernel", &needs, threads_of_the_kernel));
    trials
}

/// Starts a workload that waits, and waits until it does.
fn start(waiting: &Waiting) -> Result<Job> {
    let command = workload::command(waiting.program, waiting.args)?;
    let mut job = Job::start(&command, &[("WORKLOAD_WAITS", "1")])?;
    job.until("ready", START, |job| job.stdout().contains("ready="))?;
    Ok(job)
}

/// Waits until the tracer has recorded these processes as alive.
fn until_attached(tracer: &mut Job, pids: &[u32]) -> Result<()> {
    tracer.until("attached", START, |tracer| {
        let text = tracer.log_text();
        // The last line may be half written.
        let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
        let alive = Log::parse(whole).map(|log| log.processes()).unwrap_or_default();
        pids.iter().all(|pid| alive.contains(&u64::from(*pid)))
    })
}

fn arguments(target: Target, pids: &[u32]) -> Vec<String> {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let mut args = ["-q", "-o", "{log}"].map(str::to_owned).to_vec();
    match target {
        Target::Pid | Target::List => args.extend(["-p".to_owned(), pids.join(",")]),
        Target::RepeatedPid => {
            args.extend(pids.into_iter().flat_map(|pid| ["-p".to_owned(), pid]));
        }
        Target::All => args.extend(["-a", "-d", "6s"].map(str::to_owned)),
    }
    args
}

fn hang_after_attach(target: Target, workloads: &[&Waiting]) -> Result<()> {
    let mut jobs = workloads.iter().map(|one| start(one)).collect::<Result<Vec<_>>>()?;
    let pids: Vec<u32> = jobs.iter().map(Job::pid).collect();
    let mut tracer = Job::forktrace(&arguments(target, &pids))?;
    until_attached(&mut tracer, &pids)?;
    for job in &mut jobs {
        job.tell()?;
    }
    let traced = tracer.wait(LIMIT)?;
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        log.expect_whole()?;
        for (job, waiting) in jobs.into_iter().zip(workloads) {
            let ended = job.wait(LIMIT)?;
            ended.expect_code(0)?;
            let facts = Facts::read(&ended.stdout);
            let finding = check::one_finding(&log, Some(facts.one("stuck")?))?;
            let certain = finding.get("confidence").is_some_and(|it| it == "certain");
            ensure!(certain, "not certain: {finding:#}");
            let truth = Truth::Inherited(waiting.hang);
            check::hang(finding, truth, &facts, waiting.program)?;
        }
        Ok(())
    };
    judge().with_context(|| traced.said())
}

/// Attaches in the middle of a tree that forks all the time: nothing is missing or lost.
fn busy_tree(all: bool) -> Result<()> {
    let mut tree = Job::start(&workload::command("busy_tree.c", &["4"])?, &[])?;
    tree.until("forking", START, |tree| Facts::read(&tree.stdout()).all("gone").count() > 50)?;
    let target = if all { Target::All } else { Target::Pid };
    let traced = Job::forktrace(&arguments(target, &[tree.pid()]))?.wait(LIMIT)?;
    let root = u64::from(tree.pid());
    let ended = tree.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        log.expect_whole()?;
        expect_tree(&log, &Facts::read(&ended.stdout), root)?;
        if !all {
            log.expect_all_ended()?;
            log.expect_no_finding()?;
        }
        Ok(())
    };
    judge().with_context(|| traced.said())
}

/// Attaches to a process that makes threads and forks all the time, and then has a child hang:
/// nothing was lost, and the hang is proven.
fn churn(all: bool) -> Result<()> {
    let waiting = Waiting { program: "churn.py", args: &["8"], hang: Hang::PYTHON };
    let mut job = start(&waiting)?;
    let pid = job.pid().to_string();
    let target = if all { ["-a", "-d8"] } else { ["-p", &pid] };
    let mut tracer = Job::forktrace(&[&["-q", "-o", "{log}"], &target[..]].concat())?;
    until_attached(&mut tracer, &[job.pid()])?;
    job.tell()?;
    let traced = tracer.wait(LIMIT)?;
    let ended = job.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        log.expect_whole()?;
        let stuck = Facts::read(&ended.stdout).one("stuck")?;
        let finding = check::one_finding(&log, Some(stuck))?;
        let confidence = if begins_a_page(finding) { "likely" } else { "certain" };
        ensure!(finding["confidence"] == confidence, "{finding:#}");
        let rules = finding["evidence"].as_array().into_iter().flatten();
        let lost = rules.filter(|proof| proof["rule"] == "events-lost").count();
        ensure!(lost == 0, "a loss is reported, but nothing was lost: {finding:#}");
        Ok(())
    };
    judge().with_context(|| traced.said())
}

/// Every process that was alive a moment after the attach, or was born later, is in the tree.
fn expect_tree(log: &Log, facts: &Facts, root: u64) -> Result<()> {
    let of_root = log.of("process.snapshot").find(|line| number(line, "/pid") == Some(root));
    let attached = number(of_root.context("no snapshot of the root")?, "/boot_ns");
    let since = attached.context("no time")?.saturating_add(SETTLED_NS);
    let processes = log.processes();
    let must: Vec<u64> = facts
        .timed("gone")
        .filter(|(_, gone)| gone.is_some_and(|gone| gone > since))
        .map(|(pid, _)| pid)
        .collect();
    ensure!(must.len() > 50, "only {} processes after the attach", must.len());
    let missing: Vec<_> = must.iter().filter(|pid| !processes.contains(pid)).collect();
    ensure!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), must.len());
    Ok(())
}

/// kthreadd makes threads for a file system that is mounted and ends them after: no process did
/// that.
fn threads_of_the_kernel() -> Result<()> {
    let mut tracer = Job::forktrace(&["-a", "-q", "-o", "{log}", "-d", "8s"])?;
    until_attached(&mut tracer, &[std::process::id()])?;
    // Seen in a mount namespace that ends with it, so that nothing stays mounted.
    let mount = "set -e; truncate -s 8M \"$1/image\"; mkfs.ext4 -q -F \"$1/image\"; mkdir \"$1/at\"
        mount -o loop \"$1/image\" \"$1/at\"; cat /proc/[0-9]*/comm | grep jbd2; umount \"$1/at\"";
    let dir = tempfile::tempdir()?;
    let output = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", mount, "sh"])
        .arg(dir.path())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.contains("jbd2"), "no thread was made: {output:?}");
    let traced = tracer.wait(LIMIT)?;
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        log.expect_whole()?;
        let text = std::fs::read_to_string(traced.log())?;
        let told = text.lines().find(|line| line.contains("kthreadd") || line.contains("\"jbd2"));
        ensure!(told.is_none(), "a thread of the kernel is shown: {told:?}");
        Ok(())
    };
    judge().with_context(|| traced.said())
}

/// The fork happened before the attach: whatever is said, it is not called proven.
fn attach_late() -> Result<()> {
    let command = workload::command(IN_C.program, IN_C.args)?;
    let mut job = Job::start(&command, &[])?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    std::thread::sleep(Duration::from_millis(500));
    let traced = Job::forktrace(&arguments(Target::Pid, &[job.pid()]))?.wait(LIMIT)?;
    job.wait(LIMIT)?.expect_code(0)?;
    let judge = |traced: &Ended| -> Result<()> {
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        log.expect_whole()?;
        let proven = |line: &&Value| line.get("confidence").is_some_and(|it| it == "certain");
        ensure!(!log.findings().iter().any(proven), "{:#?}", log.findings());
        Ok(())
    };
    judge(&traced).with_context(|| traced.said())
}

/// One answer, and no line of what happened meanwhile.
fn dump() -> Result<()> {
    let args = ["normal", "thread", "keep", "single", "20"];
    let mut job = Job::start(&workload::command(IN_C.program, &args)?, &[])?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    let traced = Job::forktrace(&["dump", "-p", &job.pid().to_string()])?.wait(LIMIT)?;
    ensure!(!job.has_ended()?, "the answer came only when the process had ended");
    let judge = |traced: &Ended| -> Result<()> {
        traced.expect_code(0)?;
        let found =
            traced.stdout.starts_with("HANG ") && traced.stdout.contains("on an inherited lock");
        ensure!(found, "no answer");
        Ok(())
    };
    judge(&traced).with_context(|| traced.said())
}
