//! forktrace on a real kernel: what it must find, what it must not, and how it is run.

mod attach;
mod bad_days;
mod buffers;
mod cases;
mod check;
mod clear;
mod command;
mod concludes;
mod crowd;
mod demos;
mod denied;
mod doctor;
mod exact;
mod lacking;
mod late;
mod late_corpus;
mod losses;
mod machine;
mod neighbours;
mod packaging;
mod prefork;
mod privilege;
mod probes;
mod random;
mod recording;
mod reuse;
mod sampled;
mod service;
mod stacks;
mod stopped;
mod tables;
mod top;

use std::process::ExitCode;

use forktrace_tests::conclude;

fn main() -> ExitCode {
    conclude(|| {
        let all = [
            cases::trials(),
            attach::trials(),
            bad_days::trials(),
            clear::trials(),
            command::trials(),
            concludes::trials(),
            crowd::trials(),
            demos::trials(),
            denied::trials(),
            doctor::trials(),
            lacking::trials(),
            late::trials(),
            late_corpus::trials(),
            exact::trials(),
            sampled::trials(),
            service::trials(),
            losses::trials(),
            neighbours::trials(),
            machine::trials(),
            reuse::trials(),
            stacks::trials(),
            stopped::trials(),
            tables::trials(),
            top::trials(),
            packaging::trials(),
            prefork::trials(),
            privilege::trials(),
            probes::trials(),
            recording::trials(),
            random::trials(),
            buffers::trials(),
        ];
        all.into_iter().flatten().collect()
    })
}
