//! `forktrace dump`: one answer about running processes.

use std::time::Duration;

use super::{
    args::{Events, TraceArgs},
    failure::Failure,
    trace, usage,
};

/// Longer than a wait must last by default, than a thread must spin to be named, and than reading a stack or
/// two takes.
const DURATION: Duration = Duration::from_secs(4);

/// Traces for a short while, and prints what was found.
pub(super) fn run(mut args: TraceArgs) -> Result<u8, Failure> {
    if !args.cmd.is_empty() {
        return Err(usage("dump is for processes that run; use forktrace -- CMD for a command"));
    }
    args.out.quiet = true;
    args.events = Events::Findings;
    args.duration.get_or_insert(long_enough(args.min_wait));
    trace::run(&args)
}

/// How long is watched until what hangs can have been judged. `min_wait`: how long a wait must last.
pub(super) fn long_enough(min_wait: Duration) -> Duration {
    DURATION.max(min_wait * 3)
}
