//! The rows about who waits for whom.

use forktrace_model::{
    event::stall::{ThingKind, Way},
    finding::{Link, StallDetail},
};

use super::{Style, threads};

/// Most links of a chain that are shown.
const LINKS: usize = 6;

/// Label and text of the rows about a stall: what the task waits for, and why nobody ends that.
pub(super) fn rows(stall: &StallDetail, style: Style) -> Vec<(&'static str, String)> {
    let Some((first, others)) = stall.chain.split_first() else { return Vec::new() };
    let mut rows = vec![("waits for", what(first, style))];
    let mut label = "woken by";
    for link in others.iter().take(LINKS) {
        let name = threads::task(&link.task, style);
        rows.push((label, format!("{name}, which itself waits for {}", what(link, style))));
        label = "";
    }
    if let Some(hidden) = others.len().checked_sub(LINKS).filter(|hidden| *hidden > 0) {
        rows.push((label, format!("… {hidden} more")));
        label = "";
    }
    if let Some(last) = stall.chain.last() {
        rows.push((label, end(last, stall, style)));
    }
    rows
}

/// Why the last of a chain never goes on.
fn end(last: &Link, stall: &StallDetail, style: Style) -> String {
    if let Some(pid) = last.gone.filter(|_| last.thing == ThingKind::SysvSemaphore) {
        return format!("process {pid}, which changed it last and was killed");
    }
    if let Some(owner) = last.gone {
        return format!(
            "task {owner}, which had taken it and has ended: nobody else may release it"
        );
    }
    let met = |pid: &&u32| stall.chain.iter().any(|link| link.task.pid == **pid);
    let itself = last.by.iter().all(|pid| *pid == last.task.pid);
    match last.by.iter().find(met) {
        None if last.by.is_empty() => "nobody: no living process has taken it".into(),
        None => format!("{}, which cannot go on either", pids(&last.by)),
        Some(_) if stall.chain.len() == 1 && itself && last.thing == ThingKind::PrivateWord => {
            "nobody: no other thread of its process can run".into()
        }
        Some(_) if itself && stall.chain.len() == 1 => {
            "the process itself alone: no other process has the other end".into()
        }
        Some(pid) => {
            let task = stall.chain.iter().find(|link| link.task.pid == *pid);
            let name = task.map_or_else(|| pid.to_string(), |link| process(link, style));
            format!("{name} again: nobody in this circle can go on")
        }
    }
}

/// The process of a task of a chain: its name belongs to its first thread.
fn process(link: &Link, style: Style) -> String {
    match link.task.tid == link.task.pid {
        true => threads::task(&link.task, style),
        false => format!("process {}", link.task.pid),
    }
}

/// What a task waits for.
fn what(link: &Link, style: Style) -> String {
    let name = match link.name.is_empty() {
        true => String::new(),
        false => format!(" {}", style.clean(&link.name)),
    };
    let fd = link.fd.map(|fd| format!(" (its file descriptor {fd})")).unwrap_or_default();
    match (link.thing, link.way) {
        (ThingKind::PrivateWord, _) => "a thread of its own process".into(),
        (ThingKind::SharedWord, _) => format!("a lock or semaphore in shared memory{name}"),
        (ThingKind::Pipe, Way::Write) => format!("room in{name}{fd}: nobody reads it"),
        (ThingKind::Pipe, _) => format!("data from, or the end of,{name}{fd}"),
        (ThingKind::UnixSocket | ThingKind::TcpSocket, Way::Write) => {
            format!("room in{name}{fd}: its peer does not read")
        }
        (ThingKind::UnixSocket | ThingKind::TcpSocket, _) => {
            format!("data from, or the end of, the peer of{name}{fd}")
        }
        (ThingKind::Eventfd, _) => format!("a count in{name}{fd}"),
        (ThingKind::Children, _) => match link.by.as_slice() {
            [] => "the end of a child".into(),
            pids_ => format!("the end of {}", pids(pids_)),
        },
        (ThingKind::FileLock, _) => format!("the lock on the file{name}{fd}"),
        (ThingKind::SysvSemaphore, _) => format!("the System V{name}, to be raised"),
        (ThingKind::Epoll | ThingKind::Other, _) => format!("events{name}{fd}"),
    }
}

fn pids(pids: &[u32]) -> String {
    let shown: Vec<String> = pids.iter().take(LINKS).map(u32::to_string).collect();
    let more = match pids.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let word = if pids.len() == 1 { "process" } else { "processes" };
    format!("{word} {}{more}", shown.join(", "))
}
