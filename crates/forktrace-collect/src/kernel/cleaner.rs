//! Deleting what ended children left in the maps, on a thread of its own: each page takes a
//! system call, a forked Python child leaves hundreds, and records must not wait for it.

use std::{
    io,
    sync::mpsc::{Sender, channel},
    thread,
};

use aya::Ebpf;
use forktrace_common::{
    maps::{
        FORKER_PAGES, PAGES, POOL, PageIndex, PageKey, SIDE_CHILD, SNAPSHOTS, TAILS, TOUCHES,
        TouchKey, WAKES, WakeState, WordKey,
    },
    record::Leftover,
};

use super::{
    Error,
    batch::Batch,
    handles::{Map, again, ignore_missing, key, value},
    realtime::Unpreempted,
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
                let _unpreempted = Unpreempted::here();
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

type Wakes = Map<[u8; size_of::<WordKey>()], [u8; size_of::<WakeState>()]>;

/// The maps that children leave something in.
pub(super) struct Leavings {
    pages: Map<[u8; size_of::<PageIndex>()], u64>,
    wakes: Wakes,
    pool: Batch,
    snapshots: Batch,
    tails: Batch,
    listed: Batch,
    touches: Batch,
}

impl Leavings {
    /// Handles of its own.
    ///
    /// # Errors
    /// When the kernel refuses them.
    pub(super) fn open(ebpf: &Ebpf) -> Result<Self, Error> {
        Ok(Leavings {
            pages: again(ebpf, PAGES)?,
            wakes: again(ebpf, WAKES)?,
            pool: Batch::open(ebpf, POOL)?,
            snapshots: Batch::open(ebpf, SNAPSHOTS)?,
            tails: Batch::open(ebpf, TAILS)?,
            listed: Batch::open(ebpf, PAGES)?,
            touches: Batch::open(ebpf, TOUCHES)?,
        })
    }

    fn clean(&mut self, tgid: u32, leftover: &Leftover) {
        let Leftover { fork_ns, pages, woken_words, written, .. } = *leftover;
        let of_forker = FORKER_PAGES..FORKER_PAGES.saturating_add(written);
        let (mut kept, mut touched, mut listed) = (Vec::new(), Vec::new(), Vec::new());
        for index in (0..pages).chain(of_forker) {
            let place = key(&PageIndex { fork_ns, tgid, index });
            let Ok(page) = self.pages.get(&place, 0) else { continue };
            let side = u32::from(index >= FORKER_PAGES);
            if side == SIDE_CHILD {
                kept.push(key(&PageKey { fork_ns, page, tgid, reserved: 0 }));
            }
            touched.push(key(&TouchKey { fork_ns, page, tgid, side }));
            listed.push(place);
        }
        let elsewhere = delete::<{ size_of::<PageKey>() }>(&self.pool, &kept);
        delete(&self.snapshots, &elsewhere);
        delete(&self.tails, &elsewhere);
        delete::<{ size_of::<TouchKey>() }>(&self.touches, &touched);
        // Last: where a page is, is known by these alone.
        delete::<{ size_of::<PageIndex>() }>(&self.listed, &listed);
        if woken_words > 0 {
            clean_wakes(&mut self.wakes, |word| word.tgid == tgid && word.fork_ns == fork_ns);
        }
    }
}

/// Deletes the entries with these keys; the keys that had none are returned.
fn delete<const N: usize>(map: &Batch, keys: &[[u8; N]]) -> Vec<[u8; N]> {
    map.delete(keys).unwrap_or_else(|error| {
        tracing::trace!("removing from a map: {error}");
        keys.to_vec()
    })
}

/// Deletes the counts of wakes of those words that are `dead`.
fn clean_wakes(wakes: &mut Wakes, dead: impl Fn(&WordKey) -> bool) {
    let keys: Vec<_> = wakes.keys().filter_map(Result::ok).collect();
    for bytes in keys.into_iter().filter(|bytes| dead(&value(bytes))) {
        ignore_missing(wakes.remove(&bytes));
    }
}
