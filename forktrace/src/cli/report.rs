//! `forktrace report FILE…`: the same tree and findings from a recorded log, without root.

use super::{
    args::{Events, ReportArgs},
    check,
    failure::{Failure, say},
    filter::filter,
    log_files,
    log_stream::{Walk, Walked},
    output,
    trace::NOTHING_FITTED,
};
use crate::{
    pipeline::{Sink as _, filter::Narrowed},
    report::caveats,
};

/// Reads the log once, through the same pipeline as a live trace.
pub(super) fn run(args: &ReportArgs) -> Result<u8, Failure> {
    output::init_diagnostics(&args.output);
    let filter = filter(&args.filter)?;
    let files = log_files::in_order(&args.files)?;
    if args.check {
        return check::run(&files, args.memory);
    }
    let walk = Walk::new(&files, args.memory, args.output.quiet, |start, event| {
        if args.filter.needs_owner() && start.trace_id.is_empty() {
            let why = "this log was recorded by an older forktrace and has no users and cgroups of \
                       processes; --uid, --cgroup and --container cannot be used with it";
            return Err(Failure::Usage(why.into()));
        }
        let outputs = output::outputs(&args.output, Events::Waits, event, None);
        let pipeline = output::pipeline(outputs).audited(args.output.audit);
        Ok(pipeline.narrowed(filter.map(Narrowed::new)))
    });
    let Some(Walked { mut pipeline, mut caveats }) = walk.run()? else { return Ok(0) };
    if pipeline.sink.is_gone() {
        return Ok(0);
    }
    pipeline.end()?;
    let nothing = pipeline.nothing_fitted();
    caveats.extend(nothing.clone());
    output::summary(&mut pipeline, &caveats, output::style(&args.output), args.output.quiet)?;
    let Some(nothing) = nothing else {
        let status = pipeline.sink.visible.status(pipeline.judge(), args.exit_code);
        return Ok(status.unwrap_or(0));
    };
    say(&caveats::text(&nothing));
    Ok(NOTHING_FITTED)
}
