//! Under what a workload runs while its calls are measured.

use std::{process::Command, time::Duration};

use anyhow::Result;
use forktrace_tests::{forktrace, run::Job, workload};
use nix::sys::signal::Signal;

use crate::cost::Call;

/// The script that has bpftrace do about the same.
const SAME_JOB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/same_job.bt");

/// How long a tracer may take to get going or to end.
const LIMIT: Duration = Duration::from_secs(30);

/// The tracepoints of full mode (`crates/forktrace-collect/src/kernel/loader.rs`), for programs that do nothing.
const EXACT: &[&str] = &[
    "syscalls/sys_enter_futex",
    "syscalls/sys_exit_futex",
    "syscalls/sys_enter_futex_wait",
    "syscalls/sys_exit_futex_wait",
    "syscalls/sys_enter_futex_waitv",
    "syscalls/sys_exit_futex_waitv",
    "syscalls/sys_enter_futex_wake",
    "syscalls/sys_enter_futex_requeue",
];

/// Those that every mode has.
const LIFE: &[&str] = &[
    "task/task_newtask",
    "sched/sched_process_fork",
    "sched/sched_process_exec",
    "sched/sched_process_exit",
    "raw:page_fault_user",
    "raw:page_fault_kernel",
];

/// The same, with what every tracer must do that keeps pages.
const KEEPING: &[&str] = &[
    "task/task_newtask",
    "sched/sched_process_fork",
    "sched/sched_process_exec",
    "sched/sched_process_exit",
    "keep:page_fault_user",
    "keep:page_fault_kernel",
];

/// The floor of the default.
pub(crate) const FLOOR: &str = "floor";
/// The floor of what keeps pages.
pub(crate) const KEEPING_FLOOR: &str = "floor, pages read";

/// Names a setting in tables and files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it takes beside forktrace, and a flag that forktrace must know for it.
    needs: Need,
    by: By,
}

#[derive(Clone, Copy, Debug)]
enum Need {
    Nothing,
    Program(&'static str),
    Flag(&'static str),
}

#[derive(Clone, Copy, Debug)]
enum By {
    /// The tracer starts the workload.
    Wraps(&'static [&'static str]),
    /// forktrace with these flags, for another process that sleeps.
    Beside(&'static [&'static str]),
    /// forktrace with these flags, for the whole host.
    Host(&'static [&'static str]),
    /// Programs that do nothing, on the tracepoints of a mode.
    Floor(&'static [&'static [&'static str]]),
    /// bpftrace, for another process that sleeps.
    ScriptBeside,
    /// bpftrace, for the workload.
    Script,
}

/// The one that all others are compared with.
pub(crate) const ALONE: Setting =
    Setting { name: "alone", needs: Need::Nothing, by: By::Wraps(&[]) };

/// All of them but [`ALONE`].
pub(crate) static SETTINGS: &[Setting] = &[
    Setting { name: FLOOR, needs: Need::Nothing, by: By::Floor(&[LIFE]) },
    Setting { name: KEEPING_FLOOR, needs: Need::Nothing, by: By::Floor(&[KEEPING]) },
    Setting {
        name: "forktrace",
        needs: Need::Nothing,
        by: By::Wraps(&["{forktrace}", "-q", "--"]),
    },
    Setting { name: "forktrace, others", needs: Need::Nothing, by: By::Beside(&[]) },
    Setting { name: "forktrace -a", needs: Need::Nothing, by: By::Host(&[]) },
    Setting { name: "floor --exact", needs: Need::Flag("--exact"), by: By::Floor(&[LIFE, EXACT]) },
    Setting {
        name: "forktrace --exact",
        needs: Need::Flag("--exact"),
        by: By::Wraps(&["{forktrace}", "-q", "--exact", "--"]),
    },
    Setting {
        name: "forktrace --exact, others",
        needs: Need::Flag("--exact"),
        by: By::Beside(&["--exact"]),
    },
    Setting {
        name: "forktrace --exact -a",
        needs: Need::Flag("--exact"),
        by: By::Host(&["--exact"]),
    },
    Setting { name: "bpftrace", needs: Need::Program("bpftrace"), by: By::Script },
    Setting { name: "bpftrace, others", needs: Need::Program("bpftrace"), by: By::ScriptBeside },
    Setting {
        name: "perf trace",
        needs: Need::Program("perf"),
        by: By::Wraps(&[
            "{tracefs}",
            "perf",
            "trace",
            "-o",
            "/dev/null",
            "-e",
            "futex,clone,clone3,vfork,execve,exit_group",
        ]),
    },
    Setting {
        name: "strace -f",
        needs: Need::Program("strace"),
        by: By::Wraps(&["strace", "-f", "-o", "/dev/null", "-e", "trace=futex,%process"]),
    },
];

/// What runs beside the workload, and whom it traces.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tracer: Option<Job>,
    _traced: Option<Job>,
}

impl Setting {
    /// Why it cannot be measured here, or `None` if it can.
    pub(crate) fn missing(&self) -> Option<String> {
        match self.needs {
            Need::Nothing => None,
            Need::Program(program) => {
                let found = Command::new(program).arg("--version").output().is_ok();
                (!found).then(|| format!("no {program}"))
            }
            Need::Flag(flag) => {
                let help = Command::new(forktrace().ok()?).arg("--help").output().ok()?;
                let known = String::from_utf8_lossy(&help.stdout).contains(flag);
                (!known).then(|| format!("this forktrace has no {flag}"))
            }
        }
    }

    /// The command line that runs a workload in this setting.
    pub(crate) fn command(&self, workload: Vec<String>) -> Result<Vec<String>> {
        let mut command = Vec::new();
        match self.by {
            By::Wraps(words) => {
                for word in words {
                    match *word {
                        "{forktrace}" => command.push(forktrace()?.display().to_string()),
                        "{tracefs}" => command.extend(with_tracefs()),
                        word => command.push(word.to_owned()),
                    }
                }
            }
            By::Script => return Ok(script(&workload.join(" "))),
            By::Beside(_) | By::Host(_) | By::Floor(_) | By::ScriptBeside => {}
        }
        command.extend(workload);
        Ok(command)
    }

    /// Starts what runs beside the workload, and waits until it is at work.
    pub(crate) fn start(&self) -> Result<Background> {
        let mut background = Background::default();
        let mut tracer = match self.by {
            By::Wraps(_) | By::Script => return Ok(background),
            By::Beside(flags) => {
                let traced = Job::start(&["sleep".into(), "1000".into()], &[])?;
                let pid = traced.pid().to_string();
                background._traced = Some(traced);
                Job::forktrace(&[&["-q", "-o", "{log}"], flags, &["-p", &pid]].concat())?
            }
            By::Host(flags) => Job::forktrace(&[&["-q", "-o", "{log}"], flags, &["-a"]].concat())?,
            By::Floor(events) => {
                Job::start(&workload::command("bench/floor.c", &events.concat())?, &[])?
            }
            By::ScriptBeside => {
                // bpftrace wants a command by its path.
                let idle = workload::command("bench/crowd.c", &["1", "0", "sleep"])?;
                Job::start(&script(&idle.join(" ")), &[])?
            }
        };
        tracer.until("at work", LIMIT, |job| {
            job.stdout().contains("ready") || job.log_text().contains("process.snapshot")
        })?;
        background.tracer = Some(tracer);
        Ok(background)
    }
}

impl Background {
    /// Ends it, and waits for its end.
    pub(crate) fn stop(self) -> Result<()> {
        if let Some(mut tracer) = self.tracer {
            // Ends what waits for it: the floor, and the command that bpftrace was given.
            tracer.tell()?;
            tracer.signal(Signal::SIGTERM)?;
            tracer.wait_and_leave(LIMIT)?;
        }
        Ok(())
    }
}

fn script(command: &str) -> Vec<String> {
    let mut line = with_tracefs();
    line.extend(["bpftrace", "-q", SAME_JOB, "-c", command].map(str::to_owned));
    line
}

/// What tools need that look for tracefs: mounted for them alone, where it is not.
fn with_tracefs() -> Vec<String> {
    let script = "[ -e /sys/kernel/tracing/events ] || mount -t tracefs tracefs \
                  /sys/kernel/tracing; exec \"$@\"";
    ["unshare", "-m", "sh", "-c", script, "sh"].map(str::to_owned).to_vec()
}

/// Compiles the workload of a kind of call; its command line.
pub(crate) fn calls(call: &Call, milliseconds: u64) -> Result<Vec<String>> {
    workload::command(call.program, &[call.argument, &milliseconds.to_string()])
}
