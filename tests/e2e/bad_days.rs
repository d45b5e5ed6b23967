//! The tracer killed under load, processes that are gone before anybody looks, zombies, namespaces.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::{Hang, Truth},
    log::{Log, number},
    run::{Ended, Job},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::check;

const LIMIT: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(20);
/// How long the kernel may take to free what nobody has open any more.
const FREED: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc];
    let killed = [Need::Tracing, Need::Cc, Need::Bpftool];
    let unshare = [Need::Tracing, Need::Cc, Need::Unshare];
    vec![
        trial("bad_day_killed_under_load_plain_log", &killed, || {
            killed_under_load("log.jsonl", &[])
        }),
        trial("bad_day_killed_under_load_compressed", &killed, || {
            killed_under_load("log.jsonl.zst", &[])
        }),
        trial("bad_day_killed_under_load_with_lock_probes", &killed, || {
            killed_under_load("log.jsonl", &["--locks"])
        }),
        trial("bad_day_gone_before_the_look_at_proc", &needs, gone_at_once),
        trial("bad_day_zombies", &needs, zombies),
        trial("bad_day_nested_pid_namespaces", &unshare, nested_namespaces),
        trial("bad_day_filter_by_cgroup_v2", &[Need::Tracing, Need::Cc, Need::Cgroup2], by_cgroup),
    ]
}

/// Nothing of a killed tracer is left in the kernel, the traced programs go on, what was flushed can
/// be read, and the next tracer works.
fn killed_under_load(name: &str, flags: &[&str]) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("forktrace-killed-").tempdir()?;
    let log = folder.path().join(name);
    let mut load = Job::start(&workload::command("busy_tree.c", &["40"])?, &[])?;
    load.until("ready", START, |job| job.stdout().contains("ready="))?;
    let (pid, path) = (load.pid().to_string(), log.display().to_string());
    let mut tracer = Job::forktrace(&[flags, &["-o", &path, "-p", &pid]].concat())?;
    tracer.until("forks are seen", START, |job| job.stdout().matches(" fork ").count() > 50)?;
    // Handed to the operating system once a second: at least what has been there for two.
    std::thread::sleep(Duration::from_millis(2500));
    let objects = Objects::of(tracer.pid())?;
    ensure!(objects.0.len() > 20, "only {} objects of eBPF: {objects:?}", objects.0.len());
    tracer.signal(Signal::SIGKILL)?;
    tracer.wait(LIMIT)?.expect_code(137)?;
    objects.until_freed()?;
    no_probe_of_ours()?;
    let read = Job::forktrace(&["report", "--json", &path])?.wait(LIMIT)?;
    let cut = |ended: &Ended| -> Result<()> {
        ended.expect_code(0)?;
        ensure!(ended.stderr.contains("cut off"), "it does not say that the log is cut");
        let forks = Log::parse(&ended.stdout)?.of("process.fork").count();
        ensure!(forks > 50, "only {forks} forks can be read");
        Ok(())
    };
    cut(&read).with_context(|| read.said())?;
    let again = ["-q", "-d", "1s", "-o", "{log}", "-p", &pid];
    let again = Job::forktrace(&[flags, &again].concat())?.wait(LIMIT)?;
    again.expect_code(0)?;
    let log = Log::read(&again.log())?;
    log.expect_whole()?;
    ensure!(log.children().len() > 10, "the second tracer sees nothing\n{}", again.said());
    let load = load.wait(LIMIT)?;
    load.expect_code(0)?;
    let facts = Facts::read(&load.stdout);
    let (born, gone): (BTreeSet<u64>, BTreeSet<u64>) =
        (facts.all("born").collect(), facts.all("gone").collect());
    ensure!(born == gone && born.len() > 100, "the traced programs were disturbed");
    Ok(())
}

/// What of eBPF a process has open: kind and id, as `fdinfo` tells them (`kernel/bpf/syscall.c`,
/// Linux 6.18).
#[derive(Debug)]
struct Objects(BTreeSet<(&'static str, u64)>);

impl Objects {
    fn of(pid: u32) -> Result<Self> {
        let mut objects = BTreeSet::new();
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            for (kind, name) in [("map", "map_id:"), ("prog", "prog_id:"), ("link", "link_id:")] {
                let value = text.lines().find_map(|line| line.strip_prefix(name));
                objects.extend(value.and_then(|id| Some((kind, id.trim().parse().ok()?))));
            }
        }
        Ok(Objects(objects))
    }

    fn until_freed(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let alive: Vec<_> = self.0.iter().filter(|(kind, id)| exists(kind, *id)).collect();
            if alive.is_empty() {
                return Ok(());
            }
            ensure!(start.elapsed() < FREED, "still in the kernel: {alive:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn exists(kind: &str, id: u64) -> bool {
    let output = Command::new("bpftool").args([kind, "show", "id", &id.to_string()]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Probes are the tracer's own descriptors, and no entries in a list that would stay.
fn no_probe_of_ours() -> Result<()> {
    for file in ["/sys/kernel/tracing/uprobe_events", "/sys/kernel/debug/tracing/uprobe_events"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        ensure!(!text.contains("forktrace"), "{file}: {text}");
    }
    Ok(())
}

/// Whom a process belongs to is asked of `/proc`. Most of these are gone by then, and belong to the
/// user of the one that made them.
fn gone_at_once() -> Result<()> {
    let command = workload::command("quick_forks.c", &["3000"])?;
    let options = ["-q", "-u", "0", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    let ended = Job::forktrace(&[options, command].concat())?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let log = Log::read(&ended.log())?;
        log.expect_whole()?;
        log.expect_all_ended()?;
        let facts = Facts::read(&ended.stdout);
        let children = log.children();
        ensure!(children.len() as u64 == facts.one("forks")?, "{} forks", children.len());
        ensure!(children.iter().sum::<u64>() == facts.one("pidsum")?, "other children");
        Ok(())
    };
    judge().with_context(|| ended.said())
}

/// Children that nobody waits for have ended all the same, and a process whose first thread has
/// ended has not: live, after the fact, and where a zombie is all that was asked for.
fn zombies() -> Result<()> {
    let command = workload::command("zombies.c", &["20", "12"])?;
    let live = [&["-o", "{log}", "--"].map(str::to_owned)[..], &command].concat();
    let live = Job::forktrace(&live)?.wait(LIMIT)?;
    of_zombies(&live, &Facts::read(&live.stdout), "certain").with_context(|| live.said())?;

    let mut job = Job::start(&command, &[])?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    let pid = job.pid().to_string();
    let mut late = Job::forktrace(&["--suspects", "-o", "{log}", "-p", &pid])?;
    late.until("found", LIMIT, |job| job.log_text().contains("\"type\":\"finding\""))?;
    let facts = Facts::read(&job.stdout());
    let zombie = facts.all("zombie").next().context("no zombie")?.to_string();
    let refused = Job::forktrace(&["-p", &zombie])?.wait(LIMIT)?;
    refused.expect_code(4)?;
    late.signal(Signal::SIGINT)?;
    let late = late.wait(LIMIT)?;
    drop(job);
    let log = Log::read(&late.log())?;
    let alive: BTreeSet<u64> =
        log.of("process.snapshot").filter_map(|line| number(line, "/pid")).collect();
    let zombies: Vec<u64> = facts.all("zombie").filter(|pid| alive.contains(pid)).collect();
    ensure!(zombies.is_empty(), "{zombies:?} are taken for alive\n{}", late.said());
    // Under the number of a process whose first thread has ended, `/proc` shows no memory.
    of_zombies(&late, &facts, "likely").with_context(|| late.said())
}

fn of_zombies(ended: &Ended, facts: &Facts, confidence: &str) -> Result<()> {
    ended.expect_code(0)?;
    let log = Log::read(&ended.log())?;
    let findings = log.findings();
    let [finding] = findings.as_slice() else { anyhow::bail!("not one: {findings:#?}") };
    ensure!(number(finding, "/pid") == Some(facts.one("stuck")?), "{finding:#}");
    ensure!(finding.get("confidence").is_some_and(|sure| sure == confidence), "{finding:#}");
    let holder = number(finding, "/holder/tid");
    ensure!(holder.is_none_or(|tid| facts.all("holder").any(|it| it == tid)), "{finding:#}");
    let tree = ended.stdout.lines().filter(|line| line.contains("zombies["));
    let running = tree.filter(|line| line.contains("still running")).count();
    ensure!(running <= 2, "{running} processes are said to run");
    Ok(())
}

/// Two pid namespaces, one in the other: ids are the host's, and the innermost is shown beside them.
fn nested_namespaces() -> Result<()> {
    let mut args: Vec<String> = ["-q", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    for _ in 0..2 {
        args.extend(["unshare", "--pid", "--fork"].map(str::to_owned));
    }
    let mutex = ["errorcheck", "thread", "keep", "single", "5"];
    args.extend(workload::command("inherited_mutex.c", &mutex)?);
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let log = Log::read(&ended.log())?;
        log.expect_whole()?;
        let facts = Facts::read(&ended.stdout);
        let finding = check::one_finding(&log, None)?;
        let pid = number(finding, "/pid").context("no pid")?;
        ensure!(number(finding, "/ns_pid") == Some(facts.one("stuck")?), "{finding:#}");
        ensure!(pid > 10 && log.children().contains(&pid), "not the host's pid: {finding:#}");
        let forker = number(finding, "/fork/by_pid").context("no parent")?;
        ensure!(log.children().contains(&forker), "not the host's pid: {finding:#}");
        let named = finding
            .get("holder")
            .is_none_or(|holder| holder.is_null() || number(holder, "/pid") == Some(forker));
        ensure!(named, "the holder is not the parent's thread: {finding:#}");
        ensure!(finding.get("confidence").is_some_and(|sure| sure != "suspect"), "{finding:#}");
        Ok(())
    };
    judge().with_context(|| ended.said())
}

/// A cgroup of its own, removed in any case.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Result<Self> {
        let root = forktrace_tests::cgroup2().context("no cgroup2")?;
        let path = root.join(format!("forktrace-test-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Cgroup(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It is empty once the job has ended.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Only what was moved into a cgroup of version 2 is wanted, and what it forks.
fn by_cgroup() -> Result<()> {
    let cgroup = Cgroup::new()?;
    let own = cgroup.path().file_name().context("no name")?.to_string_lossy().into_owned();
    let script = "/bin/true; sh -c 'echo $$ > \"$0/cgroup.procs\"; exec \"$@\"' \"$@\"; /bin/true";
    let mut args: Vec<String> =
        ["-q", "--cgroup", &format!("/{own}"), "-o", "{log}", "--", "sh", "-c", script, "sh"]
            .map(str::to_owned)
            .to_vec();
    args.push(cgroup.path().display().to_string());
    let mutex = ["normal", "thread", "keep", "single", "6"];
    args.extend(workload::command("inherited_mutex.c", &mutex)?);
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let log = Log::read(&ended.log())?;
        let facts = Facts::read(&ended.stdout);
        let finding = check::one_finding(&log, None)?;
        check::hang(finding, Truth::Inherited(Hang::MUTEX), &facts, "inherited_mutex.c")?;
        let names: BTreeSet<&str> =
            log.of("process.exit").filter_map(|line| line["comm"].as_str()).collect();
        ensure!(names == BTreeSet::from(["inherited_mutex"]), "others too: {names:?}");
        Ok(())
    };
    judge().with_context(|| ended.said())
}
