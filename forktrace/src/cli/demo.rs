//! `forktrace demo`: small programs that each show one thing about fork, run under the tracer.

use std::{fmt::Write as _, io::Write as _, time::Duration};

use super::{
    args::{Events, OutputArgs},
    failure::Failure,
    live::{self, Live, Watched},
    output,
    trace::{nanoseconds, start_command},
};
use crate::report::wrap;
use forktrace_collect::{
    arch,
    engine::{Consumer as _, Scope, Until},
    kernel::{self, GatedChild, ProcessGroup},
};
use forktrace_model::{
    judge::Judge,
    model::{Model, Process},
};

/// One demo.
struct Demo {
    name: &'static str,
    /// One line for the list.
    title: &'static str,
    /// Said before it runs.
    shows: &'static str,
    program: &'static str,
    /// Whether it ends only by being ended.
    hangs: bool,
    /// What the tracer saw, in words, beyond the summary.
    seen: fn(&Model, &Judge) -> Vec<String>,
}

/// Columns of what is said beside the trace, at most and at least.
const WIDEST: usize = 80;
const NARROWEST: usize = 40;
/// Begins a demo.
const DEMO: &str = "DEMO  ";
/// Column of the titles in the list.
const LIST_TITLE: usize = 18;

/// How long a demo may run.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a wait must last in a demo to be judged.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// How long a hang is shown before the demo ends it.
const AFTER_FINDING: Duration = Duration::from_millis(500);

static DEMOS: [Demo; 6] = [
    Demo {
        name: "copied-state",
        title: "a value changed before the fork is what the child has",
        shows: "A fork copies the parent's memory as it is at that moment. The parent changes a \
                value, then forks: the child has the changed value, not the one from the source \
                text, and what the child changes stays its own.",
        program: include_str!("../../../demos/copied_state.py"),
        hangs: false,
        seen: copied_state,
    },
    Demo {
        name: "shared-file",
        title: "a file opened before the fork is written by both",
        shows: "Descriptors are copied, but both copies lead to one open file with one position. \
                Parent and child write to a file that the parent opened before the fork, and \
                their lines land one after the other.",
        program: include_str!("../../../demos/shared_file.py"),
        hangs: false,
        seen: shared_file,
    },
    Demo {
        name: "inherited-lock",
        title: "a lock held at the fork hangs the child for ever",
        shows: "The parent takes a lock, forks, and releases it right after. The child's copy of \
                the lock was made while it was held, and nobody in the child will ever release \
                it: the child hangs at its own acquire, and the parent hangs in join.",
        program: include_str!("../../../demos/inherited_lock.py"),
        hangs: true,
        seen: inherited_lock,
    },
    Demo {
        name: "lost-threads",
        title: "the parent's threads do not exist in the child",
        shows: "Only the thread that calls fork exists in the child. The parent has several \
                threads at work when it forks; the child has their memory, but not them. The \
                threads add to one number, the beats: it goes on in the parent, and stands still \
                in the child.",
        program: include_str!("../../../demos/lost_threads.py"),
        hangs: false,
        seen: lost_threads,
    },
    Demo {
        name: "same-random",
        title: "a generator seeded before the fork repeats itself in every child",
        shows: "A random generator is memory too. Two children of one parent draw from a \
                generator that was seeded before the fork, and draw the same numbers. The \
                functions of Python's `random` module differ: since Python 3.7 they are seeded \
                anew in a forked child. A generator of one's own is not.",
        program: include_str!("../../../demos/same_random.py"),
        hangs: false,
        seen: same_random,
    },
    Demo {
        name: "spawn",
        title: "the hang's program with the spawn method: no hang",
        shows: "The same program as inherited-lock, but the child is spawned: a new program is \
                executed, which shares no memory with the parent, so that its lock is its own and \
                free. Python starts a second process besides, its resource tracker: it removes \
                shared memory and the like that a program leaves behind.",
        program: include_str!("../../../demos/spawn.py"),
        hangs: false,
        seen: spawn,
    },
];

/// Lists the demos, or runs one.
pub(super) fn run(name: Option<&str>, args: &OutputArgs) -> Result<u8, Failure> {
    let Some(name) = name else {
        std::io::stdout().write_all(list(width(args)).as_bytes())?;
        return Ok(0);
    };
    let Some(demo) = DEMOS.iter().find(|demo| demo.name == name) else {
        let names: Vec<&str> = DEMOS.iter().map(|demo| demo.name).collect();
        return Err(Failure::Usage(format!(
            "there is no demo `{}`; the demos are {}",
            name.escape_debug(),
            names.join(", ")
        )));
    };
    output::init_diagnostics(args);
    play(demo, args)
}

fn play(demo: &Demo, args: &OutputArgs) -> Result<u8, Failure> {
    arch::check_host().map_err(kernel::Error::from)?;
    kernel::check_pid_namespace()?;
    let folder = tempfile::Builder::new().prefix("forktrace-demo-").tempdir()?;
    let script = folder.path().join(format!("demo_{}.py", demo.name.replace('-', "_")));
    std::fs::write(&script, demo.program)?;
    let command = vec![interpreter()?, script.display().to_string()];
    let options = kernel::Start { for_ourselves: true, stdout_is_taken: args.json };
    let child = GatedChild::spawn(&command, options)?;
    let group = ProcessGroup::of(child.pid());
    let began_ns = forktrace_collect::clock::boot_ns();
    let (kernel, ring) = kernel::load(&kernel_options(args.verbose >= 2))?;
    if !args.json {
        let width = width(args);
        let title = format!("{}: {}", demo.name, demo.title);
        let title = wrap(&title, width - DEMO.len(), width - DEMO.len()).join("\n      ");
        let intro = format!("{DEMO}{title}\n\n{}\n\n", wrapped(demo.shows, width));
        std::io::stdout().write_all(intro.as_bytes())?;
    }
    let filter = format!("demo {}", demo.name);
    let start = output::start_event(&kernel, began_ns, nanoseconds(MIN_WAIT), filter, Vec::new());
    let pipeline = output::pipeline(output::outputs(args, Events::Waits, &start, None));
    let watched = Watched::new(pipeline, demo.hangs.then_some(AFTER_FINDING));
    let scope = Scope { all: false, follow: true, min_wait_ns: nanoseconds(MIN_WAIT) };
    let until = Until { duration: Some(LIMIT), targets_end: true, command_is_interrupted: false };
    let begin = |live: &mut Live| {
        live.consumer.event(&start)?;
        start_command(live, child, &command)
    };
    let result = live::run((kernel, ring), watched, scope, &until, begin, |mut live, _| {
        let pipeline = &mut live.consumer.pipeline;
        let caveats = pipeline.caveats(true);
        output::summary(pipeline, &caveats, output::style(args), args.quiet)?;
        Ok(live)
    });
    // Also when tracing failed: the demo's processes are ours.
    group.end();
    let live = result?;
    if !args.json {
        let mut lines = String::from("\nSEEN BY THE TRACER\n");
        for line in (demo.seen)(live.consumer.pipeline.model(), live.consumer.pipeline.judge()) {
            let _ = writeln!(lines, "{}", wrapped(&format!("- {line}"), width(args)));
        }
        std::io::stdout().write_all(lines.as_bytes())?;
    }
    Ok(0)
}

fn kernel_options(diagnostics: bool) -> kernel::Options {
    kernel::Options {
        trace_all: false,
        follow: true,
        min_wait_ns: nanoseconds(MIN_WAIT),
        stream: false,
        snapshots: true,
        fault_events: false,
        locks: false,
        lean: false,
        snapshot_limit: 64 << 20,
        ring_bytes: 1 << 22,
        table_sizes: Vec::new(),
        diagnostics,
        late: false,
        new_files: false,
    }
}

/// Path of the Python interpreter itself: `python3` may be a script of a version manager, whose own
/// forks would hide the demo's.
fn interpreter() -> Result<String, Failure> {
    let missing = |cause: String| {
        Failure::Demo(format!(
            "the demos are Python programs and python3 cannot be run ({cause}); install it, on \
             Debian and Ubuntu with: apt-get install python3"
        ))
    };
    let ask = ["-c", "import sys; print(sys.executable)"];
    let answer = std::process::Command::new("python3")
        .args(ask)
        .output()
        .map_err(|error| missing(error.to_string()))?;
    let path = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    match answer.status.success() && !path.is_empty() {
        true => Ok(path),
        false => Err(missing(answer.status.to_string())),
    }
}

/// Columns of what is said beside the trace.
fn width(args: &OutputArgs) -> usize {
    output::style(args).width.unwrap_or(WIDEST).clamp(NARROWEST, WIDEST)
}

/// A paragraph in lines of at most so many columns.
fn wrapped(text: &str, width: usize) -> String {
    wrap(text, width, width).join("\n")
}

/// The demos with their titles.
fn list(width: usize) -> String {
    let mut list = String::from("Demos, each run by: sudo forktrace demo NAME\n\n");
    let room = width - LIST_TITLE;
    for demo in &DEMOS {
        let mut begin = format!("  {:<1$}", demo.name, LIST_TITLE - 2);
        for line in wrap(demo.title, room, room) {
            // Writing to a String cannot fail.
            let _ = writeln!(list, "{begin}{line}");
            begin = " ".repeat(LIST_TITLE);
        }
    }
    list
}

/// The processes with copied memory, in the order of their forks.
fn forked(model: &Model) -> impl Iterator<Item = &Process> {
    model.all().iter().filter(|process| {
        process
            .fork
            .as_ref()
            .is_some_and(|fork| forktrace_common::clone_flags::copies_memory(fork.clone_flags))
    })
}

fn copied_state(model: &Model, _: &Judge) -> Vec<String> {
    forked(model)
        .map(|child| {
            let fork = child.fork.as_ref().map(|fork| fork.by_pid).unwrap_or_default();
            let exec = match child.exec {
                None => "it executed no other program, so its memory is the parent's copy",
                Some(_) => "it executed another program and gave the copy up",
            };
            format!("process {} was forked by {fork}; {exec}", child.pid)
        })
        .collect()
}

fn shared_file(model: &Model, _: &Judge) -> Vec<String> {
    forked(model)
        .filter(|child| child.exec.is_none())
        .map(|child| {
            format!(
                "process {} was forked and executed nothing: every file that its parent had open \
                 at the fork is open in it too, with one position for both",
                child.pid
            )
        })
        .collect()
}

fn inherited_lock(_: &Model, judge: &Judge) -> Vec<String> {
    if judge.findings().is_empty() {
        return vec![
            "no hang was seen; with Python 3.13 and later the lock is of a kind that \
                     this version does not decode"
                .into(),
        ];
    }
    judge
        .findings()
        .iter()
        .map(|judged| {
            let finding = &judged.finding;
            format!(
                "process {} hangs on a {} that was held when it was forked; the demo's processes \
                 have now been ended",
                finding.subject.pid,
                finding.lock().map_or("lock", |lock| lock.family.name)
            )
        })
        .collect()
}

fn lost_threads(model: &Model, _: &Judge) -> Vec<String> {
    forked(model)
        .filter_map(|child| Some((child, child.fork.as_ref()?)))
        .map(|(child, fork)| {
            let names: Vec<String> = fork
                .lost
                .iter()
                .map(|thread| format!("\"{}\"[{}]", thread.comm.escape_debug(), thread.tid))
                .collect();
            format!(
                "process {} had {} threads when it forked {}; the child has 1. Lost: {}",
                fork.by_pid,
                fork.lost.len() + 1,
                child.pid,
                names.join(", ")
            )
        })
        .collect()
}

fn same_random(model: &Model, _: &Judge) -> Vec<String> {
    let children: Vec<String> = forked(model)
        .filter(|child| child.exec.is_none())
        .map(|child| child.pid.to_string())
        .collect();
    vec![format!(
        "processes {} have copies of one parent's memory and executed nothing: whatever state the \
         generator had at the fork, each of them has it",
        children.join(" and ")
    )]
}

fn spawn(model: &Model, judge: &Judge) -> Vec<String> {
    let mut lines: Vec<String> = model
        .all()
        .iter()
        .filter(|process| process.fork.is_some())
        .filter_map(|process| Some((process, process.exec.as_ref()?)))
        .map(|(process, exec)| {
            format!(
                "process {} executed {} after it was made: nothing of its parent's memory, and no \
                 lock, is left in it",
                process.pid,
                exec.filename.escape_debug()
            )
        })
        .collect();
    if judge.findings().is_empty() {
        lines.push("no process hangs on an inherited lock".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_fits_where_there_is_little_room() {
        for width in [NARROWEST, 60, WIDEST] {
            let list = list(width);
            assert!(list.lines().skip(1).all(|line| line.chars().count() <= width), "{list}");
            assert!(DEMOS.iter().all(|demo| list.contains(demo.name)), "{list}");
        }
    }
}
