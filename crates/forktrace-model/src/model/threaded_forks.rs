//! Forks beside other threads whose child goes on in the memory that it inherited.

use forktrace_common::clone_flags;
use rustc_hash::FxHashMap;

use super::{Fork, ProcId};
use crate::event::ThreadedForks;

/// Most forking processes that are told apart; of further ones only the number of forks is known.
const MOST_FORKERS: usize = 1_000;
/// Most names of threads that are told apart for one process.
const MOST_NAMES: usize = 64;

/// All such forks of a trace, by the forking process.
#[derive(Clone, Debug, Default)]
pub(super) struct ForksWithThreads {
    by: FxHashMap<ProcId, ThreadedForks>,
}

impl ForksWithThreads {
    /// Takes a fork into account.
    pub(super) fn forked(&mut self, fork: &Fork) {
        let Some(by) = counted(fork) else { return };
        if self.by.len() >= MOST_FORKERS && !self.by.contains_key(&by) {
            return;
        }
        let one = self.by.entry(by).or_default();
        one.pid = fork.by_pid;
        one.comm.clone_from(&fork.by_comm);
        one.forks += 1;
        one.threads = one.threads.max(u32::try_from(fork.lost.len()).unwrap_or(u32::MAX));
        for name in names(fork) {
            if one.names.len() < MOST_NAMES || one.names.contains_key(name) {
                *one.names.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    /// More is known of a fork that was taken into account.
    pub(super) fn renamed(&mut self, before: &Fork, now: &Fork) {
        self.execed(before);
        self.forked(now);
    }

    /// The child of a fork that was taken into account has replaced its program.
    pub(super) fn execed(&mut self, fork: &Fork) {
        let Some(by) = counted(fork) else { return };
        let Some(one) = self.by.get_mut(&by) else { return };
        one.forks = one.forks.saturating_sub(1);
        for name in names(fork) {
            if let Some(count) = one.names.get_mut(name) {
                *count = count.saturating_sub(1);
            }
        }
        one.names.retain(|_, count| *count > 0);
        if one.forks == 0 {
            self.by.remove(&by);
        }
    }

    /// The processes, the one with the most forks first.
    pub(super) fn all(&self) -> Vec<ThreadedForks> {
        let mut all: Vec<(&ProcId, &ThreadedForks)> = self.by.iter().collect();
        all.sort_by_key(|(id, one)| (std::cmp::Reverse(one.forks), **id));
        all.into_iter().map(|(_, one)| one.clone()).collect()
    }
}

/// The process that forked, if the fork lost threads.
fn counted(fork: &Fork) -> Option<ProcId> {
    fork.by.filter(|_| clone_flags::copies_memory(fork.clone_flags) && !fork.lost.is_empty())
}

/// The names of the threads that a fork lost, each once.
fn names(fork: &Fork) -> std::collections::BTreeSet<&str> {
    fork.lost.iter().map(|thread| thread.comm.as_str()).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]

    use super::*;
    use crate::event::ThreadName;

    fn fork(by: u32, lost: &[&str]) -> Fork {
        let lost =
            lost.iter().zip(by..).map(|(comm, tid)| ThreadName { tid, comm: (*comm).into() });
        Fork {
            by: Some(ProcId(by)),
            by_pid: by,
            by_comm: "server".into(),
            lost: lost.collect(),
            ..Fork::default()
        }
    }

    #[test]
    fn only_forks_that_lose_threads_and_do_not_exec_are_counted() {
        let mut forks = ForksWithThreads::default();
        forks.forked(&fork(7, &[]));
        let vfork = Fork { clone_flags: clone_flags::CLONE_VM, ..fork(7, &["a"]) };
        forks.forked(&vfork);
        assert_eq!(forks.all(), []);
        for _ in 0..3 {
            forks.forked(&fork(7, &["pool", "pool", "refresher"]));
        }
        let other = fork(8, &["cleaner"]);
        forks.forked(&other);
        forks.execed(&fork(7, &["pool", "pool", "refresher"]));
        forks.execed(&other);
        let all = forks.all();
        let [one] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((one.pid, one.forks, one.threads), (7, 2, 3));
        let names: Vec<(&str, u64)> =
            one.names.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(names, [("pool", 2), ("refresher", 2)]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut forks = ForksWithThreads::default();
        for by in 0..2_000 {
            forks.forked(&fork(by, &["a"]));
        }
        assert_eq!(forks.all().len(), MOST_FORKERS);
        let many: Vec<String> = (0..500).map(|n| format!("thread {n}")).collect();
        forks.forked(&fork(0, &many.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(forks.all().first().map(|one| one.names.len()), Some(MOST_NAMES));
    }
}
