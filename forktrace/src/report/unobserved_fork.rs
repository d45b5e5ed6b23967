//! Rows of the HANG block if forktrace did not observe the fork.

use super::{Clock, Style, plural, python, threads};
use forktrace_model::finding::{Finding, UnobservedForkSite, WaitDetail};

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
    let thread = threads::name(holder.pid, holder.tid, holder.comm.as_deref(), style);
    format!("{thread} of {process} at the fork; {fate}")
}

/// The holder according to the number in the lock.
fn owner(fork: &UnobservedForkSite) -> String {
    let number = fork.owner_tid.unwrap_or_default();
    format!(
        "thread {number}, according to the lock; this process has no such thread, and which process \
         had it is unknown"
    )
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
    format!("{}{no_older}{}", forked_by(fork, style, clock), not_copied(finding, fork, style))
}

fn forked_by(fork: &UnobservedForkSite, style: Style, clock: &Clock) -> String {
    let when = format!("{}, {}", clock.date_and_time(fork.boot_ns), why(fork));
    let (Some(pid), Some(comm)) = (fork.by_pid, &fork.by_comm) else {
        return format!("{when}; the process that forked is unknown");
    };
    let thread = match (fork.by_tid, &fork.by_thread) {
        (Some(tid), _) if tid == pid => " in its main thread".to_owned(),
        (Some(tid), Some(name)) => {
            format!(" in its {}", threads::name(pid, tid, Some(name), style))
        }
        _ => String::new(),
    };
    format!("{when}, by parent {}[{pid}]{thread}", style.clean(comm))
}

/// The threads of the parent that the process does not have.
fn not_copied(finding: &Finding, fork: &UnobservedForkSite, style: Style) -> String {
    let (Some(pid), total) = (fork.by_pid, fork.older_threads.len() as u64) else {
        return String::new();
    };
    // Of one that the row above names, nothing is to be added.
    let is_named = |tid| finding.holder().is_some_and(|holder| holder.tid == tid);
    if fork.older_threads.iter().all(|thread| is_named(thread.tid)) {
        return String::new();
    }
    let others = plural(total, "older thread of it was", "older threads of it were");
    let names = threads::lost(finding, pid, &fork.older_threads, total, style);
    format!("; {others} not copied{names}")
}
