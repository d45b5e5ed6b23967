//! `forktrace -p`, `-a` and `-- CMD`.

use std::{path::Path, time::Duration};

use super::{
    args::{Events, TraceArgs},
    failure::Failure,
    live::{Live, Stopped, Until},
    output, usage,
};
use crate::{
    event::Event,
    inspect,
    kernel::{self, GatedChild},
};

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
    output::init_diagnostics(&args.out);
    let target = target(args)?;
    let options = kernel::Options {
        trace_all: matches!(target, Target::All),
        follow: !args.no_follow,
        min_wait_ns: nanoseconds(args.min_wait),
        stream: args.events == Events::All,
        snapshots: !args.no_snapshots,
        snapshot_limit: args.snapshot_limit,
        ring_bytes: u32::try_from(args.ring_size).unwrap_or(1 << 31).min(1 << 31),
        diagnostics: args.out.verbose >= 2,
    };
    // Opened before anything is loaded, so that a mistyped path costs nothing.
    let recording = args.output.as_deref().map(|path| output::open_log(path)).transpose()?;
    let (kernel, ring) = kernel::load(&options)?;
    let start = start_event(args, &kernel, &target);
    let mut pipeline = output::pipeline(&args.out, args.events, &start)?;
    if let Some((name, file)) = recording {
        pipeline.logs.push(output::log(name, file, &start));
    }
    if args.no_snapshots || !kernel.snapshots {
        eprintln!("forktrace: pages are not kept at forks: few hangs can be proven");
    }

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Output)?;
    runtime.block_on(async {
        let mut live = Live::new(kernel, ring, pipeline, options.min_wait_ns, options.trace_all)?;
        live.pipeline.event(&start)?;
        let until =
            Until { duration: args.duration, after_finding: None, targets_end: !options.trace_all };
        begin(&mut live, target, args)?;
        let stopped = live.run(&until).await?;
        kernel::restore_interrupt();
        live.finish(stopped)?;
        output::summary(&mut live.pipeline, output::style(&args.out))?;
        Ok(exit_code(args, &live, stopped))
    })
}

fn target(args: &TraceArgs) -> Result<Target, Failure> {
    if !args.all && args.cmd.is_empty() && args.pid.is_empty() {
        return Err(usage("say what to trace: -p PID, -a, or -- CMD (see --help)"));
    }
    // Before any pid is looked up: in another namespace it would be somebody else's.
    kernel::check_pid_namespace()?;
    if args.all {
        return Ok(Target::All);
    }
    if !args.cmd.is_empty() {
        // Before any thread exists.
        return Ok(Target::Command(GatedChild::spawn(&args.cmd, false)?));
    }
    let mut pids: Vec<u32> = args.pid.iter().flat_map(|list| list.0.iter().copied()).collect();
    pids.sort_unstable();
    pids.dedup();
    for pid in &pids {
        if *pid == std::process::id() {
            return Err(usage("forktrace cannot trace itself"));
        }
        if !inspect::scan::is_process(*pid) {
            let cause = "it does not exist or has ended".to_owned();
            return Err(Failure::NoProcess { pid: *pid, cause });
        }
    }
    Ok(Target::Pids(pids))
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
    let running = child.release()?;
    live.set_child(running);
    Ok(())
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn start_event(args: &TraceArgs, kernel: &kernel::Kernel, target: &Target) -> Event {
    let filter = match target {
        Target::All => "all processes".to_owned(),
        Target::Command(_) => "the command and its children".to_owned(),
        Target::Pids(pids) => {
            let list: Vec<String> = pids.iter().map(ToString::to_string).collect();
            let children = if args.no_follow { "" } else { " and their children" };
            format!("processes {}{children}", list.join(", "))
        }
    };
    output::start_event(kernel, nanoseconds(args.min_wait), filter)
}

fn exit_code(args: &TraceArgs, live: &Live, stopped: Stopped) -> u8 {
    if let Some(code) = args.exit_code
        && live.pipeline.shown().next().is_some()
    {
        return code;
    }
    match (stopped, live.outcome, live.child_pid()) {
        (Stopped::TargetsEnded, Some(outcome), _) => outcome.code(),
        (_, None, Some(pid)) => {
            eprintln!("forktrace: the command is left running as process {pid}");
            0
        }
        _ => 0,
    }
}
