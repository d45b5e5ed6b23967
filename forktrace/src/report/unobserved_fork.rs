//! Rows of the HANG block about a fork that was not seen.

use super::{Clock, Style, python};
use forktrace_model::finding::{Finding, Holder, UnobservedForkSite, WaitDetail};

/// Who had the lock.
pub(super) fn held_by(
    finding: &Finding,
    wait: &WaitDetail,
    fork: &UnobservedForkSite,
    style: Style,
) -> String {
    let Some(holder) = &wait.holder else {
        let why = match wait.lock.value_at_fork {
            _ if fork.owner_tid.is_some() => return owner(fork),
            Some(_) => "nothing in the lock says who took it".into(),
            None => format!("the fork happened {}", why(fork)),
        };
        return format!("not known: {why}{}", python::with_at_fork(finding, wait, style));
    };
    let process = match (&fork.by_comm, fork.by_pid == Some(holder.pid)) {
        (Some(comm), true) => format!("parent {}[{}]", style.clean(comm), holder.pid),
        _ => format!("process {}", holder.pid),
    };
    let fate = match (fork.by_tid == Some(holder.tid), &holder.comm) {
        (true, _) => "it is the thread that forked",
        (false, Some(_)) => "that thread lives there and does not exist here",
        (false, None) => "that thread has ended there and does not exist here",
    };
    format!("{} of {process} at the fork; {fate}", thread(holder, style))
}

/// Who has it by the number in the lock.
fn owner(fork: &UnobservedForkSite) -> String {
    let number = fork.owner_tid.unwrap_or_default();
    format!(
        "thread {number}, by the number in the lock; that is no thread of this process, and of which \
         it was is not known"
    )
}

fn thread(holder: &Holder, style: Style) -> String {
    match &holder.comm {
        Some(_) if holder.tid == holder.pid => format!("the main thread [{}]", holder.tid),
        Some(comm) => format!("thread \"{}\"[{}]", style.clean(comm), holder.tid),
        None => format!("thread {}", holder.tid),
    }
}

/// Why it was not seen.
fn why(fork: &UnobservedForkSite) -> &'static str {
    match fork.lost {
        true => "while events were lost",
        false => "before tracing began",
    }
}

/// When the process was forked and by whom, as far as that can be told after the fact.
pub(super) fn forked(
    finding: &Finding,
    fork: &UnobservedForkSite,
    style: Style,
    clock: &Clock,
) -> String {
    let no_older = if finding.wait().is_some_and(|wait| wait.at_most_ns.is_some()) {
        "; the hang is no older"
    } else {
        ""
    };
    format!("{}{no_older}", forked_by(fork, style, clock))
}

fn forked_by(fork: &UnobservedForkSite, style: Style, clock: &Clock) -> String {
    let when = format!("{}, {}", clock.date_and_time(fork.boot_ns), why(fork));
    let (Some(pid), Some(comm)) = (fork.by_pid, &fork.by_comm) else {
        return format!("{when}; by whom is not known");
    };
    let thread = match (fork.by_tid, &fork.by_thread) {
        (Some(tid), _) if tid == pid => " in its main thread".to_owned(),
        (Some(tid), Some(name)) => format!(" in its thread \"{}\"[{tid}]", style.clean(name)),
        _ => String::new(),
    };
    format!("{when}, by parent {}[{pid}]{thread}", style.clean(comm))
}
