//! Waits that were not judged, by name.

use forktrace_model::{
    arch::Machine,
    event::{Doing, Unjudged},
    judge::Unaccounted,
};

use super::{calls, count, duration, plural, python};
use crate::report::Style;

/// Most waits that are named.
const MOST: usize = 10;

/// The lines about waits that were not judged, at most ten and one that counts the others: who, in which
/// call, for how long, where in the program, and why. `total`: how many there are; `end_ns`: when tracing
/// stopped, `CLOCK_BOOTTIME`, ns; `machine`: where that was.
pub fn lines(waits: &[Unaccounted], total: u64, end_ns: u64, machine: Machine) -> Vec<String> {
    let style = Style::default();
    let shown = waits.iter().take(MOST);
    let mut lines: Vec<String> = shown.map(|wait| line(wait, (end_ns, machine), style)).collect();
    let more = total.max(waits.len() as u64).saturating_sub(lines.len() as u64);
    if more > 0 && !lines.is_empty() {
        lines.push(format!("and {}", plural(more, "other", "others")));
    }
    lines
}

fn line(unaccounted: &Unaccounted, (end_ns, machine): (u64, Machine), style: Style) -> String {
    let Unaccounted { task, wait, until_ns, .. } = unaccounted;
    let comm = style.clean(&task.comm);
    let who = match task.tid == task.pid {
        true => format!("{comm}[{}]", task.pid),
        false => format!("process {}, thread {comm}[{}]", task.pid, task.tid),
    };
    let call = match wait.doing {
        _ if wait.why == Unjudged::Stopped => "stopped".to_owned(),
        Doing::Futex { .. } => "in a futex wait".to_owned(),
        Doing::Syscall(number) => match calls::name(machine, number) {
            Some(name) => format!("in {name}"),
            None => format!("in system call {number}"),
        },
        Doing::Running => "running".to_owned(),
        Doing::Unknown => "in an unknown call".to_owned(),
    };
    let lasted = match until_ns.unwrap_or(end_ns).checked_sub(wait.since_ns) {
        Some(ns) if wait.since_ns > 0 => format!(" for {}", duration(ns)),
        _ => String::new(),
    };
    let at = match (&wait.python, &wait.frame) {
        (Some(frame), _) => format!(", at {}", python::line(frame, style)),
        (None, Some(frame)) => format!(", at {}", style.clean(&frame.short())),
        (None, None) => String::new(),
    };
    format!("{who} {call}{lasted}{at}: {}", reason(wait.why))
}

/// Why a wait was not judged, as the end of a sentence.
fn reason(why: Unjudged) -> &'static str {
    match why {
        Unjudged::NotSampled | Unjudged::Polls => "it was still being checked when tracing stopped",
        Unjudged::Interrupted => "a signal or a stop had interrupted it when tracing stopped",
        Unjudged::Gone => "the thread ended before it was checked",
        Unjudged::Denied => "access to the process was denied",
        Unjudged::ForkUnseen => "the fork was not seen, and what was held then is unknown",
        Unjudged::UnknownLock => "it is unknown what it waits for",
        Unjudged::Unreadable => "its memory could not be read, or is shared",
        Unjudged::Undecided => "whether the lock was held at the fork is unknown",
        Unjudged::NobodySeen => "nobody was seen who could end it",
        Unjudged::Stopped => {
            "a signal (SIGSTOP, SIGTTIN) or a debugger did that, and nobody has continued it"
        }
        Unjudged::WakersUnknown => "it is unknown who could end it",
        Unjudged::Busy => {
            "it uses a CPU all the time in one loop: a computation, or it spins for ever"
        }
    }
}

/// How many waits were named or counted, in words.
pub(super) fn heading(total: u64) -> String {
    match total {
        1 => "1 wait was not judged:".to_owned(),
        many => format!("{} waits were not judged:", count(many)),
    }
}
