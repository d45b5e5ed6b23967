//! What can still be learnt, long after it, of a fork that was not seen. Nothing here stops or changes
//! a process.

use std::fs::read_link;

use super::{
    ancestry::{self, Entry, Image},
    kcmp::{self, Shared},
    memory, pages,
    proc_text::{self, Status},
    scan, threads,
};
use forktrace_model::event::{
    AtFork, Doing, Evidence, Learnt, Relative, RelativeThread, Task, UnobservedFork, Waiter,
    Window, is_older,
};

/// Most threads of a parent that are listed: each costs its reading and its place in the log.
const MAX_THREADS: usize = 4096;

/// Adds to the evidence what can be learnt of the waiter's fork after the fact.
pub fn add(evidence: &mut Evidence, task: &Task) {
    let Ok(own) = Entry::of(task.pid) else { return };
    let Ok(start_ns) = scan::thread_start_ns(task.pid, task.pid) else { return };
    let table = ancestry::table();
    let witness = ancestry::witness(&own, &table);
    let (word, (address, len)) = lock_memory(evidence);
    let mut learnt = None;
    let kin = witness.map(|witness| {
        let mut kin = describe(&own, &witness);
        kin.now = memory::read(kin.pid, address, len).ok().map(|bytes| Window { address, bytes });
        if kin.parent {
            learnt = pages::inherited(&own, &witness, &table, word, (address, len));
        }
        kin
    });
    let sharing = sharing(task, &table);
    evidence.memory_shared_with.extend(sharing);
    evidence.memory_shared_with.sort_unstable();
    evidence.memory_shared_with.dedup();
    let known = learnt.map(|(how, window): (Learnt, Window)| {
        let at_fork = match &mut evidence.target {
            Some(place) => &mut place.at_fork,
            None => &mut evidence.at_fork,
        };
        *at_fork = AtFork::Known(window);
        how
    });
    add_waiters(evidence);
    evidence.late = Some(Box::new(UnobservedFork {
        start_ns,
        thread_start_ns: scan::thread_start_ns(task.pid, task.tid).ok(),
        not_execed: own.forked,
        relative: kin,
        learnt: known,
        tids_in_order: tids_in_order(),
    }));
}

/// What can be learnt of the fork of a process by itself, without a lock whose memory could be compared.
pub fn of(task: &Task) -> Option<Box<UnobservedFork>> {
    let mut evidence = Evidence::default();
    add(&mut evidence, task);
    evidence.late
}

/// The word that is the lock's own, and start and length of the memory around it that was read.
fn lock_memory(evidence: &Evidence) -> (u64, (u64, usize)) {
    let (word, now) = match &evidence.target {
        Some(place) => (place.address, &place.now),
        None => (evidence.wait.uaddr, &evidence.now),
    };
    (word, now.as_ref().map_or((word, 4), |now| (now.address, now.bytes.len())))
}

/// Of those who wait for a word since before the trace only some are known to the programs.
fn add_waiters(evidence: &mut Evidence) {
    let (uaddr, enter_ns) = (evidence.wait.uaddr, evidence.wait.enter_ns);
    for thread in &evidence.threads {
        let waits = matches!(thread.doing, Doing::Futex { uaddr: other, .. } if other == uaddr);
        if waits && !evidence.waiters.iter().any(|waiter| waiter.tid == thread.tid) {
            evidence.waiters.push(Waiter { tid: thread.tid, enter_ns, times: None });
        }
    }
}

fn describe(own: &Entry, witness: &Entry) -> Relative {
    let pid = witness.pid;
    let parent = pid == own.ppid;
    let namespace = |pid: u32| read_link(format!("/proc/{pid}/ns/pid")).ok();
    let (theirs, ours) = (namespace(pid), namespace(own.pid));
    Relative {
        pid,
        comm: proc_text::comm(pid, pid).unwrap_or_default(),
        parent,
        forked: witness.forked,
        same_pid_ns: theirs.is_some() && theirs == ours,
        threads: if parent { threads_of(pid) } else { Vec::new() },
        forker: if parent { forker(own.pid, witness) } else { None },
        now: None,
    }
}

fn threads_of(pid: u32) -> Vec<RelativeThread> {
    let tids = proc_text::numbers(pid, &format!("{pid}/task")).unwrap_or_default();
    let thread = |tid| {
        Some(RelativeThread {
            tid,
            ns_tid: Status::of(pid, tid).ok()?.ns_id.filter(|ns_tid| *ns_tid != tid),
            comm: proc_text::comm(pid, tid).ok()?,
            start_ns: scan::thread_start_ns(pid, tid).ok()?,
        })
    };
    tids.into_iter().take(MAX_THREADS).filter_map(thread).collect()
}

/// The parent's thread on whose stack the child's first thread runs: it is the one that forked. A
/// stack that was used again since, by a thread younger than the child, is no such sign.
fn forker(child: u32, parent: &Entry) -> Option<u32> {
    let stack = memory::mapping(child, threads::stack_pointer(child, child)?)?;
    let tids = proc_text::numbers(parent.pid, &format!("{}/task", parent.pid)).ok()?;
    let on_it = |tid: &u32| {
        let pointer = threads::stack_pointer(parent.pid, *tid);
        pointer.is_some_and(|pointer| (stack.start..stack.end).contains(&pointer))
    };
    let mut found = tids.into_iter().filter(on_it);
    let (one, more) = (found.next()?, found.next());
    let age = |pid, tid| Some((scan::thread_start_ns(pid, tid).ok()?, tid));
    let older = is_older(age(parent.pid, one)?, age(child, child)?);
    (more.is_none() && older).then_some(one)
}

/// The other processes that run in the waiter's very memory, or may.
fn sharing(task: &Task, table: &[Entry]) -> Vec<u32> {
    let Some(own) = table.iter().find(|entry| entry.pid == task.pid) else { return Vec::new() };
    let Some(stack) = threads::stack_pointer(task.pid, task.tid) else { return Vec::new() };
    // The parent of an orphan is no relative, nor are the others that it took in.
    let related = Image::of(own.ppid).is_some_and(|image| Image::of(own.pid) == Some(image));
    let near = |entry: &Entry| {
        let below_parent = entry.pid == own.ppid || entry.ppid == own.ppid;
        entry.ppid == own.pid || related && below_parent
    };
    let shares = |entry: &&Entry| {
        let shared = kcmp::share(task.tid, kcmp::shown(entry.pid), Shared::Memory);
        shared.unwrap_or_else(|| near(entry) && pages::same_memory(task.pid, entry.pid, stack))
    };
    let others = table.iter().filter(|entry| entry.pid != own.pid && !entry.ended);
    others.filter(shares).map(|entry| entry.pid).collect()
}

/// Whether the kernel has given out every task number once at most since it started: it counts up
/// and begins again at its limit only (`alloc_pid`, `kernel/pid.c`).
fn tids_in_order() -> bool {
    let mut cpus = 0;
    let made = proc_text::find_line(0, "stat", |line| {
        cpus += u64::from(line.starts_with("cpu"));
        line.strip_prefix("processes ")?.trim().parse::<u64>().ok()
    });
    let limit = proc_text::small(0, "sys/kernel/pid_max");
    let limit = limit.ok().and_then(|text| text.trim().parse::<u64>().ok());
    // Read last: it may have grown since.
    let latest = proc_text::small(0, "loadavg");
    let latest = latest.ok().and_then(|text| text.trim().rsplit(' ').next()?.parse::<u64>().ok());
    match (made, limit, latest) {
        (Ok(Some(made)), Some(limit), Some(latest)) => in_order(made, cpus, limit, latest),
        _ => false,
    }
}

/// Of `made` tasks in all, those among them that idle on a CPU without a number, the limit now and the
/// latest number. Fewer were made than there are numbers, a tenth of them left for attempts that
/// failed; and the latest is not smaller than their count, as it would be if the limit was once lower
/// and was reached.
fn in_order(made: u64, idle: u64, limit: u64, latest: u64) -> bool {
    made < limit - limit / 10 && made <= latest.saturating_add(idle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    #[test]
    fn numbers_are_in_order_until_a_limit_was_reached() {
        assert!(in_order(5_000, 2, 32_768, 5_010));
        // A task that idles on each CPU is one of them, and has no number.
        assert!(in_order(5_002, 2, 32_768, 5_000));
        assert!(!in_order(510_000, 2, 32_768, 24_000));
        // The limit was raised after it had been reached.
        assert!(!in_order(510_000, 2, 4_194_304, 24_000));
        assert!(!in_order(1_000, 2, 32_768, 400));
        // Attempts that failed took numbers: it may have been reached.
        assert!(!in_order(32_000, 2, 32_768, 32_700));
    }

    #[test]
    fn a_forks_traces_are_not_seen_in_a_program_that_was_execed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let task = Task { pid, tid: pid, comm: String::new() };
        let mut evidence = Evidence::default();
        add(&mut evidence, &task);
        let late = evidence.late.unwrap();
        assert!(late.start_ns > 0 && late.relative.is_none() && late.learnt.is_none());
        assert!(evidence.memory_shared_with.is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
