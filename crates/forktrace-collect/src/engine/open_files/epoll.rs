//! Who waits on an epoll instance that several processes have as one, and who changes it.

use forktrace_model::event::{FileUse, WatchedFile};
use rustc_hash::{FxHashMap, FxHashSet};

use super::family::Holder;
use crate::{
    clock,
    inspect::{
        open_files,
        stall::look::{self, Look},
    },
};

/// Most files that are looked up in the processes that wait, and that are told.
const MOST_WATCHED: usize = 256;
const MOST_TOLD: usize = 16;
/// In so many looks a file must be missing in a process: a connection may be closed between two readings.
const LOOKS: u32 = 2;

/// A file that is watched: by which number it was added, and its inode.
type File = (i32, u64);
/// The threads of each process.
type Threads = FxHashMap<u32, Vec<Look>>;

/// What is known of an epoll instance.
#[derive(Debug, Default)]
pub(super) struct Polled {
    before: Option<(Threads, Vec<File>)>,
    /// In how many looks each process has waited.
    waits: FxHashMap<u32, u32>,
    /// In how many looks a file was missing in a process.
    missing: FxHashMap<(File, u32), u32>,
    /// Files that one process took out while the other waited.
    removed: Vec<WatchedFile>,
    listening: FxHashMap<u64, bool>,
    since_ns: u64,
    told: (usize, usize, usize),
}

impl Polled {
    pub(super) fn look(&mut self, holders: &mut Vec<Holder>) {
        // Threads are looked at before and after: one that has not run between the two did nothing while the
        // list was read.
        let before = threads(holders);
        // Who has made its own by the same number does not have this one any more.
        if let Some(first) = holders.first().cloned() {
            holders.retain(|one| {
                one.member.id == first.member.id || open_files::are_one(first.place(), one.place())
            });
        }
        let list = holders.iter().find_map(|one| open_files::watched(one.member.pid, one.fd));
        let Some(list) = list else {
            self.before = None;
            return;
        };
        let after = threads(holders);
        let waits = |one: &&Holder| {
            let looks = after.get(&one.member.pid);
            looks.is_some_and(|looks| looks.iter().any(|look| open_files::waits_on(look, one.fd)))
        };
        let waiters: Vec<Holder> = holders.iter().filter(waits).cloned().collect();
        for one in waiters.iter().filter(|one| !one.member.is_outside) {
            *self.waits.entry(one.member.pid).or_default() += 1;
        }
        if self.since_ns == 0 && self.waits.len() > 1 {
            self.since_ns = clock::boot_ns();
        }
        if let Some((earlier, was)) = self.before.take() {
            self.compare((&earlier, &was), (&after, &list), holders, &waiters);
        }
        self.find_missing(holders, &list);
        self.before = Some((before, list));
    }

    /// Finds files that were taken out while the only other process that has the instance slept.
    fn compare(
        &mut self,
        (earlier, was): (&Threads, &[File]),
        (now, is): (&Threads, &[File]),
        holders: &[Holder],
        waiters: &[Holder],
    ) {
        let [one, other] = holders else { return };
        let gone: Vec<File> = was.iter().filter(|file| !is.contains(file)).copied().collect();
        if gone.is_empty() || [one, other].iter().any(|holder| holder.member.is_outside) {
            return;
        }
        for (by, sleeper) in [(one, other), (other, one)] {
            let pid = sleeper.member.pid;
            let slept =
                earlier.get(&pid).zip(now.get(&pid)).is_some_and(|(was, is)| still(was, is));
            let waited = waiters.iter().any(|waiter| waiter.member.pid == pid);
            for (fd, inode) in gone.iter().filter(|_| slept && waited) {
                if open_files::has(pid, *fd, *inode) == Some(true) && self.removed.len() < MOST_TOLD
                {
                    self.removed.push(WatchedFile {
                        fd: *fd,
                        removed_by: Some(by.member.pid),
                        removed_from: Some(pid),
                        ..WatchedFile::default()
                    });
                }
            }
        }
    }

    /// Finds files that one of those who wait has, and another has not.
    fn find_missing(&mut self, holders: &[Holder], list: &[File]) {
        let waits = |one: &&Holder| self.waits.contains_key(&one.member.pid);
        let waiters: Vec<u32> =
            holders.iter().filter(waits).map(|holder| holder.member.pid).collect();
        if waiters.len() < 2 {
            return;
        }
        let watched: FxHashSet<File> = list.iter().take(MOST_WATCHED).copied().collect();
        self.missing.retain(|(file, _), looks| *looks >= LOOKS || watched.contains(file));
        for file in watched {
            let (fd, inode) = file;
            let has: Vec<(u32, Option<bool>)> =
                waiters.iter().map(|pid| (*pid, open_files::has(*pid, fd, inode))).collect();
            let listens = || waiters.iter().any(|pid| open_files::listens(*pid, inode));
            self.listening.entry(inode).or_insert_with(listens);
            if has.iter().any(|(_, has)| *has == Some(true)) {
                for (pid, _) in has.iter().filter(|(_, has)| *has == Some(false)) {
                    let looks = self.missing.entry((file, *pid)).or_default();
                    *looks = looks.saturating_add(1);
                }
            }
        }
    }

    fn missing(&self) -> impl Iterator<Item = (File, u32)> {
        let sure = self.missing.iter().filter(|(_, looks)| **looks >= LOOKS);
        sure.map(|((file, pid), _)| (*file, *pid))
    }

    /// Whether more is known than was told.
    pub(super) fn is_new(&mut self) -> bool {
        let waiters = self.waits.values().filter(|looks| **looks >= LOOKS).count();
        let now = (waiters, self.missing().count(), self.removed.len());
        let is_new = (waiters > 1 || !self.removed.is_empty()) && now != self.told;
        self.told = now;
        is_new
    }

    pub(super) fn tell(&self, seen: &mut FileUse) {
        for holder in &mut seen.holders {
            holder.waits = self.waits.get(&holder.pid).copied().unwrap_or(0);
        }
        seen.since_ns = self.since_ns;
        seen.watched.clone_from(&self.removed);
        let mut files: Vec<File> =
            self.before.iter().flat_map(|(_, list)| list.iter().copied()).collect();
        files.extend(self.missing().map(|(file, _)| file));
        files.sort_unstable();
        files.dedup();
        // Those that are missing, and those that any process can serve, come first and last.
        let mut told: Vec<WatchedFile> = files.into_iter().map(|file| self.watched(file)).collect();
        told.sort_by_key(|file| (file.missing_in.is_empty(), file.listens));
        seen.watched.extend(told.into_iter().take(MOST_TOLD));
    }

    fn watched(&self, file: File) -> WatchedFile {
        let mut missing_in: Vec<u32> =
            self.missing().filter(|(one, _)| *one == file).map(|(_, pid)| pid).collect();
        missing_in.sort_unstable();
        let listens = self.listening.get(&file.1).copied().unwrap_or(false);
        WatchedFile { fd: file.0, listens, missing_in, ..WatchedFile::default() }
    }
}

/// Whether no thread has run, or come, between two looks.
fn still(was: &[Look], is: &[Look]) -> bool {
    was.len() == is.len()
        && is
            .iter()
            .all(|now| was.iter().any(|before| before.tid == now.tid && now.is_still(before)))
}

fn threads(holders: &[Holder]) -> Threads {
    let pids = holders.iter().map(|holder| holder.member.pid);
    pids.filter_map(|pid| Some((pid, look::at_threads(pid).ok()?))).collect()
}
