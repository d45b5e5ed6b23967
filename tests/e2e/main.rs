//! forktrace on a real kernel: what it must find, what it must not, and how it is run.

mod attach;
mod cases;
mod check;
mod command;
mod demos;
mod late;
mod lean;
mod losses;
mod prefork;
mod probes;
mod stacks;

use std::process::ExitCode;

use forktrace_tests::conclude;

fn main() -> ExitCode {
    conclude(|| {
        let all = [
            cases::trials(),
            attach::trials(),
            command::trials(),
            demos::trials(),
            late::trials(),
            lean::trials(),
            losses::trials(),
            stacks::trials(),
            prefork::trials(),
            probes::trials(),
        ];
        all.into_iter().flatten().collect()
    })
}
