//! Threads that hand alerts on: to a log, a program, a receiver. Each has a queue with a bound, so that one
//! that is slow, or hangs, never holds up judging. What does not fit is counted.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

/// What became of the items of a queue.
#[derive(Debug, Default)]
pub struct Counts {
    /// Handed on.
    pub sent: AtomicU64,
    /// Handed on in vain: the receiver refused them, or did not answer in time.
    pub failed: AtomicU64,
    /// Left out: the queue was full.
    pub dropped: AtomicU64,
    /// In the queue now, or being handed on.
    pub queued: AtomicU64,
}

impl Counts {
    /// Adds to one of the counts.
    pub fn add(count: &AtomicU64, n: u64) {
        count.fetch_add(n, Ordering::Relaxed);
    }

    /// The value of one of the counts.
    pub fn get(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// The near end of a queue.
#[derive(Debug)]
pub struct Queue<T> {
    sender: SyncSender<T>,
    counts: Arc<Counts>,
    closed: Arc<AtomicBool>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue {
            sender: self.sender.clone(),
            counts: Arc::clone(&self.counts),
            closed: Arc::clone(&self.closed),
        }
    }
}

impl<T: Send + 'static> Queue<T> {
    /// Starts a thread that takes at most `bound` items that wait. What becomes of them is added to `counts`.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn start(
        name: &str,
        bound: usize,
        counts: Arc<Counts>,
        work: impl FnOnce(Taker<T>) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(bound);
        let closed = Arc::new(AtomicBool::new(false));
        let taker = Taker { receiver, counts: Arc::clone(&counts), closed: Arc::clone(&closed) };
        thread::Builder::new().name(name.into()).spawn(move || work(taker))?;
        Ok(Queue { sender, counts, closed })
    }

    /// Puts an item into the queue, if there is room. Never waits.
    pub fn put(&self, item: T) {
        Counts::add(&self.counts.queued, 1);
        match self.sender.try_send(item) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counts.queued.fetch_sub(1, Ordering::Relaxed);
                Counts::add(&self.counts.dropped, 1);
            }
        }
    }

    /// What is in the queue is not to be waited for any more: another takes its place.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// What became of the items so far.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

/// The far end of a queue.
#[derive(Debug)]
pub struct Taker<T> {
    receiver: Receiver<T>,
    counts: Arc<Counts>,
    closed: Arc<AtomicBool>,
}

impl<T> Taker<T> {
    /// The next item; `None`: there will be no more.
    pub fn take(&self) -> Option<T> {
        self.receiver.recv().ok()
    }

    /// An item that is there already, if one is.
    pub fn take_now(&self) -> Option<T> {
        self.receiver.try_recv().ok()
    }

    /// So many of the items that were taken are done with. `sent`: they were handed on.
    pub fn done(&self, items: usize, sent: bool) {
        let items = items as u64;
        self.counts.queued.fetch_sub(items, Ordering::Relaxed);
        Counts::add(if sent { &self.counts.sent } else { &self.counts.failed }, items);
    }

    /// Whether what is in the queue is not to be waited for any more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{
        sync::mpsc,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn a_receiver_that_hangs_costs_its_items_and_no_time() {
        let (go, wait) = mpsc::channel::<()>();
        let queue = Queue::start("test", 2, Arc::default(), move |taker: Taker<u32>| {
            // Hangs until the test ends.
            let _ = (taker.take(), wait.recv(), taker);
        })
        .unwrap();
        let began = Instant::now();
        (0..1_000).for_each(|item| queue.put(item));
        assert!(began.elapsed() < Duration::from_secs(1));
        let counts = queue.counts();
        let (dropped, queued) = (Counts::get(&counts.dropped), Counts::get(&counts.queued));
        assert!(dropped >= 997 && queued <= 3, "{dropped} {queued}");
        drop(go);
    }
}
