//! What the programs' maps knew of a wait when it was sampled.

use rustc_hash::FxHashMap;

use forktrace_common::maps::{PAGE_SIZE, SIDE_CHILD, SIDE_FORKER, Touch, WaitState};
use forktrace_model::event::{
    AtFork, Doing, FirstWrite, Missing, ThreadSample, Wait, Waiter, Window,
};

use super::{Placement, Subject};
use crate::{
    clock,
    inspect::evidence::{DESCRIPTOR_TID, Inherited},
    kernel::ForkRecords,
};

/// How far around the futex word a lock may reach, bytes.
const REACH: u64 = 256;

/// What the maps knew of a wait.
pub(super) struct Captured {
    around_futex: Pages,
    around_target: Option<Pages>,
    /// Around the tid of the owner's descriptor, and that descriptor's address.
    around_owner: Option<(Pages, u64)>,
    wakes: Option<u64>,
    /// First writes by the child and by the process that forked.
    writes: [Option<Touch>; 2],
    waiters: Waiters,
}

/// The threads that wait for the word.
#[derive(Clone, Debug)]
pub(in crate::engine) enum Waiters {
    /// All of them, as the programs saw them begin to wait.
    Seen(Vec<Waiter>),
    /// Those that were found by sampling, by tid.
    Sampled(FxHashMap<u32, Waiter>),
}

/// The pages around a word.
pub(in crate::engine) struct Pages {
    word: u64,
    /// Each page's first address and bytes, in the order of addresses.
    pages: Vec<(u64, Result<[u8; PAGE_SIZE], Missing>)>,
}

impl Captured {
    pub(super) fn take(records: &ForkRecords, subject: &Subject, placement: Placement) -> Self {
        let Placement { target, owner } = placement;
        let (pid, uaddr) = (subject.task.pid, subject.wait.uaddr);
        let kept = records.of_child(pid);
        let around = |word| Pages::take(word, |start| kept.inherited_page(start));
        let writes = [SIDE_CHILD, SIDE_FORKER].map(|side| kept.first_write(page(uaddr), side));
        Captured {
            around_futex: around(uaddr),
            around_target: target.map(around),
            around_owner: owner.map(|at| (around(at.saturating_add(DESCRIPTOR_TID)), at)),
            writes,
            waiters: subject.waiters.clone(),
            // After the waiters, so that no wake since one of them began to wait is missed.
            wakes: records.wakes_since_fork(pid, uaddr),
        }
    }
}

fn page(address: u64) -> u64 {
    address & !(PAGE_SIZE as u64 - 1)
}

impl Inherited for Captured {
    fn bytes(&self, _pid: u32, address: u64, len: usize) -> AtFork {
        let end = address.saturating_add(len as u64);
        let owner = self.around_owner.iter().map(|(pages, _)| pages);
        let mut known = owner.chain(&self.around_target).chain([&self.around_futex]);
        let asked = known.find(|pages| (address..end).contains(&pages.word));
        asked.map_or_else(AtFork::default, |pages| pages.window(address, end))
    }

    fn wakes(&self, _pid: u32, _uaddr: u64) -> Option<u64> {
        self.wakes
    }

    fn target(&self) -> Option<u64> {
        self.around_target.as_ref().map(|pages| pages.word)
    }

    fn owner(&self) -> Option<u64> {
        self.around_owner.as_ref().map(|(_, address)| *address)
    }

    fn first_writes(&self) -> [Option<(FirstWrite, u64)>; 2] {
        let write = |touch: Touch| {
            let Touch { boot_ns, address, ip, other_ns, tid, switches } = touch;
            let times = switches.checked_sub(1);
            let (module, function) = (None, None);
            (FirstWrite { boot_ns, tid, address, other_ns, times, module, function }, ip)
        };
        self.writes.map(|touch| touch.map(write))
    }

    fn waiters(&self, wait: &Wait, threads: &[ThreadSample]) -> Vec<Waiter> {
        let since = match &self.waiters {
            Waiters::Seen(waiters) => return waiters.clone(),
            Waiters::Sampled(since) => since,
        };
        // Who waits now, not who did at the latest sample; nothing is known of one that has run since.
        let now = clock::boot_ns();
        let waits = |thread: &&ThreadSample| matches!(thread.doing, Doing::Futex { uaddr, .. } if uaddr == wait.uaddr);
        let waiter = |thread: &ThreadSample| {
            let known = since.get(&thread.tid).filter(|_| thread.ran == Some(false));
            let unknown = Waiter { tid: thread.tid, enter_ns: now, times: None };
            known.cloned().unwrap_or(unknown)
        };
        threads.iter().filter(waits).map(waiter).collect()
    }
}

impl Waiters {
    /// Those of all waits of a moment that are for the same word as `wait`.
    pub(in crate::engine) fn seen(wait: &WaitState, all: &[WaitState]) -> Self {
        let same = |other: &&WaitState| other.tgid == wait.tgid && other.uaddr == wait.uaddr;
        let waits = all.iter().filter(same).filter(|wait| wait.restarting == 0);
        let waiter =
            |wait: &WaitState| Waiter { tid: wait.tid, enter_ns: wait.enter_ns, times: None };
        Waiters::Seen(waits.map(waiter).collect())
    }
}

impl Pages {
    pub(in crate::engine) fn take(
        word: u64,
        read: impl Fn(u64) -> Result<[u8; PAGE_SIZE], Missing>,
    ) -> Self {
        let around = [word.saturating_sub(REACH), word, word.saturating_add(REACH)];
        let mut starts = around.map(page).to_vec();
        starts.dedup();
        Pages { word, pages: starts.into_iter().map(|start| (start, read(start))).collect() }
    }

    /// What is known from `address` to `end`. The word's own page decides; its neighbours are
    /// joined to it where they are known.
    pub(in crate::engine) fn window(&self, address: u64, end: u64) -> AtFork {
        let mut window: Option<Window> = None;
        let mut why = Missing::NoFault;
        for (start, page_bytes) in &self.pages {
            let own = *start == page(self.word);
            match page_bytes {
                Ok(bytes) => {
                    let page_end = start.saturating_add(PAGE_SIZE as u64);
                    let from = address.clamp(*start, page_end);
                    let to = end.clamp(*start, page_end);
                    // A page near the word that the window does not reach says nothing of where
                    // the window begins.
                    if from == to {
                        continue;
                    }
                    let range = (from - start) as usize..(to - start) as usize;
                    let bytes = bytes.get(range).unwrap_or_default();
                    let window =
                        window.get_or_insert_with(|| Window { address: from, bytes: vec![] });
                    window.bytes.extend_from_slice(bytes);
                }
                Err(missing) if own => {
                    why = *missing;
                    window = None;
                    break;
                }
                Err(_) if *start < page(self.word) => window = None,
                Err(_) => break,
            }
        }
        window.filter(|window| !window.bytes.is_empty()).map_or(AtFork::Unknown(why), AtFork::Known)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]

    use super::*;

    /// Pages 1 and 2 hold their numbers, page 3 is not known.
    fn pages(word: u64) -> Pages {
        Pages::take(word, |start| match start >> 12 {
            number @ (1 | 2) => Ok([number as u8; PAGE_SIZE]),
            _ => Err(Missing::NoFault),
        })
    }

    fn captured(uaddr: u64) -> AtFork {
        let captured = Captured {
            around_futex: pages(uaddr),
            around_target: None,
            around_owner: None,
            wakes: None,
            writes: [None; 2],
            waiters: Waiters::Seen(Vec::new()),
        };
        captured.bytes(1, uaddr - 128, 256)
    }

    fn known(uaddr: u64) -> (u64, usize, u8, u8) {
        match captured(uaddr) {
            AtFork::Known(Window { address, bytes }) => {
                let ends = (bytes.first().copied(), bytes.last().copied());
                (address, bytes.len(), ends.0.unwrap_or(0), ends.1.unwrap_or(0))
            }
            AtFork::Unknown(missing) => panic!("{missing:?}"),
        }
    }

    #[test]
    fn a_window_is_joined_across_known_pages_and_cut_at_unknown_ones() {
        assert_eq!(known(0x1800), (0x1780, 256, 1, 1));
        assert_eq!(known(0x1ff0), (0x1f70, 256, 1, 2), "the word's page and the next");
        assert_eq!(known(0x2010), (0x1f90, 256, 1, 2), "the page before and the word's");
        assert_eq!(
            known(0x20ac),
            (0x202c, 256, 2, 2),
            "the page before is known but not asked for"
        );
        assert_eq!(known(0x1f40), (0x1ec0, 256, 1, 1), "the same of the page after");
        assert_eq!(known(0x1010), (0x1000, 144, 1, 1), "the page before is not known");
        assert_eq!(known(0x2ff0), (0x2f70, 144, 2, 2), "the page after is not known");
        let unknown = AtFork::Unknown(Missing::NoFault);
        assert_eq!(captured(0x3010), unknown, "the word's own page decides");
    }

    #[test]
    fn a_target_has_pages_of_its_own() {
        let around_target = Some(pages(0x2800));
        let captured = Captured {
            around_futex: pages(0x1800),
            around_target,
            around_owner: None,
            wakes: None,
            writes: [None; 2],
            waiters: Waiters::Seen(Vec::new()),
        };
        assert_eq!((captured.target(), captured.owner()), (Some(0x2800), None));
        let of = |address| Window { address, bytes: vec![(address >> 12) as u8; 16] };
        for word in [0x1800, 0x2800] {
            assert_eq!(captured.bytes(1, word - 8, 16), AtFork::Known(of(word - 8)));
        }
        assert_eq!(captured.bytes(1, 0x1100, 16), AtFork::default(), "not asked for");
    }
}
