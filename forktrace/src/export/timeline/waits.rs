//! Long waits as slices of time, and the findings about them.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Found, MAX_ITEMS, Wait, WaitEnd};
use crate::{pipeline::Step, report::wait_op};
use forktrace_model::{
    event::{self, Body, Event},
    finding::Finding,
    judge::Outcome,
    model::ProcId,
};

/// Waits and findings so far.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) waits: Vec<Wait>,
    pub(super) found: Vec<Found>,
    /// The latest wait of each thread: its place in `waits`.
    latest: FxHashMap<(ProcId, u32), usize>,
    /// Findings about waits that go on, by what the judge keeps them under.
    open: FxHashMap<(ProcId, u32, u64), usize>,
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
            (Some(Outcome::Found(finding)), Body::Evidence(look)) => {
                self.found((id, task.tid), finding, &look.wait, event.boot_ns, asked);
            }
            (Some(Outcome::Ended { .. }), Body::FutexWait(wait)) => {
                let place = self.open.remove(&(id, task.tid, wait.wait.uaddr));
                if let Some(found) = place.and_then(|at| self.found.get_mut(at)) {
                    found.end_ns = Some(event.boot_ns);
                    found.end = end(wait.result);
                }
            }
            _ => {}
        }
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
            let Some(place) = self.latest.remove(&(*id, *tid)) else { continue };
            let Some(wait) = self.waits.get_mut(place) else { continue };
            if wait.end != WaitEnd::Open {
                continue;
            }
            wait.end_ns = Some(at.max(wait.enter_ns));
            wait.end = WaitEnd::ThreadEnded;
            // The judge has no more to say about it, but keeps it: so does `open`.
            let place = self.open.get(&(*id, *tid, wait.uaddr));
            if let Some(found) = place.and_then(|at| self.found.get_mut(*at)) {
                found.end_ns = wait.end_ns;
                found.end = WaitEnd::ThreadEnded;
            }
        }
    }

    fn found(
        &mut self,
        (id, tid): (ProcId, u32),
        finding: &Finding,
        wait: &event::Wait,
        at: u64,
        asked: &FxHashSet<u32>,
    ) {
        let subject = (id, tid, wait.uaddr);
        let shown = finding.is_shown(false, asked);
        if let Some(known) = self.open.get(&subject).and_then(|place| self.found.get_mut(*place)) {
            known.finding = finding.clone();
            known.boot_ns = at;
            known.shown = shown;
            return;
        }
        self.open.insert(subject, self.found.len());
        self.found.push(Found {
            finding: finding.clone(),
            process: id.0,
            thread: None,
            holder_thread: None,
            first_ns: at,
            boot_ns: at,
            waits_since_ns: wait.enter_ns,
            end_ns: None,
            end: WaitEnd::Open,
            shown,
        });
    }
}

/// How a wait ended that is over: without a result nobody saw it.
fn end(result: Option<i64>) -> WaitEnd {
    if result.is_some() { WaitEnd::Returned } else { WaitEnd::Unseen }
}
