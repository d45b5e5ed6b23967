//! What is left of a child's memory when it has ended: its first writes since the fork, and the buffers in the pages
//! as inherited. They are read before the places are taken back.
//!
//! The next children need the places, so who is read is decided before.

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
}

impl Remains {
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
