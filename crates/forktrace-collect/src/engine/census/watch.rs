//! What was seen of each process, and when to look again.

#[cfg(test)]
mod tests;
mod thread;

use forktrace_model::{
    event::{
        self,
        stall::{Stall, TaskState},
    },
    model::ProcId,
};
use rustc_hash::{FxHashMap, FxHashSet};

use self::thread::{POLL_LOOKS, Thread, thread};
use super::steady::Steady;
use crate::{
    clock,
    inspect::stall::{
        self, Known, KnownThreads, Polling,
        look::{self, Doing, Look},
    },
};

/// Least time from one look at a process to the next, ns.
const PERIOD_NS: u64 = 250_000_000;
/// Most of it: somewhat less than a multiple of the loop's ticks.
const LONGEST_NS: u64 = 3_900_000_000;
/// A process is looked at again when what is known of it is older by this part.
const PART: u64 = 8;

/// Longest time from one reading to the next, ns.
const READ_AGAIN_NS: u64 = 60_000_000_000;

/// How long a thread must have been busy to be told, ns.
const BUSY_NS: u64 = 1_000_000_000;

/// A process to be looked at, and what is known of its threads.
#[derive(Clone, Debug)]
pub(super) struct Before {
    id: ProcId,
    pid: u32,
    looks: FxHashMap<u32, (Look, bool)>,
}

/// A look at a process.
#[derive(Debug)]
pub(in crate::engine) struct Sample {
    id: ProcId,
    pid: u32,
    threads: Vec<(Look, Option<Polling>)>,
    /// Before and after it, `CLOCK_BOOTTIME`, ns.
    pub(super) began_ns: u64,
    pub(super) ended_ns: u64,
}

/// Looks at a process.
pub(super) fn sampled(before: Before) -> Sample {
    let began_ns = clock::boot_ns();
    let looks = look::at_threads(before.pid).unwrap_or_default();
    let threads = looks.into_iter().map(|look| {
        let earlier = before.looks.get(&look.tid).filter(|(_, polls)| !polls);
        let returns = earlier.is_some_and(|(earlier, _)| returns(&look, earlier));
        (look, if returns { stall::polling(before.pid, &look, clock::boot_ns()) } else { None })
    });
    let threads = threads.collect();
    Sample { id: before.id, pid: before.pid, threads, began_ns, ended_ns: clock::boot_ns() }
}

/// Whether a thread is in a timed call that it was in before, and has left in between.
fn returns(look: &Look, earlier: &Look) -> bool {
    match (&look.doing, &earlier.doing) {
        (Doing::Blocked(now), Doing::Blocked(then)) => {
            now.is_like(then) && now.is_timed() && !look.is_still(earlier)
        }
        _ => false,
    }
}

/// A thread that was not read.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Unread {
    pub(in crate::engine) pid: u32,
    pub(in crate::engine) tid: u32,
    /// The call that it is in, and since when it is known to be, `CLOCK_BOOTTIME`, ns.
    pub(in crate::engine) doing: event::Doing,
    pub(in crate::engine) since_ns: u64,
}

/// A process.
#[derive(Debug, Default)]
struct Seen {
    pid: u32,
    threads: FxHashMap<u32, Thread>,
    /// When it was first looked at, and when it is looked at again, `CLOCK_BOOTTIME`, ns.
    first_ns: u64,
    due_ns: u64,
    /// When it was last read, and when it is read again at the latest; zero: never.
    read_ns: u64,
    read_due_ns: u64,
    /// The thread that was stuck, and has not moved since.
    stuck: Option<u32>,
    /// A thread about whose wait there is another finding, and since when.
    explained: Option<(u32, u64)>,
    /// What was said of it last.
    said: Option<Signature>,
}

/// What is compared of two readings.
type Signature = (bool, Vec<(u32, u32, Option<(u64, bool)>, Vec<String>)>);

/// What was seen.
#[derive(Debug)]
pub(super) struct Watch {
    min_wait_ns: u64,
    seen: FxHashMap<ProcId, Seen>,
}

impl Watch {
    pub(super) fn new(min_wait_ns: u64) -> Self {
        Watch { min_wait_ns, seen: FxHashMap::default() }
    }

    /// Least time from one round to the next, ns.
    pub(super) fn period_ns(&self) -> u64 {
        PERIOD_NS.min(self.min_wait_ns / 4)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// When the next process is looked at, `CLOCK_BOOTTIME`, ns.
    pub(super) fn look_ns(&self) -> Option<u64> {
        self.seen.values().map(|seen| seen.due_ns).min()
    }

    /// When the next process that was read is read again, `CLOCK_BOOTTIME`, ns. One that is due already is
    /// left out: something has it wait.
    pub(super) fn read_ns(&self, now_ns: u64) -> Option<u64> {
        let later =
            self.seen.values().map(|seen| seen.read_due_ns).filter(|due_ns| *due_ns > now_ns);
        later.min()
    }

    /// Those of the living processes at risk that are to be looked at now. Others are forgotten.
    pub(super) fn due(&mut self, living: &[(ProcId, u32)], now_ns: u64) -> Vec<Before> {
        let ids: FxHashSet<ProcId> = living.iter().map(|(id, _)| *id).collect();
        self.seen.retain(|id, _| ids.contains(id));
        let mut due = Vec::new();
        for (id, pid) in living {
            let seen = self.seen.entry(*id).or_insert_with(|| Seen {
                pid: *pid,
                first_ns: now_ns,
                ..Seen::default()
            });
            if seen.due_ns <= now_ns {
                let look =
                    |(tid, thread): (&u32, &Thread)| (*tid, (thread.look, thread.polls.is_some()));
                let looks = seen.threads.iter().map(look).collect();
                due.push(Before { id: *id, pid: *pid, looks });
            }
        }
        due
    }

    /// Takes a round of looks.
    pub(super) fn take(&mut self, samples: Vec<Sample>) {
        let (least, min_wait_ns) = (self.period_ns(), self.min_wait_ns);
        for sample in samples {
            let Some(seen) = self.seen.get_mut(&sample.id) else { continue };
            seen.pid = sample.pid;
            let mut before = std::mem::take(&mut seen.threads);
            for (look, polling) in sample.threads {
                let thread = thread(look, polling, before.remove(&look.tid), sample.ended_ns);
                seen.threads.insert(look.tid, thread);
            }
            let stuck = seen.stuck.and_then(|tid| seen.threads.get(&tid));
            let moved = seen.stuck.is_some()
                && stuck
                    .is_none_or(|thread| thread.polls.is_none() && thread.since_ns > seen.read_ns);
            if moved {
                seen.read_due_ns = 0;
            }
            let newest = seen.threads.values().map(|thread| thread.since_ns).max().unwrap_or(0);
            let age = sample.ended_ns.saturating_sub(newest.max(seen.first_ns));
            let quick = age < min_wait_ns || seen.stuck.is_some();
            let wait = if quick { least } else { (age / PART).clamp(least, LONGEST_NS) };
            seen.due_ns = sample.ended_ns.saturating_add(wait);
        }
    }

    /// What is known of all threads.
    pub(super) fn known(&self) -> KnownThreads {
        self.known_if(POLL_LOOKS)
    }

    /// The same, and of all that seem to poll how.
    pub(super) fn known_polling(&self) -> KnownThreads {
        self.known_if(0)
    }

    fn known_if(&self, poll_looks: u32) -> KnownThreads {
        let of = move |seen: &Seen| {
            let pid = seen.pid;
            let known = |(tid, thread): (&u32, &Thread)| {
                let enough = thread.poll_looks >= poll_looks;
                let polls = thread.polls.filter(|_| enough);
                ((pid, *tid), Known { look: thread.look, since_ns: thread.since_ns, polls })
            };
            seen.threads.iter().map(known).collect::<Vec<_>>()
        };
        self.seen.values().flat_map(of).collect()
    }

    /// The processes that are to be read now.
    pub(super) fn to_read(&self, now_ns: u64) -> Vec<ProcId> {
        let min_wait_ns = self.min_wait_ns;
        let due = self.seen.iter().filter(|(_, seen)| seen.is_due(now_ns, min_wait_ns));
        due.map(|(id, _)| *id).collect()
    }

    /// Processes with a thread that does not move, be it since a moment, and that were not read since.
    pub(super) fn young(&self, now_ns: u64) -> Vec<ProcId> {
        let is_young = |seen: &Seen| {
            let newest = seen.newest(0, now_ns);
            newest.is_some_and(|since_ns| since_ns > seen.read_ns) && !seen.is_explained()
        };
        self.seen.iter().filter(|(_, seen)| is_young(seen)).map(|(id, _)| *id).collect()
    }

    /// A process was read, at `now_ns`. Whether what is told of it is new.
    pub(super) fn read(
        &mut self,
        id: ProcId,
        stall: &Stall,
        stuck: Option<u32>,
        now_ns: u64,
    ) -> bool {
        let Some(seen) = self.seen.get_mut(&id) else { return true };
        let oldest = seen.oldest(self.min_wait_ns, now_ns).unwrap_or(now_ns);
        let age = now_ns.saturating_sub(oldest).clamp(self.min_wait_ns, READ_AGAIN_NS);
        seen.read_ns = now_ns;
        seen.read_due_ns = now_ns.saturating_add(age);
        seen.stuck = stuck;
        let signature = signature(stall, stuck);
        let news = seen.said.as_ref() != Some(&signature);
        seen.said = Some(signature);
        news
    }

    /// Whether a thread of the process was stuck when it was read last.
    pub(super) fn is_stuck(&self, id: ProcId) -> bool {
        self.seen.get(&id).is_some_and(|seen| seen.stuck.is_some())
    }

    /// Processes with a thread that does not move and that were not read since: the thread that moved
    /// last of each.
    pub(super) fn unread(&self, now_ns: u64) -> impl Iterator<Item = (ProcId, Unread)> {
        let min_wait_ns = self.min_wait_ns;
        let unread = move |(id, seen): (&ProcId, &Seen)| {
            let long = |(tid, thread): (&u32, &Thread)| {
                Some((*tid, thread.call(), thread.long(min_wait_ns, now_ns)?))
            };
            let newest =
                seen.threads.iter().filter_map(long).max_by_key(|(.., since_ns)| *since_ns);
            let (tid, doing, since_ns) =
                newest.filter(|(.., since_ns)| *since_ns > seen.read_ns)?;
            let unread = Unread { pid: seen.pid, tid, doing, since_ns };
            (!seen.is_explained()).then_some((*id, unread))
        };
        self.seen.iter().filter_map(unread)
    }

    /// Threads that have been busy for long.
    pub(super) fn busy(&self, now_ns: u64) -> impl Iterator<Item = Steady> {
        let of = move |(id, seen): (&ProcId, &Seen)| {
            let (id, pid) = (*id, seen.pid);
            let long = |(tid, thread): (&u32, &Thread)| {
                let since_ns = thread.busy_since_ns?;
                let long = now_ns.saturating_sub(since_ns) >= BUSY_NS;
                long.then_some(Steady { id, pid, tid: *tid, since_ns })
            };
            seen.threads.iter().filter_map(long).collect::<Vec<_>>()
        };
        self.seen.iter().flat_map(of)
    }

    /// Threads that poll, and do not yet for long enough to be judged.
    pub(super) fn polling(&self, now_ns: u64) -> impl Iterator<Item = Steady> {
        let min_wait_ns = self.min_wait_ns;
        let of = move |(id, seen): (&ProcId, &Seen)| {
            let (id, pid) = (*id, seen.pid);
            let short = |(tid, thread): (&u32, &Thread)| {
                let since_ns = thread.polls_short(min_wait_ns, now_ns)?;
                Some(Steady { id, pid, tid: *tid, since_ns })
            };
            seen.threads.iter().filter_map(short).collect::<Vec<_>>()
        };
        self.seen.iter().flat_map(of)
    }

    /// Since when a thread polls, as `polling` has it, if it lives.
    pub(super) fn polling_since_ns(
        &self,
        id: ProcId,
        tid: u32,
        now_ns: u64,
    ) -> Option<Option<u64>> {
        let thread = self.seen.get(&id)?.threads.get(&tid)?;
        Some(thread.polls_short(self.min_wait_ns, now_ns))
    }

    /// Whether a wait has lasted long enough.
    pub(super) fn is_long(&self, since_ns: u64, now_ns: u64) -> bool {
        now_ns.saturating_sub(since_ns) >= self.min_wait_ns
    }

    /// Since when a thread is busy, `CLOCK_BOOTTIME`, ns, if it lives.
    pub(super) fn busy_since_ns(&self, id: ProcId, tid: u32) -> Option<Option<u64>> {
        Some(self.seen.get(&id)?.threads.get(&tid)?.busy_since_ns)
    }

    /// There is a finding about a futex wait of a thread.
    pub(super) fn explained(&mut self, id: ProcId, tid: u32, now_ns: u64) {
        let seen = self.seen.entry(id).or_default();
        if seen.stuck.is_none() {
            seen.explained = Some((tid, now_ns));
        }
    }

    pub(super) fn forget(&mut self, id: ProcId) {
        self.seen.remove(&id);
    }
}

impl Seen {
    /// Whether it is to be read: a thread has not moved for long and was not read since, or it is time to
    /// read it again.
    fn is_due(&self, now_ns: u64, min_wait_ns: u64) -> bool {
        if self.is_explained() {
            return false;
        }
        if self.stuck.is_some() && self.read_due_ns <= now_ns {
            return true;
        }
        let Some(newest) = self.newest(min_wait_ns, now_ns) else { return false };
        // From then on its timeouts tell something else.
        let polls_ns =
            self.threads.values().filter_map(|thread| thread.polls_long_since_ns(now_ns));
        newest.max(polls_ns.max().unwrap_or(0)) > self.read_ns || self.read_due_ns <= now_ns
    }

    /// Whether there is another finding about a thread that has not moved since.
    fn is_explained(&self) -> bool {
        self.explained.is_some_and(|(tid, at_ns)| {
            // One that was not looked at yet has not moved either, as far as is known.
            self.threads.get(&tid).is_none_or(|thread| thread.since_ns <= at_ns)
        })
    }

    /// Since when the threads are long that are worth to be read, `CLOCK_BOOTTIME`, ns.
    fn long(&self, min_wait_ns: u64, now_ns: u64) -> impl Iterator<Item = u64> {
        self.threads.values().filter_map(move |thread| thread.long(min_wait_ns, now_ns))
    }

    fn newest(&self, min_wait_ns: u64, now_ns: u64) -> Option<u64> {
        self.long(min_wait_ns, now_ns).max()
    }

    fn oldest(&self, min_wait_ns: u64, now_ns: u64) -> Option<u64> {
        self.long(min_wait_ns, now_ns).min()
    }
}

fn signature(stall: &Stall, stuck: Option<u32>) -> Signature {
    let of = |state: &TaskState| match state {
        TaskState::Waits(wait) => {
            let name = |on: &event::stall::On| {
                let thing = stall.things.get(on.thing as usize)?;
                let users: Vec<String> =
                    thing.users.iter().map(|user| user.pid.to_string()).collect();
                Some(format!(
                    "{:?} {} {:?} {}",
                    thing.kind,
                    thing.name,
                    thing.word,
                    users.join(" ")
                ))
            };
            (Some((wait.call, wait.others)), wait.on.iter().filter_map(name).collect())
        }
        _ => (None, Vec::new()),
    };
    let tasks = stall.tasks.iter().map(|task| {
        let (call, things) = of(&task.state);
        (task.pid, task.tid, call, things)
    });
    (stuck.is_some(), tasks.collect())
}
