//! Finding blocked threads by sampling, where no futex call is watched.
//!
//! A thread that is in the same system call with the same arguments in two samples was in it all the
//! time if it has not left a CPU in between: the count goes up each time that a thread blocks
//! (`__schedule`, `kernel/sched/core.c`, Linux 6.18). So the count is read after the system call, and
//! what is known of a wait counts from then on.

use super::{
    Error, access_probe,
    proc_text::{self, State, Status},
    threads,
};
use forktrace_model::event::Doing;

/// A thread that was found in a futex wait without a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The thread.
    pub tid: u32,
    /// Address of the futex word.
    pub uaddr: u64,
    /// `op` with its flags; see [`forktrace_common::futex`].
    pub op: u32,
    /// Value that the word was expected to have.
    pub val: u64,
    /// How often it had left a CPU: the same number later means the same wait.
    pub switches: u64,
    /// How often of these it had blocked, this wait included.
    pub times: u64,
    /// It is stopped: it may have been woken already, and shows its system call until it goes on.
    pub stopped: bool,
}

/// The threads of a process in one sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Threads {
    /// All of them.
    pub tids: Vec<u32>,
    /// Those in futex waits without a timeout.
    pub blocked: Vec<Blocked>,
    /// Something denied access to them.
    pub denied: bool,
}

/// Samples every thread of a process, which takes some 5 µs a thread; none of one that has ended.
pub fn take(pid: u32) -> Threads {
    let (tids, mut denied) = match proc_text::numbers(pid, &format!("{pid}/task")) {
        Ok(tids) => (tids, false),
        Err(error) => (Vec::new(), matches!(error, Error::Denied { .. })),
    };
    let mut found = Vec::new();
    for tid in &tids {
        match threads::doing(pid, *tid) {
            Doing::Unknown => denied = denied || access_probe::is_denied(pid, *tid),
            doing => found.extend(blocked(pid, *tid, &doing)),
        }
    }
    Threads { tids, blocked: found, denied }
}

/// Whether a thread is still in the very wait that it was found in.
pub fn is_still(pid: u32, before: &Blocked) -> bool {
    let doing = threads::doing(pid, before.tid);
    blocked(pid, before.tid, &doing).as_ref() == Some(before)
}

fn blocked(pid: u32, tid: u32, doing: &Doing) -> Option<Blocked> {
    let Doing::Futex { uaddr, op, val, timed: false } = *doing else { return None };
    let rests = |status: &Status| matches!(status.state, State::Sleeps | State::Stopped);
    let status = Status::of(pid, tid).ok().filter(rests)?;
    let (switches, times) = (status.switches?, status.blocked?);
    let stopped = status.state == State::Stopped;
    Some(Blocked { tid, uaddr, op, val, switches, times, stopped })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{
        sync::{Arc, Condvar, Mutex, mpsc},
        thread::{self, sleep},
        time::Duration,
    };

    use super::*;

    /// Waits until a thread is found blocked, in another wait than `before`.
    fn until_blocked(tid: u32, before: Option<Blocked>) -> Blocked {
        let pid = std::process::id();
        let found = (0..2000).find_map(|_| {
            sleep(Duration::from_millis(1));
            let threads = take(pid);
            assert!(threads.tids.len() > threads.blocked.len(), "this thread runs");
            threads.blocked.into_iter().find(|one| one.tid == tid && Some(*one) != before)
        });
        found.unwrap()
    }

    #[test]
    fn the_next_wait_on_the_same_word_is_another_one() {
        let pid = std::process::id();
        let turns = Arc::new((Mutex::new(0), Condvar::new()));
        let (tell, told) = mpsc::channel();
        let waiter = thread::spawn({
            let turns = turns.clone();
            move || {
                tell.send(u32::try_from(nix::unistd::gettid().as_raw()).unwrap()).unwrap();
                let mut turn = turns.0.lock().unwrap();
                while *turn < 2 {
                    turn = turns.1.wait(turn).unwrap();
                }
            }
        });
        let tid = told.recv().unwrap();
        let first = until_blocked(tid, None);
        assert!(is_still(pid, &first));
        *turns.0.lock().unwrap() += 1;
        turns.1.notify_all();
        let second = until_blocked(tid, Some(first));
        assert_eq!((second.uaddr, second.op), (first.uaddr, first.op));
        assert!(!is_still(pid, &first) && is_still(pid, &second));
        *turns.0.lock().unwrap() += 1;
        turns.1.notify_all();
        waiter.join().unwrap();
        assert!(!is_still(pid, &second));
    }

    #[test]
    fn a_process_that_is_gone_has_no_threads() {
        assert_eq!(take(u32::MAX), Threads::default());
    }
}
