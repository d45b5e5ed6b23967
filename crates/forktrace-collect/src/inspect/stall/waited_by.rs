//! Which threads of a process's parent wait for its end, by what those threads are in alone: it is read
//! for each evidence.

use forktrace_model::event::Task;

use super::{
    call::{Call, Target, Which},
    files::{self, Info, Link, Object},
    look::{self, Blocked, Doing},
    polled, things,
};
use crate::inspect::{proc_text, scan};

/// The threads of a process's parent that wait for its end now.
pub fn waited_by(pid: u32) -> Vec<Task> {
    let Ok(child) = scan::stat(pid) else { return Vec::new() };
    let Ok(parent) = u32::try_from(child.ppid) else { return Vec::new() };
    let group = u32::try_from(child.pgrp).unwrap_or_default();
    let waits = |tid: u32, blocked: Blocked| {
        let mut targets = Call::of(blocked.number, blocked.arguments).targets.into_iter();
        targets.any(|target| is_met(target, (parent, tid), (pid, group)))
    };
    let looks = look::at_threads(parent).unwrap_or_default();
    let waiting = looks.into_iter().filter(|look| match look.doing {
        Doing::Blocked(blocked) => waits(look.tid, blocked),
        Doing::Runs | Doing::Stopped | Doing::Unknown => false,
    });
    let task =
        |tid| Task { pid: parent, tid, comm: proc_text::comm(parent, tid).unwrap_or_default() };
    waiting.map(|look| task(look.tid)).collect()
}

/// Whether the end of process `pid`, of process group `group`, ends a wait of thread `tid` of its parent.
fn is_met(target: Target, (parent, tid): (u32, u32), (pid, group): (u32, u32)) -> bool {
    let of_files = |targets: Option<Vec<Target>>| {
        let mut targets = targets.unwrap_or_default().into_iter();
        targets.any(|target| matches!(target, Target::File(fd, _) if is_of(parent, tid, fd, pid)))
    };
    match target {
        Target::Children(Which::Any) => true,
        Target::Children(Which::Pid(wanted)) => things::ns_pids(pid).contains(&wanted),
        // The caller's own group.
        Target::Children(Which::Group(0)) => {
            scan::stat(parent).is_ok_and(|stat| u32::try_from(stat.pgrp) == Ok(group))
        }
        Target::Children(Which::Group(wanted)) => wanted == group,
        Target::OfPidfd(fd) => is_of(parent, tid, fd, pid),
        Target::Polled { array, count } => of_files(polled::polled(parent, array, count)),
        Target::Selected { count, sets } => of_files(polled::selected(parent, count, sets)),
        Target::Epoll(fd) => {
            let watched = Info::of(parent, tid, fd).map(|info| info.watched).unwrap_or_default();
            let mut watched = watched.iter().take(polled::MOST);
            watched.any(|watched| is_of(parent, tid, watched.fd, pid))
        }
        Target::Word { .. }
        | Target::Words { .. }
        | Target::File(..)
        | Target::Lock(_)
        | Target::LockOfOpenFile(_)
        | Target::Opened
        | Target::Connected(_)
        | Target::Message
        | Target::Ring { .. }
        | Target::Semaphore { .. }
        | Target::Outside => false,
    }
}

/// Whether a descriptor stands for process `pid`.
fn is_of(holder: u32, tid: u32, fd: i32, pid: u32) -> bool {
    let link = files::link(holder, tid, fd).map(|(_, link)| link);
    link == Some(Link::Kernel(Object::Pidfd))
        && Info::of(holder, tid, fd).is_some_and(|info| info.pid == Some(pid))
}
