//! What is known of one process, for a page about it alone.

use std::io::{self, Write};

use forktrace_model::{arch::Machine, event::Ended, judge::Unaccounted, model::Process};

use super::{Clock, Style, cells, duration, hang, plural, proofs::signal_name, unjudged};
use crate::pipeline::Standing;

/// Writes who a process is, how it was made, how it stands, and which of its waits were not judged.
/// `now_ns`: `CLOCK_BOOTTIME`, ns; `machine`: where that is.
pub(crate) fn write(
    w: &mut impl Write,
    process: &Process,
    standing: Standing,
    waits: &[Unaccounted],
    (now_ns, machine): (u64, Machine),
    (style, clock): (Style, &Clock),
) -> io::Result<()> {
    let state = cells::state(standing, !process.is_alive());
    writeln!(w, "{}[{}]   {state}", style.clean(&process.comm), process.pid)?;
    let clean = |text: &str| style.clean(text).into_owned();
    let rows = [
        ("program", process.exe.as_deref().map(clean)),
        ("namespace", process.ns_pid.map(|pid| format!("pid {pid} in its own pid namespace"))),
        ("parent", Some(process.ppid).filter(|ppid| *ppid > 0).map(|ppid| ppid.to_string())),
        ("user id", process.uid.map(|uid| uid.to_string())),
        ("cgroup", process.cgroup.as_deref().map(clean)),
        ("began", Some(began(process, now_ns, clock))),
        ("memory", memory(process)),
        ("threads", process.is_alive().then(|| threads(process))),
        ("ended", end(process, clock)),
    ];
    for (label, text) in rows {
        if let Some(text) = text {
            hang::row(w, style, label, &text)?;
        }
    }
    for text in unjudged::lines(waits, waits.len() as u64, now_ns, machine) {
        hang::row(w, style, "not judged", &text)?;
    }
    Ok(())
}

fn began(process: &Process, now_ns: u64, clock: &Clock) -> String {
    let at = match process.start_ns {
        0 => "at an unknown time".into(),
        start_ns => clock.date_and_time(start_ns),
    };
    match (process.end_ns, process.lived_ns(process.end_ns.unwrap_or(now_ns))) {
        (None, Some(lived)) => format!("{at}, {} ago", duration(lived)),
        (Some(_), Some(lived)) => format!("{at}; lived {}", duration(lived)),
        (_, None) => at,
    }
}

/// Whose memory it runs on, where it was forked in the trace.
fn memory(process: &Process) -> Option<String> {
    let fork = process.inherited()?;
    let by = fork.by_pid;
    Some(match fork.lost.len() as u64 {
        0 => format!("the copy of process {by}, which forked it"),
        lost => {
            let threads = plural(lost, "thread", "threads");
            format!("the copy of process {by}, which forked it; {threads} of that were not copied")
        }
    })
}

fn threads(process: &Process) -> String {
    let waiting = process.threads.values().filter(|thread| thread.wait.is_some()).count() as u64;
    let all = plural(process.threads.len() as u64, "thread", "threads");
    match waiting {
        0 => all,
        waiting => format!("{all}, {waiting} in a long futex wait"),
    }
}

fn end(process: &Process, clock: &Clock) -> Option<String> {
    let at = clock.date_and_time(process.end_ns?);
    Some(match process.ended {
        Some(Ended::Signal(signal)) => format!("{at}, killed by {}", signal_name(signal.into())),
        Some(Ended::Code(code)) => format!("{at}, exit code {code}"),
        None => at,
    })
}
