//! The waits of glibc's `pthread_cond_t` that are not for a signal.
//!
//! Facts, read at glibc 2.36 and 2.42: layout `struct __pthread_cond_s`
//! (`sysdeps/nptl/bits/thread-shared-types.h`); up to 2.40 `__g_refs` come after `__g1_start`, since
//! then two unused words come last. All of these waits are `FUTEX_WAIT` (`futex_wait_simple`).
//!
//! - `pthread_cond_destroy` (`nptl/pthread_cond_destroy.c`) sets bit 2 of `__wrefs`, which counts the
//!   waiters from bit 3 on, and waits until none is left. Waiters alone count it down.
//! - `__condvar_quiesce_and_switch_g1` (`nptl/pthread_cond_common.c`, up to 2.40), of a signal, sets
//!   bit 0 of a word of `__g_refs`, which counts the waiters of a group from bit 1 on, and waits until
//!   none is left.
//! - `__condvar_acquire_lock` (the same file) takes the lock of those who signal: the two low bits of
//!   `__g1_orig_size`, 0 free, 1 locked, 2 locked with waiters. A waiter makes them 2.

use forktrace_common::futex::FUTEX_WAIT;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, TID_LIMIT, Word,
    WordFact, family::FamilyRemedy, neighbours::was_there, unproven,
};
use crate::event::Window;

const G1_START: u64 = 8;
/// `__g_refs`, up to 2.40.
const GROUP_REFS: [u64; 2] = [16, 20];

/// `__PTHREAD_COND_SHARED_MASK`.
const SHARED: u32 = 1;
/// The flag in `__wrefs` that somebody destroys it.
const DESTROYING: u32 = 4;
const WREFS_SHIFT: u32 = 3;
/// The flag in `__g_refs` that somebody waits for the group to leave.
const GROUP_AWAITED: u32 = 1;
/// The lock in `__g1_orig_size`.
const LOCK: u32 = 3;
const LOCK_AWAITED: u32 = 2;

/// Most waits since the condition variable was made that are believed.
const MOST_WAITS: u64 = 1 << 48;

/// Where the members are that moved.
#[derive(Clone, Copy)]
struct Layout {
    group_refs: Option<[u64; 2]>,
    group_size: [u64; 2],
    orig_size: u64,
    wrefs: u64,
    signals: [u64; 2],
    /// Words that are always 0.
    unused: Option<[u64; 2]>,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        group_refs: Some(GROUP_REFS),
        group_size: [24, 28],
        orig_size: 32,
        wrefs: 36,
        signals: [40, 44],
        unused: None,
    },
    Layout {
        group_refs: None,
        group_size: [16, 20],
        orig_size: 24,
        wrefs: 28,
        signals: [32, 36],
        unused: Some([40, 44]),
    },
];

/// Waiters of a condition variable, for whose leaving somebody waits: they hold it.
pub(super) static WAITERS: LockFamily = LockFamily {
    remedy: FamilyRemedy::Threads,
    ..LockFamily::new("glibc-cond-waiters", "glibc condition variable (in use)", Language::C)
};
/// The lock of those who signal.
pub(super) static SIGNALERS: LockFamily = LockFamily {
    remedy: FamilyRemedy::LibraryOwn,
    ..LockFamily::new(
        "glibc-cond-internal",
        "glibc condition variable's internal lock",
        Language::C,
    )
};

/// Recognises them.
pub(super) struct GlibcCond;

impl Decoder for GlibcCond {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        if scene.wait.command() != FUTEX_WAIT || scene.on_musl() {
            return None;
        }
        LAYOUTS.iter().find_map(|layout| {
            let places = [(layout.wrefs, Member::Refs), (layout.orig_size, Member::Lock)];
            let groups = layout.group_refs.into_iter().flatten();
            let groups = groups.enumerate().map(|(at, offset)| (offset, Member::GroupRefs(at)));
            let mut all = places.into_iter().chain(groups);
            all.find_map(|(offset, member)| read_at(scene, layout, offset, member))
        })
    }
}

/// The member that is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Refs,
    /// Of the group with this index.
    GroupRefs(usize),
    Lock,
}

impl Member {
    /// How many hold it in this state.
    fn holders(self, word: u32) -> u32 {
        match self {
            Member::Refs => word >> WREFS_SHIFT,
            Member::GroupRefs(_) => word >> 1,
            Member::Lock => u32::from(word & LOCK != 0),
        }
    }

    /// Whether the word has the flag that its waiter sets.
    fn is_awaited(self, word: u32) -> bool {
        match self {
            Member::Refs => word & DESTROYING != 0,
            Member::GroupRefs(_) => word & GROUP_AWAITED != 0,
            Member::Lock => word & LOCK == LOCK_AWAITED,
        }
    }

    fn word(self, word: u32) -> Word {
        let meaning = match (self, self.holders(word)) {
            (_, 0) => Meaning::Free,
            (Member::Lock, _) => Meaning::Locked,
            (_, waiters) => Meaning::UsedByWaiters(waiters),
        };
        Word::new(word, meaning)
    }
}

fn read_at(scene: &Scene<'_>, layout: &Layout, offset: u64, member: Member) -> Option<Reading> {
    let uaddr = scene.wait.uaddr;
    let address = uaddr.checked_sub(offset).filter(|at| at.is_multiple_of(8))?;
    let value = scene.now.word(uaddr).filter(|word| u64::from(*word) == scene.wait.val)?;
    let awaited = member.is_awaited(value) && member.holders(value) > 0;
    let now = Fields::at(scene.now, address, layout)?;
    let fits = now.agree() && now.admits(member) && now.is_shared() != scene.wait.is_private();
    if !awaited || !fits || is_of_others(scene) {
        return None;
    }
    let then = scene.at_fork.and_then(|window| window.word(uaddr));
    let existed = || {
        let Some(then) = scene.at_fork else { return false };
        let fields = Fields::at(then, address, layout);
        fields.is_some_and(|fields| fields.agree() && fields.is_shared() == now.is_shared())
            && (scene.module.is_some() || was_there(address, scene.mapping, scene.now, then))
    };
    let at_fork = match then {
        None => State::Unknown,
        Some(word) if member.holders(word) == 0 => State::Free,
        Some(_) if existed() => State::Held { owner: None },
        Some(_) => State::Unknown,
    };
    Some(Reading {
        family: if member == Member::Lock { &SIGNALERS } else { &WAITERS },
        address,
        at_fork,
        now: State::Held { owner: None },
        value_at_fork: then,
        value,
        word: WordFact::now(Part::Word, Base::Hex, member.word(value))
            .inherited(then.map(|word| member.word(word)))
            .identity(unproven(at_fork, then.is_some())),
    })
}

/// The condition variable of which the word at `uaddr` is one of the two of `__g_signals`, on which a
/// group of waiters waits (`__pthread_cond_wait_common`, `nptl/pthread_cond_wait.c`). The groups take
/// turns: those who wait now are as often in one as in the other.
pub(super) fn of_waiting_group(window: &Window, uaddr: u64) -> Option<u64> {
    LAYOUTS.iter().find_map(|layout| {
        let groups = layout.signals.into_iter().enumerate();
        let starts = groups.filter_map(|(at, offset)| Some((at, uaddr.checked_sub(offset)?)));
        let mut aligned = starts.filter(|(_, start)| start.is_multiple_of(8));
        let found = aligned.find(|(group, start)| {
            Fields::at(window, *start, layout)
                .is_some_and(|fields| fields.agree() && fields.has_waiters(*group))
        });
        found.map(|(_, start)| start)
    })
}

/// Whether another library's code waits: glibc's own makes its system calls itself.
fn is_of_others(scene: &Scene<'_>) -> bool {
    let innermost = scene.code.frames.and_then(|frames| frames.first());
    innermost.and_then(|frame| frame.symbol.as_deref()) == Some("syscall")
}

/// The words of a condition variable. There are two groups of waiters: the first is signalled, and
/// those who come now are in the second.
struct Fields {
    wseq: u64,
    g1_start: u64,
    group_refs: Option<[u32; 2]>,
    group_size: [u32; 2],
    orig_size: u32,
    wrefs: u32,
    signals: [u32; 2],
    unused: [u32; 2],
}

impl Fields {
    fn at(window: &Window, address: u64, layout: &Layout) -> Option<Self> {
        let word = |offset: u64| window.word(address.checked_add(offset)?);
        let long = |offset: u64| window.long(address.checked_add(offset)?);
        let both = |[one, other]: [u64; 2]| Some([word(one)?, word(other)?]);
        Some(Fields {
            wseq: long(0)?,
            g1_start: long(G1_START)?,
            group_refs: layout.group_refs.map_or(Some(None), |offsets| both(offsets).map(Some))?,
            group_size: both(layout.group_size)?,
            orig_size: word(layout.orig_size)?,
            wrefs: word(layout.wrefs)?,
            signals: both(layout.signals)?,
            unused: layout.unused.map_or(Some([0; 2]), both)?,
        })
    }

    fn waiters(&self) -> u32 {
        self.wrefs >> WREFS_SHIFT
    }

    fn is_locked(&self) -> bool {
        self.orig_size & LOCK != 0
    }

    fn is_shared(&self) -> bool {
        self.wrefs & SHARED != 0
    }

    /// Whether the words agree with each other, as those of a condition variable that is waited on.
    fn agree(&self) -> bool {
        let waiters = self.waiters();
        // Both say which group is the second one, except while they are swapped.
        let same_second = (self.wseq ^ self.g1_start) & 1 == 0 || self.is_locked();
        let refs = self.group_refs.is_none_or(|[one, other]| {
            (one >> 1).checked_add(other >> 1).is_some_and(|sum| sum <= waiters)
        });
        (1..TID_LIMIT).contains(&waiters)
            && (2..MOST_WAITS).contains(&self.wseq)
            && same_second
            && self.orig_size & LOCK != LOCK
            && self.second_group().is_some_and(|count| count <= u64::from(waiters))
            && refs
            && self.unused == [0; 2]
    }

    /// Whether somebody may be blocked in a group: each has a reference to it.
    fn has_waiters(&self, group: usize) -> bool {
        self.group_refs.is_none_or(|refs| refs.get(group).is_some_and(|refs| refs >> 1 > 0))
    }

    /// How many waiters are in the second group (`__condvar_quiesce_and_switch_g1`): all that came
    /// since it was opened, without those who gave up.
    fn second_group(&self) -> Option<u64> {
        let before = (self.g1_start >> 1).checked_add(u64::from(self.orig_size >> 2))?;
        let came = (self.wseq >> 1).checked_sub(before)?;
        let second = self.group_size.get(usize::from(self.wseq & 1 != 0))?;
        came.checked_add_signed(i64::from(second.cast_signed()))
    }

    /// Whether somebody may wait like this for a member.
    fn admits(&self, member: Member) -> bool {
        match member {
            // Each that is blocked has a reference to its group.
            Member::Refs => {
                self.group_refs.is_none_or(|refs| refs.iter().any(|refs| refs >> 1 > 0))
            }
            // The signaler has the lock, and has closed the group.
            Member::GroupRefs(group) => {
                self.is_locked() && self.signals.get(group).is_some_and(|word| word & 1 != 0)
            }
            Member::Lock => true,
        }
    }
}
