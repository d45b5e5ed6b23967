//! Making the model right again after a loss, from what `/proc` shows.

use std::{collections::BTreeSet, io};

use super::{Live, adopting::everybody, everything};
use forktrace_collect::inspect;
use forktrace_model::{
    event::{Body, Event, Resync},
    model::{Process, START_TOLERANCE_NS},
};

/// The least time between two searches for pages that belong to nobody, ns.
const BETWEEN_SWEEPS_NS: u64 = 10_000_000_000;

impl Live {
    /// Tells losses that no later record has shown, at once: what is judged from here on counts less.
    /// Then heals the model. A new look at all processes is not cheap: while losses go on there is
    /// one a second.
    pub(super) fn check_losses(&mut self, now: u64, last: bool) -> io::Result<()> {
        let counters = self.kernel.maps.counters();
        let total = counters.lost();
        self.order.set_total_lost(now, total);
        let count = |name: &str| counters.others.get(name).copied().unwrap_or(0);
        self.sweep_if_full(now, count("pages_refused"));
        let missed = total.saturating_add(count("processes_untraced"));
        // The ends of children that were not to be followed are not seen.
        let open = self.unfollowed || (last && !self.follow);
        if !self.losses.is_due(missed, open, now, last) {
            return Ok(());
        }
        self.drain();
        self.kernel.maps.sweep();
        let listed_ns = forktrace_collect::clock::boot_ns();
        let alive = if self.trace_all { everybody() } else { self.family() };
        if self.trace_all {
            self.kernel_tasks.look();
        }
        self.search_unknown(&alive);
        self.snapshot(&alive, Some(listed_ns))
    }

    /// Puts what `/proc` shows of these processes into the trace. `listed_ns`: they are all that were
    /// alive then, looked at again after a loss. Parents come before their children, which the model
    /// relies on: they are older.
    pub(super) fn snapshot(&mut self, pids: &[u32], listed_ns: Option<u64>) -> io::Result<()> {
        let now = forktrace_collect::clock::boot_ns();
        let resync = listed_ns.is_some();
        let mut events: Vec<Event> =
            pids.iter().filter_map(|pid| inspect::scan::snapshot(*pid, now, resync).ok()).collect();
        events.sort_by_key(|event| match &event.body {
            Body::ProcessSnapshot(snapshot) => snapshot.start_ns,
            _ => 0,
        });
        let processes = u32::try_from(events.len()).unwrap_or(u32::MAX);
        for event in events {
            self.order.push_unsequenced(event);
        }
        if let Some(listed_ns) = listed_ns {
            let body = Body::Resync(Resync { processes, listed_ns });
            self.order.push_unsequenced(Event { boot_ns: now, task: None, body });
        }
        self.release()
    }

    /// Every traced process, and with them those that should be: known ones and their descendants
    /// that the table of traced processes had no room for. They are put into it as far as there is
    /// room now.
    fn family(&mut self) -> Vec<u32> {
        let traced: BTreeSet<u32> = self.kernel.maps.traced().into_iter().collect();
        let model = everything(self.narrowed.as_ref(), &self.pipeline);
        let known = model.living().filter(|process| !traced.contains(&process.pid));
        let known = known.filter(|process| is_still(process)).map(|process| process.pid);
        let roots: Vec<u32> = traced.iter().copied().chain(known).collect();
        if !self.follow {
            return roots;
        }
        let family = inspect::scan::tree(&roots).unwrap_or(roots);
        self.unfollowed = false;
        for pid in family.iter().copied().filter(|pid| !traced.contains(pid)) {
            if self.kernel.maps.trace(pid).is_err() {
                self.unfollowed = true;
            } else if inspect::scan::kind(pid) != inspect::scan::Kind::Process {
                // It ended before it was in the table, from where its end would have taken it.
                self.kernel.maps.forget(pid);
            }
        }
        family
    }

    /// Forgets a process that has ended, where the programs cannot. If its number was given to a child
    /// of ours in this very moment, that one is traced all the same.
    pub(super) fn forget(&mut self, pid: u32) {
        self.kernel.maps.forget(pid);
        if !self.follow || self.trace_all {
            return;
        }
        let parent = inspect::scan::parent(pid).filter(|_| inspect::scan::lives(pid));
        let model = everything(self.narrowed.as_ref(), &self.pipeline);
        let ours = parent.is_some_and(|parent| model.live(parent).is_some());
        if ours && self.kernel.maps.trace(pid).is_err() {
            self.unfollowed = true;
        }
    }

    /// Has those processes looked at whose fork is not known: it may have been lost, and they may
    /// hang on what they inherited in it.
    fn search_unknown(&mut self, alive: &[u32]) {
        let model = everything(self.narrowed.as_ref(), &self.pipeline);
        let unknown = |pid: &u32| {
            model.live(*pid).is_none_or(|known| known.fork.is_none() && known.exec.is_none())
        };
        let pids = alive.iter().copied().filter(unknown).collect();
        self.before.search_again(pids);
    }

    /// Where there was no room for pages, those that belong to nobody are deleted.
    fn sweep_if_full(&mut self, now: u64, refused: u64) {
        let (swept_ns, before) = self.swept;
        if refused > before && now.saturating_sub(swept_ns) >= BETWEEN_SWEEPS_NS {
            self.swept = (now, refused);
            self.kernel.maps.sweep();
        }
    }
}

/// Whether a pid is still this process.
fn is_still(process: &Process) -> bool {
    let now = inspect::scan::start_ns(process.pid);
    now.is_some_and(|now| now.abs_diff(process.start_ns) <= START_TOLERANCE_NS)
}
