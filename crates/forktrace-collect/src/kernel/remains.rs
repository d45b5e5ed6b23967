//! What is left of a child's memory when it has ended: its first writes since the fork, and the buffers in the pages
//! as inherited. They are read before the places are taken back.
//!
//! The next children need the places, and the child's end is held back meanwhile, so how much is read has a limit
//! ([`Share`]).

use std::time::Instant;

use forktrace_common::maps::{PAGE_SIZE, SIDE_CHILD, SIDE_FORKER, Touch};
use forktrace_model::buffers::{self, Unwritten};

use super::{
    places::{Places, WrittenPage},
    realtime::Unpreempted,
};

/// Most pages of one child that are looked at, and buffers that are kept.
const MOST_PAGES: usize = 4096;
const MOST_KEPT: usize = 64;

/// Most pages that may be read at once, and how many more in each second that goes by. One takes some 80 µs, so
/// that in the long run this takes less than a hundredth of a CPU.
const MOST_AT_ONCE: i64 = 2 * MOST_PAGES as i64;
const A_SECOND: u64 = 100;

/// How many pages may still be read.
#[derive(Debug)]
pub(super) struct Share {
    /// Less than 0: more were read than that, as all pages of one child are.
    left: i64,
    at: Instant,
}

impl Share {
    /// All of them.
    pub(super) fn new(now: Instant) -> Self {
        Share { left: MOST_AT_ONCE, at: now }
    }

    /// Whether a child may be read now.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at);
        let more = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).saturating_mul(A_SECOND);
        let more = i64::try_from(more / 1_000_000).unwrap_or(i64::MAX);
        if more > 0 {
            (self.left, self.at) = (MOST_AT_ONCE.min(self.left.saturating_add(more)), now);
        }
        self.left > 0
    }

    /// The pages of one were read.
    pub(super) fn spend(&mut self, pages: usize) {
        self.left = self.left.saturating_sub(i64::try_from(pages).unwrap_or(i64::MAX));
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// The child.
    pub pid: u32,
    /// `CLOCK_BOOTTIME` of its fork, ns.
    pub fork_ns: u64,
    /// The child's first writes to pages, in the order of their addresses.
    pub writes: Vec<Touch>,
    /// The same of the process that forked, since this fork.
    pub by_forker: Vec<Touch>,
    /// Buffers as inherited.
    pub buffers: Vec<Unwritten>,
    /// Not all pages were looked at, or not all buffers kept.
    pub cut: bool,
    /// How many pages were.
    pub(super) read: usize,
}

impl Remains {
    /// Of a child that is not read.
    pub(super) fn unread(pid: u32, fork_ns: u64) -> Self {
        Remains { pid, fork_ns, cut: true, ..Remains::default() }
    }

    /// Reads what a child has left.
    pub(super) fn read(places: &Places, pid: u32, fork_ns: u64) -> Self {
        let began = Instant::now();
        let notes = {
            let _unpreempted = Unpreempted::here();
            places.notes_of(fork_ns, pid)
        };
        let written = notes.written();
        let mut remains =
            Remains { pid, fork_ns, cut: written.len() > MOST_PAGES, ..Remains::default() };
        let pages: Vec<_> = written.into_iter().take(MOST_PAGES).collect();
        remains.read = pages.len();
        let read = pages.iter().filter_map(|page| Some((page.start, page_of(places, page)?)));
        let mut found = buffers::in_pages(read, |_| None);
        remains.buffers.extend(found.by_ref().take(MOST_KEPT));
        remains.cut |= found.next().is_some();
        drop(found);
        if !remains.buffers.is_empty() {
            remains.writes = notes.writes(SIDE_CHILD);
            remains.by_forker = notes.writes(SIDE_FORKER);
        }
        tracing::debug!(
            pid,
            pages = pages.len(),
            kept = remains.buffers.len(),
            took_us = began.elapsed().as_micros(),
            "what a child left"
        );
        remains
    }
}

/// One page as inherited. To search it takes longer than anything may be kept from the CPU.
fn page_of(places: &Places, page: &WrittenPage) -> Option<[u8; PAGE_SIZE]> {
    let _unpreempted = Unpreempted::here();
    places.written_page(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_more_is_read_than_there_is_time_for() {
        let (at, ms) = (Instant::now(), std::time::Duration::from_millis);
        let mut share = Share::new(at);
        assert!(share.allows(at));
        share.spend(MOST_AT_ONCE as usize + 5);
        assert!(!share.allows(at + ms(50)), "what was too much is made up for");
        assert!(share.allows(at + ms(60)));
        share.spend(1);
        assert!(!share.allows(at + ms(60)));
    }
}
