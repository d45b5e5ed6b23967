//! Events lost on purpose: counted to the last one, said aloud, and the tree healed.

use std::time::Duration;

use anyhow::{Result, ensure};
use forktrace_tests::{
    Need,
    log::{Log, number},
    run::Job,
    trial, workload,
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(15);

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc];
    vec![
        trial("lost_events_are_counted_and_healed", &needs, tiny_ring),
        trial("pages_of_ended_children_make_room", &needs, room),
    ]
}

/// A ring of one page, and a tracer that is held up while the forks go on.
fn tiny_ring() -> Result<()> {
    let command = workload::command("quick_forks.c", &["20000"])?;
    let options = ["--ring-size", "4K", "-o", "{log}", "--"].map(str::to_owned);
    let mut job = Job::forktrace(&[options.to_vec(), command].concat())?;
    job.until("forks", START, |job| job.log_text().contains("process.fork"))?;
    job.signal(Signal::SIGSTOP)?;
    std::thread::sleep(Duration::from_millis(300));
    job.signal(Signal::SIGCONT)?;
    let ended = job.wait(LIMIT)?;
    ended.expect_code(0)?;
    let log = Log::read(&ended.log())?;
    let told: u64 = log.of("events.lost").filter_map(|line| number(line, "/count")).sum();
    let total = log.of("trace.end").find_map(|line| number(line, "/lost")).unwrap_or(0);
    ensure!(total > 0, "nothing was lost: the test did not test");
    ensure!(told == total, "{told} lost events were told, {total} were counted");
    ensure!(ended.stdout.contains("this result is incomplete"), "{}", ended.said());
    ensure!(!ended.stdout.contains("no child hangs"), "it claims to have seen everything");
    let healed = "targets ended";
    let end = log.of("trace.end").any(|line| line["reason"] == healed);
    ensure!(end, "processes whose end was lost are still taken for alive");
    Ok(())
}

/// More pages are kept one after the other than there is room for at once, and none is refused.
fn room() -> Result<()> {
    let command = workload::command("quick_forks.c", &["5000"])?;
    let options = ["-q", "--snapshot-limit", "32M", "-o", "{log}", "--"].map(str::to_owned);
    let ended = Job::forktrace(&[options.to_vec(), command].concat())?.wait(LIMIT)?;
    ended.expect_code(0)?;
    let log = Log::read(&ended.log())?;
    let counter = |name: &str| {
        let of_end = |line| number(line, &format!("/counters/{name}"));
        log.of("trace.end").find_map(of_end).unwrap_or(0)
    };
    let (kept, refused) = (counter("pages_kept"), counter("pages_refused"));
    ensure!(kept > (32 << 20) / 4096, "only {kept} pages were kept: the test did not test");
    ensure!(refused == 0, "{refused} children were refused a page");
    Ok(())
}
