//! glibc's own locks, such as the one over the time zone, which are a word and no more.
//!
//! Facts, read at glibc 2.36: `__libc_lock_t` is an `int` (`sysdeps/nptl/libc-lockP.h`), the first
//! member of `_IO_lock_t` too; `__lll_lock_wait_private` (`nptl/lowlevellock.c`) sets the word to 2
//! and waits with `FUTEX_WAIT` for as long as it is 2; 1 is locked, 0 is free. `fork`
//! (`posix/fork.c`) itself holds those of `malloc`, of the list of files, of the name service and
//! of the fork handlers, and frees them in the child, with those of `stdio` and the loader. It
//! leaves the others as they are: `tzset_lock` (`time/tzset.c`) among them. (One that `fork` held,
//! and on which the child then deadlocked by itself, is not told from those.)
//!
//! The bytes alone prove nothing: what does is where they are, in glibc's own static data.

use forktrace_common::futex::FUTEX_WAIT;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, Word, WordFact,
    family::FamilyRemedy, word_fact::Identity,
};
use crate::arch::ARCHES;

/// The files of glibc that have locks: beginnings of their names, with and without versions as in
/// glibc up to 2.34. The loader's present name is in [`ARCHES`].
const FILES: [&str; 7] = [
    "libc.so.6",
    "libc-2.",
    "ld-2.",
    "libpthread.so.0",
    "libpthread-2.",
    "libresolv.so.2",
    "libresolv-2.",
];

pub(super) static INTERNAL: LockFamily = LockFamily {
    remedy: FamilyRemedy::LibraryOwn,
    ..LockFamily::new("glibc-internal", "glibc internal lock", Language::C)
};

/// Recognises them by where they are. Asked after [`super::glibc_mutex`]: the loader's are mutexes.
pub(super) struct GlibcInternal;

impl Decoder for GlibcInternal {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        let own = scene.module.is_some_and(is_glibc) && !scene.on_musl();
        if wait.command() != FUTEX_WAIT || !wait.is_private() || wait.val != 2 || !own {
            return None;
        }
        let now = scene.now.word(wait.uaddr).filter(|word| *word == 2)?;
        let then = scene.at_fork.and_then(|window| window.word(wait.uaddr));
        let state = |word| match word {
            1 | 2 => Some((State::Held { owner: None }, Meaning::Locked)),
            0 => Some((State::Free, Meaning::Free)),
            _ => None,
        };
        let (at_fork, inherited) = match then {
            Some(word) => {
                let (at_fork, meaning) = state(word)?;
                (at_fork, Some(Word::new(word, meaning)))
            }
            None => (State::Unknown, None),
        };
        Some(Reading {
            family: &INTERNAL,
            address: wait.uaddr,
            at_fork,
            now: State::Held { owner: None },
            value_at_fork: then,
            value: now,
            word: WordFact::now(
                Part::Word,
                Base::Decimal,
                Word::new(now, Meaning::LockedWithWaiters),
            )
            .inherited(inherited)
            .identity(inherited.map(|_| Identity::GlibcData)),
        })
    }
}

fn is_glibc(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let loaders = ARCHES.iter().map(|arch| arch.glibc_loader);
    FILES.into_iter().chain(loaders).any(|file| name.starts_with(file))
}
