//! Which processes run the same program since the same exec: they came from each other by forks
//! alone.
//!
//! At exec the kernel puts 16 random bytes on the new stack and their address into the auxiliary
//! vector (`create_elf_tables`, `fs/binfmt_elf.c`; `AT_RANDOM`, `include/uapi/linux/auxvec.h`, Linux
//! 6.18). A fork copies both, an exec makes new ones: no two execs have the same. A process that
//! shares them with an older one, which cannot descend from it, or with its own parent, was
//! therefore forked and has not exec'ed since.

use procfs::process::Stat;

use super::{Result, kcmp, memory, proc_text, scan};
use forktrace_model::event::is_older;

/// "Forked but didn't exec": set for every new task, and cleared for the one that is the first thread
/// of its process after an exec (`copy_process`, `kernel/fork.c`; `begin_new_exec`, `fs/exec.c`;
/// `include/linux/sched.h`; Linux 5.8 and 6.18).
const PF_FORKNOEXEC: u32 = 0x40;
/// Key of the auxiliary vector for the random bytes' address.
const AT_RANDOM: u64 = 25;
/// Most bytes of an auxiliary vector that are read.
const MAX_AUXV: u64 = 4096;

/// What one exec gives to the program, and every fork hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Image([u8; 16]);

impl Image {
    /// That of a process; `None`: it may not be read, or has ended.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let shown = kcmp::shown(pid);
        let auxv = proc_text::bytes(pid, &format!("{shown}/auxv"), MAX_AUXV).ok()?;
        let address = random_at(&auxv)?;
        let bytes: [u8; 16] = memory::read(pid, address, 16).ok()?.try_into().ok()?;
        // Bytes that a program has wiped tell nothing.
        (bytes != [0; 16]).then_some(Image(bytes))
    }
}

/// The address of the random bytes, out of an auxiliary vector of a 64-bit program.
pub(super) fn random_at(auxv: &[u8]) -> Option<u64> {
    let long = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
    auxv.chunks_exact(16).find_map(|entry| {
        let (key, value) = entry.split_at(8);
        if long(key)? == AT_RANDOM { long(value) } else { None }
    })
}

/// One process of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: u32,
    pub(super) ppid: u32,
    /// Its start, in clock ticks since boot.
    pub(super) start: u64,
    /// It has ended and its parent has not yet taken notice.
    pub(super) ended: bool,
    /// It was forked and has not exec'ed since, as the kernel says.
    pub(super) forked: bool,
}

impl Entry {
    fn new(stat: &Stat) -> Option<Self> {
        Some(Entry {
            pid: u32::try_from(stat.pid).ok()?,
            ppid: u32::try_from(stat.ppid).ok()?,
            start: stat.starttime,
            ended: u32::try_from(stat.pid).is_ok_and(|pid| scan::has_ended(pid, stat)),
            forked: stat.flags & PF_FORKNOEXEC != 0,
        })
    }

    /// Whether it is certainly older than `other`.
    pub(super) fn is_older(&self, other: &Entry) -> bool {
        is_older((self.start, self.pid), (other.start, other.pid))
    }

    /// That of one process.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let gone = super::Error::Gone { pid };
        Entry::new(&scan::stat(pid)?).ok_or(gone)
    }
}

/// Every process of the host.
pub(super) fn table() -> Vec<Entry> {
    let pids = proc_text::numbers(0, "").unwrap_or_default();
    pids.into_iter().filter_map(|pid| Entry::of(pid).ok()).collect()
}

/// Whether a process was forked and has not exec'ed since.
pub(super) fn is_forked(pid: u32) -> bool {
    Entry::of(pid).is_ok_and(|entry| entry.forked)
}

/// A living process that shows that this one was forked and has not exec'ed since: its parent, or
/// else the oldest of the same origin.
pub(super) fn witness(own: &Entry, table: &[Entry]) -> Option<Entry> {
    let image = Image::of(own.pid)?;
    let same = |entry: &&Entry| Image::of(entry.pid) == Some(image);
    let parent = table.iter().find(|entry| entry.pid == own.ppid && !entry.ended);
    if let Some(parent) = parent.filter(same) {
        return Some(*parent);
    }
    let exe = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let own_exe = exe(own.pid)?;
    let older = table.iter().filter(|entry| entry.is_older(own));
    older
        .filter(|entry| exe(entry.pid).as_ref() == Some(&own_exe))
        .filter(same)
        .min_by_key(|entry| (entry.start, entry.pid))
        .copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn an_exec_makes_another_image() {
        let me = std::process::id();
        let own = Image::of(me).unwrap();
        assert_eq!(Image::of(me), Some(own), "the same each time");
        let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert_ne!(Image::of(other.id()), Some(own));
        let other_entry = Entry::of(other.id()).unwrap();
        assert_eq!(other_entry.ppid, me);
        assert!(!other_entry.forked && !is_forked(me) && !is_forked(u32::MAX));
        assert_eq!(witness(&other_entry, &table()), None);
        drop(other.stdin.take());
        other.wait().unwrap();
        assert_eq!(Image::of(other.id()), None);
    }

    #[test]
    fn the_auxiliary_vector_is_read_to_its_entry_and_not_beyond_its_end() {
        let pair = |key: u64, value: u64| [key.to_le_bytes(), value.to_le_bytes()].concat();
        let auxv = [pair(33, 5), pair(25, 0x7ffc_0000_1239), pair(0, 0)].concat();
        assert_eq!(random_at(&auxv), Some(0x7ffc_0000_1239));
        assert_eq!(random_at(&auxv[..24]), None);
        assert_eq!(random_at(&[]), None);
    }
}
