//! Rows of the HANG block if forktrace did not observe the fork.

use super::{Clock, Style, python};
use forktrace_model::finding::{Finding, Holder, UnobservedForkSite, WaitDetail};

/// The holder of the lock at the fork.
pub(super) fn held_by(
    finding: &Finding,
    wait: &WaitDetail,
    fork: &UnobservedForkSite,
    style: Style,
) -> String {
    let Some(holder) = &wait.holder else {
        let why = match wait.lock.value_at_fork {
            _ if fork.owner_tid.is_some() => return owner(fork),
            Some(_) => "this lock does not record its holder".into(),
            None => format!("the process was forked {}", why(fork)),
        };
        return format!("unknown: {why}{}", python::with_at_fork(finding, wait, style));
    };
    let process = match (&fork.by_comm, fork.by_pid == Some(holder.pid)) {
        (Some(comm), true) => format!("parent {}[{}]", style.clean(comm), holder.pid),
        _ => format!("process {}", holder.pid),
    };
    let fate = match (fork.by_tid == Some(holder.tid), &holder.comm) {
        (true, _) => "this thread called fork",
        (false, Some(_)) => "this thread is alive there, and does not exist in the child",
        (false, None) => "this thread has ended there, and does not exist in the child",
    };
    format!("{} of {process} at the fork; {fate}", thread(holder, style))
}

/// The holder according to the number in the lock.
fn owner(fork: &UnobservedForkSite) -> String {
    let number = fork.owner_tid.unwrap_or_default();
    format!(
        "thread {number}, according to the lock; this process has no such thread, and which process \
         had it is unknown"
    )
}

fn thread(holder: &Holder, style: Style) -> String {
    match &holder.comm {
        Some(_) if holder.tid == holder.pid => format!("the main thread [{}]", holder.tid),
        Some(comm) => format!("thread \"{}\"[{}]", style.clean(comm), holder.tid),
        None => format!("thread {}", holder.tid),
    }
}

/// Why the fork was not observed.
fn why(fork: &UnobservedForkSite) -> &'static str {
    match fork.lost {
        true => "while events were lost",
        false => "before tracing began",
    }
}

/// When and by whom the process was forked, as far as `/proc` still shows it.
pub(super) fn forked(
    finding: &Finding,
    fork: &UnobservedForkSite,
    style: Style,
    clock: &Clock,
) -> String {
    let is_older = finding.wait().is_some_and(|wait| wait.at_most_ns.is_some());
    let no_older = if is_older { "; the hang began later" } else { "" };
    format!("{}{no_older}", forked_by(fork, style, clock))
}

fn forked_by(fork: &UnobservedForkSite, style: Style, clock: &Clock) -> String {
    let when = format!("{}, {}", clock.date_and_time(fork.boot_ns), why(fork));
    let (Some(pid), Some(comm)) = (fork.by_pid, &fork.by_comm) else {
        return format!("{when}; the process that forked is unknown");
    };
    let thread = match (fork.by_tid, &fork.by_thread) {
        (Some(tid), _) if tid == pid => " in its main thread".to_owned(),
        (Some(tid), Some(name)) => format!(" in its thread \"{}\"[{tid}]", style.clean(name)),
        _ => String::new(),
    };
    format!("{when}, by parent {}[{pid}]{thread}", style.clean(comm))
}
