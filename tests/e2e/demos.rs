//! The demos, run as a newcomer would.

use std::time::Duration;

use anyhow::{Result, ensure};
use forktrace_tests::{Need, run::Job, trial};
use libtest_mimic::Trial;

const LIMIT: Duration = Duration::from_secs(40);

/// Name of a demo, and words that its output must have.
static DEMOS: &[(&str, &[&str])] = &[
    ("copied-state", &["blue, set by the parent before the fork", "still blue"]),
    (
        "shared-lock",
        &["is it free for others? False", "is it free for others? True", "DATA", "gave it back"],
    ),
    (
        "shared-file",
        &[
            "second line, by the child",
            "moved the position to byte 52",
            "moved its position by 26 bytes",
        ],
    ),
    (
        "shared-connection",
        &[
            "answers were wrong",
            "DATA",
            "certain",
            "one connection to 127.0.0.1:",
            "data goes wrong",
        ],
    ),
    ("inherited-lock", &["HANG", "certain", "I want the lock", "inherited_lock.py:"]),
    (
        "lost-threads",
        &[
            "I have 4 threads",
            "I have 1 thread",
            "the counter is ",
            "DATA",
            "1 record is still in the queue",
            "nobody does the work",
        ],
    ),
    ("same-random", &["my own generator", "the random module", "draw the same random numbers"]),
    ("written-twice", &["a line of the child", "DATA", "that were in a"]),
    ("spawn", &["I have the lock", "the child has ended"]),
];

pub(crate) fn trials() -> Vec<Trial> {
    let of = |(name, words): &'static (&str, &[&str])| {
        let test = || run(name, words);
        trial(format!("demo_{name}"), &[Need::Tracing, Need::SemaphorePython], test)
    };
    DEMOS.iter().map(of).collect()
}

fn run(name: &str, words: &[&str]) -> Result<()> {
    // Waits for what the demo started too: it must end all of it.
    let ended = Job::forktrace(&["demo", name])?.wait(LIMIT)?;
    ended.expect_code(0)?;
    for word in words.iter().chain(&[name, "WHAT FORKTRACE SAW"]) {
        ensure!(ended.stdout.contains(word), "it does not say {word:?}\n{}", ended.said());
    }
    let (titles, program) = (ended.stdout.find("TIME "), ended.stdout.find("\nparent "));
    ensure!(titles < program, "the titles come after the program's lines\n{}", ended.said());
    let hangs = words.contains(&"HANG");
    ensure!(hangs || !ended.stdout.contains("HANG"), "a hang was found\n{}", ended.said());
    Ok(())
}
