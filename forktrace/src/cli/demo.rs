//! `forktrace demo`: small programs, run under the tracer. Each shows one property of fork.

mod seen;

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
use forktrace_model::{judge::Judge, model::Model};

/// One demo.
struct Demo {
    name: &'static str,
    /// One line for the list.
    title: &'static str,
    /// The text printed before it runs.
    shows: &'static str,
    program: &'static str,
    /// Whether forktrace must end its processes.
    hangs: bool,
    /// The sentences printed after the summary.
    seen: fn(&Model, &Judge) -> Vec<String>,
}

/// Columns of the text before and after the trace, at most and at least.
const WIDEST: usize = 80;
const NARROWEST: usize = 40;
/// First word of a demo's output.
const DEMO: &str = "DEMO  ";
/// Column of the titles in the list.
const LIST_TITLE: usize = 21;

/// The longest run of a demo.
const LIMIT: Duration = Duration::from_secs(15);
/// A wait is judged when it has lasted this long.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// Time from the finding to the end of a demo that hangs.
const AFTER_FINDING: Duration = Duration::from_millis(500);

static DEMOS: [Demo; 9] = [
    Demo {
        name: "copied-state",
        title: "the child starts with a copy of the parent's memory",
        shows: "fork copies the parent's memory as it is at that moment. The parent changes a \
                variable, then forks. The child has the changed value, not the value in the source \
                code. If the child changes the variable, the parent does not see it.",
        program: include_str!("../../demos/copied_state.py"),
        hangs: false,
        seen: seen::copied_state,
    },
    Demo {
        name: "shared-file",
        title: "parent and child share files opened before the fork",
        shows: "fork copies file descriptors. Both copies refer to one open file, which has one \
                position. Parent and child write to a file that the parent opened before the fork. \
                Their lines follow each other in the file.",
        program: include_str!("../../demos/shared_file.py"),
        hangs: false,
        seen: seen::shared_file,
    },
    Demo {
        name: "shared-lock",
        title: "a child gives back its parent's lock on a file",
        shows: "A lock of flock() belongs to the open file, which both sides of a fork share. A process \
                takes the lock and forks. Its child unlocks the file when it cleans up. Nobody else has \
                unlocked anything, and the lock is gone: others get it.",
        program: include_str!("../../demos/shared_lock.py"),
        hangs: false,
        seen: seen::shared_lock,
    },
    Demo {
        name: "shared-connection",
        title: "parent and child get each other's answers from a server",
        shows: "A connection that is open at the fork is open in the child too, and it is the same one. Parent \
                and child ask a server over it. Each answer goes to whichever process reads first, so \
                that both get answers to questions of the other, and no call fails.",
        program: include_str!("../../demos/shared_connection.py"),
        hangs: false,
        seen: seen::shared_connection,
    },
    Demo {
        name: "inherited-lock",
        title: "a lock held at the fork hangs the child forever",
        shows: "The parent takes a lock, forks, and then releases the lock. The child has a copy of \
                the lock, which was copied while it was held. No thread of the child can release \
                this copy. The child hangs in acquire, and the parent hangs in join.",
        program: include_str!("../../demos/inherited_lock.py"),
        hangs: true,
        seen: seen::inherited_lock,
    },
    Demo {
        name: "lost-threads",
        title: "the other threads of the parent do not exist in the child",
        shows: "Only the thread that calls fork exists in the child. The parent has three other \
                threads when it forks. Two of them increment a counter, one writes the records that it \
                finds in a queue. The child has a copy of the counter and of the queue but not of the \
                threads: the counter does not change in the child, and nobody writes its record. The \
                child lives for 7 s, so that this is sure.",
        program: include_str!("../../demos/lost_threads.py"),
        hangs: false,
        seen: seen::lost_threads,
    },
    Demo {
        name: "same-random",
        title: "all children get the same random numbers",
        shows: "The state of a random number generator is memory, and fork copies it. Two children \
                use a generator that the parent seeded before the fork: both get the same numbers. \
                Since 3.7 Python seeds the functions of its `random` module again in a forked \
                child. It does not seed a random.Random() that the program made.",
        program: include_str!("../../demos/same_random.py"),
        hangs: false,
        seen: seen::same_random,
    },
    Demo {
        name: "written-twice",
        title: "output that is in a buffer at the fork is written twice",
        shows: "Fork copies the buffer in which a program collects its output. A line that was written \
                to a file before the fork is still in it. The child ends by sys.exit(), which writes \
                all buffers. Later its parent writes its own copy: the line is in the file twice.",
        program: include_str!("../../demos/written_twice.py"),
        hangs: false,
        seen: seen::written_twice,
    },
    Demo {
        name: "spawn",
        title: "inherited-lock with the spawn start method: no hang",
        shows: "The program of inherited-lock, but with the spawn start method. The child executes \
                a new Python, which gets no memory from the parent. The lock in the child is a new \
                lock, and nobody holds it. Python also starts a second process, its resource \
                tracker.",
        program: include_str!("../../demos/spawn.py"),
        hangs: false,
        seen: seen::spawn,
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
            "no demo is named `{}`; the demos are {}",
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
    let pipeline = pipeline.audited(args.audit);
    let watched = Watched::new(pipeline, demo.hangs.then_some(AFTER_FINDING));
    let min_wait_ns = nanoseconds(MIN_WAIT);
    let scope = Scope { all: false, follow: true, min_wait_ns, audit: args.audit };
    let until = Until { duration: Some(LIMIT), targets_end: true, command_is_interrupted: false };
    let begin = |live: &mut Live| {
        live.consumer.event(&start)?;
        start_command(live, child, &command)
    };
    let result = live::run(
        (kernel, ring),
        watched,
        scope,
        &until,
        begin,
        || {},
        |mut live, _| {
            let pipeline = &mut live.consumer.pipeline;
            let caveats = pipeline.caveats(true);
            output::summary(pipeline, &caveats, output::style(args), args.quiet)?;
            Ok(live)
        },
    );
    // The demo's processes must end also if tracing failed.
    group.end();
    let live = result?;
    if !args.json {
        let mut lines = String::from("\nWHAT FORKTRACE SAW\n");
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
        lean: true,
        snapshot_limit: 64 << 20,
        ring_bytes: None,
        table_sizes: Vec::new(),
        diagnostics,
        late: false,
        new_files: false,
    }
}

/// Path of the Python interpreter. `python3` may be a script of a version manager, and the trace would
/// show the forks of that script.
fn interpreter() -> Result<String, Failure> {
    let missing = |cause: String| {
        Failure::Demo(format!(
            "cannot run python3, which the demos need: {cause}; install it (Debian, Ubuntu: apt-get \
             install python3)"
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

/// Columns of the text before and after the trace.
fn width(args: &OutputArgs) -> usize {
    output::style(args).width.unwrap_or(WIDEST).clamp(NARROWEST, WIDEST)
}

/// A paragraph in lines of at most `width` columns.
fn wrapped(text: &str, width: usize) -> String {
    wrap(text, width, width).join("\n")
}

/// The demos with their titles.
fn list(width: usize) -> String {
    let mut list = String::from("Run a demo with: sudo forktrace demo NAME\n\n");
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
