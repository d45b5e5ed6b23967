//! The lock inside of musl's `FILE` on 64-bit machines.
//!
//! Facts, read at musl 1.2.3 and the same in 1.2.5: layout `struct _IO_FILE`
//! (`src/internal/stdio_impl.h`); `__lockfile` (`src/stdio/__lockfile.c`) puts the tid into the
//! word, adds `MAYBE_WAITERS` before it waits, and waits with `FUTEX_WAIT` and the private op for
//! as long as the word is that. The word is −1 in a process that never had a second thread. `fork`
//! (`src/process/fork.c`) takes the lock over the list of files, and none of the files' own.

use forktrace_common::futex::FUTEX_WAIT;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, Word, WordFact,
    family::FamilyRemedy, is_tid,
};
use crate::event::Window;

/// Offsets in a `FILE`. Its first words are farther from the lock than memory is read.
const ZERO: u64 = 48;
const WRITE: u64 = 72;
const SEEK: u64 = 80;
const BUF_SIZE: u64 = 96;
const FD: u64 = 120;
const MODE: u64 = 136;
const LOCK: u64 = 140;
const LBF: u64 = 144;

const MAYBE_WAITERS: u32 = 0x4000_0000;
/// `lock` and `lbf` where there is none, and `mode` of a file of bytes: −1.
const NONE: u32 = u32::MAX;
/// `lbf` of a file that is buffered by lines.
const NEWLINE: u32 = 10;
/// Largest buffer believed, bytes.
const LARGEST: u64 = 1 << 32;

pub(super) static FILE_LOCK: LockFamily = LockFamily {
    remedy: FamilyRemedy::LibraryOwn,
    ..LockFamily::new("musl-file", "musl FILE lock", Language::C)
};

/// Recognises the locks of files.
pub(super) struct MuslFile;

impl Decoder for MuslFile {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        let address = wait.uaddr.checked_sub(LOCK).filter(|at| at.is_multiple_of(8))?;
        if wait.command() != FUTEX_WAIT || !wait.is_private() || scene.on_glibc() {
            return None;
        }
        let now = scene.now.word(wait.uaddr)?;
        let owner = Some(now & !MAYBE_WAITERS).filter(|owner| is_tid(*owner))?;
        let awaited = now & MAYBE_WAITERS != 0 && wait.val == u64::from(now);
        if !awaited || !is_file(scene.now, address)? {
            return None;
        }
        let then = scene.at_fork.and_then(|window| window.word(wait.uaddr));
        let at_fork = match then {
            None => State::Unknown,
            Some(0 | NONE) => State::Free,
            Some(word) if is_tid(word & !MAYBE_WAITERS) => {
                State::Held { owner: Some(word & !MAYBE_WAITERS) }
            }
            Some(_) => State::HeldUnproven,
        };
        let inherited = then.map(|word| match at_fork {
            State::Held { owner: Some(owner) } => Word::new(word, Meaning::LockedBy(owner)),
            _ => Word::bare(word),
        });
        let locked = Word::new(now, Meaning::LockedBy(owner));
        Some(Reading {
            family: &FILE_LOCK,
            address: wait.uaddr,
            at_fork,
            now: State::Held { owner: Some(owner) },
            value_at_fork: then,
            value: now,
            word: WordFact::now(Part::Word, Base::Hex, locked).inherited(inherited),
        })
    }
}

/// Whether the words around the lock are those of a `FILE`; `None`: not all of them are known.
fn is_file(window: &Window, address: u64) -> Option<bool> {
    let word = |offset: u64| window.word(address.checked_add(offset)?);
    let long = |offset: u64| window.long(address.checked_add(offset)?);
    let functions = long(WRITE)? != 0 && long(SEEK)? != 0;
    let plain = long(ZERO)? == 0 && long(BUF_SIZE)? < LARGEST;
    let fd = word(FD)?;
    let numbers = (fd >> 31 == 0 || fd == NONE)
        && matches!(word(MODE)?, 0 | 1 | NONE)
        && matches!(word(LBF)?, NONE | NEWLINE);
    Some(functions && plain && numbers)
}
