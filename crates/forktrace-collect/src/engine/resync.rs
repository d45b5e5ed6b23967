//! Making the models right again after a loss, from what `/proc` shows.

use std::{collections::BTreeSet, io};

use forktrace_model::{
    event::{Body, Counter, Event, Resync},
    model::{Process, START_TOLERANCE_NS},
};

use super::{Consumer, Engine, Known as _, adoption::everybody};
use crate::{clock, inspect};

/// The least time between two searches for pages that belong to nobody, ns.
const BETWEEN_SWEEPS_NS: u64 = 10_000_000_000;

impl<C: Consumer> Engine<C> {
    /// Reports losses that no later record has shown, at once: what is judged from here on counts less.
    /// Then resyncs. To read all processes is not cheap: while losses go on it is done once a second.
    pub(super) fn check_losses(&mut self, now: u64, last: bool) -> io::Result<()> {
        let counters = self.kernel.maps.counters();
        let total = counters.lost();
        self.intake.set_total_lost(now, total);
        let count = |counter| counters.others.get(&counter).copied().unwrap_or(0);
        self.sweep_if_full(now, count(Counter::PagesRefused));
        let missed = total.saturating_add(count(Counter::ProcessesUntraced));
        // The ends of children that were not to be followed are not seen.
        let open = self.tracked.unfollowed || (last && !self.tracked.scope.follow);
        if !self.tracked.losses.is_due(missed, open, now, last) {
            return Ok(());
        }
        self.intake.drain(&self.kernel.maps);
        self.kernel.maps.sweep();
        let listed_ns = clock::boot_ns();
        let alive = if self.tracked.scope.all { everybody() } else { self.family() };
        if self.tracked.scope.all {
            self.tracked.kernel_tasks.read();
        }
        self.search_unknown(&alive);
        self.snapshot(&alive, Some(listed_ns))
    }

    /// Puts what `/proc` shows of these processes into the trace. `listed_ns`: they are all that were
    /// alive then, read again after a loss. Parents come before their children, which the model
    /// relies on: they are older.
    pub(super) fn snapshot(&mut self, pids: &[u32], listed_ns: Option<u64>) -> io::Result<()> {
        let now = clock::boot_ns();
        let resync = listed_ns.is_some();
        let mut events: Vec<Event> =
            pids.iter().filter_map(|pid| inspect::scan::snapshot(*pid, now, resync).ok()).collect();
        events.sort_by_key(|event| match &event.body {
            Body::ProcessSnapshot(snapshot) => snapshot.start_ns,
            _ => 0,
        });
        let processes = u32::try_from(events.len()).unwrap_or(u32::MAX);
        for event in events {
            self.intake.push(event);
        }
        if let Some(listed_ns) = listed_ns {
            let body = Body::Resync(Resync { processes, listed_ns });
            self.intake.push(Event { boot_ns: now, task: None, body });
        }
        self.release()
    }

    /// Every traced process, and with them those that should be: known ones and their descendants
    /// that the table of traced processes had no room for. They are put into it as far as there is
    /// room now.
    fn family(&mut self) -> Vec<u32> {
        let traced: BTreeSet<u32> = self.kernel.maps.traced().into_iter().collect();
        let model = self.consumer.known().everything();
        let known = model.living().filter(|process| !traced.contains(&process.pid));
        let known = known.filter(|process| is_still(process)).map(|process| process.pid);
        let roots: Vec<u32> = traced.iter().copied().chain(known).collect();
        if !self.tracked.scope.follow {
            return roots;
        }
        let family = inspect::scan::tree(&roots).unwrap_or(roots);
        self.tracked.unfollowed = false;
        for pid in family.iter().copied().filter(|pid| !traced.contains(pid)) {
            if self.kernel.maps.trace(pid).is_err() {
                self.tracked.unfollowed = true;
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
        if !self.tracked.scope.follow || self.tracked.scope.all {
            return;
        }
        let parent = inspect::scan::parent(pid).filter(|_| inspect::scan::lives(pid));
        let model = self.consumer.known().everything();
        let ours = parent.is_some_and(|parent| model.live(parent).is_some());
        if ours && self.kernel.maps.trace(pid).is_err() {
            self.tracked.unfollowed = true;
        }
    }

    /// Has those processes searched whose fork is not known: it may have been lost, and they may hang on
    /// what they inherited in it.
    fn search_unknown(&mut self, alive: &[u32]) {
        let model = self.consumer.known().everything();
        let unknown = |pid: &u32| {
            model.live(*pid).is_none_or(|known| known.fork.is_none() && known.exec.is_none())
        };
        let pids = alive.iter().copied().filter(unknown).collect();
        self.waits.search_again(pids);
    }

    /// Where there was no room for pages, those that belong to nobody are deleted.
    fn sweep_if_full(&mut self, now: u64, refused: u64) {
        let (swept_ns, before) = self.tracked.swept;
        if refused > before && now.saturating_sub(swept_ns) >= BETWEEN_SWEEPS_NS {
            self.tracked.swept = (now, refused);
            self.kernel.maps.sweep();
        }
    }
}

/// Whether a pid is still this process.
fn is_still(process: &Process) -> bool {
    let now = inspect::scan::start_ns(process.pid);
    now.is_some_and(|now| now.abs_diff(process.start_ns) <= START_TOLERANCE_NS)
}
