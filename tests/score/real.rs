//! Real software that forks, in which nothing may be found: run from `tests/real` under forktrace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    log::{Log, number},
    run::{Job, end_descendants},
};

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(170);

/// One piece of software and what is done with it.
#[derive(Debug)]
pub(crate) struct Software {
    /// As people call it.
    pub(crate) name: &'static str,
    /// In `tests/real`; its first lines say what it does.
    pub(crate) script: &'static str,
    /// Commands that must all succeed, or it is skipped; the first says the version.
    needs: &'static [&'static [&'static str]],
}

/// The Python that has CPython's own tests and gunicorn is named in `PYTHON`, or is python3.
static SOFTWARE: &[Software] = &[
    Software {
        name: "CPython, test_multiprocessing_fork",
        script: "cpython_multiprocessing.sh",
        needs: &[
            &["python", "--version"],
            &["python", "-c", "import test.test_multiprocessing_fork"],
        ],
    },
    Software {
        name: "CPython, test_concurrent_futures",
        script: "cpython_executors.sh",
        needs: &[
            &["python", "--version"],
            &["python", "-c", "import test.test_concurrent_futures"],
        ],
    },
    Software {
        name: "CPython, tests of fork and threads",
        script: "cpython_fork.sh",
        needs: &[&["python", "--version"], &["python", "-c", "import test.test_logging"]],
    },
    Software {
        name: "gunicorn, preloaded, threads",
        script: "gunicorn.sh",
        needs: &[&["gunicorn", "--version"], &["python", "--version"]],
    },
    Software {
        name: "nginx",
        script: "nginx.sh",
        needs: &[&["nginx", "-v"], &["python", "--version"]],
    },
    Software {
        name: "Apache, prefork",
        script: "apache.sh",
        needs: &[
            &["apache2", "-v"],
            &["python", "--version"],
            &["ls", "/usr/lib/apache2/modules/mod_mpm_prefork.so"],
        ],
    },
    Software {
        name: "PostgreSQL, pgbench",
        script: "postgresql.sh",
        needs: &[&["postgres", "--version"], &["pgbench", "--version"], &["id", "postgres"]],
    },
    Software {
        name: "Redis, saving in the background",
        script: "redis.sh",
        needs: &[&["redis-server", "--version"], &["redis-benchmark", "--version"]],
    },
    Software {
        name: "make -j and gcc",
        script: "make.sh",
        needs: &[&["make", "--version"], &["cc", "--version"]],
    },
    Software { name: "git", script: "git.sh", needs: &[&["git", "--version"]] },
    Software {
        name: "a session of the shell",
        script: "shell.sh",
        needs: &[&["bash", "--version"]],
    },
];

/// What came of one.
#[derive(Debug)]
pub(crate) enum Came {
    /// It ran.
    Ran(Seen),
    /// It lacks something.
    Skipped(String),
    /// It did not do what it should.
    Failed(String),
}

/// What forktrace saw of it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) version: String,
    pub(crate) seconds: u64,
    pub(crate) processes: usize,
    pub(crate) threads: usize,
    /// Waits that lasted long enough to be recorded.
    pub(crate) waits: usize,
    /// Waits of forked children that were looked at.
    pub(crate) judged: usize,
    /// By confidence: certain, likely, suspect.
    pub(crate) findings: [usize; 3],
    /// Each finding in a line.
    pub(crate) said: Vec<String>,
    pub(crate) lost: u64,
}

/// Runs everything with `filter` in its name or script, one after the other, each `runs` times.
pub(crate) fn run(filter: Option<&str>, runs: u32) -> Vec<(&'static Software, Came)> {
    let wanted = |one: &&Software| {
        filter.is_none_or(|filter| one.name.contains(filter) || one.script.contains(filter))
    };
    let mut rows = Vec::new();
    for software in SOFTWARE.iter().filter(wanted) {
        for _ in 0..runs {
            let came = trace(software);
            eprintln!("{:<36} {}", software.name, came.label());
            rows.push((software, came));
        }
    }
    rows
}

impl Came {
    /// Nothing above suspect was said that was not looked into.
    pub(crate) fn is_good(&self) -> bool {
        match self {
            Came::Ran(seen) => matches!(seen.findings, [0, 0, _]),
            Came::Skipped(_) => true,
            Came::Failed(_) => false,
        }
    }

    /// In a few words.
    fn label(&self) -> String {
        match self {
            Came::Ran(seen) => {
                let [certain, likely, suspect] = seen.findings;
                format!(
                    "{} processes, {} waits judged, {certain} certain, {likely} likely, {suspect} \
                     suspect",
                    seen.processes, seen.judged
                )
            }
            Came::Skipped(why) => format!("skipped: {why}"),
            Came::Failed(why) => format!("FAILED: {why}"),
        }
    }
}

fn trace(software: &Software) -> Came {
    let tracing = Need::Tracing.missing().map(|missing| missing.why);
    if let Some(why) = tracing.or_else(|| missing(software)) {
        return Came::Skipped(why);
    }
    let ran = traced(software);
    // Some of them overwrite the environment by which the others' descendants are recognised.
    end_descendants();
    match ran {
        Ok(seen) => Came::Ran(seen),
        Err(error) => Came::Failed(format!("{error:#}")),
    }
}

/// The program and its arguments; `python` stands for the Python that is used.
fn resolved(command: &[&str]) -> Command {
    let program = match command.first() {
        Some(&"python") => python(),
        other => other.copied().unwrap_or_default().to_owned(),
    };
    let mut resolved = Command::new(program);
    resolved.args(command.iter().skip(1)).env("PATH", path());
    resolved
}

fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Servers lie where only root looks for them.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn missing(software: &Software) -> Option<String> {
    let fails = |command: &&&[&str]| {
        !resolved(command).output().is_ok_and(|output| output.status.success())
    };
    software.needs.iter().find(fails).map(|command| format!("no {}", command.join(" ")))
}

/// The first number with dots that its version command says.
fn version(software: &Software) -> String {
    let Some(output) = software.needs.first().and_then(|one| resolved(one).output().ok()) else {
        return String::new();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let is_version = |word: &&str| {
        word.contains('.') && word.chars().all(|one| one.is_ascii_digit() || one == '.')
    };
    let words = text.split(|one: char| !one.is_ascii_digit() && one != '.');
    words.into_iter().find(is_version).unwrap_or_default().trim_matches('.').to_owned()
}

fn traced(software: &Software) -> Result<Seen> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("real");
    let folder = tempfile::Builder::new().prefix("forktrace-real-").tempdir()?;
    let script = script(&here, folder.path(), software.script)?;
    // A fifth of the usual threshold: more waits are judged, and sooner than they should be.
    let mut args = vec!["-q", "--suspects", "--min-wait", "200ms", "-o", "{log}", "--"];
    let script = script.display().to_string();
    args.extend(["bash", "-eu", &script]);
    let start = std::time::Instant::now();
    let (ended, left) = Job::forktrace(&args)?.wait_and_leave(LIMIT)?;
    ensure!(ended.code == 0, "exit status {}\n{}", ended.code, ended.said());
    ensure!(left.is_empty(), "processes {left:?} stayed behind\n{}", ended.said());
    let log = Log::read(&ended.log())?;
    let mut seen = summed_up(&log)?;
    seen.version = version(software);
    seen.seconds = start.elapsed().as_secs();
    Ok(seen)
}

/// The script, in a folder of its own where it may leave what it likes.
fn script(here: &Path, folder: &Path, name: &str) -> Result<PathBuf> {
    let body = fs::read_to_string(here.join(name)).with_context(|| name.to_owned())?;
    let script = folder.join(name);
    let head = format!(
        "cd {}\nexport HERE={} PYTHON={} PATH={}\n",
        folder.display(),
        here.display(),
        python(),
        path()
    );
    fs::write(&script, head + &body)?;
    Ok(script)
}

fn summed_up(log: &Log) -> Result<Seen> {
    let end = log.of("trace.end").next().context("no end")?;
    let judged: std::collections::BTreeSet<_> = log
        .of("evidence")
        .map(|line| (number(line, "/tid"), number(line, "/wait/enter_ns")))
        .collect();
    let mut seen = Seen {
        processes: log.processes().len(),
        threads: log.of("thread.start").count(),
        waits: log.of("futex.wait").count(),
        judged: judged.len(),
        lost: number(end, "/lost").unwrap_or_default(),
        ..Seen::default()
    };
    for finding in log.findings() {
        let text = |path: &str| finding.pointer(path).and_then(|it| it.as_str()).unwrap_or("?");
        let at = match text("/confidence") {
            "certain" => 0,
            "likely" => 1,
            _ => 2,
        };
        if let Some(count) = seen.findings.get_mut(at) {
            *count += 1;
        }
        let frame = finding.pointer("/python/0/function").and_then(|it| it.as_str());
        seen.said.push(format!(
            "{} {} in {}: {} ({}){}",
            text("/confidence"),
            text("/kind"),
            text("/comm"),
            text("/lock/kind"),
            text("/lock/mapping"),
            frame.map(|frame| format!(", in {frame}")).unwrap_or_default()
        ));
    }
    Ok(seen)
}
