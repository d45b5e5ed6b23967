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
    maps::{AT_RISK, Owner, Risk, WAKES, WakeState, WordKey},
    record::Leftover,
};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    Error,
    handles::{Map, again, ignore_missing, value},
    places::{FreeChunks, Places},
    realtime::Unpreempted,
    remains::Remains,
};

/// Children that end within such a time are cleaned up after together: to wake up and to go through all
/// chunks costs more than to take back what one child left.
const SHORTEST: Duration = Duration::from_millis(2);
/// The same, where children leave little.
const LONGEST: Duration = Duration::from_millis(50);

/// Part of the area that may be waiting to be taken back: pages beyond it cost their children more.
const PART: u32 = 4;

/// The thread that takes back. It ends after what it was given when this is dropped.
pub(super) struct Cleaner {
    sender: Sender<Task>,
}

enum Task {
    /// What one child left, and whether that is to be read before.
    Of(u32, Leftover, bool),
    /// Everything that is of no child at risk.
    Sweep,
}

impl Cleaner {
    /// Starts it.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn start(leavings: Leavings, remains: UnboundedSender<Remains>) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let work = move || leavings.take_back_all(&receiver, &remains);
        thread::Builder::new().name("cleaner".into()).spawn(work)?;
        Ok(Cleaner { sender })
    }

    /// Takes back what a child left behind. Its keys are of one fork, so that no later process with the
    /// same number is meant. `is_read`: it is read before, and handed on.
    pub(super) fn clean(&self, tgid: u32, leftover: Leftover, is_read: bool) {
        // It is there as long as this.
        let _ = self.sender.send(Task::Of(tgid, leftover, is_read));
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
    places: Places,
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
            // How pages will be kept is not known yet; where faults are not counted this changes nothing.
            places: Places::open(ebpf, true)?,
        })
    }

    fn take_back_all(mut self, tasks: &Receiver<Task>, remains: &UnboundedSender<Remains>) {
        let at_once = self.chunks.of_area() / PART;
        let mut together = SHORTEST;
        while let Ok(first) = tasks.recv() {
            thread::sleep(together);
            let (mut with_pages, mut with_wakes) = (HashSet::new(), HashSet::new());
            let (mut sweep, mut to_read) = (false, Vec::new());
            for task in [first].into_iter().chain(tasks.try_iter()) {
                match task {
                    Task::Sweep => sweep = true,
                    Task::Of(tgid, left, is_read) => {
                        let child = (tgid, left.fork_ns);
                        if is_read {
                            to_read.push(child);
                        }
                        // Threads that count at the same time make it too few, but not none.
                        if left.pages > 0 || left.written > 0 || left.absent > 0 {
                            with_pages.insert(child);
                        }
                        if left.woken_words > 0 {
                            with_wakes.insert(child);
                        }
                    }
                }
            }
            for (tgid, fork_ns) in to_read {
                // Nobody takes it any more when tracing has ended.
                let _ = remains.send(Remains::read(&self.places, tgid, fork_ns));
            }
            let _unpreempted = Unpreempted::here();
            let taken = self.take_back(|child| with_pages.contains(child));
            together = next_time(together, taken, at_once);
            if !with_wakes.is_empty() {
                self.clean_wakes(|child| with_wakes.contains(child));
            }
            if sweep {
                self.sweep();
            }
        }
    }

    /// How many chunks there were to be taken back.
    fn take_back(&mut self, dead: impl Fn(&Child) -> bool) -> usize {
        let owned = self.chunks.owned();
        let chunks = owned.into_iter().filter(|(_, owner)| dead(&(owner.tgid, owner.fork_ns)));
        let chunks: Vec<_> = chunks.collect();
        self.chunks.take_back(&chunks);
        chunks.len()
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
        let dead = |owner: &Owner| !alive.contains(&(owner.tgid, owner.fork_ns));
        let chunks: Vec<_> = owned.into_iter().filter(|(_, owner)| dead(owner)).collect();
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

/// For how long children that end are gathered next, so that about `at_once` chunks are taken back together:
/// `taken` were, of those that ended in the time `before`. It grows slowly: a few that leave much may follow.
fn next_time(before: Duration, taken: usize, at_once: u32) -> Duration {
    let taken = u32::try_from(taken).unwrap_or(u32::MAX).max(1);
    (before * at_once / taken).clamp(SHORTEST, LONGEST.min(before * 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_children_leave_the_sooner_it_is_taken_back() {
        let ms = Duration::from_millis;
        for (before, taken, wanted) in [
            (ms(50), 0, ms(50)),
            (ms(50), 64, ms(50)),
            (ms(50), 320, ms(20)),
            (ms(20), 128, ms(20)),
            (ms(20), 64, ms(40)),
            (ms(20), usize::MAX, ms(2)),
            (ms(2), 0, ms(4)),
            (ms(40), 0, ms(50)),
        ] {
            assert_eq!(next_time(before, taken, 128), wanted, "{taken} in {before:?}");
        }
        assert_eq!(next_time(ms(50), 1, 0), SHORTEST, "there is no area");
    }
}
