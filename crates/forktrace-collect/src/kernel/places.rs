//! What the programs noted of first writes, and the pages beside that: chunks, each of one child and
//! one side of its fork (`forktrace_common::maps`).

use std::{io, os::fd::AsFd as _};

use aya::{
    Ebpf,
    maps::{Array, Map as AyaMap, MapData, Stack},
};
use forktrace_common::maps::{
    AREA, CHUNKS, Chunk, FREE, FREE_BEYOND, Note, OWNERS, Owner, PAGE_HEAD, PAGE_SIZE, PAGE_TAIL,
    PLACES, SIDE_ABSENT, SIDE_CHILD, SIDE_FORKER, SNAPSHOTS, TAILS, Touch,
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

    /// The chunks of both sides of one fork: all chunks are gone through.
    fn chunks_of(&self, fork_ns: u64, tgid: u32) -> Vec<(u32, Owner)> {
        let of_fork = |chunk: &u32| self.0.word(*chunk as usize * OWNER_WORDS) == fork_ns;
        let chunks = (0..self.len()).filter(of_fork).map(|chunk| (chunk, self.of(chunk)));
        chunks.filter(|(_, owner)| (owner.fork_ns, owner.tgid) == (fork_ns, tgid)).collect()
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

/// The first write to a page, and the place of that page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct First {
    page: u64,
    place: u32,
    touch: Touch,
}

/// What was noted of the two sides of one fork until a moment. A child that writes later is not in it.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// In ascending order of pages, by [`Owner::side`].
    sides: [Vec<First>; 2],
    /// The child's side.
    owner: Owner,
}

impl Notes {
    fn first(&self, page: u64, side: u32) -> Option<&First> {
        let firsts = self.sides.get(side as usize)?;
        firsts.get(firsts.binary_search_by_key(&page, |first| first.page).ok()?)
    }

    /// The first write to a page, as one side made it.
    pub(super) fn first_write(&self, page: u64, side: u32) -> Option<Touch> {
        self.first(page, side).map(|first| first.touch)
    }

    /// All first writes of one side, in ascending order of pages.
    pub(super) fn writes(&self, side: u32) -> Vec<Touch> {
        self.sides.get(side as usize).into_iter().flatten().map(|first| first.touch).collect()
    }

    /// The pages that the child has written, in ascending order.
    pub(super) fn written(&self) -> Vec<WrittenPage> {
        let written = |first: &First| WrittenPage {
            start: first.page,
            place: first.place,
            owner: self.owner,
        };
        self.sides.first().into_iter().flatten().map(written).collect()
    }

    /// A page that the child has written.
    pub(super) fn written_page(&self, page: u64) -> Option<WrittenPage> {
        let place = self.first(page, SIDE_CHILD)?.place;
        Some(WrittenPage { start: page, place, owner: self.owner })
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
    faults_are_counted: bool,
}

impl Places {
    /// `faults_are_counted`: pages are kept by the kernel's count of page faults.
    pub(super) fn open(ebpf: &Ebpf, faults_are_counted: bool) -> Result<Self, Error> {
        let area = AyaMap::Array(array(ebpf, AREA)?);
        Ok(Places {
            owners: Owners::open(ebpf)?,
            chunks: Mapped::open(ebpf, CHUNKS, size_of::<Note>())?,
            area: Array::try_from(area).map_err(|e| refused("map AREA", &e))?,
            snapshots: again(ebpf, SNAPSHOTS)?,
            tails: again(ebpf, TAILS)?,
            faults_are_counted,
        })
    }

    /// What is noted now of both sides of a fork.
    pub(super) fn notes_of(&self, fork_ns: u64, tgid: u32) -> Notes {
        let chunks = self.owners.chunks_of(fork_ns, tgid);
        let mut sides =
            [SIDE_CHILD, SIDE_FORKER].map(|side| firsts(self.notes_in(&chunks, side).collect()));
        if self.faults_are_counted {
            // Looked for anew: what spoils a page of the above was noted before that page.
            let chunks = self.owners.chunks_of(fork_ns, tgid);
            let absent: Vec<Note> =
                self.notes_in(&chunks, SIDE_ABSENT).map(|(_, note)| note).collect();
            let [child, _] = &mut sides;
            child.retain(|first| !is_by_others(&absent, first.page, first.touch.tid));
        }
        Notes { sides, owner: Owner { fork_ns, tgid, side: SIDE_CHILD } }
    }

    /// The notes of one side in these chunks, each with its place.
    fn notes_in(&self, chunks: &[(u32, Owner)], side: u32) -> impl Iterator<Item = (u32, Note)> {
        let of_side = chunks.iter().filter(move |(_, owner)| owner.side == side);
        let places = of_side.flat_map(|(chunk, _)| chunk * PLACES..(chunk + 1) * PLACES);
        places.filter_map(|place| Some((place, self.note(place)?)))
    }

    /// One of these as the child inherited it; `None`: the child has ended.
    pub(super) fn written_page(&self, page: &WrittenPage) -> Option<[u8; PAGE_SIZE]> {
        let bytes = self.at(page.place)?;
        // Meanwhile the place may have been given to another child.
        (self.owners.of(page.place / PLACES) == page.owner).then_some(bytes)
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

    fn note(&self, place: u32) -> Option<Note> {
        let (chunk, index) = (place / PLACES, place % PLACES);
        let first = chunk as usize * CHUNK_WORDS + index as usize * NOTE_WORDS;
        // The last word is written last, so it is read first.
        let page = self.chunks.word(first + NOTE_WORDS - 1);
        let words: [u64; NOTE_WORDS] = std::array::from_fn(|word| self.chunks.word(first + word));
        (page != 0).then(|| Note { page, ..value(words.as_bytes()) })
    }
}

/// Whether another thread than `tid` used the page when it was not there.
fn is_by_others(absent: &[Note], page: u64, tid: u32) -> bool {
    let mut of_page = absent.iter().filter(|note| note.page == page);
    of_page.any(|Note { touch, .. }| touch.tid != tid || touch.other_ns != 0)
}

/// The first note of each page. Several CPUs may have one: the kernel's clock tells which of them
/// was made first. It does that to some ns (`ktime_get_mono_fast_ns`, `kernel/time/timekeeping.c`, Linux
/// 6.18), and from a note until its write is made the kernel copies a page.
fn firsts(mut notes: Vec<(u32, Note)>) -> Vec<First> {
    notes.sort_by_key(|(_, note)| (note.page, note.touch.boot_ns));
    notes.chunk_by(|(_, one), (_, other)| one.page == other.page).filter_map(first_of).collect()
}

/// The first of all notes of one page, which are in the order of time.
fn first_of(notes: &[(u32, Note)]) -> Option<First> {
    let ((place, Note { touch: first, page }), later) = notes.split_first()?;
    let by_others = later.iter().flat_map(|(_, Note { touch, .. })| {
        let own = (touch.tid != first.tid).then_some(touch.boot_ns);
        own.into_iter().chain([touch.other_ns])
    });
    let other_ns = by_others.chain([first.other_ns]).max().unwrap_or_default();
    Some(First { page: *page, place: *place, touch: Touch { other_ns, ..*first } })
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

    /// How many chunks there are whose pages are in the area.
    pub(super) fn of_area(&self) -> u32 {
        self.of_area
    }

    /// Who has chunks now, with the chunk.
    pub(super) fn owned(&self) -> Vec<(u32, Owner)> {
        let all = (0..self.owners.len()).map(|chunk| (chunk, self.owners.of(chunk)));
        all.filter(|(_, owner)| owner.fork_ns != 0).collect()
    }

    /// Takes chunks back from their owners: children that have no thread any more that could write.
    pub(super) fn take_back(&mut self, chunks: &[(u32, Owner)]) {
        let places = pages_beyond(chunks, self.of_area);
        let places: Vec<_> = places.map(u32::to_ne_bytes).collect();
        for map in [&self.snapshots, &self.tails] {
            if let Err(error) = map.delete(&places) {
                tracing::trace!("removing pages: {error}");
            }
        }
        for (chunk, _) in chunks {
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

/// The places of these chunks whose pages are in the tables. To ask for one that is in none takes the kernel a
/// call for each, and of those who fork no page is kept.
fn pages_beyond(chunks: &[(u32, Owner)], of_area: u32) -> impl Iterator<Item = u32> {
    let beyond = chunks.iter().filter(move |(chunk, _)| *chunk >= of_area);
    let with_pages = beyond.filter(|(_, owner)| owner.side == SIDE_CHILD);
    with_pages.flat_map(|(chunk, _)| chunk * PLACES..(chunk + 1) * PLACES)
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

    /// The notes of one page, each with its place.
    fn of_page<const N: usize>(page: u64, notes: [(u32, Touch); N]) -> [(u32, Note); N] {
        notes.map(|(place, touch)| (place, Note { touch, page }))
    }

    #[test]
    fn the_first_of_several_notes_counts_and_the_others_are_told() {
        let notes = [(7, touch(300, 2, 0)), (9, touch(100, 1, 0)), (4, touch(200, 1, 0))];
        let first = First { page: 4096, place: 9, touch: touch(100, 1, 300) };
        assert_eq!(firsts(of_page(4096, notes).to_vec()), [first]);
        assert_eq!(firsts(Vec::new()), []);
    }

    #[test]
    fn a_page_that_another_thread_used_when_it_was_not_there_is_doubtful() {
        let absent = [(0x1000, 1, 0), (0x2000, 1, 70), (0x3000, 2, 0)];
        let note = |(page, tid, other_ns)| Note { touch: touch(50, tid, other_ns), page };
        let absent = absent.map(note);
        for (page, tid, doubtful) in [
            (0x1000, 1, false),
            (0x1000, 2, true),
            // Both did.
            (0x2000, 1, true),
            (0x3000, 1, true),
            (0x4000, 1, false),
        ] {
            assert_eq!(is_by_others(&absent, page, tid), doubtful, "{page:#x} of {tid}");
        }
        let twice = [(0x1000, 1, 0), (0x1000, 2, 0)].map(note);
        assert!(is_by_others(&twice, 0x1000, 1) && is_by_others(&twice, 0x1000, 2));
    }

    #[test]
    fn later_writes_of_the_same_thread_are_no_others() {
        for (other_ns, latest) in [([0, 0], 0), ([150, 400], 400)] {
            let notes = [(1, touch(100, 1, other_ns[0])), (2, touch(200, 1, other_ns[1]))];
            let first = First { page: 4096, place: 1, touch: touch(100, 1, latest) };
            assert_eq!(firsts(of_page(4096, notes).to_vec()), [first]);
        }
    }

    #[test]
    fn only_children_have_pages_in_the_tables_and_only_beyond_the_area() {
        let chunk = |chunk, side| (chunk, Owner { fork_ns: 1, tgid: 2, side });
        let chunks = [
            chunk(3, SIDE_CHILD),
            chunk(9, SIDE_FORKER),
            chunk(10, SIDE_CHILD),
            chunk(2, SIDE_FORKER),
        ];
        let wanted: Vec<u32> = (10 * PLACES..11 * PLACES).collect();
        assert_eq!(pages_beyond(&chunks, 4).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn each_page_of_each_side_is_found_by_itself() {
        let child = [
            of_page(0x5000, [(3, touch(300, 1, 0)), (8, touch(200, 2, 0))]).to_vec(),
            of_page(0x1000, [(2, touch(400, 1, 0))]).to_vec(),
        ];
        let forker = of_page(0x5000, [(70, touch(100, 9, 0))]).to_vec();
        let owner = Owner { fork_ns: 50, tgid: 7, side: SIDE_CHILD };
        let notes = Notes { sides: [firsts(child.concat()), firsts(forker)], owner };
        let times = [(0x1000, SIDE_CHILD), (0x5000, SIDE_CHILD), (0x5000, SIDE_FORKER)]
            .map(|(page, side)| notes.first_write(page, side).map(|touch| touch.boot_ns));
        assert_eq!(times, [Some(400), Some(200), Some(100)]);
        assert_eq!(notes.first_write(0x1000, SIDE_FORKER), None);
        let place = |start, place| WrittenPage { start, place, owner };
        assert_eq!(notes.written(), [place(0x1000, 2), place(0x5000, 8)]);
        assert_eq!(notes.written_page(0x5000), Some(place(0x5000, 8)));
        assert_eq!(notes.written_page(0x2000), None);
    }
}
