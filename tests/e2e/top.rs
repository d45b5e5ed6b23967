//! `forktrace top` without a screen, beside a process that hangs and one that does not.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    run::{Ended, Job},
    trial, workload,
};
use libtest_mimic::Trial;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
/// How long a workload may take to get going.
const START: Duration = Duration::from_secs(15);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("top_of_a_hang", &[Need::Tracing, Need::Cc], hang),
        trial("top_of_what_sleeps", &[Need::Tracing], sleeps),
    ]
}

/// The state that one table shows of a process and its children.
fn processes(pid: u32, also: &[&str]) -> Result<(Ended, Vec<Value>)> {
    let pid = pid.to_string();
    let args = [&["top", "-p", &pid, "-b", "-n", "1"], also].concat();
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    ended.expect_code(0).with_context(|| ended.said())?;
    let state: Value = serde_json::from_str(&ended.stdout).with_context(|| ended.said())?;
    let processes = state["processes"].as_array().cloned().unwrap_or_default();
    Ok((ended, processes))
}

fn hang() -> Result<()> {
    let args = ["normal", "thread", "keep", "single", "20"];
    let mut job = Job::start(&workload::command("inherited_mutex.c", &args)?, &[])?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    let (ended, processes) = processes(job.pid(), &["--json"])?;
    ensure!(!job.has_ended()?, "the table came only when the process had ended");
    let hanging: Vec<&Value> =
        processes.iter().filter(|process| process["state"] == "HANGS").collect();
    let [child] = hanging.as_slice() else {
        return Err(anyhow::anyhow!("{} hang", hanging.len())).with_context(|| ended.said());
    };
    let pid = u64::from(job.pid());
    ensure!(child["ppid"] == pid, "it is no child of {pid}: {child}");
    ensure!(child["findings"][0]["kind"] == "inherited-lock", "{child}");
    ensure!(child["findings"][0]["confidence"] != "suspect", "{child}");
    // The one that forked it is above it, and does not hang.
    let parent = processes.iter().find(|process| process["pid"] == pid);
    ensure!(parent.is_some_and(|parent| parent["findings"] == Value::Array(Vec::new())));
    Ok(())
}

fn sleeps() -> Result<()> {
    let job = Job::start(&["sleep".to_owned(), "30".to_owned()], &[])?;
    let (ended, processes) = processes(job.pid(), &["--json", "--suspects"])?;
    let [process] = processes.as_slice() else {
        return Err(anyhow::anyhow!("not one process")).with_context(|| ended.said());
    };
    ensure!(process["state"] == "lives", "{process}");
    ensure!(process["waits_not_judged"] == 0, "{process}");
    Ok(())
}
