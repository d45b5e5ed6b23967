//! What can still be told, long after it, of a fork that was not seen; and which threads were
//! blocked already when tracing began. Nothing here stops or changes a process.

use std::{
    collections::{HashMap, HashSet},
    fs::read_link,
};

use super::{
    kin::{self, Entry, Image},
    memory, module, pages,
    proc_text::{self, Status},
    scan, threads,
};
use crate::{
    event::{AtFork, Doing, Evidence, Kin, KinThread, Late, Learnt, Task, Wait, Window, is_older},
    locks::{self, Scene, State},
};

/// Most threads of a parent that are listed: each costs its reading and its place in the log.
const MAX_THREADS: usize = 4096;

/// A thread that was found blocked in a futex wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The thread.
    pub task: Task,
    /// Its wait; `enter_ns` is the time at which it was found.
    pub wait: Wait,
    /// How often it had left a CPU then: the same number later means the same wait.
    pub switches: u64,
    /// How often of these it had blocked, this wait included.
    pub times: u64,
}

/// What was found at the start of a trace.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Processes that were forked before and have not exec'ed since, as far as it can be shown.
    pub forked: HashSet<u32>,
    /// Threads that are blocked without a timeout and may be waiting for an inherited lock.
    pub standing: Vec<Standing>,
}

/// Looks at every thread of `pids`, at the time `now_ns` (`CLOCK_BOOTTIME`, ns). Takes some 10 µs a
/// thread and a process: not for an async task.
///
/// Of the threads of forked processes those are taken that wait for a lock with an owner, and all of
/// a process in which every thread waits. The others are mostly pools at rest, by the thousand, of
/// which nothing could be said after the fact: somebody is there who may wake them.
///
/// `asked` are processes of which something is to be said even if nothing shows their fork.
pub fn find(pids: &[u32], asked: &[u32], now_ns: u64) -> Found {
    let forked = kin::forked(&kin::table());
    let in_order = tids_in_order();
    let mut standing = Vec::new();
    for pid in pids {
        let (mut waits, threads) = blocked(*pid, now_ns);
        let all_blocked = waits.len() == threads;
        let (forked, asked) = (forked.contains(pid), asked.contains(pid));
        if !(all_blocked && (forked || asked)) {
            let mut owners = HashMap::new();
            waits.retain(|(_, wait)| {
                // Threads of a pool wait for few words.
                let key = (wait.uaddr, wait.op, wait.val);
                let owner = *owners.entry(key).or_insert_with(|| owner(*pid, wait));
                owner.is_some_and(|owner| forked || in_order && owner < *pid)
            });
        }
        standing.extend(waits.into_iter().filter_map(|(tid, wait)| named(*pid, tid, wait)));
    }
    let wanted: HashSet<u32> = pids.iter().copied().collect();
    Found { forked: forked.intersection(&wanted).copied().collect(), standing }
}

/// Whether a thread that was found is still in that very wait.
pub fn still_stands(one: &Standing) -> bool {
    let Task { pid, tid, .. } = one.task;
    let switches = Status::of(pid, tid).ok().and_then(|status| status.switches);
    switches == Some(one.switches) && threads::is_in(&threads::doing(pid, tid), &one.wait)
}

/// The threads of a process that are in untimed futex waits, and how many it has in all.
fn blocked(pid: u32, now_ns: u64) -> (Vec<(u32, Wait)>, usize) {
    let tids = proc_text::numbers(pid, &format!("{pid}/task")).unwrap_or_default();
    let waiting = |tid: &u32| match threads::doing(pid, *tid) {
        Doing::Futex { uaddr, op, val, timed: false } => {
            let wait =
                Wait { enter_ns: now_ns, uaddr, op, val, since_before: true, ..Wait::default() };
            Some((*tid, wait))
        }
        _ => None,
    };
    (tids.iter().filter_map(waiting).collect(), tids.len())
}

fn named(pid: u32, tid: u32, wait: Wait) -> Option<Standing> {
    let status = Status::of(pid, tid).ok()?;
    let (switches, times) = (status.switches?, status.blocked?);
    let comm = proc_text::comm(pid, tid).ok()?;
    Some(Standing { task: Task { pid, tid, comm }, wait, switches, times })
}

/// The owner that the lock names, if the wait is for one that does.
fn owner(pid: u32, wait: &Wait) -> Option<u32> {
    let address = wait.uaddr.saturating_sub(64);
    let bytes = memory::read(pid, address, 192).ok()?;
    let now = Window { address, bytes };
    let libc = module::place(pid, wait.uaddr).libc;
    let scene =
        Scene { wait, mapping: None, now: &now, at_fork: None, module: None, libc, target: None };
    match locks::read(&scene)?.now {
        State::Held { owner } => owner,
        _ => None,
    }
}

/// Adds to the evidence what can be told of the waiter's fork after the fact.
pub fn add(evidence: &mut Evidence, task: &Task) {
    let Ok(own) = Entry::of(task.pid) else { return };
    let Ok(start_ns) = scan::thread_start_ns(task.pid, task.pid) else { return };
    let table = kin::table();
    let witness = kin::witness(&own, &table);
    let (address, len) = match &evidence.now {
        Some(now) => (now.address, now.bytes.len()),
        None => (evidence.wait.uaddr, 4),
    };
    let mut learnt = None;
    let kin = witness.map(|witness| {
        let mut kin = describe(&own, &witness);
        kin.now = memory::read(kin.pid, address, len).ok().map(|bytes| Window { address, bytes });
        if kin.parent {
            learnt = pages::inherited(&own, &witness, &table, evidence.wait.uaddr, (address, len));
        }
        kin
    });
    let sharing = sharing(task, &table);
    evidence.memory_shared_with.extend(sharing);
    evidence.memory_shared_with.sort_unstable();
    evidence.memory_shared_with.dedup();
    let known = learnt.map(|(how, window): (Learnt, Window)| {
        evidence.at_fork = AtFork::Known(window);
        how
    });
    let late = Late { start_ns, kin, learnt: known, tids_in_order: tids_in_order() };
    evidence.late = Some(Box::new(late));
}

fn describe(own: &Entry, witness: &Entry) -> Kin {
    let pid = witness.pid;
    let parent = pid == own.ppid;
    let namespace = |pid: u32| read_link(format!("/proc/{pid}/ns/pid")).ok();
    let (theirs, ours) = (namespace(pid), namespace(own.pid));
    Kin {
        pid,
        comm: proc_text::comm(pid, pid).unwrap_or_default(),
        parent,
        same_pid_ns: theirs.is_some() && theirs == ours,
        threads: if parent { threads_of(pid) } else { Vec::new() },
        forker: if parent { forker(own.pid, witness) } else { None },
        now: None,
    }
}

fn threads_of(pid: u32) -> Vec<KinThread> {
    let tids = proc_text::numbers(pid, &format!("{pid}/task")).unwrap_or_default();
    let thread = |tid| {
        Some(KinThread {
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

/// Processes near the waiter that run in its very memory, or may.
fn sharing(task: &Task, table: &[Entry]) -> Vec<u32> {
    let Some(own) = table.iter().find(|entry| entry.pid == task.pid) else { return Vec::new() };
    let Some(stack) = threads::stack_pointer(task.pid, task.tid) else { return Vec::new() };
    // The parent of an orphan is no relative, nor are the others that it took in.
    let related = Image::of(own.ppid).is_some_and(|image| Image::of(own.pid) == Some(image));
    let near = |entry: &&Entry| {
        let below_parent = entry.pid == own.ppid || entry.ppid == own.ppid;
        entry.pid != own.pid && !entry.ended && (entry.ppid == own.pid || related && below_parent)
    };
    let near = table.iter().filter(near).map(|entry| entry.pid);
    near.filter(|pid| pages::same_memory(task.pid, *pid, stack)).collect()
}

/// Whether the kernel has given out every task number once at most since it started: it counts up
/// and begins again at its limit only (`alloc_pid`, `kernel/pid.c`). Fewer tasks were made in all
/// than there are numbers; a tenth is left for attempts that failed.
fn tids_in_order() -> bool {
    let made = proc_text::find_line(0, "stat", |line| {
        line.strip_prefix("processes ")?.trim().parse::<u64>().ok()
    });
    let limit = proc_text::small(0, "sys/kernel/pid_max");
    let limit = limit.ok().and_then(|text| text.trim().parse::<u64>().ok());
    match (made, limit) {
        (Ok(Some(made)), Some(limit)) => made < limit - limit / 10,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::{
        sync::{Arc, Mutex, mpsc},
        thread,
        time::Duration,
    };

    use super::*;

    fn own_tid() -> u32 {
        u32::try_from(nix::unistd::gettid().as_raw()).unwrap()
    }

    #[test]
    fn a_blocked_thread_is_found_and_known_again_until_it_goes_on() {
        let pid = std::process::id();
        let lock = Arc::new(Mutex::new(()));
        let guard = lock.lock().unwrap();
        let (tell, told) = mpsc::channel();
        let waiter = thread::spawn({
            let lock = lock.clone();
            move || {
                tell.send(own_tid()).unwrap();
                drop(lock.lock());
                // Lives on, so that it is not just gone.
                tell.send(0).unwrap();
                thread::sleep(Duration::from_millis(200));
            }
        });
        let tid = told.recv().unwrap();
        let found = (0..2000).find_map(|_| {
            thread::sleep(Duration::from_millis(1));
            let (waits, threads) = blocked(pid, 77);
            assert!(waits.len() < threads, "this thread runs");
            waits.into_iter().find(|(waiter, _)| *waiter == tid)
        });
        let (_, wait) = found.unwrap();
        assert!(wait.since_before && wait.enter_ns == 77 && !wait.timed);
        let standing = named(pid, tid, wait).unwrap();
        assert!(still_stands(&standing));
        drop(guard);
        assert_eq!(told.recv().unwrap(), 0);
        assert!(!still_stands(&standing));
        waiter.join().unwrap();
        assert!(!still_stands(&standing));
    }

    #[test]
    fn of_a_process_that_was_not_forked_nothing_is_taken() {
        // This test program was exec'ed, and no thread of it waits for a lock with an owner.
        let pid = std::process::id();
        let found = find(&[pid, u32::MAX], &[pid], 1);
        assert!(found.standing.is_empty() && !found.forked.contains(&pid));
    }

    #[test]
    fn a_forks_traces_are_not_seen_in_a_program_that_was_execed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let task = Task { pid, tid: pid, comm: String::new() };
        let mut evidence = Evidence::default();
        add(&mut evidence, &task);
        let late = evidence.late.unwrap();
        assert!(late.start_ns > 0 && late.kin.is_none() && late.learnt.is_none());
        assert!(evidence.memory_shared_with.is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
