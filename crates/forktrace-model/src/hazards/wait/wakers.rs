//! Who could end a wait, and who of them can run.
//!
//! A task is *live* if it runs, or its wait ends by itself or from outside, or somebody live could end
//! it: the least fixed point over the tasks that are known. What is not live can never run again.
//! Sets are taken too large rather than too small: a waker that is not known counts as live.

use forktrace_common::futex::{FUTEX_PRIVATE_FLAG, OP_WAITV};

use crate::{
    event::{Doing, ThreadSample},
    hazards::live,
};

/// Who could end a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wakers {
    /// Every other task of the same memory.
    OfMemory,
    /// These tasks alone, by tid. What narrows the set down is a criterion's matter.
    Only(Vec<u32>),
    /// The wait ends by itself, or something outside of the tasks that are known could end it, or
    /// nothing is known of it.
    Anything,
}

impl Wakers {
    /// Who could end what a thread does; `None`: it does not wait.
    ///
    /// One row for each kind of wait: a futex wait on private memory is ended from inside of that memory
    /// alone, for the kernel looks for waiters by address space, whether the operation has the `PRIVATE`
    /// flag or the word's page is anonymous (`get_futex_key`, `kernel/futex/core.c`, Linux 6.18).
    /// `pthread_join` and C++'s `std::atomic::wait` wait without the flag.
    fn of(thread: &ThreadSample) -> Option<Self> {
        if thread.ran != Some(false) {
            return None;
        }
        match thread.doing {
            Doing::Futex { op, timed: false, .. }
                if op < OP_WAITV
                    && (op & FUTEX_PRIVATE_FLAG != 0 || thread.private == Some(true)) =>
            {
                Some(Wakers::OfMemory)
            }
            Doing::Futex { .. } | Doing::Syscall(_) | Doing::Unknown => Some(Wakers::Anything),
            Doing::Running => None,
        }
    }
}

/// Whether the task `waiter`, whose wait `wakers` could end, can ever run again. `threads` are all tasks
/// of its memory; where it is not among them it counts as one that can.
pub(crate) fn can_run(waiter: u32, wakers: &Wakers, threads: &[ThreadSample]) -> bool {
    if !threads.iter().any(|thread| thread.tid == waiter) {
        return true;
    }
    let wakers = |thread: &ThreadSample| match thread.tid == waiter {
        true => Some(wakers.clone()),
        false => Wakers::of(thread),
    };
    let tasks: Vec<(u32, Option<Wakers>)> =
        threads.iter().map(|thread| (thread.tid, wakers(thread))).collect();
    let live = live::least(tasks.len(), |at, live| {
        let is_live = |other: u32| {
            let mut others = tasks.iter().zip(live);
            others.any(|((tid, _), live)| *tid == other && *live)
        };
        match tasks.get(at) {
            None | Some((_, None | Some(Wakers::Anything))) => true,
            Some((_, Some(Wakers::OfMemory))) => live.contains(&true),
            Some((tid, Some(Wakers::Only(some)))) => {
                some.iter().any(|one| one != tid && is_live(*one))
            }
        }
    });
    tasks.iter().zip(&live).any(|((tid, _), live)| *tid == waiter && *live)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `FUTEX_WAIT | FUTEX_PRIVATE_FLAG`.
    const PRIVATE: u32 = 128;

    fn thread(tid: u32, doing: Doing) -> ThreadSample {
        ThreadSample { tid, doing, ran: Some(false), ..ThreadSample::default() }
    }

    fn waiting(op: u32, timed: bool) -> Doing {
        Doing::Futex { uaddr: 0x1000, op, val: 0, timed }
    }

    #[test]
    fn a_circle_of_waits_never_runs_and_one_way_out_frees_all() {
        let stuck = [1, 2, 3].map(|tid| thread(tid, waiting(PRIVATE, false)));
        assert!(!can_run(1, &Wakers::OfMemory, &stuck));
        for way_out in [
            Doing::Running,
            Doing::Syscall(0),
            waiting(PRIVATE, true),
            waiting(0, false),
            Doing::Unknown,
        ] {
            let mut threads = stuck.to_vec();
            threads.push(thread(4, way_out));
            assert!(can_run(1, &Wakers::OfMemory, &threads));
            assert!(!can_run(1, &Wakers::Only(vec![]), &threads), "narrowed to nobody");
            assert!(!can_run(1, &Wakers::Only(vec![1]), &threads), "narrowed to itself");
            assert!(can_run(1, &Wakers::Only(vec![3]), &threads), "3 is woken by 4");
        }
    }

    #[test]
    fn what_is_not_known_counts_as_live() {
        let unseen = [thread(2, waiting(PRIVATE, false))];
        assert!(can_run(1, &Wakers::OfMemory, &unseen), "the waiter was not among the threads");
        let mut moved = thread(2, waiting(PRIVATE, false));
        moved.ran = None;
        let threads = [thread(1, waiting(PRIVATE, false)), moved];
        assert!(can_run(1, &Wakers::OfMemory, &threads));
        assert!(!can_run(1, &Wakers::OfMemory, &threads[..1]));
    }

    #[test]
    fn a_wait_without_the_private_flag_is_as_private_as_its_memory() {
        let joins = |private| {
            let main = ThreadSample { private, ..thread(2, waiting(0, false)) };
            [thread(1, waiting(PRIVATE, false)), main]
        };
        assert!(!can_run(1, &Wakers::OfMemory, &joins(Some(true))));
        assert!(can_run(1, &Wakers::OfMemory, &joins(Some(false))));
        assert!(can_run(1, &Wakers::OfMemory, &joins(None)), "a log of an older version");
        let list = ThreadSample { private: Some(true), ..thread(2, waiting(OP_WAITV, false)) };
        let threads = [thread(1, waiting(PRIVATE, false)), list];
        assert!(can_run(1, &Wakers::OfMemory, &threads), "the list's words may be anywhere");
    }
}
