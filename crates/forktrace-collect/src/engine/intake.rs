//! From the ring buffer to events in the order of their time.

use std::io;

use forktrace_model::event::Event;

use super::ends::Ends;
use crate::{
    clock,
    decode::{self, DecodeError, Record},
    kernel::{AsyncRing, Maps, Ring},
    reorder::{ReorderBuffer, Stamped},
};

/// How far apart two CPUs' records may arrive out of order, ns.
pub(super) const REORDER_NS: u64 = 20_000_000;
/// How long the end of a child is held back at most until what it left has been read, ns.
const LONGEST_READ_NS: u64 = 1_500_000_000;

/// Records as they come out of the ring.
pub(super) type Records = Vec<Result<Record, DecodeError>>;

/// Takes records and puts them, and events from elsewhere, in order.
pub(super) struct Intake {
    ring: AsyncRing,
    order: ReorderBuffer,
    /// Records that could not be understood.
    undecodable: u64,
    /// Every record that is older has been taken from the ring, `CLOCK_BOOTTIME`, ns.
    drained_ns: u64,
    /// Children that have ended: what is read of their memory is told before that end.
    pub(super) ends: Ends,
}

impl Intake {
    /// Must be called inside the tokio runtime.
    pub(super) fn new(ring: Ring) -> io::Result<Self> {
        let (ring, order) = (ring.into_async()?, ReorderBuffer::new(REORDER_NS));
        Ok(Intake { ring, order, undecodable: 0, drained_ns: 0, ends: Ends::default() })
    }

    /// Waits for records and adds a batch of them to `records`. Cancel-safe.
    pub(super) async fn batch(&mut self, records: &mut Records) -> io::Result<()> {
        self.ring.batch(|bytes| records.push(decode::decode(bytes))).await
    }

    /// Takes records that came from the ring.
    pub(super) fn take(&mut self, records: Records, maps: &Maps) {
        for record in records {
            match record {
                Ok(Record { cpu, seq, event, leftover }) => {
                    self.ends.forked(&event);
                    match (leftover, &event.task) {
                        (Some(leftover), Some(task)) => {
                            let is_read = self.ends.left(&event, task, leftover);
                            maps.clean(task.pid, leftover, is_read);
                        }
                        _ => self.ends.gone(&event),
                    }
                    self.order.push(Stamped { cpu, seq, event });
                }
                Err(error) => {
                    self.undecodable += 1;
                    tracing::warn!("{error}");
                }
            }
        }
    }

    /// Takes the records that are in the ring, at most a batch; whether none is left.
    pub(super) fn drain(&mut self, maps: &Maps) -> bool {
        let before_ns = clock::boot_ns();
        let mut records = Records::new();
        let emptied = self.ring.drain(|bytes| records.push(decode::decode(bytes)));
        self.take(records, maps);
        if emptied {
            self.drained_ns = before_ns;
            self.ends.give_up(before_ns.saturating_sub(LONGEST_READ_NS));
        }
        emptied
    }

    /// Takes an event that comes from elsewhere.
    pub(super) fn push(&mut self, event: Event) {
        self.order.push_unsequenced(event);
    }

    /// Takes the kernel's own count of lost records, as of `now_ns`.
    pub(super) fn set_total_lost(&mut self, now_ns: u64, total: u64) {
        self.order.set_total_lost(now_ns, total);
    }

    /// The next event that is old enough to be in its final order: older ones may still be in the
    /// ring, however late it is.
    pub(super) fn pop(&mut self) -> Option<Event> {
        self.order.pop_ready(self.settled_ns())
    }

    /// Until when nothing older can come any more, but for what is held back in the buffer.
    fn settled_ns(&self) -> u64 {
        let before = self.ends.first_ns();
        let before = before.map(|end| end.saturating_add(REORDER_NS).saturating_sub(1));
        before.map_or(self.drained_ns, |before| before.min(self.drained_ns))
    }

    /// Everything that is left, in the order of time.
    pub(super) fn flush(&mut self) -> Vec<Event> {
        self.order.flush()
    }

    /// Whether no event is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether every event of this time, `CLOCK_BOOTTIME`, ns, has been handed on.
    pub(super) fn is_past(&self, time_ns: u64) -> bool {
        time_ns.saturating_add(REORDER_NS) <= self.settled_ns()
    }

    pub(super) fn undecodable(&self) -> u64 {
        self.undecodable
    }
}
