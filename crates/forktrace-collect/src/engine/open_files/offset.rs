//! Who moves the offset of a file that several processes have as one.
//!
//! Between two looks the offset has moved by some bytes. What the others have read and written meanwhile, of
//! whatever file, they may have moved it by; what is left over a process has moved itself. So with two readers of
//! equal parts both are proven, whatever else they do little of, and a process that does much else is never
//! named for it.

use forktrace_model::event::FileUse;
use rustc_hash::FxHashMap;

use super::family::Holder;
use crate::{
    clock,
    inspect::open_files::{self, Bytes, Offset},
};

type All = FxHashMap<u32, Bytes>;

/// What is known of a file's offset.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// The latest look: the bytes of each holder before it, and the offset.
    before: Option<(All, Offset)>,
    /// By how many bytes each process has moved it at least.
    by: FxHashMap<u32, Bytes>,
    last: Option<u32>,
    turns: u32,
    both: u32,
    since_ns: u64,
    told: (usize, u32, u32),
}

impl Moved {
    pub(super) fn look(&mut self, holders: &mut Vec<Holder>) {
        // The bytes are read before and after the offset: what is counted between two looks is never less
        // than what the offset was moved by.
        let before = read(holders);
        let Some(first) = holders.first() else { return };
        let Some(offset) = open_files::offset(first.member.pid, first.fd) else {
            holders.remove(0);
            self.before = None;
            return;
        };
        let after = read(holders);
        // Of one that has ended nothing is known any more, and so of the others neither.
        let complete = after.len() == holders.len() && before.len() == after.len();
        holders.retain(|holder| after.contains_key(&holder.member.pid));
        if let Some((earlier, was)) = self.before.take().filter(|_| complete) {
            self.compare((&earlier, was), (&after, offset));
        }
        self.before = complete.then_some((before, offset));
    }

    fn compare(&mut self, (earlier, was): (&All, Offset), (now, is): (&All, Offset)) {
        let Some(moved) = is.at.checked_sub(was.at).filter(|moved| *moved > 0) else { return };
        if now.keys().any(|pid| !earlier.contains_key(pid)) {
            return;
        }
        let counted: Vec<(u32, Bytes)> = now
            .iter()
            .filter_map(|(pid, now)| Some((*pid, since(earlier.get(pid)?, now, is))))
            .collect();
        let all = counted.iter().fold(0u64, |sum, (_, bytes)| sum.saturating_add(bytes.all()));
        let mut movers = Vec::new();
        for (pid, bytes) in &counted {
            let own = moved.saturating_sub(all.saturating_sub(bytes.all()));
            // Nobody has read so much: the offset was set.
            if own > 0 && bytes.all() >= own {
                movers.push(*pid);
                let by = self.by.entry(*pid).or_default();
                match bytes.written >= own && bytes.written >= bytes.read {
                    true => by.written = by.written.saturating_add(own),
                    false => by.read = by.read.saturating_add(own),
                }
            }
        }
        movers.sort_unstable();
        match movers.as_slice() {
            [] => {}
            [one] => {
                if self.last.is_some_and(|last| last != *one) {
                    self.turns = self.turns.saturating_add(1);
                }
                self.last = Some(*one);
            }
            [.., last] => {
                self.both = self.both.saturating_add(1);
                self.last = Some(*last);
            }
        }
        if self.since_ns == 0 && self.by.len() > 1 {
            self.since_ns = clock::boot_ns();
        }
    }

    /// Whether more is known than was told: a further process, or a count that has reached a power of two.
    pub(super) fn is_new(&mut self) -> bool {
        let bits = |count: u32| u32::BITS - count.leading_zeros();
        // At three turns they are a habit.
        let turns = if self.turns >= 3 { bits(self.turns) + 1 } else { bits(self.turns) };
        let now = (self.by.len(), turns, bits(self.both));
        let is_new = self.by.len() > 1 && now != self.told;
        self.told = now;
        is_new
    }

    pub(super) fn tell(&self, seen: &mut FileUse) {
        for holder in &mut seen.holders {
            let by = self.by.get(&holder.pid).copied().unwrap_or_default();
            (holder.read, holder.written) = (by.read, by.written);
        }
        (seen.turns, seen.both, seen.since_ns) = (self.turns, self.both, self.since_ns);
    }
}

fn read(holders: &[Holder]) -> All {
    let pids = holders.iter().map(|holder| holder.member.pid);
    pids.filter_map(|pid| Some((pid, open_files::bytes(pid)?))).collect()
}

/// What was read and written since, of what the file may be used for.
fn since(earlier: &Bytes, now: &Bytes, offset: Offset) -> Bytes {
    let of =
        |counts: bool, now: u64, earlier: u64| if counts { now.saturating_sub(earlier) } else { 0 };
    Bytes {
        read: of(offset.reads, now.read, earlier.read),
        written: of(offset.writes, now.written, earlier.written),
    }
}

impl Bytes {
    fn all(&self) -> u64 {
        self.read.saturating_add(self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ_ONLY: Offset =
        Offset { at: 0, inode: 1, reads: true, writes: false, unmoved: false };

    /// What becomes known when the offset has moved by so much, and processes 1, 2, … have read so much.
    fn after(steps: &[(u64, &[u64])]) -> Moved {
        let mut moved = Moved::default();
        let mut at = 0;
        for (by, reads) in steps {
            let bytes = |of: fn(u64) -> u64| -> All {
                let each = reads.iter().enumerate();
                each.map(|(pid, read)| (pid as u32 + 1, Bytes { read: of(*read), written: 9 }))
                    .collect()
            };
            let (was, is) = (Offset { at, ..READ_ONLY }, Offset { at: at + by, ..READ_ONLY });
            moved.compare((&bytes(|_| 0), was), (&bytes(|read| read), is));
            at += by;
        }
        moved
    }

    #[test]
    fn who_moved_it_is_what_the_others_cannot_have_moved() {
        let both = after(&[(100, &[60, 50])]);
        assert_eq!((both.both, both.by[&1].read, both.by[&2].read), (1, 50, 40));
        let one = after(&[(100, &[100, 5])]);
        assert_eq!((one.both, one.by.len(), one.last), (0, 1, Some(1)));
        assert!(after(&[(100, &[500, 400])]).by.is_empty(), "both do much else");
        assert!(after(&[(100, &[5, 5])]).by.is_empty(), "it was set, not read");
        assert!(after(&[(0, &[50, 50])]).by.is_empty());
    }

    #[test]
    fn turns_are_counted() {
        let turns = after(&[(10, &[10, 0]), (10, &[0, 10]), (10, &[0, 10]), (10, &[10, 0])]);
        assert_eq!((turns.turns, turns.both, turns.by.len()), (2, 0, 2));
    }
}
