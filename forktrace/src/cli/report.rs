//! `forktrace report FILE…`: the same tree and findings from a recorded log, without root.

use super::{
    args::{Events, OutputArgs, ReportArgs},
    caveats, check,
    failure::{Failure, say},
    filter::{Filter, Narrowed},
    log_files,
    log_stream::{Sink, Walk},
    output,
    pipeline::Pipeline,
};
use forktrace_model::event::{Event, TraceEnd, TraceStart};

/// Reads the log once, through the same pipeline as a live trace.
pub(super) fn run(args: &ReportArgs) -> Result<u8, Failure> {
    output::init_diagnostics(&args.output);
    let filter = Filter::new(&args.filter)?;
    let files = log_files::in_order(&args.files)?;
    if args.check {
        return check::run(&files, args.memory);
    }
    let report = Report {
        args: &args.output,
        narrowed: filter.map(Narrowed::new),
        needs_owner: args.filter.needs_owner(),
        pipeline: None,
    };
    let (report, missing, ended) =
        Walk::new(&files, report, args.memory, args.output.quiet).run()?;
    let pipeline = report.pipeline.filter(|pipeline| !pipeline.reader_gone);
    let Some(mut pipeline) = pipeline else {
        return Ok(0);
    };
    pipeline.flush()?;
    if !ended {
        let end = TraceEnd::default();
        pipeline.shortfalls = caveats::of(&end, pipeline.terms, &pipeline.judge);
    }
    pipeline.shortfalls.extend(missing);
    let nothing = caveats::of_filter(report.narrowed.as_ref(), &pipeline.model);
    pipeline.shortfalls.extend(nothing.clone());
    output::summary(&mut pipeline, output::style(&args.output), args.output.quiet)?;
    let Some(nothing) = nothing else { return Ok(pipeline.status(args.exit_code).unwrap_or(0)) };
    say(&nothing);
    Ok(caveats::NOTHING_FITTED)
}

/// Prints what is wanted.
struct Report<'a> {
    args: &'a OutputArgs,
    narrowed: Option<Narrowed>,
    /// The filter asks for what old logs do not tell.
    needs_owner: bool,
    pipeline: Option<Pipeline>,
}

impl Sink for Report<'_> {
    fn begin(&mut self, start: &TraceStart, event: &Event) -> Result<(), Failure> {
        if self.needs_owner && start.trace_id.is_empty() {
            let why = "this log does not say to whom processes belong (its forktrace was older), so \
                       that --uid, --cgroup and --container cannot choose among them";
            return Err(Failure::Usage(why.into()));
        }
        self.pipeline = Some(output::pipeline(self.args, Events::Waits, event)?);
        self.event(event)
    }

    fn event(&mut self, event: &Event) -> Result<(), Failure> {
        let Some(pipeline) = &mut self.pipeline else { return Ok(()) };
        match &mut self.narrowed {
            None => {
                pipeline.event(event)?;
            }
            Some(narrowed) => {
                for event in narrowed.take(event).1 {
                    pipeline.event(&event)?;
                }
            }
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.pipeline.is_some()
    }

    fn knows_any(&self) -> bool {
        self.pipeline.as_ref().is_some_and(|pipeline| pipeline.model.seen() > 0)
    }

    fn is_gone(&self) -> bool {
        self.pipeline.as_ref().is_some_and(|pipeline| pipeline.reader_gone)
    }
}
