//! `forktrace doctor`: what this host can do.

use std::io::{self, BufWriter, Write as _};

use super::{
    args::{DoctorArgs, OutputArgs},
    failure::Failure,
    output,
};
use crate::report;
use forktrace_collect::doctor::{Check, Status};

/// Exit status where nothing can be traced: the same as that of an attempt.
const CANNOT_TRACE: u8 = 3;

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Answer<'a> {
    checks: &'a [Check],
}

/// Checks everything and prints it.
pub(super) fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let shown = OutputArgs {
        json: args.json,
        suspects: false,
        audit: false,
        quiet: false,
        verbose: args.verbose,
        color: args.color,
        ascii: args.ascii,
    };
    output::init_diagnostics(&shown);
    let checks = forktrace_collect::doctor::examine();
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        let text = serde_json::to_string(&Answer { checks: &checks }).map_err(io::Error::from)?;
        writeln!(out, "{text}")?;
    } else {
        report::doctor::write(&mut out, &checks, output::style(&shown))?;
    }
    out.flush()?;
    let traces = checks.iter().all(|check| check.status != Status::Missing);
    Ok(if traces { 0 } else { CANNOT_TRACE })
}
