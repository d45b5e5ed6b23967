//! Reading what the traced process itself laid out, with limits that do not depend on it.
//!
//! Such a reading may be built to go on for ever, or to find a fault in a parser. It runs on a
//! thread of its own; who asked waits so long and no longer, and a panic becomes words.

use std::{
    cell::Cell,
    panic,
    sync::{Condvar, Mutex, MutexGuard, Once, PoisonError, mpsc},
    time::{Duration, Instant},
};

/// How long one reading may take, and how long it may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most readings of one sort that may be going on, those given up included.
const MAX_READERS: usize = 4;

/// Counts the readings of one sort.
#[derive(Debug, Default)]
pub(super) struct Readers {
    going_on: Mutex<usize>,
    ended: Condvar,
}

impl Readers {
    /// None yet.
    pub(super) const fn new() -> Self {
        Readers { going_on: Mutex::new(0), ended: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.going_on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more, once there are few enough; false if there still are too many.
    fn begin(&self) -> bool {
        let full = |going_on: &mut usize| *going_on >= MAX_READERS;
        let turn = self.ended.wait_timeout_while(self.lock(), PATIENCE, full);
        let (mut going_on, waited) = turn.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return false;
        }
        *going_on += 1;
        true
    }

    fn end(&self) {
        let mut going_on = self.lock();
        *going_on = going_on.saturating_sub(1);
        self.ended.notify_one();
    }

    /// The last of what `read` tells, or why there is no answer. It may tell more than once, each
    /// time more completely. `name` is the thread's, at most 15 bytes; `failed` is said of a panic.
    pub(super) fn read<T: Send + 'static>(
        &'static self,
        name: &'static str,
        failed: &'static str,
        read: impl FnOnce(&mut dyn FnMut(Result<T, String>)) + Send + 'static,
    ) -> Result<T, String> {
        if !self.begin() {
            return Err("too many processes are being read".into());
        }
        let (sender, told) = mpsc::channel();
        let reader = std::thread::Builder::new().name(name.into()).spawn(move || {
            // Nobody listens any more if it took too long.
            let mut tell = |answer| drop(sender.send(answer));
            let finished = quietly(|| read(&mut tell)).is_some();
            self.end();
            if !finished {
                tell(Err(failed.into()));
            }
        });
        if let Err(error) = reader {
            self.end();
            return Err(format!("no thread to read with: {error}"));
        }
        let end = Instant::now() + PATIENCE;
        let mut answer = Err("reading took too long".into());
        while let Ok(next) = told.recv_timeout(end.saturating_duration_since(Instant::now())) {
            // What was told before a failure is as good as it was.
            if next.is_ok() || answer.is_err() {
                answer = next;
            }
        }
        answer
    }
}

thread_local! {
    /// Whether a panic of this thread is expected and to be kept quiet.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `read` returns; `None` if it panicked, which is not printed.
pub(super) fn quietly<T>(read: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    // Nothing that `read` borrows is used after it failed.
    let answer = panic::catch_unwind(panic::AssertUnwindSafe(read)).ok();
    QUIET.set(before);
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]

    use super::*;

    #[test]
    fn a_panic_while_reading_is_quiet_and_an_answer() {
        static READERS: Readers = Readers::new();
        let failed = READERS.read::<u8>("test", "it failed", |_| panic!("this is not printed"));
        assert_eq!(failed, Err("it failed".to_owned()));
        assert_eq!(READERS.read("test", "it failed", |tell| tell(Ok(7))), Ok(7));
        let half = READERS.read("test", "it failed", |tell| {
            tell(Ok(8));
            panic!("this is not printed");
        });
        assert_eq!(half, Ok(8));
    }

    #[test]
    fn who_comes_when_all_are_busy_waits_for_a_turn() {
        static READERS: Readers = Readers::new();
        let slow = |answer: usize| {
            READERS.read("test", "", move |tell| {
                std::thread::sleep(PATIENCE / 20);
                tell(Ok(answer));
            })
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> =
                (0..MAX_READERS * 3).map(|at| scope.spawn(move || slow(at))).collect();
            asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
        });
        assert!(answers.iter().enumerate().all(|(at, answer)| *answer == Ok(at)), "{answers:?}");
    }

    #[test]
    fn a_reading_without_end_is_given_up_and_only_so_many_are_begun() {
        static READERS: Readers = Readers::new();
        let start = Instant::now();
        let endless = |first: Option<u8>| {
            READERS.read("test", "", move |tell| {
                first.into_iter().for_each(|first| tell(Ok(first)));
                std::thread::sleep(PATIENCE * 4);
            })
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let firsts = [None, Some(1), None, Some(2)];
            let asked = firsts.map(|first| scope.spawn(move || endless(first)));
            asked.into_iter().filter_map(|asked| asked.join().ok()).map(Result::ok).collect()
        });
        assert_eq!(answers, [None, Some(1), None, Some(2)]);
        assert!(READERS.read("test", "", |tell| tell(Ok(()))).is_err(), "enough are going on");
        assert!(start.elapsed() < PATIENCE * 3);
    }
}
