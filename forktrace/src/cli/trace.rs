//! `forktrace -p`, `-a` and `-- CMD`.

use std::{cell::RefCell, path::Path, time::Duration};

use super::{
    args::{Events, OutputArgs, TraceArgs},
    failure::{Failure, say},
    filter::filter,
    live::{self, Live, Watched},
    output,
    phases::Phases,
    usage,
};
use crate::{
    pipeline::filter::{Filter, Narrowed},
    report::{self, caveats},
};
use forktrace_collect::{
    arch,
    engine::{Consumer as _, Scope, Until},
    inspect,
    kernel::{self, GatedChild, Outcome},
};
use forktrace_model::{
    event::{EndReason, Event},
    finding::{Confidence, Held},
    judge::Judged,
};

/// Exit status where nothing ever was what the filter asks for: whoever takes silence for "clean"
/// must not.
pub(super) const NOTHING_FITTED: u8 = 4;

/// What to trace.
enum Target {
    /// Running processes and their descendants.
    Pids(Vec<u32>),
    /// The whole host.
    All,
    /// A command that waits for its release.
    Command(GatedChild),
}

pub(super) fn run(args: &TraceArgs) -> Result<u8, Failure> {
    let phases = RefCell::new(Phases::begin(args.out.verbose >= 1));
    output::init_diagnostics(&args.out);
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    let out = &OutputArgs { json: args.out.json || to_stdout, ..args.out.clone() };
    let filter = filter(&args.filter)?;
    let recording = args.output.as_deref().filter(|_| !to_stdout).map(named).transpose()?;
    let rotation = args.rotation.built(recording.is_some())?;
    let target = target(args, out)?;
    let options = options(args, &target, rotation.is_on());
    // Opened before anything is loaded, so that a mistyped path costs nothing.
    let recorder =
        recording.map(|(path, format)| output::open_log(path, format, rotation)).transpose()?;
    let began_ns = forktrace_collect::clock::boot_ns();
    let (kernel, ring) = kernel::load(&options)?;
    phases.borrow_mut().passed("attached");
    if let Some(probes) = &kernel.locks {
        tell_price(probes);
    }
    let asked = match &target {
        Target::Pids(pids) => pids.clone(),
        Target::All | Target::Command(_) => Vec::new(),
    };
    let start = start_event(args, &kernel, began_ns, &target, asked, filter.as_ref());
    let outputs = output::outputs(out, args.events, &start, recorder);
    let pipeline =
        output::pipeline(outputs).audited(args.out.audit).narrowed(filter.map(Narrowed::new));
    if args.no_snapshots || !kernel.snapshots {
        say("memory pages of children are not saved: few hangs are certain");
    }

    let scope = Scope {
        all: options.trace_all,
        follow: options.follow,
        min_wait_ns: options.min_wait_ns,
        audit: args.out.audit,
    };
    let until = Until {
        duration: args.duration,
        targets_end: !options.trace_all,
        command_is_interrupted: true,
    };
    let begin = |live: &mut Live| {
        live.consumer.event(&start)?;
        let done = match target {
            Target::Command(_) => "the command was started",
            Target::Pids(_) | Target::All => "all that is to be traced was read",
        };
        begin(live, target, args)?;
        phases.borrow_mut().passed(done);
        Ok(())
    };
    let watched = Watched::new(pipeline, None);
    let over = || phases.borrow_mut().skip();
    let end = |live, reason| end(args, out, live, reason, &mut phases.borrow_mut());
    live::run((kernel, ring), watched, scope, &until, begin, over, end)
}

fn options(args: &TraceArgs, target: &Target, new_files: bool) -> kernel::Options {
    kernel::Options {
        trace_all: matches!(target, Target::All),
        follow: !args.no_follow,
        min_wait_ns: nanoseconds(args.min_wait),
        stream: args.events == Events::All,
        snapshots: !args.no_snapshots,
        fault_events: args.fault_events,
        locks: args.locks,
        lean: !args.exact && args.events != Events::All,
        snapshot_limit: args.snapshot_limit,
        ring_bytes: args.ring_size.map(|bytes| u32::try_from(bytes).unwrap_or(1 << 31)),
        table_sizes: args.table_size.clone(),
        diagnostics: args.out.verbose >= 2,
        late: !matches!(target, Target::Command(_)),
        new_files,
    }
}

/// Prints the summary, and says with which status to exit.
fn end(
    args: &TraceArgs,
    out: &OutputArgs,
    mut live: Live,
    reason: EndReason,
    phases: &mut Phases,
) -> Result<u8, Failure> {
    phases.passed("the last events were judged");
    let pipeline = &mut live.consumer.pipeline;
    let nothing = pipeline.nothing_fitted();
    let mut all = pipeline.caveats(true);
    all.extend(nothing.clone());
    output::summary(pipeline, &all, output::style(out), out.quiet)?;
    say_of_probes(args.locks, pipeline.sink.visible.counted(pipeline.judge()));
    let code = exit_code(args, &live, reason);
    drop(live);
    phases.passed("the summary was made and the programs were detached");
    let Some(nothing) = nothing else { return Ok(code) };
    // Of what was alive at the attach it was said then.
    if !args.cmd.is_empty() {
        say(&caveats::text(&nothing));
    }
    Ok(if code == 0 { NOTHING_FITTED } else { code })
}

/// A file to record to, and how its name says to store it.
fn named(path: &Path) -> Result<(&Path, forktrace_log::Format), Failure> {
    match forktrace_log::format(path) {
        Ok(format) => Ok((path, format)),
        Err(why) => Err(usage(&format!("cannot record to {}: {why}", path.display()))),
    }
}

/// Prints the cost of the probes before they are attached.
fn tell_price(probes: &kernel::LockProbes) {
    match kernel::price(probes) {
        Some((without, with)) => eprintln!(
            "forktrace: --locks: in traced processes, to take and release a free lock takes {:.1} µs \
             instead of {:.2} µs (measured on this host)",
            with as f64 / 1000.0,
            without as f64 / 1000.0
        ),
        None => eprintln!("forktrace: --locks: the lock calls of traced processes become slower"),
    }
}

/// Suggests --locks if it would have shown more, and explains the delay when probes are removed.
fn say_of_probes<'a>(probed: bool, mut shown: impl Iterator<Item = &'a Judged>) {
    let open = shown.any(|judged| {
        let finding = &judged.finding;
        finding.wait().is_some_and(|wait| wait.held == Held::SinceFork)
            && finding.confidence < Confidence::Certain
            && finding.holder().is_none()
            && finding.fork_site().is_some()
    });
    if probed {
        eprintln!("forktrace: removing the probes; with many processes this takes some seconds");
    } else if open {
        eprintln!(
            "forktrace: the holder of a lock at the fork is unknown; trace the next fork with --locks to \
             see it (lock calls become slower)"
        );
    }
}

fn target(args: &TraceArgs, out: &OutputArgs) -> Result<Target, Failure> {
    if !args.all && args.cmd.is_empty() && args.pid.is_empty() {
        return Err(usage("no target: use -p PID, -a, or -- CMD"));
    }
    if args.lean && args.events == Events::All {
        return Err(usage(
            "--events all cannot be used with --lean, which does not see each wait and wake",
        ));
    }
    arch::check_host().map_err(kernel::Error::from)?;
    // Before any pid is looked up: in another namespace it would be somebody else's.
    kernel::check_pid_namespace()?;
    if args.all {
        return Ok(Target::All);
    }
    if !args.cmd.is_empty() {
        // Before any thread exists.
        // With a pipe for stdout, a command that goes on after the trace would keep its reader waiting.
        let goes_on = args.duration.is_some() && output::is_pipe(1);
        let options = kernel::Start { for_ourselves: false, stdout_is_taken: out.json || goes_on };
        return Ok(Target::Command(GatedChild::spawn(&args.cmd, options)?));
    }
    let mut pids: Vec<u32> = args.pid.iter().flat_map(|list| list.0.iter().copied()).collect();
    pids.sort_unstable();
    pids.dedup();
    if pids.contains(&std::process::id()) {
        return Err(usage("forktrace cannot trace itself"));
    }
    Ok(Target::Pids(traceable(&pids)?))
}

/// Those of a list of processes that can be traced. The others are named: in a list made a moment
/// ago, as by pgrep, some may have ended.
pub(super) fn traceable(pids: &[u32]) -> Result<Vec<u32>, Failure> {
    let mut refused = Vec::new();
    let mut alive = Vec::new();
    for pid in pids.iter().copied() {
        let cause = match inspect::scan::kind(pid) {
            inspect::scan::Kind::Process => {
                alive.push(pid);
                continue;
            }
            inspect::scan::Kind::Kernel => "it is a kernel thread, and cannot inherit a lock",
            inspect::scan::Kind::Thread => "it is a thread; use the id of its process",
            inspect::scan::Kind::Gone => "it does not exist",
        };
        refused.push(Failure::NoProcess { pid, cause });
    }
    if alive.is_empty() && !refused.is_empty() {
        return Err(refused.swap_remove(0));
    }
    for failure in refused {
        say(&format!("{failure} (the others are traced)"));
    }
    Ok(alive)
}

/// Puts the target under the tracer and lets a command run.
fn begin(live: &mut Live, target: Target, args: &TraceArgs) -> Result<(), Failure> {
    match target {
        Target::Pids(pids) => live.adopt(&pids, args.no_follow)?,
        Target::All => live.adopt_all()?,
        Target::Command(child) => start_command(live, child, &args.cmd)?,
    }
    Ok(())
}

/// Traces the gated child and releases it.
pub(super) fn start_command(
    live: &mut Live,
    child: GatedChild,
    command: &[String],
) -> Result<(), Failure> {
    let name = command.first().map(String::as_str).unwrap_or_default();
    let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    live.adopt_command(child.pid(), &name)?;
    // What the command writes comes after it.
    if let Some(text) = &mut live.consumer.pipeline.sink.text {
        text.begin()?;
    }
    let running = child.release()?;
    live.set_command(running);
    Ok(())
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn start_event(
    args: &TraceArgs,
    kernel: &kernel::Kernel,
    began_ns: u64,
    target: &Target,
    asked: Vec<u32>,
    filter: Option<&Filter>,
) -> Event {
    let target = match target {
        Target::All => "all processes".to_owned(),
        Target::Command(_) => "the command and its children".to_owned(),
        Target::Pids(pids) => {
            let list: Vec<String> = pids.iter().map(ToString::to_string).collect();
            let children = if args.no_follow { "" } else { " and their children" };
            format!("processes {}{children}", list.join(", "))
        }
    };
    let words = match filter {
        Some(filter) => format!("{target}; of these {}", report::filter::text(filter)),
        None => target,
    };
    output::start_event(kernel, began_ns, nanoseconds(args.min_wait), words, asked)
}

/// The status to exit with; says what became of the command where that is no matter of course.
fn exit_code(args: &TraceArgs, live: &Live, reason: EndReason) -> u8 {
    match (live.command_outcome(), live.command_pid()) {
        (Some(Outcome::Signaled(signal)), _) => {
            say(&format!("the command was killed by signal {signal}"));
        }
        (Some(Outcome::Exited(code)), _) if reason == EndReason::Interrupted => {
            say(&format!("the command ended with status {code}"));
        }
        (None, Some(pid)) => {
            let pipe = match output::is_pipe(2) {
                true => "; it has stderr open, so the reader of that pipe waits for its end",
                false => "",
            };
            say(&format!(
                "the command continues to run as process {pid}; it is no longer traced{pipe}"
            ));
        }
        _ => {}
    }
    let pipeline = &live.consumer.pipeline;
    let found = pipeline.sink.visible.status(pipeline.judge(), args.exit_code);
    found.unwrap_or_else(|| live.command_outcome().map_or(0, Outcome::code))
}
