//! What a parent's page table tells, after the fact, of the bytes that a child inherited.
//!
//! A fork shares the anonymous pages of both sides; who writes first gets a copy of the page, unless
//! nobody else has it any more (`do_wp_page`, `mm/memory.c`, Linux 6.18). From this follow two
//! proofs that a page of the parent still holds what it held when the child was forked. Both read
//! numbers only; no page is touched.
//!
//! **Shared with an older process** ([`Learnt::SharedWith`]). A third process maps the same page
//! frame at the same address, and it is older than the child. Two processes have an anonymous frame
//! in common through forks alone, so the parent has had it since the third process or the parent
//! itself began, whichever is younger; both were there before the child. Had the parent written
//! since, it would have been given another frame, because the third process was holding this one,
//! and no write brings the old one back. So its bytes are those at the child's fork. Frames that the
//! kernel merged for being equal (KSM) and the zero page are left out, and a third process that runs
//! in the parent's own memory is none ([`same_memory`]).
//!
//! **Not written since the latest fork** ([`Learnt::LatestFork`]). Since Linux 5.19 an anonymous
//! page carries a mark while its one owner may write it (`PageAnonExclusive`; bit 34 of
//! `/proc/kpageflags`, which it shares with a mark of files' pages). A fork clears it, the next
//! write sets it. Clear means: not written since the *latest* fork. Later forks clear it as well, so
//! that this says something of a child only if it is the latest one, and of no earlier one: the
//! parent may have written in between. That a child is the latest is known while the parent has
//! none that is younger or as old, dead or alive, and has never taken notice of a dead one (its sum
//! of their page faults and times is zero) nor lets them vanish without notice (`SIGCHLD` ignored).
//! The mark is also cleared by KSM's attempts, may get lost when a page comes back from swap
//! (`do_swap_page`), and is kept for the first page alone of a huge one: none of these may be in
//! play.
//!
//! Both rest on the parent being the one that forked, as the parent's number says. A parent that takes
//! in orphans (the first process of a pid namespace, a subreaper) may be one by adoption; then the
//! bytes are those that the dead process between them inherited. That is one of the reasons why a
//! finding after the fact is no more than likely.

use std::{fs::File, os::unix::fs::FileExt, sync::OnceLock};

use super::{
    ancestry::Entry,
    kcmp::{self, Shared},
    memory, proc_text,
    proc_text::Status,
    scan, threads,
};
use crate::arch::page_size;
use forktrace_model::event::{Learnt, Window};

/// Bits of an entry of `/proc/<pid>/pagemap` (`Documentation/admin-guide/mm/pagemap.rst`, 6.18).
const PRESENT: u64 = 1 << 63;
const FILE: u64 = 1 << 61;
const FRAME: u64 = (1 << 55) - 1;

/// Bits of an entry of `/proc/kpageflags` (`include/uapi/linux/kernel-page-flags.h` and
/// `include/linux/kernel-page-flags.h`, 6.18).
const ANON: u64 = 1 << 12;
const COMPOUND: u64 = 1 << 15 | 1 << 16;
const HUGE: u64 = 1 << 17 | 1 << 22;
const KSM: u64 = 1 << 21;
const ZERO: u64 = 1 << 24;
const EXCLUSIVE: u64 = 1 << 34;

const SIGCHLD: u32 = 17;

/// The bytes of `parent` in `window`'s range that lie in the page of `address`, if they are those
/// that `child` inherited, and how that is known.
pub(super) fn inherited(
    child: &Entry,
    parent: &Entry,
    table: &[Entry],
    address: u64,
    (start, len): (u64, usize),
) -> Option<(Learnt, Window)> {
    // What the child would have been given zeroed, or not at all.
    let flags = memory::flags(parent.pid, address)?;
    if ["wf", "dc"].iter().any(|flag| flags.split(' ').any(|one| one == *flag)) {
        return None;
    }
    let page = address & !(page_size() - 1);
    let end = start.saturating_add(len as u64).min(page.saturating_add(page_size()));
    let start = start.max(page);
    let len = usize::try_from(end.checked_sub(start)?).ok()?;
    let before = proof(child, parent, table, page)?;
    let bytes = memory::read(parent.pid, start, len).ok()?;
    // Whatever was written meanwhile has ended the proof.
    let holds = still_holds(&before, child, parent, page);
    holds.then_some((before.0, Window { address: start, bytes }))
}

/// A proof and the frame that it is about.
type Proof = (Learnt, u64);

fn proof(child: &Entry, parent: &Entry, table: &[Entry], page: u64) -> Option<Proof> {
    let frame = frame(parent.pid, page)?;
    let flags = frame_flags(frame)?;
    if flags & ANON == 0 || flags & ZERO != 0 || flags & KSM != 0 && may_be_merged() {
        return None;
    }
    let near = |entry: &&Entry| entry.ppid == parent.pid || entry.pid == parent.ppid;
    let older = table.iter().filter(near).filter(|entry| entry.is_older(child) && !entry.ended);
    for other in older.filter(|entry| entry.pid != parent.pid) {
        if self::frame(other.pid, page) == Some(frame) && !shares_with(other.pid, parent.pid) {
            return Some((Learnt::SharedWith(other.pid), frame));
        }
    }
    let unwritten = flags & (EXCLUSIVE | COMPOUND | HUGE) == 0;
    (unwritten && shows_exclusive() && is_latest(child, parent, table) && undisturbed(parent.pid))
        .then_some((Learnt::LatestFork, frame))
}

fn still_holds(proof: &Proof, child: &Entry, parent: &Entry, page: u64) -> bool {
    let (learnt, frame) = *proof;
    match learnt {
        // In this order: the parent still had it when the other one had it.
        Learnt::SharedWith(other) => {
            self::frame(other, page) == Some(frame) && self::frame(parent.pid, page) == Some(frame)
        }
        Learnt::LatestFork => {
            let unwritten = frame_flags(frame).is_some_and(|flags| flags & EXCLUSIVE == 0);
            let same = self::frame(parent.pid, page) == Some(frame);
            unwritten && same && is_latest(child, parent, &super::ancestry::table())
        }
    }
}

/// Whether `child` was made by the latest fork of `parent`.
fn is_latest(child: &Entry, parent: &Entry, table: &[Entry]) -> bool {
    let mut others =
        table.iter().filter(|entry| entry.ppid == parent.pid && entry.pid != child.pid);
    let latest = others.all(|other| other.is_older(child) && !other.ended);
    let ignores = |status: Status| status.ignored.is_none_or(|mask| mask >> (SIGCHLD - 1) & 1 != 0);
    let notices = Status::of(parent.pid, parent.pid).is_ok_and(|status| !ignores(status));
    let stat = scan::stat(parent.pid);
    let none_gone = stat.is_ok_and(|stat| {
        stat.cminflt == 0 && stat.cmajflt == 0 && stat.cutime == 0 && stat.cstime == 0
    });
    latest && notices && none_gone && child.ppid == parent.pid
}

/// Whether a process may run in the memory of `pid`, by its own stack.
fn shares_with(other: u32, pid: u32) -> bool {
    threads::stack_pointer(other, other).is_none_or(|stack| same_memory(other, pid, stack))
}

/// Whether `other` may run in the very memory of `pid`, of which a blocked thread's stack ends at
/// `stack`. That thread has written there before it blocked: in a forked copy of the memory, the
/// page has become its own.
pub(super) fn same_memory(pid: u32, other: u32, stack: u64) -> bool {
    let shared = kcmp::share(kcmp::shown(pid), kcmp::shown(other), Shared::Memory);
    shared.unwrap_or_else(|| seems_same_memory(pid, other, stack))
}

/// The same by the page itself.
fn seems_same_memory(pid: u32, other: u32, stack: u64) -> bool {
    let page = stack & !(page_size() - 1);
    if let Some(own) = frame(pid, page) {
        return frame(other, page) == Some(own);
    }
    // Swapped out, or no privilege to see frames.
    let bytes = |pid| memory::read(pid, page, page_size() as usize).ok();
    bytes(pid).is_none_or(|own| bytes(other) == Some(own))
}

/// Whether neither swap nor KSM can have cleared a mark.
fn undisturbed(pid: u32) -> bool {
    let number = |path: &str, name: &str| {
        proc_text::find_line(pid, path, |line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    let swapped = number("vmstat", "pswpin ");
    let merged = number(&format!("{pid}/ksm_stat"), "ksm_rmap_items ");
    matches!(swapped, Ok(Some(0))) && matches!(merged, Ok(Some(0)))
}

/// The frame of the present, anonymous page at `page`; `None` also without privilege.
fn frame(pid: u32, page: u64) -> Option<u64> {
    let shown = kcmp::shown(pid);
    let entry = long(&format!("/proc/{shown}/pagemap"), page / page_size())?;
    let frame = entry & FRAME;
    (entry & PRESENT != 0 && entry & FILE == 0 && frame != 0).then_some(frame)
}

fn frame_flags(frame: u64) -> Option<u64> {
    long("/proc/kpageflags", frame)
}

/// The `index`-th 64-bit number of a file.
fn long(path: &str, index: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    let file = File::open(path).ok()?;
    file.read_exact_at(&mut bytes, index.checked_mul(8)?).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

/// How much the kernel shows of page frames here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Both proofs can be had.
    Full,
    /// Frames show, but not whether they were written since a fork.
    Frames,
    /// Nothing.
    None,
}

/// How often it is tried.
const TRIALS: u32 = 3;

/// How much the kernel shows of page frames here: tried on this process.
pub(crate) fn sight() -> Sight {
    if shows_exclusive() {
        return Sight::Full;
    }
    match own_flags() {
        Some(_) => Sight::Frames,
        None => Sight::None,
    }
}

/// Whether this kernel shows the mark: tried on a page of our own that was just written. A page that the
/// kernel moves meanwhile, or that a fork of another thread shares, has not got it.
fn shows_exclusive() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    let shown = || own_flags().is_some_and(|flags| flags & ANON != 0 && flags & EXCLUSIVE != 0);
    *ANSWER.get_or_init(|| (0..TRIALS).any(|_| shown()))
}

/// Whether a page that is shown as merged by KSM may be one. Some kernels show every anonymous page as
/// that (seen on 6.12), also one of our own. There KSM must not have gone through memory even once: it
/// merges no page before it has found one unchanged the second time (`cmp_and_merge_page`, `mm/ksm.c`).
fn may_be_merged() -> bool {
    let all_show_it = own_flags().is_some_and(|flags| flags & KSM != 0);
    let scans = std::fs::read_to_string("/sys/kernel/mm/ksm/full_scans");
    !(all_show_it && scans.is_ok_and(|scans| scans.trim() == "0"))
}

/// The flags of a page of our own that was just written; `None` without privilege.
fn own_flags() -> Option<u64> {
    // Larger than a page, so that one lies inside of it whole.
    let own = std::hint::black_box(vec![1_u8; 2 * page_size() as usize]);
    let page = (own.as_ptr().addr() as u64).next_multiple_of(page_size());
    let flags = frame(std::process::id(), page).and_then(frame_flags);
    // Not given back before it was looked at.
    std::hint::black_box(&own);
    flags
}
