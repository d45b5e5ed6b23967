//! The closer look at a wait: everything that the rules will want to know, read once.

use super::{memory, processes::inner_number, processes::process, threads};
use crate::event::{AtFork, Doing, Evidence, Mapping, Python, Task, ThreadSample, Wait, Window};

/// How far the look reaches to each side of the futex word, bytes. The largest lock decoded has
/// 56 bytes (`pthread_rwlock_t`); a malloc chunk's header lies before it.
const REACH: u64 = 128;

/// What is known of a child's memory as it inherited it.
pub trait Inherited {
    /// Up to `len` bytes at `address` as inherited; fewer at the end of the page.
    fn bytes(&self, pid: u32, address: u64, len: usize) -> AtFork;
    /// How often the child has woken a futex word since it was forked; `None`: not known.
    fn wakes(&self, pid: u32, uaddr: u64) -> Option<u64>;
}

/// Looks at a waiting task's process. Takes about 30 ms; Python frames are left to
/// [`super::python`], because they take longer and are of use for findings only.
pub fn collect(
    task: &Task,
    wait: &Wait,
    inherited: &dyn Inherited,
    memory_shared_with: Vec<u32>,
) -> Evidence {
    let pid = task.pid;
    let mapping = memory::mapping(pid, wait.uaddr);
    let (start, len) = reach(wait.uaddr, mapping.as_ref());
    let bytes = memory::read(pid, start, len);
    let threads = threads::sample(pid);
    let status = process(pid).and_then(|process| process.status().ok());
    Evidence {
        wait: wait.clone(),
        // Asked last: whatever was read before was read during this wait.
        still_waiting: threads.iter().any(|thread| is_waiting(thread, task.tid, wait)),
        ns_pid: status.as_ref().and_then(|status| inner_number(status.nspid.as_deref())),
        mapping,
        now: (!bytes.is_empty()).then_some(Window { address: start, bytes }),
        at_fork: at_fork(inherited, pid, wait.uaddr, start, len),
        wakes_since_fork: inherited.wakes(pid, wait.uaddr),
        memory_shared_with,
        handlers: status.as_ref().map(|status| status.sigcgt),
        timers: timers(pid),
        threads,
        python: Python::default(),
    }
}

/// The stretch to read, within the mapping.
fn reach(uaddr: u64, mapping: Option<&Mapping>) -> (u64, usize) {
    let (low, high) = mapping.map_or((uaddr, uaddr), |mapping| (mapping.start, mapping.end));
    let start = uaddr.saturating_sub(REACH).max(low);
    let end = uaddr.saturating_add(REACH).min(high);
    (start, usize::try_from(end.saturating_sub(start)).unwrap_or(0))
}

/// The same stretch as inherited: the word's own page decides, its neighbours are joined to it
/// where they are known.
fn at_fork(inherited: &dyn Inherited, pid: u32, uaddr: u64, start: u64, len: usize) -> AtFork {
    let end = start.saturating_add(len as u64);
    let page = uaddr & !(forktrace_common::maps::PAGE_SIZE as u64 - 1);
    let page_end = page.saturating_add(forktrace_common::maps::PAGE_SIZE as u64);
    let part = |from: u64, to: u64| match to.checked_sub(from) {
        None | Some(0) => None,
        Some(len) => match inherited.bytes(pid, from, len as usize) {
            AtFork::Known(window) => Some(window.bytes),
            AtFork::Unknown(_) => None,
        },
    };
    let own_start = start.max(page);
    let own_len = usize::try_from(end.min(page_end).saturating_sub(own_start)).unwrap_or(0);
    let mut window = match inherited.bytes(pid, own_start, own_len) {
        AtFork::Known(window) => window,
        unknown => return unknown,
    };
    if let Some(mut before) = part(start, own_start) {
        before.append(&mut window.bytes);
        window = Window { address: start, bytes: before };
    }
    if let Some(mut after) = part(page_end, end) {
        window.bytes.append(&mut after);
    }
    AtFork::Known(window)
}

/// Whether a thread is still in the very wait: in the same call, and it has not run meanwhile.
fn is_waiting(thread: &ThreadSample, tid: u32, wait: &Wait) -> bool {
    let in_wait = match &thread.doing {
        Doing::Futex { uaddr, op, .. } => *uaddr == wait.uaddr && *op == wait.op,
        _ => false,
    };
    thread.tid == tid && in_wait && thread.ran == Some(false)
}

/// Number of POSIX timers; `None` where the kernel does not tell (`CONFIG_CHECKPOINT_RESTORE`).
fn timers(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/timers")).ok()?;
    u32::try_from(text.lines().filter(|line| line.starts_with("ID:")).count()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]

    use super::*;
    use crate::event::Missing;

    /// Page 0x1000 holds ones, page 0x2000 twos, page 0x3000 is not known.
    struct TwoPages;

    impl Inherited for TwoPages {
        fn bytes(&self, _pid: u32, address: u64, len: usize) -> AtFork {
            let room = 0x1000 - (address & 0xfff) as usize;
            match address >> 12 {
                page @ (1 | 2) => {
                    let bytes = vec![page as u8; len.min(room)];
                    AtFork::Known(Window { address, bytes })
                }
                _ => AtFork::Unknown(Missing::NoFault),
            }
        }

        fn wakes(&self, _pid: u32, _uaddr: u64) -> Option<u64> {
            None
        }
    }

    fn known(uaddr: u64) -> (u64, usize, u8, u8) {
        let start = uaddr - 128;
        match at_fork(&TwoPages, 1, uaddr, start, 256) {
            AtFork::Known(Window { address, bytes }) => {
                let ends = (bytes.first().copied(), bytes.last().copied());
                (address, bytes.len(), ends.0.unwrap_or(0), ends.1.unwrap_or(0))
            }
            AtFork::Unknown(missing) => panic!("{missing:?}"),
        }
    }

    #[test]
    fn a_window_is_joined_across_known_pages_and_cut_at_unknown_ones() {
        assert_eq!(known(0x1800), (0x1780, 256, 1, 1));
        assert_eq!(known(0x1ff0), (0x1f70, 256, 1, 2), "the word's page and the next");
        assert_eq!(known(0x2010), (0x1f90, 256, 1, 2), "the page before and the word's");
        assert_eq!(known(0x1010), (0x1000, 144, 1, 1), "the page before is not known");
        assert_eq!(known(0x2ff0), (0x2f70, 144, 2, 2), "the page after is not known");
        let unknown = at_fork(&TwoPages, 1, 0x3010, 0x2f90, 256);
        assert_eq!(unknown, AtFork::Unknown(Missing::NoFault), "the word's own page decides");
    }

    #[test]
    fn the_window_stays_inside_the_mapping() {
        let mapping = Mapping { start: 0x1000, end: 0x2000, ..Mapping::default() };
        assert_eq!(reach(0x1010, Some(&mapping)), (0x1000, 0x90));
        assert_eq!(reach(0x1ff0, Some(&mapping)), (0x1f70, 0x90));
        assert_eq!(reach(0x1010, None).1, 0, "nothing is read without a mapping");
    }
}
