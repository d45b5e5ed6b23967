//! Which ended processes are kept.
//!
//! A busy host makes millions of processes a day, and a trace must not grow with them. The oldest
//! ended ones that nothing needs any more are forgotten in batches and only counted: by the process
//! that they stood below in the tree. What a living process has inherited does not depend on them
//! (see [`super::Fork::before`]).

use std::{cmp::Reverse, collections::BinaryHeap};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Model, ProcId, Process};

/// How many ended processes are kept, at most: some 13 MiB.
const KEPT: usize = 20_000;
/// How many more may gather until some are forgotten.
const BATCH: usize = 5_000;

impl Model {
    /// Forgets ended processes, if there are too many.
    pub(super) fn forget(&mut self) {
        if self.ended_count() >= self.forget_at.max(KEPT + BATCH) && !self.keeps_all {
            self.forget_to(KEPT);
            // Where many are pinned, the next look has to be as far away as ever: each costs time.
            self.forget_at = self.ended_count() + BATCH;
        }
    }

    fn ended_count(&self) -> usize {
        self.processes.len().saturating_sub(self.live.len())
    }

    /// Forgets ended processes until `kept` are left, or only those of findings. One that others
    /// stand below in the tree goes only when there are no others left to go.
    pub(super) fn forget_to(&mut self, kept: usize) {
        let mut excess = self.ended_count().saturating_sub(kept);
        for choose in [Self::leaves, Self::oldest] {
            if excess > 0 {
                let gone = choose(self, excess);
                excess -= gone.len();
                self.remove(&gone);
            }
        }
    }

    /// Ended processes that no other stands below, or only others that go too, the oldest first.
    fn leaves(&self, most: usize) -> FxHashSet<ProcId> {
        let mut below: FxHashMap<ProcId, usize> = FxHashMap::default();
        for parent in self.processes.iter().filter_map(above) {
            *below.entry(parent).or_default() += 1;
        }
        let leaves = self.forgettable().filter(|(_, id)| !below.contains_key(id));
        let mut next: BinaryHeap<_> = leaves.map(Reverse).collect();
        let mut gone = FxHashSet::default();
        while gone.len() < most
            && let Some(Reverse((_, id))) = next.pop()
        {
            gone.insert(id);
            let Some(parent) = self.get(id).and_then(above) else { continue };
            let Some(others) = below.get_mut(&parent) else { continue };
            *others -= 1;
            if *others == 0 {
                let parent = self.get(parent).and_then(forgettable);
                next.extend(parent.map(Reverse));
            }
        }
        gone
    }

    /// Ended processes, the oldest first.
    fn oldest(&self, most: usize) -> FxHashSet<ProcId> {
        let mut ended: Vec<_> = self.forgettable().collect();
        ended.sort_unstable();
        ended.into_iter().take(most).map(|(_, id)| id).collect()
    }

    fn forgettable(&self) -> impl Iterator<Item = (u64, ProcId)> {
        self.processes.iter().filter_map(forgettable)
    }

    fn remove(&mut self, gone: &FxHashSet<ProcId>) {
        // From the youngest on, so that what stood below one that goes too is handed up.
        let mut counted: FxHashMap<ProcId, u64> = FxHashMap::default();
        for process in self.processes.iter().rev().filter(|process| gone.contains(&process.id)) {
            let below = process.forgotten + counted.remove(&process.id).unwrap_or(0);
            match above(process) {
                Some(parent) => *counted.entry(parent).or_default() += below + 1,
                None => self.forgotten_roots += below + 1,
            }
        }
        self.forgotten += gone.len() as u64;
        self.processes.retain(|process| !gone.contains(&process.id));
        self.complete.retain(|id| !gone.contains(id));
        self.ended.retain(|_, id| !gone.contains(id));
        for process in &mut self.processes {
            process.forgotten += counted.remove(&process.id).unwrap_or(0);
            process.children.retain(|child| !gone.contains(child));
            if process.parent.is_some_and(|parent| gone.contains(&parent)) {
                process.parent = None;
            }
            if let Some(fork) = &mut process.fork
                && fork.by.is_some_and(|by| gone.contains(&by))
            {
                std::sync::Arc::make_mut(fork).by = None;
            }
        }
        // Nobody who is kept can be above these: a damaged log put a parent after its child.
        self.forgotten_roots += counted.values().sum::<u64>();
    }
}

/// When a process ended, where it may be forgotten.
fn forgettable(process: &Process) -> Option<(u64, ProcId)> {
    process.end_ns.filter(|_| !process.pinned).map(|end_ns| (end_ns, process.id))
}

/// The process that this one stands below in the tree.
fn above(process: &Process) -> Option<ProcId> {
    process.fork.as_ref().and_then(|fork| fork.by).or(process.parent)
}
