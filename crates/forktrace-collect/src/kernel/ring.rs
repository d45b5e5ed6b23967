//! The ring buffer as an asynchronous stream of records.

use std::{io, time::Duration};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use forktrace_common::maps::EVENTS;
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{Instant, sleep_until},
};

use super::{Error, error::refused};

/// The most records taken in one go, so that timers and signals get their turn in a storm.
const BATCH: usize = 1024;

/// How long records are left to gather once there is one. To wake a reader interrupts the CPU that
/// writes (`bpf_ringbuf_commit`, `kernel/bpf/ringbuf.c`, Linux 6.18), and while what is there has not
/// been read the kernel wakes nobody.
const GATHER: Duration = Duration::from_millis(5);
/// The same while records keep coming.
const GATHER_MORE: Duration = Duration::from_millis(20);
/// They keep coming if the ring was last found to have some less than this ago.
const KEEP_COMING: Duration = Duration::from_millis(200);

/// The consumer side of the ring buffer.
pub struct Ring(RingBuf<MapData>);

/// A [`Ring`] registered with the running tokio runtime.
pub struct AsyncRing {
    ring: AsyncFd<RingBuf<MapData>>,
    /// When what is in the ring is to be read; `None`: it is empty, as far as is known.
    due: Option<Instant>,
    /// When that was last the case.
    gathered: Option<Instant>,
}

impl Ring {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, Error> {
        let map = ebpf
            .take_map(EVENTS)
            .ok_or_else(|| refused("the ring buffer", &"the object has none"))?;
        RingBuf::try_from(map).map(Ring).map_err(|error| refused("the ring buffer", &error))
    }

    /// Registers the ring with the running tokio runtime.
    ///
    /// # Errors
    /// When called outside a runtime or when the runtime cannot watch the descriptor.
    pub fn into_async(self) -> io::Result<AsyncRing> {
        // SAFETY: the map keeps its descriptor open, and always returns the same, until it is
        // dropped, after the `AsyncFd` that owns it has left the runtime.
        let registered = unsafe { AsyncFd::register_with_interest(self.0, Interest::READABLE) };
        registered
            .map(|ring| AsyncRing { ring, due: None, gathered: None })
            .map_err(io::Error::from)
    }
}

impl AsyncRing {
    /// Waits until there is something to read, and a moment for what follows it, and hands it to
    /// `each`, at most a batch. Cancel-safe: nothing is taken before the last await.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn batch(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let due = match self.due {
            Some(due) => due,
            None => {
                drop(self.ring.readable().await?);
                let now = Instant::now();
                let before = self.gathered.replace(now);
                let keep_coming = before.is_some_and(|before| now - before < KEEP_COMING);
                *self.due.insert(now + if keep_coming { GATHER_MORE } else { GATHER })
            }
        };
        sleep_until(due).await;
        // The guard remembers the readiness that it saw. Clearing it after the ring was found empty
        // keeps a readiness that arrived meanwhile.
        let mut guard = self.ring.readable_mut().await?;
        for _ in 0..BATCH {
            if let Some(record) = guard.get_inner_mut().next() {
                each(&record);
                continue;
            }
            guard.clear_ready();
            self.due = None;
            break;
        }
        Ok(())
    }

    /// Hands the records that are there now to `each`, without waiting, at most a batch. Whether
    /// the ring was found empty then.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> bool {
        for _ in 0..BATCH {
            match self.ring.get_mut().next() {
                Some(record) => each(&record),
                None => return true,
            }
        }
        false
    }
}
