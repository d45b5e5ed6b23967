//! As little privilege as can be: what each way of tracing needs, what is given up once it has begun,
//! and that nobody gets it from forktrace.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    log::Log,
    run::{Ended, Job},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::{check, doctor};

const LIMIT: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(15);
/// How long a workload hangs, s, under a tracer that ends with it.
const HANGS: &str = "6";
/// The same until it is ended.
const HANGS_LONG: &str = "60";
/// The capabilities that tracing needs.
const FOUR: [&str; 4] = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"];
/// A user without any right, who belongs to no other test.
const USER: u32 = 61234;

/// Numbers of capabilities (`include/uapi/linux/capability.h`).
mod bit {
    pub(super) const CHOWN: u64 = 1;
    pub(super) const DAC_OVERRIDE: u64 = 1 << 1;
    pub(super) const DAC_READ_SEARCH: u64 = 1 << 2;
    pub(super) const FOWNER: u64 = 1 << 3;
    pub(super) const SYS_PTRACE: u64 = 1 << 19;
    pub(super) const SYS_ADMIN: u64 = 1 << 21;
    pub(super) const SYS_NICE: u64 = 1 << 23;
    pub(super) const PERFMON: u64 = 1 << 38;
    pub(super) const BPF: u64 = 1 << 39;
    pub(super) const CHECKPOINT_RESTORE: u64 = 1 << 40;
}

/// What is kept whatever is traced; some kernels need more of it than others.
const READING: u64 = bit::SYS_PTRACE | bit::DAC_READ_SEARCH | bit::SYS_NICE;
const BY_KERNEL: u64 = bit::BPF | bit::CHECKPOINT_RESTORE;
const LATE: u64 = bit::SYS_ADMIN;
const LOCKS: u64 = bit::SYS_ADMIN | bit::PERFMON | bit::BPF;
const FILES: u64 = bit::CHOWN | bit::DAC_OVERRIDE | bit::FOWNER;

/// Ways of tracing, as arguments after which a command or `-p` comes, and what is kept for each.
static KEPT: &[(&str, &[&str], bool, u64)] = &[
    ("privilege_kept_for_a_command", &[], true, 0),
    ("privilege_kept_for_a_log", &["-o", "{log}"], true, 0),
    ("privilege_kept_for_new_logs", &["-o", "{log}", "--rotate-size", "10M"], true, FILES),
    ("privilege_kept_for_locks", &["--locks"], true, LOCKS),
    ("privilege_kept_for_a_process", &[], false, LATE),
];

pub(crate) fn trials() -> Vec<Trial> {
    let four = [Need::Tracing, Need::Cc, Need::Setpriv, Need::Unshare];
    let kept = |(name, args, command, more): &'static (_, &[&str], bool, u64)| {
        trial(*name, &[Need::Tracing, Need::Cc], || kept(args, *command, *more))
    };
    let mut trials: Vec<Trial> = KEPT.iter().map(kept).collect();
    let lacking = |capability: &'static str| {
        trial(format!("privilege_without_{capability}"), &four, move || lacking(capability))
    };
    trials.extend(FOUR.map(lacking));
    trials.extend([
        trial("privilege_of_four_for_a_command", &four, four_for_a_command),
        trial("privilege_of_four_for_a_process", &four, || four_for_a_hang(true)),
        trial("privilege_of_four_for_the_host", &four, || four_for_a_hang(false)),
        trial("privilege_of_four_where_proc_hides", &four, four_where_proc_hides),
        trial("privilege_of_four_for_locks", &four, four_for_locks),
        trial("privilege_of_a_command_is_its_own", &[Need::Tracing, Need::Setpriv], inside),
        trial("privilege_by_setuid_is_refused", &[Need::Root, Need::Setpriv], setuid),
        trial("privilege_by_file_is_refused", &[Need::Root, Need::Setpriv, Need::Setcap], setcap),
        trial("log_of_somebody_else_is_refused", &[Need::Tracing], foreign_log),
        trial("log_is_no_device_pipe_or_link", &[Need::Tracing], other_logs),
    ]);
    trials
}

/// Where a user may see tracepoints.
const TRACEFS: &str =
    "{ mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing; }";

/// A shell line as a user with these capabilities alone, after what makes the place.
fn with(capabilities: &[&str], place: &str) -> Vec<String> {
    let set: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
    let setpriv = format!(
        "setpriv --reuid={USER} --regid={USER} --clear-groups --inh-caps=-all{set} \
         --ambient-caps=-all{set} --bounding-set=-all{set}"
    );
    // Before Linux 5.11 maps count as locked memory, and lifting that limit is another capability's.
    let line = format!("ulimit -l unlimited 2>/dev/null; {place} && exec {setpriv} \"$@\"");
    ["unshare", "-m", "sh", "-c", &line, "sh"].map(str::to_owned).to_vec()
}

fn traced_with<S: AsRef<str>>(capabilities: &[&str], args: &[S]) -> Result<Job> {
    traced_at(TRACEFS, capabilities, args)
}

fn traced_at<S: AsRef<str>>(place: &str, capabilities: &[&str], args: &[S]) -> Result<Job> {
    let mut command = with(capabilities, place);
    command.push(forktrace_tests::forktrace()?.display().to_string());
    command.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
    Job::start(&command, &[])
}

fn hanging(seconds: &str) -> Result<Vec<String>> {
    workload::command("inherited_mutex.c", &["normal", "thread", "keep", "single", seconds])
}

/// A hang that is there already, and its process.
fn old_hang() -> Result<(Job, u64)> {
    let mut job = Job::start(&hanging(HANGS_LONG)?, &[])?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    let stuck = Facts::read(&job.stdout()).one("stuck")?;
    Ok((job, stuck))
}

/// Lets a tracer find the hang of a process and ends it.
fn until_found(mut tracer: Job, stuck: u64) -> Result<Ended> {
    let block = format!("HANG  inherited_mutex[{stuck}]");
    tracer.until("found", LIMIT, |tracer| tracer.stdout().contains(&block))?;
    tracer.signal(Signal::SIGTERM)?;
    let ended = tracer.wait(LIMIT)?;
    ended.expect_code(0)?;
    Ok(ended)
}

/// The finding has the functions' names, too.
fn found(said: &str, sure: &str) -> Result<()> {
    let block = said.lines().skip_while(|line| !line.starts_with("HANG")).collect::<Vec<_>>();
    let (first, block) = (block.first().context("no hang was found")?, block.join("\n"));
    ensure!(first.ends_with(sure), "not {sure}: {first}");
    ensure!(block.contains("pthread_mutex_lock ← main"), "no names\n{block}");
    ensure!(block.contains("\"lock\" in"), "no name of the lock\n{block}");
    Ok(())
}

fn four_for_a_command() -> Result<()> {
    let mut args = ["-q", "--"].map(str::to_owned).to_vec();
    args.extend(hanging(HANGS)?);
    let ended = traced_with(&FOUR, &args)?.wait(LIMIT)?;
    ended.expect_code(0)?;
    found(&ended.stdout, "certain").with_context(|| ended.said())
}

/// In a process of root. What is recorded is the user's own.
fn four_for_a_hang(by_pid: bool) -> Result<()> {
    let (job, stuck) = old_hang()?;
    let folder = tempfile::tempdir()?;
    std::os::unix::fs::chown(folder.path(), Some(USER), Some(USER))?;
    let log = folder.path().join("log.jsonl").display().to_string();
    let pid = job.pid().to_string();
    let target: &[&str] = if by_pid { &["-p", &pid] } else { &["-a"] };
    let args = [&["-q", "-o", &log], target].concat();
    let ended = until_found(traced_with(&FOUR, &args)?, stuck)?;
    let judge = || -> Result<()> {
        let log = Log::read(Path::new(&log))?;
        let finding = check::one_finding(&log, Some(stuck))?;
        ensure!(finding["confidence"] == "likely", "{finding:#}");
        if by_pid {
            found(&ended.stdout, "likely")?;
        }
        Ok(())
    };
    judge().with_context(|| ended.said())
}

/// A `/proc` in which users see their own processes alone.
fn four_where_proc_hides() -> Result<()> {
    let (job, stuck) = old_hang()?;
    let place = format!("{TRACEFS} && mount -t proc -o hidepid=2 proc /proc");
    let args = ["-q", "-p", &job.pid().to_string()].map(str::to_owned);
    let ended = until_found(traced_at(&place, &FOUR, &args)?, stuck)?;
    found(&ended.stdout, "likely").with_context(|| ended.said())
}

/// Newer kernels ask for `CAP_SYS_ADMIN` (see `kernel/privilege.rs`).
fn four_for_locks() -> Result<()> {
    let ended = traced_with(&FOUR, &["-q", "--locks", "--", "true"])?.wait(LIMIT)?;
    match ended.code {
        3 => says(&ended, &["CAP_SYS_ADMIN", "--locks", "sudo"]),
        _ => ended.expect_code(0),
    }
}

/// One sentence on stderr with these words.
fn says(ended: &Ended, words: &[&str]) -> Result<()> {
    ensure!(ended.stderr.lines().count() == 1, "{}", ended.said());
    let missing = words.iter().find(|word| !ended.stderr.contains(**word));
    ensure!(missing.is_none(), "{missing:?} is not said\n{}", ended.said());
    Ok(())
}

fn lacking(capability: &str) -> Result<()> {
    let name = format!("CAP_{}", capability.to_uppercase());
    let ended = traced_with(&others_of(capability), &["-q", "--", "true"])?.wait(LIMIT)?;
    ended.expect_code(3)?;
    says(&ended, &[&name, "sudo"])?;
    let others = FOUR.into_iter().map(|other| format!("CAP_{}", other.to_uppercase()));
    for other in others.filter(|other| *other != name) {
        ensure!(!ended.stderr.contains(&other), "{other} is there\n{}", ended.said());
    }
    let asked = traced_with(&others_of(capability), &["doctor", "--json"])?.wait(LIMIT)?;
    asked.expect_code(3)?;
    let checks = doctor::checks(&asked)?;
    let check = doctor::named(&checks, "capabilities")?;
    let names_it = check["detail"].as_str().is_some_and(|detail| detail.contains(&name));
    ensure!(check["status"] == "missing" && names_it, "{check}");
    Ok(())
}

/// The four but for this one.
fn others_of(capability: &str) -> Vec<&'static str> {
    FOUR.into_iter().filter(|other| *other != capability).collect()
}

/// A field of `status` that is a number, by default in hexadecimal digits.
fn status(task: &str, field: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{task}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(u64::from_str_radix(line.with_context(|| format!("no {field}"))?.trim(), 16)?)
}

/// Every thread of forktrace has what it needs and no more, and the command what it would have.
fn kept(args: &[&str], command: bool, more: u64) -> Result<()> {
    let mut all = vec!["-q"];
    all.extend(args);
    let mut target = Job::start(&["sleep", "30"].map(str::to_owned), &[])?;
    let pid = target.pid().to_string();
    let script = "echo up; sleep 30";
    match command {
        true => all.extend(["--", "sh", "-c", script]),
        false => all.extend(["-d", "20s", "-o", "{log}", "-p", &pid]),
    }
    let mut tracer = Job::forktrace(&all)?;
    tracer.until("tracing", START, |tracer| match command {
        true => tracer.stdout().contains("up\n"),
        false => tracer.log_text().contains("process.snapshot"),
    })?;
    let own = status("self", "CapPrm")?;
    let wanted = (READING | more) & own;
    for task in fs::read_dir(format!("/proc/{}/task", tracer.pid()))? {
        let task = task?.path();
        let task = task.strip_prefix("/proc/")?.display().to_string();
        let permitted = status(&task, "CapPrm")?;
        let extra = permitted & !(wanted | BY_KERNEL);
        ensure!(permitted & wanted == wanted && extra == 0, "{task}: {permitted:x} for {wanted:x}");
        ensure!(status(&task, "CapEff")? == permitted, "{task}");
        ensure!(status(&task, "CapInh")? == 0 && status(&task, "CapAmb")? == 0, "{task}");
        ensure!(status(&task, "NoNewPrivs")? == 1, "{task}");
    }
    let traced = match command {
        true => children(tracer.pid())?.pop().context("no child")?,
        false => target.pid(),
    };
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"] {
        let (its, ours) = (status(&traced.to_string(), field)?, status("self", field)?);
        ensure!(its == ours, "{field} is {its:x} instead of {ours:x}");
    }
    target.until("alive", START, |_| true)
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// A traced command gains by a setuid program what it would gain untraced.
fn inside() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let id = folder.path().join("id");
    copy(Path::new("/usr/bin/id"), &id, 0o4755)?;
    let user = format!("--reuid={USER}");
    let id = id.display().to_string();
    let command = ["setpriv", &user, "--clear-groups", &id, "-u"].map(str::to_owned);
    let untraced = Job::start(&command, &[])?.wait(LIMIT)?;
    let mut args = ["-q", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    args.extend(command);
    let traced = Job::forktrace(&args)?.wait(LIMIT)?;
    traced.expect_code(0)?;
    ensure!(untraced.stdout == "0\n", "set-user-ID does nothing here\n{}", untraced.said());
    ensure!(traced.stdout.lines().next() == Some("0"), "{}", traced.said());
    Ok(())
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    workload::install(from, to, mode)?;
    let folder = to.parent().context("no folder")?;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?)
}

/// Runs a copy of forktrace as a user without any right.
fn as_user(copy: &Path, args: &[&str]) -> Result<Ended> {
    let copy = copy.display().to_string();
    let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
    let setpriv = ["setpriv", &user, &group, "--clear-groups", &copy];
    let command: Vec<String> = setpriv.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
    Job::start(&command, &[])?.wait(LIMIT)
}

fn refused(copy: &Path) -> Result<()> {
    for args in [&["--version"][..], &["-q", "--", "true"], &["report", "/etc/shadow"]] {
        let ended = as_user(copy, args)?;
        ended.expect_code(3)?;
        ensure!(ended.stdout.is_empty(), "{}", ended.said());
        says(&ended, &["setuid", "chmod ug-s", "setcap -r", "sudo"])?;
    }
    Ok(())
}

fn setuid() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("forktrace");
    let program = forktrace_tests::forktrace()?;
    for mode in [0o4755, 0o2755] {
        copy(program, &place, mode)?;
        refused(&place).with_context(|| format!("{mode:o}"))?;
    }
    copy(program, &place, 0o755)?;
    as_user(&place, &["--version"])?.expect_code(0)
}

fn setcap() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("forktrace");
    copy(forktrace_tests::forktrace()?, &place, 0o755)?;
    let set = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep";
    let done = Command::new("setcap").arg(set).arg(&place).status()?;
    ensure!(done.success(), "setcap: {done}");
    refused(&place)
}

/// Its owner could have it open already, and read what comes to it.
fn foreign_log() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log.jsonl");
    fs::write(&log, "theirs")?;
    std::os::unix::fs::chown(&log, Some(USER), Some(USER))?;
    let path = log.display().to_string();
    let ended = Job::forktrace(&["-q", "-o", &path, "--", "true"])?.wait(LIMIT)?;
    ended.expect_code(1)?;
    says(&ended, &["belongs to another user"])?;
    ensure!(fs::read_to_string(&log)? == "theirs", "it was written to");
    Ok(())
}

fn other_logs() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    fs::write(at("target"), "theirs")?;
    symlink(at("target"), at("link.jsonl"))?;
    symlink("/dev/null", at("null.jsonl"))?;
    nix::unistd::mkfifo(&at("pipe.jsonl"), nix::sys::stat::Mode::S_IRWXU)?;
    let cases = [
        ("link.jsonl", "symbolic link"),
        ("null.jsonl", "symbolic link"),
        ("pipe.jsonl", "not a regular file"),
    ];
    for (name, why) in cases {
        let path = at(name).display().to_string();
        let ended = Job::forktrace(&["-q", "-o", &path, "--", "true"])?.wait(LIMIT)?;
        ended.expect_code(1)?;
        says(&ended, &[why, "name another file"])?;
    }
    for device in ["/dev/null", "/dev/stdout"] {
        let ended = Job::forktrace(&["-q", "-o", device, "--", "true"])?.wait(LIMIT)?;
        ended.expect_code(2)?;
        says(&ended, &[".jsonl", "`-` is stdout"])?;
    }
    ensure!(fs::read_to_string(at("target"))? == "theirs", "a link was followed");
    Ok(())
}
