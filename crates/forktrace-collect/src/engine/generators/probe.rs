//! One search: reads the pages that a process has written since its fork, as inherited and now.

use forktrace_model::{
    event::GeneratorSide,
    generators::{self, Hit, Memory, PAGE, When},
    model::{Model, ProcId, Process},
};
use rustc_hash::FxHashMap;

use crate::{
    clock,
    inspect::{
        generator::{self, Owner},
        memory::Reader,
    },
    kernel::{ForkRecords, WrittenPage},
};

/// Most pages that are kept in memory, of each time.
const MOST_KEPT: usize = 512;
/// Most pages that are searched.
const MOST_PAGES: usize = 4096;
/// Most generators of one process.
const MOST_FOUND: usize = 32;

/// A process that is to be searched.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) id: ProcId,
    pub(super) pid: u32,
    pub(super) comm: String,
    /// `CLOCK_BOOTTIME` of its fork, ns.
    pub(super) fork_ns: u64,
    /// The process that forked it.
    pub(super) by: ProcId,
    /// That process, where it lives and still runs the program that forked.
    parent: Option<(u32, String)>,
}

impl Subject {
    /// `None`: who forked it is not known.
    pub(super) fn of(process: &Process, model: &Model) -> Option<Self> {
        let fork = process.inherited()?;
        let by = fork.by?;
        let parent = model.get(by).filter(|parent| parent.is_alive());
        let same =
            |parent: &&Process| parent.exec.as_ref().is_none_or(|exec| exec.boot_ns < fork.boot_ns);
        Some(Subject {
            id: process.id,
            pid: process.pid,
            comm: process.comm.clone(),
            fork_ns: fork.boot_ns,
            by,
            parent: parent.filter(same).map(|parent| (parent.pid, parent.comm.clone())),
        })
    }
}

/// What a search has found.
#[derive(Debug)]
pub(in crate::engine) struct Searched {
    pub(super) subject: Subject,
    pub(super) found: Vec<Found>,
    pub(super) pages: u32,
    pub(super) cut: bool,
    /// When it began, `CLOCK_BOOTTIME`, ns, and how long it took, ns.
    pub(super) began_ns: u64,
    pub(super) took_ns: u64,
}

/// A generator that the process has drawn from.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) hit: Hit,
    /// The process that forked, if it has drawn from the same state.
    pub(super) parent: Option<GeneratorSide>,
    pub(super) owner: Owner,
}

/// Searches a process.
pub(super) fn search(records: &ForkRecords, subject: Subject) -> Searched {
    let began_ns = clock::boot_ns();
    let (written, all) = records.written_pages(subject.pid, MOST_PAGES);
    let pages: Vec<u64> = written.iter().map(|page| page.start).collect();
    let mut memory = Pages::new(records, &subject, &written);
    let search = generators::search(&mut memory, &pages);
    let mut found: Vec<Found> = Vec::new();
    for hit in search.hits.into_iter().take(MOST_FOUND) {
        let parent = memory.parent_side(&subject, &hit);
        let owner = generator::owner(subject.pid, hit.kind, hit.address);
        found.push(Found { hit, parent, owner });
    }
    let took_ns = clock::boot_ns().saturating_sub(began_ns);
    tracing::debug!(
        pid = subject.pid,
        listed = pages.len(),
        pages = search.pages,
        cut = search.cut,
        took_us = took_ns / 1000,
        "generators: {found:?}"
    );
    Searched { subject, found, pages: search.pages, cut: search.cut || !all, began_ns, took_ns }
}

type Page = [u8; PAGE];
type Kept = FxHashMap<u64, Option<Box<Page>>>;

/// The memory of a process, page by page.
struct Pages<'a> {
    records: &'a ForkRecords,
    /// The pages that it has written since its fork, in ascending order.
    written: &'a [WrittenPage],
    reader: Option<Reader>,
    inherited: Kept,
    now: Kept,
}

impl<'a> Pages<'a> {
    fn new(records: &'a ForkRecords, subject: &Subject, written: &'a [WrittenPage]) -> Self {
        let reader = Reader::open(subject.pid).ok();
        let (inherited, now) = (Kept::default(), Kept::default());
        Pages { records, written, reader, inherited, now }
    }

    /// A page as inherited: one that was not written is so still.
    fn inherited(&mut self, start: u64) -> Option<&Page> {
        let at = self.written.binary_search_by_key(&start, |page| page.start).ok();
        let Some(written) = at.and_then(|at| self.written.get(at)) else {
            return self.now(start);
        };
        let read = || self.records.written_page(written).map(Box::new);
        kept(&mut self.inherited, start, read)
    }

    fn now(&mut self, start: u64) -> Option<&Page> {
        kept(&mut self.now, start, || read_page(self.reader.as_ref()?, start))
    }

    /// What the process that forked has made of the state that its child inherited.
    fn parent_side(&mut self, subject: &Subject, hit: &Hit) -> Option<GeneratorSide> {
        let (pid, comm) = subject.parent.clone()?;
        let reader = Reader::open(pid).ok()?;
        let mut memory = OfParent { child: self, reader, now: Kept::default() };
        let other = generators::test(hit.kind, &mut memory, hit.address)?;
        let Hit { steps, bits, .. } = other;
        let same = other.inherited == hit.inherited;
        same.then_some(GeneratorSide { pid, comm, steps, bits })
    }
}

impl Memory for Pages<'_> {
    fn read(&mut self, when: When, address: u64, bytes: &mut [u8]) -> bool {
        fill(address, bytes, |start, offset, bytes| {
            let page = match when {
                When::Fork => self.inherited(start),
                When::Now => self.now(start),
            };
            copy(page, offset, bytes)
        })
    }
}

/// The memory of the process that forked: what its child inherited, and what is there now.
struct OfParent<'p, 'a> {
    child: &'p mut Pages<'a>,
    reader: Reader,
    now: Kept,
}

impl Memory for OfParent<'_, '_> {
    fn read(&mut self, when: When, address: u64, bytes: &mut [u8]) -> bool {
        fill(address, bytes, |start, offset, bytes| {
            let page = match when {
                When::Fork => self.child.inherited(start),
                When::Now => kept(&mut self.now, start, || read_page(&self.reader, start)),
            };
            copy(page, offset, bytes)
        })
    }
}

fn kept(kept: &mut Kept, start: u64, read: impl FnOnce() -> Option<Box<Page>>) -> Option<&Page> {
    if kept.len() > MOST_KEPT {
        kept.clear();
    }
    kept.entry(start).or_insert_with(read).as_deref()
}

fn read_page(reader: &Reader, start: u64) -> Option<Box<Page>> {
    let mut page = Box::new([0; PAGE]);
    reader.fill(start, page.as_mut_slice()).then_some(page)
}

/// Copies from a page, from `offset` on; false: it is not known.
fn copy(page: Option<&Page>, offset: usize, bytes: &mut [u8]) -> bool {
    let end = offset.saturating_add(bytes.len());
    let Some(source) = page.and_then(|page| page.get(offset..end)) else { return false };
    bytes.copy_from_slice(source);
    true
}

/// Fills `bytes` page by page: `copy` is given a page, an offset in it, and what to fill.
fn fill(
    address: u64,
    bytes: &mut [u8],
    mut copy: impl FnMut(u64, usize, &mut [u8]) -> bool,
) -> bool {
    let (mut at, mut rest) = (address, bytes);
    while !rest.is_empty() {
        let start = at & !(PAGE as u64 - 1);
        let offset = usize::try_from(at - start).unwrap_or_default();
        let len = rest.len().min(PAGE - offset);
        let Some((first, others)) = rest.split_at_mut_checked(len) else { return false };
        if !copy(start, offset, first) {
            return false;
        }
        let Some(next) = at.checked_add(len as u64) else { return others.is_empty() };
        (at, rest) = (next, others);
    }
    true
}
