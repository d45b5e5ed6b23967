//! Bad days of a whole machine, one that was made for this: its clock is set, its kernel locked down.
//! `cargo xtask test --vm` makes such machines, and names the tests for each.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::{Hang, Truth},
    log::Log,
    run::{Ended, Job},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime, clock_settime},
};
use serde_json::Value;

use crate::{check, doctor};

const LIMIT: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(15);
const PROGRAM: &str = "inherited_mutex.c";
const HANGS: [&str; 5] = ["normal", "thread", "keep", "single", "4"];

pub(crate) fn trials() -> Vec<Trial> {
    if !forktrace_tests::machine_is_ours() {
        return Vec::new();
    }
    let needs = [Need::Tracing, Need::Cc];
    vec![
        trial("vm_clock_set_forward", &needs, || clock_set(86_400)),
        trial("vm_clock_set_back", &needs, || clock_set(-86_400)),
        trial("vm_cgroup_v2", &needs, || in_a_cgroup("/sys/fs/cgroup/unified", "")),
        trial("vm_cgroup_v1", &needs, || in_a_cgroup("/tmp/cgroup-v1", "none,name=systemd")),
        trial("vm_doctor_little_locked_memory", &[Need::Root, Need::Setpriv], locked_memory),
        trial("vm_doctor_without_btf", &needs, || limited(&["btf", "registers"])),
        trial("vm_doctor_perf_closed_to_four", &[Need::Tracing, Need::Setpriv], perf_closed),
        trial("vm_doctor_lockdown_of_integrity", &needs, integrity),
        trial("vm_doctor_restricted_ptrace", &[Need::Tracing, Need::Setpriv], restricted_ptrace),
        // Nothing can be traced here, and that is what is asked.
        trial("vm_doctor_locked_down", &[Need::Root], locked_down),
        trial("vm_doctor_memory_closed_to_all", &[Need::Root], memory_closed),
    ]
}

fn hang() -> Result<Job> {
    let mut args = ["-q", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    args.extend(workload::command(PROGRAM, &HANGS)?);
    Job::forktrace(&args)
}

fn found(ended: &Ended) -> Result<()> {
    let log = Log::read(&ended.log())?;
    log.expect_whole()?;
    let finding = check::one_finding(&log, None)?;
    check::hang(finding, Truth::Inherited(Hang::MUTEX), &Facts::read(&ended.stdout), PROGRAM)?;
    ensure!(finding["confidence"] == "certain", "{finding:#}");
    check::report(ended, &log)
}

/// The wall clock is set while a child hangs. How long it has waited comes from another clock.
fn clock_set(seconds: i64) -> Result<()> {
    let mut job = hang()?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(now.tv_sec() + seconds, 0))?;
    let ended = job.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        found(&ended)
    };
    judge().with_context(|| ended.said())
}

/// A filter by cgroup lets through what is in it, and nothing else, in either version.
fn in_a_cgroup(mount: &str, v1: &str) -> Result<()> {
    if !v1.is_empty() {
        fs::create_dir_all(mount)?;
        let mounted = Job::start(
            &["mount", "-t", "cgroup", "-o", v1, "cgroup", mount].map(str::to_owned),
            &[],
        )?;
        mounted.wait(LIMIT)?.expect_code(0)?;
    }
    let group = Path::new(mount).join("forktrace-test");
    fs::create_dir_all(&group)?;
    let command = workload::command(PROGRAM, &HANGS)?.join(" ");
    // The second one is outside of the group.
    let script =
        format!("(echo 0 > {}/cgroup.procs; {command}) & {command}; wait", group.display());
    let args = ["-q", "-o", "{log}", "--cgroup", "/forktrace-test", "--", "sh", "-c", &script];
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let log = Log::read(&ended.log())?;
        log.expect_whole()?;
        let stuck = Facts::read(&ended.stdout).all("stuck").count();
        ensure!(stuck == 2, "{stuck} children hang, not two");
        check::one_finding(&log, None).map(drop)
    };
    judge().with_context(|| ended.said())
}

fn status(checks: &[Value], name: &str) -> Result<String> {
    Ok(doctor::named(checks, name)?["status"].as_str().unwrap_or_default().to_owned())
}

/// Kernels before 5.11 count maps as locked memory.
fn locked_memory() -> Result<()> {
    let shell = "ulimit -l 64; exec setpriv --bounding-set=-sys_resource {forktrace}";
    let ended = doctor::run(shell, "doctor --json")?;
    let judge = || -> Result<()> {
        let checks = doctor::checks(&ended)?;
        let counts = fs::read_to_string("/proc/sys/kernel/osrelease")?.starts_with("5.10.");
        let wanted = if counts { ("limited", "missing", 3) } else { ("ok", "ok", 0) };
        let found = (status(&checks, "memory-lock")?, status(&checks, "program-load")?);
        ensure!((found.0.as_str(), found.1.as_str(), ended.code) == wanted, "{found:?}");
        let trace = doctor::run(shell, "-q -- true")?;
        trace.expect_code(wanted.2)?;
        let check = doctor::named(&checks, "memory-lock")?;
        let told =
            |field: &str| check[field].as_str().is_some_and(|words| trace.stderr.contains(words));
        ensure!(
            !counts || told("detail") && told("remedy") && trace.stderr.lines().count() == 1,
            "a trace blames something else\n{}",
            trace.said()
        );
        // Root as it usually is lifts the limit.
        doctor::run("ulimit -l 64; exec {forktrace}", "-q -- true")?.expect_code(0)
    };
    judge().with_context(|| ended.said())
}

fn limited(names: &[&str]) -> Result<()> {
    let ended = doctor::run("exec {forktrace}", "doctor --json")?;
    ended.expect_code(0)?;
    let checks = doctor::checks(&ended)?;
    for name in names {
        let status = status(&checks, name)?;
        ensure!(status == "limited", "{name} is {status}\n{}", ended.said());
    }
    Ok(())
}

/// As Debian has it: the four capabilities are not enough, and the message names what would be.
fn perf_closed() -> Result<()> {
    let level: u32 = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")?.trim().parse()?;
    ensure!(level >= 3, "kernel.perf_event_paranoid is {level}: the test would not test");
    let four = "+bpf,+perfmon,+sys_ptrace,+dac_read_search";
    let shell = format!(
        "ulimit -l unlimited; exec setpriv --reuid=61234 --regid=61234 --clear-groups \
         --inh-caps=-all,{four} --ambient-caps=-all,{four} --bounding-set=-all,{four} {{forktrace}}"
    );
    let ended = doctor::run(&shell, "doctor --json")?;
    ended.expect_code(0)?;
    let checks = doctor::checks(&ended)?;
    let exact = doctor::named(&checks, "exact-load")?;
    let told = exact["remedy"].as_str().is_some_and(|told| told.contains("perf_event_paranoid=2"));
    ensure!(exact["status"] == "limited" && told, "{exact}");
    doctor::run(&shell, "-q -- true")?.expect_code(0)?;
    let trace = doctor::run(&shell, "-q --exact -- true")?;
    trace.expect_code(3)?;
    ensure!(trace.stderr.contains("perf_event_paranoid=2"), "{}", trace.said());
    Ok(())
}

/// The kernel is locked down as with Secure Boot, which is reported and costs nothing.
fn integrity() -> Result<()> {
    let ended = doctor::run("exec {forktrace}", "doctor --json")?;
    ended.expect_code(0)?;
    let checks = doctor::checks(&ended)?;
    let lockdown = doctor::named(&checks, "lockdown")?;
    ensure!(lockdown["status"] == "ok" && lockdown["detail"] == "integrity", "{lockdown}");
    Ok(())
}

/// The kernel is locked down wholly: its programs are refused, and tracing names the cause.
fn locked_down() -> Result<()> {
    let ended = doctor::run("exec {forktrace}", "doctor --json")?;
    ended.expect_code(3)?;
    let checks = doctor::checks(&ended)?;
    for name in ["lockdown", "program-load"] {
        let status = status(&checks, name)?;
        ensure!(status == "missing", "{name} is {status}\n{}", ended.said());
    }
    let trace = doctor::run("exec {forktrace}", "-q -- true")?;
    trace.expect_code(3)?;
    ensure!(trace.stderr.contains("lockdown"), "the cause is not named\n{}", trace.said());
    Ok(())
}

/// `kernel.yama.ptrace_scope` is 2: a capability stands above it.
fn restricted_ptrace() -> Result<()> {
    for (shell, wanted) in [
        ("exec {forktrace}", "ok"),
        ("exec setpriv --bounding-set=-sys_ptrace {forktrace}", "limited"),
    ] {
        let ended = doctor::run(shell, "doctor --json")?;
        let status = status(&doctor::checks(&ended)?, "ptrace-scope")?;
        ensure!(status == wanted, "ptrace-scope is {status}\n{}", ended.said());
    }
    Ok(())
}

/// `kernel.yama.ptrace_scope` is 3.
fn memory_closed() -> Result<()> {
    let ended = doctor::run("exec {forktrace}", "doctor --json")?;
    ended.expect_code(3)?;
    let checks = doctor::checks(&ended)?;
    for name in ["ptrace-scope", "process-memory"] {
        let status = status(&checks, name)?;
        ensure!(status == "missing", "{name} is {status}\n{}", ended.said());
    }
    // A trace would find nothing, and look clean.
    for arguments in ["-q -- true", "-a -d 1s", "-p 1 -d 1s", "demo copied-state"] {
        let trace = doctor::run("exec {forktrace}", arguments)?;
        trace.expect_code(3)?;
        let said = trace.stderr.lines().count() == 1 && trace.stderr.contains("ptrace_scope is 3");
        ensure!(said && trace.stdout.is_empty(), "{arguments}\n{}", trace.said());
    }
    Ok(())
}
