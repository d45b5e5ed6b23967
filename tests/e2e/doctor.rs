//! `forktrace doctor` agrees with what tracing then does, and says why.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    run::{Ended, Job},
    trial,
};
use libtest_mimic::Trial;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Where it runs: a name, what it needs, the command that makes it so, in which `{forktrace}` stands
/// for forktrace with its arguments, and the check that must be missing, with words of its line.
type Place = (&'static str, &'static [Need], &'static str, &'static str, &'static [&'static str]);

static PLACES: &[Place] = &[
    (
        "doctor_without_privilege",
        &[Need::Root, Need::Setpriv],
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
         --bounding-set=-all {forktrace}",
        "capabilities",
        &["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "sudo"],
    ),
    (
        "doctor_in_a_container",
        &[Need::Tracing, Need::Unshare],
        "exec unshare --pid --fork {forktrace}",
        "pid-namespace",
        &["--pid=host"],
    ),
    (
        "doctor_in_a_user_namespace",
        &[Need::Tracing, Need::Unshare],
        "exec unshare --user --map-root-user {forktrace}",
        "capabilities",
        &["user namespace"],
    ),
    (
        "doctor_with_few_open_files",
        &[Need::Tracing],
        "ulimit -n 40; exec {forktrace}",
        "open-files",
        &["ulimit -n 128"],
    ),
    (
        "doctor_where_tracefs_cannot_be_mounted",
        &[Need::Tracing, Need::Unshare, Need::Setpriv],
        "exec unshare -m sh -c 'umount -q -R /sys/kernel/debug; umount -q /sys/kernel/tracing; \
         exec setpriv --bounding-set=-sys_admin {forktrace}'",
        "tracefs",
        &["not mounted", "mount -t tracefs"],
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let place = |place: &'static Place| trial(place.0, place.1, || cannot_trace(place));
    let mut trials: Vec<Trial> = PLACES.iter().map(place).collect();
    trials.extend([
        trial("doctor_of_a_host_that_traces", &[Need::Tracing], traces),
        trial("doctor_without_tracefs", &[Need::Tracing, Need::Unshare], without_tracefs),
    ]);
    trials
}

pub(crate) fn run(shell: &str, arguments: &str) -> Result<Ended> {
    let tracer = forktrace_tests::forktrace()?.display();
    let line = shell.replace("{forktrace}", &format!("{tracer} {arguments}"));
    Job::start(&["sh", "-c", &line].map(str::to_owned), &[])?.wait(LIMIT)
}

/// The checks in what `--json` printed: each with its four fields, and a remedy if it is not well.
pub(crate) fn checks(ended: &Ended) -> Result<Vec<Value>> {
    let answer: Value = serde_json::from_str(&ended.stdout).with_context(|| ended.said())?;
    let checks = answer.get("checks").and_then(Value::as_array).context("no checks")?.clone();
    let mut names = BTreeSet::new();
    for check in &checks {
        let fields: Vec<&str> = ["name", "status", "detail", "remedy"]
            .iter()
            .filter_map(|f| check[*f].as_str())
            .collect();
        let [name, status, detail, remedy] = fields.as_slice() else {
            anyhow::bail!("a field is missing in {check}");
        };
        ensure!(["ok", "limited", "missing"].contains(status), "{check}");
        ensure!(!detail.is_empty() && remedy.is_empty() == (*status == "ok"), "{check}");
        ensure!(names.insert((*name).to_owned()), "{name} is there twice");
    }
    Ok(checks)
}

pub(crate) fn named<'a>(checks: &'a [Value], name: &str) -> Result<&'a Value> {
    checks.iter().find(|check| check["name"] == name).with_context(|| format!("no check {name}"))
}

/// It exits as tracing does, and the cause is in its place.
fn cannot_trace((_, _, shell, name, words): &Place) -> Result<()> {
    let trace = run(shell, "-q -- true")?;
    trace.expect_code(3).context("tracing")?;
    ensure!(trace.stderr.lines().count() == 1, "{}", trace.said());
    let ended = run(shell, "doctor --json")?;
    ended.expect_code(3)?;
    ensure!(ended.stderr.is_empty(), "{}", ended.said());
    let check = named(&checks(&ended)?, name)?.clone();
    ensure!(check["status"] == "missing", "{check}");
    for word in *words {
        ensure!(check.to_string().contains(word), "{word:?} is not in {check}");
        ensure!(trace.stderr.contains(word), "{word:?} is not told by a trace\n{}", trace.said());
    }
    let text = run(shell, "doctor")?;
    text.expect_code(3)?;
    ensure!(text.stdout.lines().all(|line| line.chars().count() <= 80), "{}", text.said());
    let line = text.stdout.lines().find(|line| line.starts_with(&format!("missing  {name} ")));
    ensure!(line.is_some(), "{}", text.said());
    ensure!(text.stdout.contains("Cannot trace: "), "{}", text.said());
    Ok(())
}

/// What may be lost on a host where every end-to-end test can run.
const MAY_BE_LIMITED: [&str; 9] = [
    "file-locks",
    "socket-uses",
    "btf",
    "registers",
    "uprobes",
    "page-faults",
    "process-memory",
    "kpageflags",
    "memory-lock",
];

fn traces() -> Result<()> {
    let ended = run("exec {forktrace}", "doctor --json")?;
    ended.expect_code(0)?;
    let checks = checks(&ended)?;
    for check in checks.iter().filter(|check| check["status"] != "ok") {
        let name = check["name"].as_str().unwrap_or_default();
        ensure!(check["status"] == "limited" && MAY_BE_LIMITED.contains(&name), "{check}");
    }
    // The offsets are those that a trace uses.
    let trace = Job::forktrace(&["--json", "--", "true"])?.wait(LIMIT)?;
    trace.expect_code(0)?;
    let start = trace.stdout.lines().next().context("no first line")?;
    let start: Value = serde_json::from_str(start)?;
    let used = &start["offsets"]["sched/sched_process_fork.child_pid"];
    let told = &named(&checks, "sched_process_fork")?["detail"];
    ensure!(*told == format!("child_pid at {used}"), "{told} instead of {used}");
    let text = run("exec {forktrace}", "doctor --color always")?;
    text.expect_code(0)?;
    ensure!(
        text.stdout.contains("\u{1b}[") && text.stdout.contains("can be traced"),
        "{}",
        text.said()
    );
    Ok(())
}

/// Root has it mounted for a moment, in a mount namespace of its own: nobody else sees it.
fn without_tracefs() -> Result<()> {
    let shell = "exec unshare -m sh -c 'umount -q -R /sys/kernel/debug; umount -q \
                 /sys/kernel/tracing; {forktrace}; code=$?; ls /sys/kernel/tracing >&2; exit $code'";
    let ended = run(shell, "doctor --json")?;
    ended.expect_code(0)?;
    ensure!(ended.stderr.is_empty(), "it stayed mounted\n{}", ended.said());
    let checks = checks(&ended)?;
    let tracefs = named(&checks, "tracefs")?;
    ensure!(tracefs["detail"].as_str().is_some_and(|d| d.starts_with("not mounted;")), "{tracefs}");
    ensure!(named(&checks, "program-load")?["status"] == "ok", "{}", ended.said());
    Ok(())
}
