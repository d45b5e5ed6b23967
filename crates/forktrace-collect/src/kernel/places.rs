//! What the programs noted of first writes, and the pages beside that: chunks, each of one child and
//! one side of its fork (`forktrace_common::maps`).

use std::{io, os::fd::AsFd as _};

use aya::{
    Ebpf,
    maps::{Array, Map as AyaMap, MapData, Stack},
};
use forktrace_common::maps::{
    AREA, CHUNKS, Chunk, FREE, FREE_BEYOND, Note, OWNERS, Owner, PAGE_HEAD, PAGE_SIZE, PAGE_TAIL,
    PLACES, SIDE_CHILD, SNAPSHOTS, TAILS, Touch,
};
use zerocopy::IntoBytes as _;

use super::{
    Error,
    batch::Batch,
    error::refused,
    handles::{Map, again, value},
    mapped::Mapped,
};

const OWNER_WORDS: usize = size_of::<Owner>() / size_of::<u64>();
const NOTE_WORDS: usize = size_of::<Note>() / size_of::<u64>();
const CHUNK_WORDS: usize = size_of::<Chunk>() / size_of::<u64>();

/// Which chunk is whose.
struct Owners(Mapped);

impl Owners {
    fn open(ebpf: &Ebpf) -> Result<Self, Error> {
        Mapped::open(ebpf, OWNERS, size_of::<Owner>()).map(Owners)
    }

    fn len(&self) -> u32 {
        (self.0.len() / size_of::<Owner>()) as u32
    }

    /// Zeroes: nobody.
    fn of(&self, chunk: u32) -> Owner {
        let first = chunk as usize * OWNER_WORDS;
        let words = [self.0.word(first), self.0.word(first + 1)];
        value(words.as_bytes())
    }

    /// Makes a chunk nobody's.
    fn clear(&self, chunk: u32) {
        let first = chunk as usize * OWNER_WORDS;
        self.0.set_word(first, 0);
        self.0.set_word(first + 1, 0);
    }
}

/// A page that a child has written since its fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenPage {
    /// Address of its first byte.
    pub start: u64,
    place: u32,
    owner: Owner,
}

/// Read access.
pub(super) struct Places {
    owners: Owners,
    chunks: Mapped,
    area: Array<MapData, [u8; PAGE_SIZE]>,
    snapshots: Map<u32, [u8; PAGE_HEAD]>,
    tails: Map<u32, [u8; PAGE_TAIL]>,
}

impl Places {
    pub(super) fn open(ebpf: &Ebpf) -> Result<Self, Error> {
        let area = AyaMap::Array(array(ebpf, AREA)?);
        Ok(Places {
            owners: Owners::open(ebpf)?,
            chunks: Mapped::open(ebpf, CHUNKS, size_of::<Note>())?,
            area: Array::try_from(area).map_err(|e| refused("map AREA", &e))?,
            snapshots: again(ebpf, SNAPSHOTS)?,
            tails: again(ebpf, TAILS)?,
        })
    }

    /// The first write to a page, as one side made it.
    pub(super) fn first_write(&self, owner: &Owner, page: u64) -> Option<Touch> {
        self.first(owner, page).map(|(_, touch)| touch)
    }

    /// The pages that a child has written, in ascending order.
    pub(super) fn written(&self, fork_ns: u64, tgid: u32) -> Vec<WrittenPage> {
        let owner = Owner { fork_ns, tgid, side: SIDE_CHILD };
        let mut notes: Vec<(u64, u64, u32)> = self
            .notes(&owner)
            .map(|(place, note)| (note.page, note.touch.boot_ns, place))
            .collect();
        notes.sort_unstable();
        notes.dedup_by_key(|(page, ..)| *page);
        notes.into_iter().map(|(start, _, place)| WrittenPage { start, place, owner }).collect()
    }

    /// One of these as the child inherited it; `None`: the child has ended.
    pub(super) fn written_page(&self, page: &WrittenPage) -> Option<[u8; PAGE_SIZE]> {
        let bytes = self.at(page.place)?;
        // Meanwhile the place may have been given to another child.
        (self.owners.of(page.place / PLACES) == page.owner).then_some(bytes)
    }

    /// A page as the child inherited it.
    pub(super) fn page(&self, fork_ns: u64, tgid: u32, page: u64) -> Option<[u8; PAGE_SIZE]> {
        let (place, _) = self.first(&Owner { fork_ns, tgid, side: SIDE_CHILD }, page)?;
        self.at(place)
    }

    fn at(&self, place: u32) -> Option<[u8; PAGE_SIZE]> {
        if place < self.area.len() {
            return self.area.get(&place, 0).ok();
        }
        let head = self.snapshots.get(&place, 0).ok()?;
        let tail = self.tails.get(&place, 0).ok()?;
        let mut bytes = [0; PAGE_SIZE];
        let (first, rest) = bytes.split_at_mut(PAGE_HEAD);
        first.copy_from_slice(&head);
        rest.copy_from_slice(&tail);
        Some(bytes)
    }

    fn first(&self, owner: &Owner, page: u64) -> Option<(u32, Touch)> {
        let of_page = self.notes(owner).filter(|(_, note)| note.page == page);
        first_of(of_page.map(|(place, note)| (place, note.touch)))
    }

    /// All notes of one side, each with its place.
    fn notes(&self, owner: &Owner) -> impl Iterator<Item = (u32, Note)> {
        let chunks = (0..self.owners.len()).filter(|chunk| self.owners.of(*chunk) == *owner);
        let places = chunks.flat_map(|chunk| chunk * PLACES..(chunk + 1) * PLACES);
        places.filter_map(|place| Some((place, self.note(place)?)))
    }

    fn note(&self, place: u32) -> Option<Note> {
        let (chunk, index) = (place / PLACES, place % PLACES);
        let first = chunk as usize * CHUNK_WORDS + index as usize * NOTE_WORDS;
        // The last word is written last, so it is read first.
        let page = self.chunks.word(first + NOTE_WORDS - 1);
        let words: [u64; NOTE_WORDS] = std::array::from_fn(|word| self.chunks.word(first + word));
        (page != 0).then(|| Note { page, ..value(words.as_bytes()) })
    }
}

/// The first of all notes of one page. Several CPUs may have one: the kernel's clock tells which of them
/// was made first. It does that to some ns (`ktime_get_mono_fast_ns`, `kernel/time/timekeeping.c`, Linux
/// 6.18), and from a note until its write is made the kernel copies a page.
fn first_of(notes: impl Iterator<Item = (u32, Touch)>) -> Option<(u32, Touch)> {
    let mut notes: Vec<_> = notes.collect();
    notes.sort_by_key(|(_, touch)| touch.boot_ns);
    let (&(place, first), later) = notes.split_first()?;
    let by_others = later.iter().flat_map(|(_, touch)| {
        let own = (touch.tid != first.tid).then_some(touch.boot_ns);
        own.into_iter().chain([touch.other_ns])
    });
    let other_ns = by_others.chain([first.other_ns]).max().unwrap_or_default();
    Some((place, Touch { other_ns, ..first }))
}

/// The chunks that nobody has. Only one of these may exist: a chunk must not be given back twice.
pub(super) struct FreeChunks {
    owners: Owners,
    free: Stack<MapData, u32>,
    beyond: Stack<MapData, u32>,
    snapshots: Batch,
    tails: Batch,
    /// Chunks whose pages are in the area.
    of_area: u32,
}

impl FreeChunks {
    /// All of them are free.
    pub(super) fn fill(ebpf: &Ebpf) -> Result<Self, Error> {
        let entries = |name| -> Result<u32, Error> {
            let info = array(ebpf, name)?.info();
            Ok(info.map_err(|e| refused(&format!("map {name}"), &e))?.max_entries())
        };
        let mut chunks = FreeChunks {
            owners: Owners::open(ebpf)?,
            free: stack(ebpf, FREE)?,
            beyond: stack(ebpf, FREE_BEYOND)?,
            snapshots: Batch::open(ebpf, SNAPSHOTS)?,
            tails: Batch::open(ebpf, TAILS)?,
            of_area: entries(AREA)? / PLACES,
        };
        let all = (entries(CHUNKS)? / PLACES).min(entries(OWNERS)?);
        (0..all).rev().for_each(|chunk| chunks.push(chunk));
        Ok(chunks)
    }

    /// Who has chunks now, with the chunk.
    pub(super) fn owned(&self) -> Vec<(u32, Owner)> {
        let all = (0..self.owners.len()).map(|chunk| (chunk, self.owners.of(chunk)));
        all.filter(|(_, owner)| owner.fork_ns != 0).collect()
    }

    /// Takes chunks back from children that have no thread any more that could write.
    pub(super) fn take_back(&mut self, chunks: &[u32]) {
        let beyond = chunks.iter().filter(|chunk| **chunk >= self.of_area);
        let places: Vec<[u8; size_of::<u32>()]> = beyond
            .flat_map(|chunk| chunk * PLACES..(chunk + 1) * PLACES)
            .map(u32::to_ne_bytes)
            .collect();
        for map in [&self.snapshots, &self.tails] {
            if let Err(error) = map.delete(&places) {
                tracing::trace!("removing pages: {error}");
            }
        }
        for chunk in chunks {
            self.owners.clear(*chunk);
            self.push(*chunk);
        }
    }

    /// What does not fit was made too small for it, and is not used.
    fn push(&mut self, chunk: u32) {
        let stack = if chunk < self.of_area { &mut self.free } else { &mut self.beyond };
        if let Err(error) = stack.push(chunk, 0) {
            tracing::trace!("giving a chunk back: {error}");
        }
    }
}

fn array(ebpf: &Ebpf, name: &str) -> Result<MapData, Error> {
    let what = format!("map {name}");
    let Some(AyaMap::Array(map)) = ebpf.map(name) else {
        return Err(refused(&what, &"it is no array"));
    };
    copied(map, &what)
}

fn stack(ebpf: &Ebpf, name: &str) -> Result<Stack<MapData, u32>, Error> {
    let what = format!("map {name}");
    let Some(AyaMap::Stack(map)) = ebpf.map(name) else {
        return Err(refused(&what, &"it is no stack"));
    };
    Stack::try_from(AyaMap::Stack(copied(map, &what)?)).map_err(|e| refused(&what, &e))
}

/// One more handle of a map that stays where it is.
fn copied(map: &MapData, what: &str) -> Result<MapData, Error> {
    let fd: io::Result<_> = map.fd().as_fd().try_clone_to_owned();
    let fd = fd.map_err(|e| refused(what, &e))?;
    MapData::from_fd(fd).map_err(|e| refused(what, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(boot_ns: u64, tid: u32, other_ns: u64) -> Touch {
        Touch { boot_ns, tid, other_ns, ..Touch::default() }
    }

    #[test]
    fn the_first_of_several_notes_counts_and_the_others_are_told() {
        let notes = [(7, touch(300, 2, 0)), (9, touch(100, 1, 0)), (4, touch(200, 1, 0))];
        assert_eq!(first_of(notes.into_iter()), Some((9, touch(100, 1, 300))));
        assert_eq!(first_of([].into_iter()), None);
    }

    #[test]
    fn later_writes_of_the_same_thread_are_no_others() {
        let own = [(1, touch(100, 1, 0)), (2, touch(200, 1, 0))];
        assert_eq!(first_of(own.into_iter()), Some((1, touch(100, 1, 0))));
        let noted = [(1, touch(100, 1, 150)), (2, touch(200, 1, 400))];
        assert_eq!(first_of(noted.into_iter()), Some((1, touch(100, 1, 400))));
    }
}
