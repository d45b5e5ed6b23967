//! Long waits as slices of time, and the findings about them.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Found, MAX_ITEMS, Wait, WaitEnd};
use crate::{pipeline::Step, report::wait_op};
use forktrace_model::{
    event::{self, Body, Event},
    finding::{Finding, HazardId, Key},
    judge::Outcome,
    model::ProcId,
};

/// Stands for the address of the word where a finding is about no single wait: no word is there.
const STALL: u64 = u64::MAX;
/// The same for a finding about threads that the process does not have; the number before it tells which
/// hazard.
const LOST: u64 = u64::MAX - 1;
/// The same of random number generators.
const GENERATORS: u64 = u64::MAX - 2;
/// The same of blocked signals.
const SIGNALS: u64 = u64::MAX - 3;
/// The same of buffers.
const BUFFERS: u64 = u64::MAX - 4;

/// Stands for the thread where a finding is about something that processes share, which has a number in
/// place of the address of a word: no thread has this number.
const SHARED: u32 = u32::MAX;

/// What a finding of a process is about: a thread and the address of its word, or no thread and [`STALL`].
type About = (u32, u64);

/// Waits and findings so far.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) waits: Vec<Wait>,
    pub(super) found: Vec<Found>,
    /// The latest wait of each thread: its place in `waits`.
    latest: FxHashMap<(ProcId, u32), usize>,
    /// Findings about what goes on, by process, and what the judge keeps them under.
    open: FxHashMap<ProcId, FxHashMap<About, usize>>,
    /// Where the finding about what processes share is drawn, and its number.
    shared: FxHashMap<Key, (ProcId, u64)>,
    pub(super) left_out: u64,
}

impl Waits {
    /// Takes one event, after the judge has.
    pub(super) fn event(&mut self, event: &Event, step: &Step, asked: &FxHashSet<u32>) {
        let (Some(task), Some(id)) = (&event.task, step.process) else { return };
        match &event.body {
            Body::FutexWait(wait) => {
                self.seen(id, task.tid, &wait.wait);
                if !wait.goes_on() {
                    let enter_ns = wait.wait.enter_ns;
                    self.returned(id, task.tid, enter_ns, event.boot_ns, wait.result);
                }
            }
            Body::Evidence(look) if look.still_waiting => self.seen(id, task.tid, &look.wait),
            _ => {}
        }
        match (&step.outcome, &event.body) {
            (Some(Outcome::Found(finding)), _) => {
                self.found_at((id, task.tid), event, finding, asked);
            }
            (Some(Outcome::Ended { .. }), Body::Stall(_)) => {
                let place = self.close(id, (0, STALL));
                if let Some(found) = place.and_then(|at| self.found.get_mut(at)) {
                    found.end_ns = Some(event.boot_ns);
                    found.end = WaitEnd::Unseen;
                }
            }
            (Some(Outcome::Ended { .. }), Body::FutexWait(wait)) => {
                let place = self.close(id, (task.tid, wait.wait.uaddr));
                if let Some(found) = place.and_then(|at| self.found.get_mut(at)) {
                    found.end_ns = Some(event.boot_ns);
                    found.end = end(wait.result);
                }
            }
            _ => {}
        }
    }

    /// A finding that an event of this process and thread has led to.
    fn found_at(
        &mut self,
        (id, tid): (ProcId, u32),
        event: &Event,
        finding: &Finding,
        asked: &FxHashSet<u32>,
    ) {
        let at = event.boot_ns;
        let (subject, since_ns) = match &event.body {
            Body::Evidence(look) => ((id, (tid, look.wait.uaddr)), look.wait.enter_ns),
            Body::Stall(_) => ((id, (0, STALL)), since_ns(finding, at)),
            Body::LostThreads(_) => {
                let about = (u32::from(finding.hazard == HazardId::ThreadsLost), LOST);
                ((id, about), at)
            }
            Body::Generators(_) => ((id, (0, GENERATORS)), at),
            Body::Buffers(_) => ((id, (0, BUFFERS)), at),
            Body::BlockedSignals(_) => ((id, (0, SIGNALS)), at),
            Body::SocketUse(_) | Body::FileUse(_) | Body::FileLock(_) => {
                (self.of_shared(id, finding), at)
            }
            _ => return,
        };
        self.found(subject, finding, since_ns, at, asked);
    }

    /// Where the finding is drawn about what several processes share: at the first that is named.
    fn of_shared(&mut self, id: ProcId, finding: &Finding) -> (ProcId, About) {
        let next = self.shared.len() as u64;
        let (id, number) = *self.shared.entry(finding.key()).or_insert((id, next));
        (id, (SHARED, number))
    }

    /// A thread is in this wait.
    fn seen(&mut self, id: ProcId, tid: u32, wait: &event::Wait) {
        let latest = self.latest.get(&(id, tid)).and_then(|at| self.waits.get_mut(*at));
        if let Some(latest) = latest {
            if latest.enter_ns == wait.enter_ns {
                return;
            }
            if latest.end == WaitEnd::Open {
                latest.end_ns = Some(wait.enter_ns.max(latest.enter_ns));
                latest.end = WaitEnd::Unseen;
            }
        }
        if self.waits.len() >= MAX_ITEMS {
            self.left_out += 1;
            return;
        }
        self.latest.insert((id, tid), self.waits.len());
        self.waits.push(Wait {
            process: id.0,
            tid,
            thread: None,
            enter_ns: wait.enter_ns,
            since_before: wait.since_before,
            not_before_ns: wait.not_before_ns,
            end_ns: None,
            end: WaitEnd::Open,
            uaddr: wait.uaddr,
            op: wait_op(wait.op),
            timed: wait.timed,
            result: None,
            finding: None,
        });
    }

    fn returned(&mut self, id: ProcId, tid: u32, enter_ns: u64, at: u64, result: Option<i64>) {
        let latest = self.latest.get(&(id, tid)).and_then(|at| self.waits.get_mut(*at));
        if let Some(wait) = latest.filter(|wait| wait.enter_ns == enter_ns) {
            wait.end_ns = Some(at.max(enter_ns));
            wait.end = end(result);
            wait.result = result;
        }
    }

    /// Threads ended, and with them what they waited for.
    pub(super) fn threads_ended(&mut self, ended: &[(ProcId, u32)], at: u64) {
        for (id, tid) in ended {
            let stall = self.place(*id, (0, STALL)).and_then(|at| self.found.get_mut(at));
            if let Some(found) = stall.filter(|found| found.finding.subject.tid == *tid) {
                found.end_ns = Some(at);
                found.end = WaitEnd::ThreadEnded;
            }
            let Some(place) = self.latest.remove(&(*id, *tid)) else { continue };
            let Some(wait) = self.waits.get_mut(place) else { continue };
            if wait.end != WaitEnd::Open {
                continue;
            }
            wait.end_ns = Some(at.max(wait.enter_ns));
            wait.end = WaitEnd::ThreadEnded;
            // The judge has no more to say about it, but keeps it: so does `open`.
            let (about, end_ns) = ((*tid, wait.uaddr), wait.end_ns);
            let place = self.place(*id, about);
            if let Some(found) = place.and_then(|at| self.found.get_mut(at)) {
                found.end_ns = end_ns;
                found.end = WaitEnd::ThreadEnded;
            }
        }
    }

    /// Of a process that hangs there are findings about single waits, or one about who waits for whom: the
    /// judge has dropped the others ([`forktrace_model::judge`]).
    fn drop_other_view(&mut self, id: ProcId, (tid, uaddr): About) {
        let own_view =
            |tid: u32, uaddr: u64| [LOST, GENERATORS, SIGNALS].contains(&uaddr) || tid == SHARED;
        if own_view(tid, uaddr) {
            return;
        }
        let Some(open) = self.open.get_mut(&id) else { return };
        let is_other =
            |about: &About| !own_view(about.0, about.1) && (about.1 == STALL) != (uaddr == STALL);
        let mut places: Vec<usize> =
            open.iter().filter(|(about, _)| is_other(about)).map(|(_, place)| *place).collect();
        open.retain(|about, _| !is_other(about));
        places.sort_unstable_by(|a, b| b.cmp(a));
        for place in places {
            self.found.remove(place);
            let all = self.open.values_mut().flat_map(FxHashMap::values_mut);
            for open in all.filter(|open| **open > place) {
                *open -= 1;
            }
        }
    }

    /// The place of the finding about this, if it goes on.
    fn place(&self, id: ProcId, about: About) -> Option<usize> {
        self.open.get(&id)?.get(&about).copied()
    }

    /// The same, and it goes on no more.
    fn close(&mut self, id: ProcId, about: About) -> Option<usize> {
        self.open.get_mut(&id)?.remove(&about)
    }

    fn found(
        &mut self,
        (id, about): (ProcId, About),
        finding: &Finding,
        waits_since_ns: u64,
        at: u64,
        asked: &FxHashSet<u32>,
    ) {
        self.drop_other_view(id, about);
        let shown = finding.is_shown(false, asked);
        if let Some(known) = self.place(id, about).and_then(|place| self.found.get_mut(place)) {
            known.finding = finding.clone();
            known.boot_ns = at;
            known.shown = shown;
            return;
        }
        self.open.entry(id).or_default().insert(about, self.found.len());
        self.found.push(Found {
            finding: finding.clone(),
            process: id.0,
            thread: None,
            holder_thread: None,
            first_ns: at,
            boot_ns: at,
            waits_since_ns,
            end_ns: None,
            end: WaitEnd::Open,
            shown,
        });
    }
}

/// Since when the thread of a finding about who waits for whom is known to wait, `CLOCK_BOOTTIME`, ns.
fn since_ns(finding: &Finding, at: u64) -> u64 {
    let first = finding.stall().and_then(|stall| stall.chain.first());
    first.map(|link| link.since_ns).filter(|since_ns| *since_ns > 0).unwrap_or(at).min(at)
}

/// How a wait ended that is over: without a result nobody saw it.
fn end(result: Option<i64>) -> WaitEnd {
    if result.is_some() { WaitEnd::Returned } else { WaitEnd::Unseen }
}
