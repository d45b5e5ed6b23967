//! Puts events in the order of their time, and notices what is missing.
//!
//! Each CPU stamps its records before it gets a place in the ring, so two CPUs' records may arrive
//! a little out of order. Every record is therefore held for a short window. A record that comes
//! later than that is handed on at once, under the time of the latest one before it: the order of
//! what was handed out never turns back, and nothing is dropped here.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use rustc_hash::FxHashMap;

use forktrace_model::event::{Body, Event, EventsLost};

/// The most events held back, whatever the window.
const CAPACITY: usize = 1 << 16;

/// A record with its place in its CPU's sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    /// The CPU that wrote it.
    pub cpu: u32,
    /// Counts the records that this CPU tried to write, from 1.
    pub seq: u64,
    /// What it tells.
    pub event: Event,
}

/// Holds events back until none with an earlier time can come any more.
#[derive(Debug)]
pub struct ReorderBuffer {
    window_ns: u64,
    pending: BinaryHeap<Reverse<(u64, u64)>>,
    /// The pending events by arrival number; `None` where one was handed out already.
    slots: VecDeque<Option<Event>>,
    /// Arrival number of the first slot.
    first_slot: u64,
    last_seq: FxHashMap<u32, u64>,
    /// Records missing from the sequences.
    lost: u64,
    /// Losses told by the counters that no sequence has shown yet.
    early: u64,
    released_ns: u64,
}

impl ReorderBuffer {
    /// Holds events back for `window_ns`.
    pub fn new(window_ns: u64) -> Self {
        ReorderBuffer {
            window_ns,
            pending: BinaryHeap::new(),
            slots: VecDeque::new(),
            first_slot: 0,
            last_seq: FxHashMap::default(),
            lost: 0,
            early: 0,
            released_ns: 0,
        }
    }

    /// Takes a record of the ring buffer. A jump in its CPU's sequence puts an
    /// [`EventsLost`] before it.
    pub fn push(&mut self, stamped: Stamped) {
        let Stamped { cpu, seq, event } = stamped;
        let last = self.last_seq.insert(cpu, seq).unwrap_or(0);
        let count = seq.saturating_sub(last).saturating_sub(1);
        self.lost = self.lost.saturating_add(count);
        let new = count.saturating_sub(self.early);
        self.early = self.early.saturating_sub(count);
        if new > 0 {
            self.insert_loss(event.boot_ns, new);
        }
        self.push_unsequenced(event);
    }

    /// Takes an event that comes from elsewhere.
    pub fn push_unsequenced(&mut self, event: Event) {
        let arrival = self.first_slot + self.slots.len() as u64;
        self.pending.push(Reverse((event.boot_ns, arrival)));
        self.slots.push_back(Some(event));
    }

    /// Takes the kernel's own count of all lost records: what no later record has shown yet becomes
    /// an event of the time `boot_ns`.
    pub fn set_total_lost(&mut self, boot_ns: u64, total: u64) {
        let new = total.saturating_sub(self.lost.saturating_add(self.early));
        if new > 0 {
            self.early = self.early.saturating_add(new);
            self.insert_loss(boot_ns, new);
        }
    }

    fn insert_loss(&mut self, boot_ns: u64, count: u64) {
        let body = Body::EventsLost(EventsLost { count, ..EventsLost::default() });
        self.push_unsequenced(Event { boot_ns, task: None, body });
    }

    /// The next event in the order of time, if it is old enough at `now_ns`.
    pub fn pop_ready(&mut self, now_ns: u64) -> Option<Event> {
        let Reverse((boot_ns, _)) = *self.pending.peek()?;
        let full = self.pending.len() > CAPACITY;
        let ready = full || boot_ns.saturating_add(self.window_ns) <= now_ns;
        if ready { self.pop() } else { None }
    }

    /// Whether no event is held back.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Everything that is left, in the order of time.
    pub fn flush(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.pop()).collect()
    }

    fn pop(&mut self) -> Option<Event> {
        let Reverse((_, arrival)) = self.pending.pop()?;
        let slot = usize::try_from(arrival - self.first_slot).ok()?;
        let mut event = self.slots.get_mut(slot)?.take()?;
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first_slot += 1;
        }
        self.released_ns = self.released_ns.max(event.boot_ns);
        event.boot_ns = self.released_ns;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use forktrace_model::event::{ProcessExit, Task};

    fn event(boot_ns: u64, tid: u32) -> Event {
        let task = Some(Task { pid: tid, tid, comm: String::new() });
        Event { boot_ns, task, body: Body::ProcessExit(ProcessExit::default()) }
    }

    fn tids(events: &[Event]) -> Vec<u32> {
        events.iter().filter_map(|event| Some(event.task.as_ref()?.tid)).collect()
    }

    #[test]
    fn events_leave_in_the_order_of_time_once_the_window_is_over() {
        let mut order = ReorderBuffer::new(10);
        order.push(Stamped { cpu: 0, seq: 1, event: event(20, 1) });
        order.push(Stamped { cpu: 1, seq: 1, event: event(15, 2) });
        assert_eq!(order.pop_ready(24), None);
        assert_eq!(order.pop_ready(25).unwrap().boot_ns, 15);
        assert_eq!(order.pop_ready(29), None);
        assert_eq!(order.pop_ready(30).unwrap().boot_ns, 20);
    }

    #[test]
    fn equal_times_keep_their_order_of_arrival() {
        let mut order = ReorderBuffer::new(0);
        for tid in 1..6 {
            order.push_unsequenced(event(7, tid));
        }
        assert_eq!(tids(&order.flush()), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_late_event_is_kept_under_the_time_of_the_latest() {
        let mut order = ReorderBuffer::new(0);
        order.push_unsequenced(event(50, 1));
        assert_eq!(order.pop_ready(50).unwrap().boot_ns, 50);
        order.push_unsequenced(event(40, 2));
        assert_eq!(order.pop_ready(50).unwrap().boot_ns, 50);
    }

    #[test]
    fn numbers_that_no_cpu_counts_to_are_taken() {
        let mut order = ReorderBuffer::new(0);
        for cpu in 0..3 {
            order.push(Stamped { cpu, seq: u64::MAX, event: event(1, 1) });
        }
        order.set_total_lost(2, u64::MAX);
        assert_eq!(tids(&order.flush()).len(), 3);
    }

    #[test]
    fn too_many_pending_events_are_released_early() {
        let mut order = ReorderBuffer::new(u64::MAX);
        for at in 0..=CAPACITY as u64 {
            order.push_unsequenced(event(at, 1));
        }
        assert_eq!(order.pop_ready(0).unwrap().boot_ns, 0);
        assert_eq!(order.pop_ready(0), None);
    }

    #[test]
    fn a_loss_told_early_is_not_told_again_by_the_sequence() {
        let lost = |events: Vec<Event>| -> Vec<u64> {
            let counts = events.iter().filter_map(|event| match &event.body {
                Body::EventsLost(lost) => Some(lost.count),
                _ => None,
            });
            counts.collect()
        };
        let mut order = ReorderBuffer::new(0);
        order.push(Stamped { cpu: 0, seq: 1, event: event(1, 1) });
        order.set_total_lost(2, 3);
        order.set_total_lost(3, 3);
        assert_eq!(lost(order.flush()), [3]);
        order.push(Stamped { cpu: 0, seq: 7, event: event(4, 1) });
        assert_eq!(lost(order.flush()), [2], "five are missing, three were told");
        order.set_total_lost(5, 5);
        assert_eq!(lost(order.flush()), [0u64; 0]);
    }

    proptest! {
        /// CPUs write in the order of time each, lose some records, and arrive interleaved.
        #[test]
        fn streams_are_merged_and_every_loss_is_counted(
            records in proptest::collection::vec((0u32..4, any::<bool>()), 1..200),
            picks in proptest::collection::vec(0usize..4, 200),
        ) {
            let mut queues = vec![VecDeque::new(); 4];
            let mut seqs = [0u64; 4];
            let mut last_kept = [0u64; 4];
            for (at, (cpu, kept)) in (1u64..).zip(&records) {
                let index = *cpu as usize;
                seqs[index] += 1;
                if *kept {
                    last_kept[index] = seqs[index];
                    let event = event(at, at as u32);
                    queues[index].push_back(Stamped { cpu: *cpu, seq: seqs[index], event });
                }
            }
            let mut kept_per_cpu = [0u64; 4];
            for (index, queue) in queues.iter().enumerate() {
                kept_per_cpu[index] = queue.len() as u64;
            }
            let expected: Vec<u32> = (1u32..)
                .zip(&records)
                .filter(|(_, (_, kept))| *kept)
                .map(|(at, _)| at)
                .collect();
            let mut order = ReorderBuffer::new(1_000);
            let mut picks = picks.into_iter().cycle();
            while queues.iter().any(|queue| !queue.is_empty()) {
                let start = picks.next().unwrap();
                let queue = (0..4).map(|i| (start + i) % 4).find(|i| !queues[*i].is_empty());
                order.push(queues[queue.unwrap()].pop_front().unwrap());
            }
            let events = order.flush();
            prop_assert_eq!(tids(&events), expected);
            let shown: u64 = events
                .iter()
                .map(|event| match &event.body {
                    Body::EventsLost(lost) => lost.count,
                    _ => 0,
                })
                .sum();
            let missing: u64 = last_kept.iter().zip(kept_per_cpu).map(|(last, kept)| last - kept).sum();
            prop_assert_eq!(shown, missing);
            // The counters tell the same and what was lost at the end, and nothing twice.
            let trailing: u64 = seqs.iter().zip(last_kept).map(|(seq, last)| seq - last).sum();
            order.set_total_lost(1_000, missing + trailing);
            prop_assert_eq!(order.flush().len(), usize::from(trailing > 0));
        }
    }
}
