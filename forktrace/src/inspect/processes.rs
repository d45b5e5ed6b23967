//! Processes that are alive, from `/proc`.

use std::collections::BTreeMap;

use procfs::process::{Process, Status, all_processes};

use crate::event::{Body, Event, ProcessSnapshot, Task, ThreadName};

/// Nanoseconds of one second.
const SECOND_NS: u64 = 1_000_000_000;

/// Whether `pid` is a living process (not a thread's number, not a zombie).
pub fn is_process(pid: u32) -> bool {
    let Some(status) = process(pid).and_then(|process| process.status().ok()) else {
        return false;
    };
    u32::try_from(status.tgid) == Ok(pid) && !is_dead(&status)
}

/// A process as a `process.snapshot` event of the time `boot_ns`; `None` if it is gone.
pub fn snapshot(pid: u32, boot_ns: u64, resync: bool) -> Option<Event> {
    let process = process(pid)?;
    let stat = process.stat().ok()?;
    let status = process.status().ok()?;
    if is_dead(&status) {
        return None;
    }
    let exe = process.exe().ok().map(|path| path.to_string_lossy().into_owned());
    let threads = process
        .tasks()
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|task| {
            let tid = u32::try_from(task.tid).ok()?;
            Some(ThreadName { tid, comm: task.status().ok()?.name })
        })
        .collect();
    let body = Body::ProcessSnapshot(ProcessSnapshot {
        ppid: u32::try_from(stat.ppid).unwrap_or(0),
        start_ns: ticks_to_ns(stat.starttime),
        exe,
        ns_pid: inner_number(status.nspid.as_deref()),
        threads,
        resync,
    });
    Some(Event { boot_ns, task: Some(Task { pid, tid: pid, comm: status.name }), body })
}

/// Every living process with memory of its own (no kernel threads), in the order of their pids.
pub fn all() -> Vec<u32> {
    let Ok(processes) = all_processes() else { return Vec::new() };
    let mut pids: Vec<u32> = processes
        .filter_map(Result::ok)
        .filter(|process| {
            // A kernel thread and a zombie have no memory, and their status has no VmSize.
            process.status().is_ok_and(|status| status.vmsize.is_some() && !is_dead(&status))
        })
        .filter_map(|process| u32::try_from(process.pid()).ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// `roots` and all their living descendants, parents before their children.
pub fn tree(roots: &[u32]) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    if let Ok(processes) = all_processes() {
        for stat in processes.filter_map(Result::ok).filter_map(|process| process.stat().ok()) {
            if let (Ok(pid), Ok(ppid)) = (u32::try_from(stat.pid), u32::try_from(stat.ppid)) {
                children.entry(ppid).or_default().push(pid);
            }
        }
    }
    let mut tree: Vec<u32> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut next: Vec<u32> = roots.iter().rev().copied().collect();
    while let Some(pid) = next.pop() {
        if seen.insert(pid) {
            tree.push(pid);
            next.extend(children.get(&pid).into_iter().flatten().rev());
        }
    }
    tree
}

pub(super) fn process(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

/// The number of a task inside its own pid namespace, where that is another than the host's:
/// `NSpid` lists the outermost first (`task_state`, `fs/proc/array.c`, Linux 6.18).
pub(super) fn inner_number(nspid: Option<&[i32]>) -> Option<u32> {
    match nspid {
        Some([_, .., inner]) => u32::try_from(*inner).ok(),
        _ => None,
    }
}

fn is_dead(status: &Status) -> bool {
    status.state.starts_with(['Z', 'X'])
}

fn ticks_to_ns(ticks: u64) -> u64 {
    let ns = u128::from(ticks) * u128::from(SECOND_NS) / u128::from(procfs::ticks_per_second());
    u64::try_from(ns).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    #[test]
    fn this_process_is_alive_and_has_its_threads() {
        let own = std::process::id();
        assert!(is_process(own));
        let event = snapshot(own, 7, false).unwrap();
        assert_eq!(event.boot_ns, 7);
        let Body::ProcessSnapshot(snapshot) = event.body else { panic!("no snapshot") };
        assert!(snapshot.threads.iter().any(|thread| thread.tid == own));
        assert!(snapshot.threads.len() > 1, "the test harness has threads");
        assert!(snapshot.exe.unwrap().contains("forktrace"));
        assert!(all().contains(&own));
    }

    #[test]
    fn a_thread_and_a_number_without_a_task_are_no_processes() {
        let thread = std::thread::spawn(|| {
            let tid = nix::unistd::gettid().as_raw().unsigned_abs();
            (tid, is_process(tid))
        });
        let (tid, answer) = thread.join().unwrap();
        assert_ne!(tid, std::process::id());
        assert!(!answer);
        assert!(!is_process(u32::MAX));
        assert_eq!(snapshot(u32::MAX, 0, false), None);
    }

    #[test]
    fn the_tree_holds_children_after_their_parents() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("5").spawn().unwrap();
        let tree = tree(&[own]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(tree.first(), Some(&own));
        assert!(tree.contains(&child.id()));
    }

    #[test]
    fn only_a_nested_pid_namespace_has_inner_numbers() {
        assert_eq!(inner_number(None), None);
        assert_eq!(inner_number(Some(&[10])), None);
        assert_eq!(inner_number(Some(&[10, 1])), Some(1));
        assert_eq!(inner_number(Some(&[10, 5, 1])), Some(1));
    }
}
