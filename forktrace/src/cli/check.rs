//! `forktrace report --check FILE…`: checks that a log has the format of SCHEMA.md.

use std::io::{self, Write};

use super::{
    budget::Budget,
    failure::Failure,
    log_files::{self, Files},
};
use crate::report::{caveats, plural, sanitize};
use forktrace_log::{Cause, Checker, Reader};

/// Problems printed, at most.
const PRINTED: usize = 50;

/// Checks the files in their order and uses at most `memory` bytes. Exit status 1: there is a problem.
pub(super) fn run(files: &Files, memory: u64) -> Result<u8, Failure> {
    let mut budget = Budget::new(memory);
    let progress = log_files::progress(&files.readable, true);
    let mut checker = Checker::default();
    let mut out = io::stdout().lock();
    let (mut found, mut lines) = (0, 0);
    for (path, why) in &files.bad {
        found += 1;
        if found <= PRINTED {
            writeln!(out, "{}", sanitize(&format!("{}: {why}", path.display())))?;
        }
    }
    'files: for path in &files.readable {
        let input = log_files::open(path, &progress)?;
        let damage = input.damage();
        let mut reader = Reader::new(input);
        let mut tell = |line: u64, text: &str| -> io::Result<()> {
            found += 1;
            if found <= PRINTED {
                progress.borrow_mut().clear();
                // Damage before the first line is in none.
                let line = if line == 0 { String::new() } else { format!(":{line}") };
                let text = format!("{}{line}: {text}", path.display());
                writeln!(out, "{}", sanitize(&text))?;
            }
            Ok(())
        };
        checker.begin();
        while let Some(line) = reader.next() {
            let number = reader.line();
            match &line {
                Ok(line) => {
                    for problem in checker.line(number, line) {
                        tell(problem.line, &problem.text)?;
                    }
                }
                // Why that is so follows.
                Err(error) if matches!(error.cause, Cause::Empty) && damage.borrow().is_some() => {}
                Err(error) => tell(error.line, &error.cause.to_string())?,
            }
            if budget.is_spent() {
                tell(number, &caveats::text(&budget.caveat(number).of(None)))?;
                break 'files;
            }
        }
        for problem in checker.end(reader.line()) {
            tell(problem.line, &problem.text)?;
        }
        if let Some(damage) = damage.borrow().as_deref() {
            tell(reader.line(), damage)?;
        }
        lines += reader.summary().lines;
    }
    progress.borrow_mut().clear();
    conclude(&mut out, found, lines)?;
    Ok(u8::from(found > 0))
}

fn conclude(out: &mut impl Write, found: usize, lines: u64) -> io::Result<()> {
    if found > PRINTED {
        writeln!(out, "and {}", plural((found - PRINTED) as u64, "more", "more"))?;
    }
    match found {
        0 => writeln!(out, "{}, no problems", plural(lines, "line", "lines")),
        n => writeln!(out, "{}", plural(n as u64, "problem", "problems")),
    }
}
