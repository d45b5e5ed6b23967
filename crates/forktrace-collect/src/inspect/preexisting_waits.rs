//! Which threads were blocked already when tracing began. Nothing here stops or changes a process.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
};

use super::{
    Error, access_probe, ancestry, memory, module,
    proc_text::{self, Status},
    threads,
};
use crate::arch;
use forktrace_model::{
    event::{Doing, Libc, Task, Wait, Window},
    locks::{self, Code, Scene, State},
};

/// Most waits that are taken, in all and of one process: each costs a look at all threads of its
/// process, and its place in the programs' table, which is gone through many times a second.
const MAX_WAITS: usize = 4096;
const MAX_OF_PROCESS: usize = 64;
/// Most waits taken of one process times its threads, and the fewest waits for all that.
const MAX_READS: usize = 20_000;
const MIN_OF_PROCESS: usize = 4;
/// Most waits for one word: threads of a pool wait for few words, and all for the same reason.
const MAX_ALIKE: usize = 8;
/// Most words of one process of which it is read what they are.
const MAX_RANKED: usize = 1024;

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
    /// Processes that were forked before and have not exec'ed since.
    pub forked: HashSet<u32>,
    /// Threads of these that are blocked without a timeout.
    pub standing: Vec<Standing>,
    /// Forks alone were looked for, after a loss of events.
    pub again: bool,
    /// How many more there are that wait for other words than those do: they are too many.
    pub left_out: u64,
    /// Processes for which something denies access to what their threads do, or to whether they
    /// were forked.
    pub denied: Vec<u32>,
}

/// Looks at every thread of those of `pids` that were forked and have not exec'ed since, at the time
/// `now_ns` (`CLOCK_BOOTTIME`, ns). Takes some 10 µs a thread and a process: not for an async task.
pub fn find(pids: &[u32], now_ns: u64) -> Found {
    let mut found = Found::default();
    for pid in pids.iter().copied() {
        match ancestry::Entry::of(pid) {
            Ok(entry) if entry.forked => {}
            Err(Error::Denied { .. }) => {
                found.denied.push(pid);
                continue;
            }
            _ => continue,
        }
        found.forked.insert(pid);
        let Threads { waits, all: threads, denied } = blocked(pid, now_ns);
        found.denied.extend(denied.then_some(pid));
        let room = MAX_WAITS.saturating_sub(found.standing.len()).min(most_of(threads));
        let (chosen, left_out) = choose(waits, room, Ranks::of(pid));
        found.left_out = found.left_out.saturating_add(left_out);
        found.standing.extend(chosen.into_iter().filter_map(|(tid, wait)| named(pid, tid, wait)));
    }
    found
}

/// Those of `pids` that were forked and have not exec'ed since.
pub fn forked(pids: &[u32]) -> HashSet<u32> {
    pids.iter().copied().filter(|pid| ancestry::is_forked(*pid)).collect()
}

/// Whether a thread that was found is still in that very wait.
pub fn still_stands(one: &Standing) -> bool {
    let Task { pid, tid, .. } = one.task;
    let switches = Status::of(pid, tid).ok().and_then(|status| status.switches);
    switches == Some(one.switches) && threads::is_in(&threads::doing(pid, tid), &one.wait)
}

/// The threads of a process at one look.
struct Threads {
    /// Those that are in untimed futex waits.
    waits: Vec<(u32, Wait)>,
    /// How many there are.
    all: usize,
    /// Something denies access to what they do.
    denied: bool,
}

fn blocked(pid: u32, now_ns: u64) -> Threads {
    let tids = proc_text::numbers(pid, &format!("{pid}/task")).unwrap_or_default();
    let mut found = Threads { waits: Vec::new(), all: tids.len(), denied: false };
    for tid in tids {
        match threads::doing(pid, tid) {
            Doing::Futex { uaddr, op, val, timed: false } => {
                let wait = Wait {
                    enter_ns: now_ns,
                    uaddr,
                    op,
                    val,
                    since_before: true,
                    ..Wait::default()
                };
                found.waits.push((tid, wait));
            }
            Doing::Unknown => found.denied = found.denied || access_probe::is_denied(pid, tid),
            _ => {}
        }
    }
    found
}

/// Most waits that are taken of a process with this many threads.
fn most_of(threads: usize) -> usize {
    (MAX_READS / threads.max(1)).clamp(MIN_OF_PROCESS, MAX_OF_PROCESS)
}

/// At most `most` of the waits: one for each word, those for locks first, then further ones for the
/// same words. Also returns how many waits were for words that were not taken.
fn choose(
    waits: Vec<(u32, Wait)>,
    most: usize,
    mut rank: impl FnMut(&Wait) -> Rank,
) -> (Vec<(u32, Wait)>, u64) {
    let mut words: BTreeMap<(u64, u32, u64), Vec<(u32, Wait)>> = BTreeMap::new();
    for (tid, wait) in waits {
        words.entry((wait.uaddr, wait.op, wait.val)).or_default().push((tid, wait));
    }
    let mut words: Vec<_> = words.into_values().collect();
    if words.len() > most {
        words.sort_by_cached_key(|waits| {
            let (tid, rank) =
                waits.first().map_or((0, Rank::Other), |(tid, wait)| (*tid, rank(wait)));
            (Reverse(rank), tid)
        });
    }
    let left_out = words.iter().skip(most).map(|waits| waits.len() as u64).sum();
    words.truncate(most);
    let mut chosen = Vec::new();
    for turn in 0..MAX_ALIKE {
        let of_turn = words.iter().filter_map(|waits| waits.get(turn));
        chosen.extend(of_turn.take(most.saturating_sub(chosen.len())).cloned());
    }
    (chosen, left_out)
}

/// What a word seems to be, from the least to the most interesting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Other,
    Lock,
    OwnedLock,
}

/// Tells the ranks of the words of a process.
struct Ranks {
    pid: u32,
    libc: Option<Libc>,
    left: usize,
}

impl Ranks {
    fn of(pid: u32) -> impl FnMut(&Wait) -> Rank {
        let mut ranks = None;
        move |wait| {
            let new = || Ranks { pid, libc: module::place(pid, 0).libc, left: MAX_RANKED };
            ranks.get_or_insert_with(new).rank(wait)
        }
    }

    fn rank(&mut self, wait: &Wait) -> Rank {
        let address = wait.uaddr.saturating_sub(64);
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Rank::Other;
        }
        let Ok(bytes) = memory::read(self.pid, address, 192) else { return Rank::Other };
        let now = Window { address, bytes };
        let machine = arch::machine();
        if locks::target(wait, &now, machine).is_some() {
            return Rank::Lock;
        }
        let libc = self.libc;
        let (mapping, at_fork, module, target) = (None, None, None, None);
        let code = Code::default();
        let scene =
            Scene { machine, wait, mapping, now: &now, at_fork, module, libc, target, code };
        match locks::read(&scene).map(|reading| reading.now) {
            Some(State::Held { owner: Some(_) }) => Rank::OwnedLock,
            Some(_) => Rank::Lock,
            None if locks::depends_on_code(&scene) => Rank::Lock,
            None => Rank::Other,
        }
    }
}

fn named(pid: u32, tid: u32, wait: Wait) -> Option<Standing> {
    let status = Status::of(pid, tid).ok()?;
    let (switches, times) = (status.switches?, status.blocked?);
    let comm = proc_text::comm(pid, tid).ok()?;
    Some(Standing { task: Task { pid, tid, comm }, wait, switches, times })
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
            let Threads { waits, all, denied } = blocked(pid, 77);
            assert!(waits.len() < all && !denied, "this thread runs");
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
        // This test program was exec'ed.
        let found = find(&[std::process::id(), u32::MAX], 1);
        assert!(found.standing.is_empty() && found.forked.is_empty() && found.left_out == 0);
        assert!(found.denied.is_empty());
    }

    fn wait(tid: u32, uaddr: u64) -> (u32, Wait) {
        (tid, Wait { uaddr, ..Wait::default() })
    }

    fn tids(chosen: &[(u32, Wait)]) -> Vec<u32> {
        chosen.iter().map(|(tid, _)| *tid).collect()
    }

    #[test]
    fn few_waits_are_all_taken_without_a_look_at_their_words() {
        let waits = vec![wait(1, 16), wait(2, 16), wait(3, 32)];
        let (chosen, left_out) = choose(waits, 8, |_| panic!("not to be read"));
        assert_eq!((tids(&chosen), left_out), (vec![1, 3, 2], 0));
    }

    #[test]
    fn of_a_pool_a_few_stand_for_all() {
        let pool = (0..5000).map(|tid| wait(tid, 64));
        let (chosen, left_out) =
            choose(pool.chain([wait(9999, 128)]).collect(), 64, |_| Rank::Other);
        assert_eq!((chosen.len(), left_out), (MAX_ALIKE + 1, 0));
        assert!(tids(&chosen).contains(&9999));
    }

    #[test]
    fn of_too_many_words_those_of_locks_are_taken_and_the_others_counted() {
        let parked = (0..5000).map(|tid| wait(tid, 4096 + u64::from(tid) * 64));
        let locked = [wait(7001, 1 << 40), wait(7002, 1 << 41), wait(7003, 1 << 41)];
        let rank = |wait: &Wait| match wait.uaddr {
            0x100_0000_0000 => Rank::Lock,
            0x200_0000_0000 => Rank::OwnedLock,
            _ => Rank::Other,
        };
        let (chosen, left_out) = choose(parked.chain(locked).collect(), most_of(5003), rank);
        assert_eq!((tids(&chosen), left_out), (vec![7002, 7001, 0, 1], 4998));
    }
}
