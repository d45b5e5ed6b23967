//! forktrace on a real kernel: what it must find, what it must not, and how it is run.

mod attach;
mod cases;
mod check;
mod command;
mod demos;

use std::process::ExitCode;

use forktrace_tests::conclude;

fn main() -> ExitCode {
    let mut trials = cases::trials();
    trials.extend(attach::trials());
    trials.extend(command::trials());
    trials.extend(demos::trials());
    conclude(trials)
}
