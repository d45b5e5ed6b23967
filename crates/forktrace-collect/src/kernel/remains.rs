//! What is left of a child's memory when it has ended: its first writes since the fork, and those pages as
//! inherited in which a buffer may lie. They are read before the places are taken back.

use forktrace_common::maps::{PAGE_SIZE, SIDE_CHILD, SIDE_FORKER, Touch};
use forktrace_model::buffers::{self, EXTENT};

use super::places::Places;

/// Most pages of one child that are looked at, and that are kept.
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
    /// Memory as inherited: the address of the first byte, and a page or a little more.
    pub pages: Vec<(u64, Vec<u8>)>,
    /// Not all pages were looked at.
    pub cut: bool,
}

impl Remains {
    /// Reads what a child has left.
    pub(super) fn read(places: &Places, pid: u32, fork_ns: u64) -> Self {
        let began = std::time::Instant::now();
        let notes = places.notes_of(fork_ns, pid);
        let written = notes.written();
        let mut remains =
            Remains { pid, fork_ns, cut: written.len() > MOST_PAGES, ..Remains::default() };
        let pages: Vec<_> = written.into_iter().take(MOST_PAGES).collect();
        for (at, page) in pages.iter().enumerate() {
            let Some(bytes) = places.written_page(page) else { continue };
            // An object may go on in the next page.
            let next = pages.get(at + 1).filter(|next| next.start == page.start + PAGE_SIZE as u64);
            let next = next.filter(|_| may_begin(&bytes, PAGE_SIZE - EXTENT));
            let next = next.and_then(|next| places.written_page(next));
            let mut bytes = bytes.to_vec();
            bytes.extend(next.iter().flatten().take(EXTENT));
            if !may_begin(&bytes, 0) || buffers::within(page.start, &bytes).is_empty() {
                continue;
            }
            if remains.pages.len() >= MOST_KEPT {
                remains.cut = true;
                break;
            }
            remains.pages.push((page.start, bytes));
        }
        if !remains.pages.is_empty() {
            remains.writes = notes.writes(SIDE_CHILD);
            remains.by_forker = notes.writes(SIDE_FORKER);
        }
        tracing::debug!(
            pid,
            pages = pages.len(),
            kept = remains.pages.len(),
            took_us = began.elapsed().as_micros(),
            "what a child left"
        );
        remains
    }
}

/// Whether a buffer may begin in these bytes, from `first` on.
fn may_begin(bytes: &[u8], first: usize) -> bool {
    (first..bytes.len()).step_by(8).any(|at| bytes.get(at..).is_some_and(buffers::may_begin))
}
