//! Real software that forks, in which nothing may be found: run from `tests/real` under forktrace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need, forktrace,
    log::{Log, number},
    run::{Job, end_descendants},
};

use crate::corpus::Mode;

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
    Software {
        name: "headless Chromium",
        script: "chromium.sh",
        needs: &[&["chromium", "--version"], &["python", "--version"]],
    },
    Software {
        name: "uWSGI, preloaded, threads",
        script: "uwsgi.sh",
        needs: &[&["uwsgi", "--version"], &["uwsgi", "--plugin", "python3", "--version"]],
    },
    Software {
        name: "Celery with Redis",
        script: "celery.sh",
        needs: &[
            &["python", "-c", "import celery, redis; print(celery.__version__)"],
            &["redis-server", "--version"],
        ],
    },
    Software {
        name: "Puma, preloaded, threads",
        script: "puma.sh",
        needs: &[&["puma", "--version"], &["python", "--version"]],
    },
    Software {
        name: "PHP-FPM",
        script: "php_fpm.sh",
        needs: &[
            &[
                "sh",
                "-c",
                "\"$(command -v php-fpm8.2 || command -v php-fpm8.4 || command -v php-fpm)\" -v",
            ],
            &["python", "--version"],
        ],
    },
    Software {
        name: "sshd",
        script: "sshd.sh",
        needs: &[&["ssh", "-V"], &["sh", "-c", "command -v sshd && command -v ssh-keygen"]],
    },
    Software {
        name: "MariaDB",
        script: "mariadb.sh",
        needs: &[
            &["mariadbd", "--version"],
            &["mariadb", "--version"],
            &["sh", "-c", "command -v mariadb-install-db"],
        ],
    },
    Software {
        name: "node:cluster",
        script: "node_cluster.sh",
        needs: &[&["node", "--version"], &["python", "--version"]],
    },
    Software {
        name: "joblib and NumPy",
        script: "joblib.sh",
        needs: &[&["python", "-c", "import joblib, numpy; print(joblib.__version__)"]],
    },
    Software {
        name: "dask",
        script: "dask.sh",
        needs: &[&["python", "-c", "import distributed; print(distributed.__version__)"]],
    },
    Software {
        name: "pytest-xdist",
        script: "pytest_xdist.sh",
        needs: &[&["python", "-c", "import pytest, xdist; print(xdist.__version__)"]],
    },
    Software {
        name: "AFL++",
        script: "aflplusplus.sh",
        needs: &[&["sh", "-c", "afl-fuzz -h 2>&1 | grep afl-fuzz++"], &["afl-cc", "--version"]],
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
    /// What the trace says of hangs.
    pub(crate) conclusion: String,
}

/// One piece of software that was traced in one way.
pub(crate) type Row = (&'static Software, Mode, Came);

/// Runs everything with `filter` in its name or script, one after the other, each `runs` times: from
/// start to end, the same with `--exact`, and attached to at rest where its script says when that is.
pub(crate) fn run(filter: Option<&str>, runs: u32) -> Vec<Row> {
    let wanted = |one: &&Software| {
        filter.is_none_or(|filter| one.name.contains(filter) || one.script.contains(filter))
    };
    let mut rows = Vec::new();
    for software in SOFTWARE.iter().filter(wanted) {
        let modes = [Mode::Full, Mode::Exact, Mode::Late].into_iter();
        let modes: Vec<Mode> =
            modes.filter(|mode| *mode != Mode::Late || rests(software)).collect();
        for mode in (0..runs).flat_map(|_| modes.iter().copied()) {
            let came = trace(software, mode);
            eprintln!("{:<36} {:<10} {}", software.name, how(mode), came.label());
            let skipped = matches!(came, Came::Skipped(_));
            rows.push((software, mode, came));
            if skipped {
                break;
            }
        }
    }
    rows
}

/// Whether the script of a piece of software tells when that is at rest.
fn rests(software: &Software) -> bool {
    let script = fs::read_to_string(here().join(software.script)).unwrap_or_default();
    script.lines().any(|line| line.starts_with("rest "))
}

/// How it is traced, in a word.
pub(crate) fn how(mode: Mode) -> &'static str {
    match mode {
        Mode::Full => "whole",
        Mode::Exact => "exact",
        Mode::Late => "at rest",
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("real")
}

impl Came {
    /// Nothing was found, and it is said that nothing hangs.
    pub(crate) fn is_good(&self) -> bool {
        match self {
            Came::Ran(seen) => seen.findings == [0; 3] && seen.conclusion == "clear",
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
                     suspect, {}",
                    seen.processes, seen.judged, seen.conclusion
                )
            }
            Came::Skipped(why) => format!("skipped: {why}"),
            Came::Failed(why) => format!("FAILED: {why}"),
        }
    }
}

fn trace(software: &Software, mode: Mode) -> Came {
    let tracing = Need::Tracing.missing().map(|missing| missing.why);
    if let Some(why) = tracing.or_else(|| missing(software)) {
        return Came::Skipped(why);
    }
    let ran = traced(software, mode);
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

/// A fifth of the usual threshold: more waits are judged, and sooner than they should be.
const OPTIONS: [&str; 6] = ["-q", "--suspects", "--min-wait", "200ms", "-o", "{log}"];

fn traced(software: &Software, mode: Mode) -> Result<Seen> {
    let folder = tempfile::Builder::new().prefix("forktrace-real-").tempdir()?;
    let script = script(folder.path(), software.script, mode)?.display().to_string();
    let command = ["bash", "-eu", &script, "{log}"];
    let start = std::time::Instant::now();
    let exact: &[&str] = if mode == Mode::Exact { &["--exact"] } else { &[] };
    let job = match mode {
        Mode::Full | Mode::Exact => Job::forktrace(&[&OPTIONS, exact, &["--"], &command].concat()),
        Mode::Late => Job::start(&command.map(str::to_owned), &[]),
    };
    let (ended, left) = job?.wait_and_leave(LIMIT)?;
    ensure!(ended.code == 0, "exit status {}\n{}", ended.code, ended.said());
    ensure!(left.is_empty(), "processes {left:?} stayed behind\n{}", ended.said());
    let log = Log::read(&ended.log())?;
    let mut seen = summed_up(&log)?;
    seen.version = version(software);
    seen.seconds = start.elapsed().as_secs();
    Ok(seen)
}

/// The script, in a folder of its own where it may leave what it likes. Its function `rest` is called with
/// the pid of the software once that is at rest.
fn script(folder: &Path, name: &str, mode: Mode) -> Result<PathBuf> {
    let here = here();
    let body = fs::read_to_string(here.join(name)).with_context(|| name.to_owned())?;
    let script = folder.join(name);
    let rest = match mode {
        Mode::Full | Mode::Exact => "sleep 5".to_owned(),
        Mode::Late => {
            let options = OPTIONS.map(|option| option.replace("{log}", "\"$LOG\"")).join(" ");
            format!("{} {options} -d 8s -p \"$1\"", forktrace()?.display())
        }
    };
    let head = format!(
        "cd {}\nexport HERE={} PYTHON={} PATH={}\nLOG=$1\nrest() {{ {rest}; }}\n",
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
        conclusion: end.get("conclusion").and_then(|it| it.as_str()).unwrap_or("?").to_owned(),
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
