//! Taking back what ended children left in the maps, on a thread of its own: it takes system calls, a
//! forked Python child leaves hundreds of pages, and records must not wait for it.

use std::{
    collections::HashSet,
    io,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use aya::Ebpf;
use forktrace_common::{
    maps::{AT_RISK, Risk, WAKES, WakeState, WordKey},
    record::Leftover,
};

use super::{
    Error,
    handles::{Map, again, ignore_missing, value},
    places::FreeChunks,
    realtime::Unpreempted,
};

/// Children that end within this time are cleaned up after together: all chunks are gone through for it.
const TOGETHER: Duration = Duration::from_millis(2);

/// The thread that takes back. It ends after what it was given when this is dropped.
pub(super) struct Cleaner {
    sender: Sender<Task>,
}

enum Task {
    /// What one child left.
    Of(u32, Leftover),
    /// Everything that is of no child at risk.
    Sweep,
}

impl Cleaner {
    /// Starts it.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn start(leavings: Leavings) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let work = move || leavings.take_back_all(&receiver);
        thread::Builder::new().name("cleaner".into()).spawn(work)?;
        Ok(Cleaner { sender })
    }

    /// Takes back what a child left behind. Its keys are of one fork, so that no later process with the
    /// same number is meant.
    pub(super) fn clean(&self, tgid: u32, leftover: Leftover) {
        // It is there as long as this.
        let _ = self.sender.send(Task::Of(tgid, leftover));
    }

    /// Takes back what is of no child at risk: after a loss, exits may not have told what they left.
    pub(super) fn sweep(&self) {
        let _ = self.sender.send(Task::Sweep);
    }
}

/// The maps that children leave something in.
pub(super) struct Leavings {
    at_risk: Map<u32, [u8; size_of::<Risk>()]>,
    wakes: Map<[u8; size_of::<WordKey>()], [u8; size_of::<WakeState>()]>,
    chunks: FreeChunks,
}

/// A child's tgid and the time of its fork.
type Child = (u32, u64);

impl Leavings {
    /// Handles of its own. Nothing is in the maps yet.
    ///
    /// # Errors
    /// When the kernel refuses them.
    pub(super) fn open(ebpf: &Ebpf) -> Result<Self, Error> {
        Ok(Leavings {
            at_risk: again(ebpf, AT_RISK)?,
            wakes: again(ebpf, WAKES)?,
            chunks: FreeChunks::fill(ebpf)?,
        })
    }

    fn take_back_all(mut self, tasks: &Receiver<Task>) {
        while let Ok(first) = tasks.recv() {
            thread::sleep(TOGETHER);
            let (mut with_pages, mut with_wakes) = (HashSet::new(), HashSet::new());
            let mut sweep = false;
            for task in [first].into_iter().chain(tasks.try_iter()) {
                match task {
                    Task::Sweep => sweep = true,
                    Task::Of(tgid, left) => {
                        let child = (tgid, left.fork_ns);
                        // Threads that count at the same time make it too few, but not none.
                        if left.pages > 0 || left.written > 0 {
                            with_pages.insert(child);
                        }
                        if left.woken_words > 0 {
                            with_wakes.insert(child);
                        }
                    }
                }
            }
            let _unpreempted = Unpreempted::here();
            self.take_back(|child| with_pages.contains(child));
            if !with_wakes.is_empty() {
                self.clean_wakes(|child| with_wakes.contains(child));
            }
            if sweep {
                self.sweep();
            }
        }
    }

    fn take_back(&mut self, dead: impl Fn(&Child) -> bool) {
        let owned = self.chunks.owned();
        let chunks = owned.iter().filter(|(_, owner)| dead(&(owner.tgid, owner.fork_ns)));
        let chunks: Vec<u32> = chunks.map(|(chunk, _)| *chunk).collect();
        self.chunks.take_back(&chunks);
    }

    fn sweep(&mut self) {
        // Listed before who is at risk: what a child leaves meanwhile must not look left behind.
        let owned = self.chunks.owned();
        let wakes: Vec<_> = self.wakes.keys().filter_map(Result::ok).collect();
        let alive: HashSet<Child> = self
            .at_risk
            .iter()
            .filter_map(Result::ok)
            .map(|(pid, bytes)| (pid, value::<Risk>(&bytes).fork_ns))
            .collect();
        let chunks =
            owned.iter().filter(|(_, owner)| !alive.contains(&(owner.tgid, owner.fork_ns)));
        let chunks: Vec<u32> = chunks.map(|(chunk, _)| *chunk).collect();
        self.chunks.take_back(&chunks);
        for bytes in wakes {
            let word: WordKey = value(&bytes);
            if !alive.contains(&(word.tgid, word.fork_ns)) {
                ignore_missing(self.wakes.remove(&bytes));
            }
        }
    }

    /// Deletes the counts of wakes of those children that are `dead`.
    fn clean_wakes(&mut self, dead: impl Fn(&Child) -> bool) {
        let keys: Vec<_> = self.wakes.keys().filter_map(Result::ok).collect();
        let of = |word: WordKey| (word.tgid, word.fork_ns);
        for bytes in keys.into_iter().filter(|bytes| dead(&of(value(bytes)))) {
            ignore_missing(self.wakes.remove(&bytes));
        }
    }
}
