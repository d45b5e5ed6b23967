//! Which ended processes are kept.
//!
//! A busy host makes millions of processes a day, and a trace must not grow with them. The oldest
//! ended ones that nothing needs any more are forgotten in batches and only counted: by the process
//! that they stood below in the tree. What a living process has inherited does not depend on them
//! (see [`super::Fork::before`]).

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Model, ProcId, Process};

/// How many ended processes are kept, at most: some 10 MB.
const KEPT: usize = 20_000;
/// How many more may gather until some are forgotten.
const BATCH: usize = 5_000;

impl Model {
    /// Forgets ended processes, if there are too many.
    pub(super) fn forget(&mut self) {
        let ended = self.processes.len().saturating_sub(self.live.len());
        if ended >= KEPT + BATCH && !self.keeps_all {
            self.forget_to(KEPT);
        }
    }

    /// Forgets ended processes until `kept` are left, or only those of findings. One that others
    /// stand below in the tree goes only when there are no others left to go.
    pub(super) fn forget_to(&mut self, kept: usize) {
        let ended = self.processes.len().saturating_sub(self.live.len());
        let mut excess = ended.saturating_sub(kept);
        for leaves_only in [true, false] {
            while excess > 0 {
                let gone = self.candidates(leaves_only, excess);
                if gone.is_empty() {
                    break;
                }
                excess = excess.saturating_sub(gone.len());
                self.remove(&gone);
            }
        }
    }

    fn candidates(&self, leaves_only: bool, most: usize) -> FxHashSet<ProcId> {
        let parents: FxHashSet<ProcId> = match leaves_only {
            true => self.processes.iter().filter_map(above).collect(),
            false => FxHashSet::default(),
        };
        let mut ended: Vec<(u64, ProcId)> = self
            .processes
            .iter()
            .filter(|process| !process.pinned && !parents.contains(&process.id))
            .filter_map(|process| Some((process.end_ns?, process.id)))
            .collect();
        ended.sort_unstable();
        ended.into_iter().take(most).map(|(_, id)| id).collect()
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

/// The process that this one stands below in the tree.
fn above(process: &Process) -> Option<ProcId> {
    process.fork.as_ref().and_then(|fork| fork.by).or(process.parent)
}
