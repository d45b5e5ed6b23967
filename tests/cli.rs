//! What forktrace says when it cannot do what is asked: one sentence, and the right exit status.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{Need, conclude, run::Job, trial};
use libtest_mimic::Trial;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

/// Who runs it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Whoever runs the tests.
    Anybody,
    /// A user without any right.
    Nobody,
    /// Root, which may trace.
    Root,
}

/// A command line and what must come of it. In the arguments `{dir}` is the case's own folder, see
/// [`furnish`], and `{dead}` the pid of a process that has ended, `{alive}` that of one that runs.
struct Case {
    name: &'static str,
    who: Who,
    args: &'static [&'static str],
    code: i32,
    /// What stderr must have.
    says: &'static [&'static str],
}

const fn case(
    name: &'static str,
    who: Who,
    args: &'static [&'static str],
    code: i32,
    says: &'static [&'static str],
) -> Case {
    Case { name, who, args, code, says }
}

use Who::{Anybody, Nobody, Root};

#[rustfmt::skip]
static CASES: &[Case] = &[
    case("pid_is_zero", Anybody, &["-p", "0"], 2, &["0"]),
    case("pid_is_too_large", Anybody, &["-p", "99999999999999999999"], 2, &["99999999999999999999"]),
    case("ring_too_large", Anybody, &["--ring-size", "999999G", "-a"], 2, &["4K to 2G"]),
    case("dead_pid", Anybody, &["-p", "{dead}"], 4, &["{dead}"]),
    case("dead_pids_only", Anybody, &["-p", "{dead},2"], 4, &["cannot trace process"]),
    case("dead_pid_in_a_list", Root, &["-q", "-d", "500ms", "-p", "{alive},{dead}"], 0, &["{dead}", "the others are traced"]),
    case("report_with_escapes", Anybody, &["report", "{dir}/\x1b[31mred"], 1, &["\\x1b[31mred"]),
    case("flag_with_escapes", Anybody, &["-p", "\x1b[31mred"], 2, &["red"]),
    case("quiet_and_verbose", Root, &["-q", "-v", "--", "true"], 0, &[]),
    case("no_privilege", Nobody, &["--", "true"], 3, &["CAP_BPF", "CAP_PERFMON", "sudo"]),
    case("no_privilege_all", Nobody, &["-a"], 3, &["CAP_BPF", "sudo"]),
    case("no_privilege_demo", Nobody, &["demo", "spawn"], 3, &["CAP_BPF", "sudo"]),
    case("no_privilege_list", Nobody, &["demo"], 0, &[]),
    case("output_in_no_folder", Root, &["-o", "{dir}/none/log.jsonl", "--", "true"], 1, &["none/log.jsonl"]),
    case("output_is_a_folder", Root, &["-o", "{dir}/folder.jsonl", "--", "true"], 1, &["folder.jsonl", "it is a directory"]),
    case("output_is_a_link", Root, &["-o", "{dir}/link.jsonl", "--", "true"], 1, &["link.jsonl"]),
    case("output_of_unknown_compression", Anybody, &["-o", "{dir}/log.jsonl.gz", "-a"], 2, &["log.jsonl.gz", ".jsonl.zst"]),
    case("output_beside_earlier_parts", Root, &["-o", "{dir}/old.jsonl", "--rotate-size", "1M", "--", "true"], 1, &["old.3.jsonl", "another name"]),
    case("rotation_too_small", Anybody, &["-o", "{dir}/t.jsonl", "--rotate-size", "1K", "-a"], 2, &["64K to 1024G"]),
    case("filter_that_nothing_fits", Root, &["-d", "300ms", "--cgroup", "/no-such-group", "-a"], 4, &["no process is in cgroup /no-such-group", "mistyped"]),
    case("filter_that_nothing_fits_and_a_command", Root, &["--comm", "no-such-name", "--", "true"], 4, &["no process matched the filter (comm no-such-name)"]),
    case("filter_that_nothing_fits_and_a_failure", Root, &["--comm", "no-such-name", "--", "false"], 1, &[]),
    case("report_two_logs", Anybody, &["report", "{dir}/cut.jsonl", "{dir}/cut.jsonl"], 1, &["cut.jsonl", "complete log"]),
];

fn main() -> ExitCode {
    conclude(trials)
}

fn trials() -> Vec<Trial> {
    let of = |case: &'static Case| {
        let needs: &[Need] = match case.who {
            Anybody => &[],
            Nobody => &[Need::Root, Need::Setpriv],
            Root => &[Need::Tracing],
        };
        trial(case.name, needs, || run(case))
    };
    let mut trials: Vec<Trial> = CASES.iter().map(of).collect();
    trials.push(trial("link_target_untouched", &[Need::Tracing], link_target));
    trials.push(trial("pid_namespace", &[Need::Root, Need::Setpriv], pid_namespace));
    trials.push(trial("few_open_files", &[Need::Root], few_open_files));
    trials.push(trial("report_of_stdin", &[], report_of_stdin));
    trials.push(trial("exit_code_of_a_report", &[], exit_code_of_a_report));
    trials.push(trial("parquet_in_duckdb", &[Need::Reader("duckdb")], parquet_in_duckdb));
    trials.push(trial("perfetto_in_python", &[Need::Reader("perfetto")], perfetto_in_python));
    trials.push(trial("demo_list", &[], demo_list));
    trials.push(trial("version_and_help", &[], version_and_help));
    trials
}

/// The table of a recorded run, asked by DuckDB: the counts are the log's, and the three queries of
/// docs/export.md give the answers that the log has.
fn parquet_in_duckdb() -> Result<()> {
    let doc = in_project("docs/export.md");
    let read = |table: &Path, log: &Path| {
        let mut asking = Command::new(forktrace_tests::reading_python());
        asking.arg(in_project("tests/workloads/ask_parquet.py")).arg(table).arg(&doc).arg(log);
        asking
    };
    exported("parquet", read).map(drop)
}

/// The same as Perfetto's own messages: it has no field that they do not have, and says what it said
/// when it was looked at (`FORKTRACE_BLESS=1` records it).
fn perfetto_in_python() -> Result<()> {
    let read = |trace: &Path, log: &Path| {
        let mut reading = Command::new(forktrace_tests::reading_python());
        reading.arg(in_project("tests/workloads/read_perfetto.py")).arg(trace).arg(log);
        reading
    };
    let said = exported("perfetto", read)?;
    let recorded = in_project("forktrace/tests/golden/prefork.perfetto.txt");
    if std::env::var_os("FORKTRACE_BLESS").is_some() {
        fs::write(&recorded, &said)?;
    }
    ensure!(said == fs::read_to_string(&recorded)?, "the trace says something else: {said}");
    Ok(())
}

/// Exports a recorded run and has it read by another program; what that prints.
fn exported(format: &str, read: impl FnOnce(&Path, &Path) -> Command) -> Result<String> {
    let log = in_project("forktrace/tests/golden/prefork.jsonl");
    let folder = TempDir::new()?;
    let file = folder.path().join(format!("exported.{format}"));
    let exported = Command::new(forktrace_tests::forktrace()?)
        .args(["export", "--format", format, "-o"])
        .args([&file, &log])
        .output()?;
    ensure!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let answer = read(&file, &log).output()?;
    ensure!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    Ok(String::from_utf8(answer.stdout)?)
}

fn in_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The first line of a log, as SCHEMA.md has it.
fn first_line(schema: u32) -> String {
    format!(
        "{{\"schema\":{schema},\"type\":\"trace.start\",\"seq\":1,\
         \"ts\":\"2026-01-01T00:00:00.000000000Z\",\"boot_ns\":1000000000,\"version\":\"0.1.0\",\
         \"command\":[\"forktrace\"],\"kernel\":\"6.18.0\",\
         \"boot_id\":\"00000000-0000-0000-0000-000000000000\",\"clock_offset_ns\":0,\
         \"min_wait_ns\":1000000000,\"filter\":\"all processes\",\"snapshots\":true,\
         \"offsets\":{{}}}}\n"
    )
}

/// Fills a case's folder.
fn furnish() -> Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("forktrace-cli-").tempdir()?;
    let path = |name: &str| dir.path().join(name);
    fs::write(path("cut.jsonl"), first_line(1) + "{\"schema\":1,\"type\":\"process.f")?;
    fs::write(path("target.jsonl"), "precious\n")?;
    fs::write(path("old.3.jsonl"), first_line(1))?;
    fs::create_dir(path("folder.jsonl"))?;
    symlink(path("target.jsonl"), path("link.jsonl"))?;
    Ok(dir)
}

fn dead_pid() -> Result<u32> {
    let mut child = Command::new("true").spawn()?;
    child.wait()?;
    Ok(child.id())
}

fn run(case: &Case) -> Result<()> {
    let dir = furnish()?;
    let (dead, alive) = (dead_pid()?.to_string(), std::process::id().to_string());
    let fill = |text: &str| {
        text.replace("{dir}", &dir.path().display().to_string())
            .replace("{dead}", &dead)
            .replace("{alive}", &alive)
    };
    let args: Vec<String> = case.args.iter().map(|arg| fill(arg)).collect();
    let job = match case.who {
        Nobody => Job::forktrace_as_nobody(&args)?,
        Anybody | Root => Job::forktrace(&args)?,
    };
    let ended = job.wait(LIMIT)?;
    ended.expect_code(case.code)?;
    for words in case.says {
        let words = fill(words);
        ensure!(ended.stderr.contains(&words), "it does not say {words:?}\n{}", ended.said());
    }
    let answer = case.args.contains(&"--check");
    if case.code != 0 && !answer {
        ensure!(!ended.stderr.trim().is_empty(), "it says nothing");
    }
    // -v also says what each part of the trace took.
    let one = case.args.contains(&"-v") || ended.stderr.lines().count() <= 1;
    ensure!(one, "more than a sentence\n{}", ended.said());
    expect_readable(&ended.stderr).with_context(|| ended.said())
}

/// An error is for people: a sentence, no panic, no control characters out of the input.
fn expect_readable(stderr: &str) -> Result<()> {
    ensure!(!stderr.contains("panicked"), "it panicked");
    let bad = stderr.chars().find(|c| c.is_control() && *c != '\n');
    ensure!(bad.is_none(), "a control character came through: {bad:?}");
    Ok(())
}

fn link_target() -> Result<()> {
    let dir = furnish()?;
    let link = dir.path().join("link.jsonl").display().to_string();
    Job::forktrace(&["-o", &link, "--", "true"])?.wait(LIMIT)?.expect_code(1)?;
    let target = fs::read_to_string(dir.path().join("target.jsonl"))?;
    ensure!(target == "precious\n", "the link's target was overwritten with {target:?}");
    ensure!(Path::new(&link).is_symlink(), "the link is gone");
    Ok(())
}

/// In a container without the host's processes no event would find its process.
fn pid_namespace() -> Result<()> {
    let tracer = forktrace_tests::forktrace()?.display().to_string();
    for mount in [&[][..], &["--mount-proc"]] {
        for args in [&["--", "true"][..], &["-p", "1"], &["-a"], &["demo", "spawn"]] {
            let command = [&["unshare", "--pid", "--fork"], mount, &[&tracer], args].concat();
            let command: Vec<String> = command.into_iter().map(str::to_owned).collect();
            let ended = Job::start(&command, &[])?.wait(LIMIT)?;
            ended.expect_code(3).with_context(|| format!("{command:?}"))?;
            ensure!(ended.stderr.contains("--pid=host"), "{}", ended.said());
        }
    }
    Ok(())
}

fn few_open_files() -> Result<()> {
    let tracer = forktrace_tests::forktrace()?.display();
    let shell = ["sh", "-c", &format!("ulimit -n 40; exec {tracer} -- true")].map(str::to_owned);
    let ended = Job::start(&shell, &[])?.wait(LIMIT)?;
    ended.expect_code(3)?;
    ensure!(ended.stderr.contains("ulimit -n 128"), "{}", ended.said());
    Ok(())
}

/// For scripts: the exit status separates a log with a finding from one without, and from one that
/// cannot be read.
fn exit_code_of_a_report() -> Result<()> {
    let (found, dir) = (in_project("forktrace/tests/golden/prefork.jsonl"), furnish()?);
    for (log, code) in [(found, 7), (dir.path().join("cut.jsonl"), 0), ("none.jsonl".into(), 1)] {
        let log = log.display().to_string();
        Job::forktrace(&["report", "-q", "--exit-code", "7", &log])?
            .wait(LIMIT)?
            .expect_code(code)?;
    }
    Ok(())
}

fn report_of_stdin() -> Result<()> {
    let mut job = Job::forktrace(&["report", "-"])?;
    job.tell()?;
    let ended = job.wait(LIMIT)?;
    ended.expect_code(1)?;
    ensure!(ended.stderr.contains("this is not a forktrace log"), "{}", ended.said());
    Ok(())
}

fn demo_list() -> Result<()> {
    let ended = Job::forktrace(&["demo"])?.wait(LIMIT)?;
    ended.expect_code(0)?;
    let names = [
        "copied-state",
        "shared-file",
        "shared-lock",
        "inherited-lock",
        "lost-threads",
        "same-random",
        "spawn",
    ];
    for name in names {
        ensure!(ended.stdout.contains(name), "{name} is not listed\n{}", ended.said());
    }
    Ok(())
}

fn version_and_help() -> Result<()> {
    for flag in ["--version", "--help"] {
        let ended = Job::forktrace(&[flag])?.wait(LIMIT)?;
        ended.expect_code(0)?;
        ensure!(ended.stdout.contains("forktrace"), "{flag}\n{}", ended.said());
    }
    Ok(())
}
