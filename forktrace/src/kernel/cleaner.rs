//! Deleting what ended children left in the maps, on a thread of its own: each page takes several
//! system calls, a forked Python child leaves hundreds, and records must not wait for it.

use std::{
    io,
    sync::mpsc::{Sender, channel},
    thread,
};

use aya::Ebpf;
use forktrace_common::{
    maps::{
        FORKER_PAGES, PAGE_HEAD, PAGE_TAIL, PAGES, PageIndex, PageKey, SIDE_CHILD, SNAPSHOTS,
        TAILS, TOUCHES, Touch, TouchKey, WAKES, WakeState, WordKey,
    },
    record::Leftover,
};

use super::{
    Error,
    maps::{Map, again, ignore_missing, key, value},
};

/// The thread that deletes. It ends after what it was given when this is dropped.
pub(super) struct Cleaner {
    sender: Sender<(u32, Leftover)>,
}

impl Cleaner {
    /// Starts it.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn start(mut leavings: Leavings) -> io::Result<Self> {
        let (sender, receiver) = channel();
        thread::Builder::new().name("cleaner".into()).spawn(move || {
            for (tgid, leftover) in receiver {
                leavings.clean(tgid, &leftover);
            }
        })?;
        Ok(Cleaner { sender })
    }

    /// Deletes what a child left behind. Its keys are of one fork, so that no later process with the
    /// same number is meant.
    pub(super) fn clean(&self, tgid: u32, leftover: Leftover) {
        // It is there as long as this.
        let _ = self.sender.send((tgid, leftover));
    }
}

pub(super) type Wakes = Map<[u8; size_of::<WordKey>()], [u8; size_of::<WakeState>()]>;

/// The maps that children leave something in.
pub(super) struct Leavings {
    snapshots: Map<[u8; size_of::<PageKey>()], [u8; PAGE_HEAD]>,
    tails: Map<[u8; size_of::<PageKey>()], [u8; PAGE_TAIL]>,
    pages: Map<[u8; size_of::<PageIndex>()], u64>,
    touches: Map<[u8; size_of::<TouchKey>()], [u8; size_of::<Touch>()]>,
    wakes: Wakes,
}

impl Leavings {
    /// Handles of its own.
    ///
    /// # Errors
    /// When the kernel refuses them.
    pub(super) fn open(ebpf: &Ebpf) -> Result<Self, Error> {
        Ok(Leavings {
            snapshots: again(ebpf, SNAPSHOTS)?,
            tails: again(ebpf, TAILS)?,
            pages: again(ebpf, PAGES)?,
            touches: again(ebpf, TOUCHES)?,
            wakes: again(ebpf, WAKES)?,
        })
    }

    fn clean(&mut self, tgid: u32, leftover: &Leftover) {
        let Leftover { fork_ns, pages, woken_words, written, .. } = *leftover;
        let of_forker = FORKER_PAGES..FORKER_PAGES.saturating_add(written);
        for index in (0..pages).chain(of_forker) {
            let place = key(&PageIndex { fork_ns, tgid, index });
            if let Ok(page) = self.pages.get(&place, 0) {
                self.clean_page(fork_ns, tgid, page, index);
            }
            ignore_missing(self.pages.remove(&place));
        }
        if woken_words > 0 {
            clean_wakes(&mut self.wakes, |word| word.tgid == tgid && word.fork_ns == fork_ns);
        }
    }

    fn clean_page(&mut self, fork_ns: u64, tgid: u32, page: u64, index: u32) {
        let side = u32::from(index >= FORKER_PAGES);
        let touch = TouchKey { fork_ns, page, tgid, side };
        ignore_missing(self.touches.remove(&key(&touch)));
        if side == SIDE_CHILD {
            let page = PageKey { fork_ns, page, tgid, reserved: 0 };
            ignore_missing(self.snapshots.remove(&key(&page)));
            ignore_missing(self.tails.remove(&key(&page)));
        }
    }
}

/// Deletes the counts of wakes of those words that are `dead`.
pub(super) fn clean_wakes(wakes: &mut Wakes, dead: impl Fn(&WordKey) -> bool) {
    let keys: Vec<_> = wakes.keys().filter_map(Result::ok).collect();
    for bytes in keys.into_iter().filter(|bytes| dead(&value(bytes))) {
        ignore_missing(wakes.remove(&bytes));
    }
}
