//! The last line of a trace: what was counted, and why it ended.

use std::{collections::BTreeMap, io};

use forktrace_model::event::{
    Body, Counter, EndReason, Event, Task, TraceEnd, Unjudged, UnjudgedWait,
};

use super::{
    Consumer, Engine, buffers,
    consumer::{Known as _, Models},
    unjudged,
    waits::{self, Unfinished},
};
use crate::clock;

impl<C: Consumer> Engine<C> {
    /// Detaches nothing yet, but takes what is still in the ring and ends the log.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn finish(&mut self, reason: EndReason) -> io::Result<()> {
        while !self.intake.drain(&self.kernel.maps) {}
        self.check_losses(clock::boot_ns(), true)?;
        for event in self.waits.read_rest(Models::of(&self.consumer), clock::boot_ns()) {
            self.intake.push(event);
        }
        for event in self.lost_threads.finish(self.consumer.known().wanted(), clock::boot_ns()) {
            self.intake.push(event);
        }
        for event in self.later.finish(self.consumer.known().wanted(), clock::boot_ns()) {
            self.intake.push(event);
        }
        let models = Models::of(&self.consumer);
        for event in self.generators.finish(&self.kernel.records, models.wanted, clock::boot_ns()) {
            self.intake.push(event);
        }
        self.finish_buffers();
        for event in self.intake.flush() {
            self.deliver(event)?;
        }
        let mut counters = self.kernel.maps.counters();
        let lost = counters.lost() + self.intake.undecodable();
        let now_ns = clock::boot_ns();
        let unjudged = self.count(&mut counters.others, now_ns);
        let traced_ns = self.waits.searched_since().map(|since| now_ns.saturating_sub(since));
        let counters = counters.others.into_iter();
        let end = TraceEnd {
            reason: reason.name().into(),
            counters: counters.map(|(counter, n)| (counter.name().to_owned(), n)).collect(),
            lost,
            traced_ns: Some(traced_ns.unwrap_or(0)),
            unwritten: 0,
            conclusion: None,
            threaded_forks: Vec::new(),
        };
        // Where no wait can have been long enough, all are still being checked.
        if traced_ns.is_some_and(|traced_ns| traced_ns >= self.waits.min_wait_ns()) {
            for event in unjudged::events(&self.consumer, unjudged, &self.kernel.registers, now_ns)
            {
                self.consumer.event(&event)?;
            }
        }
        self.consumer.event(&Event { boot_ns: now_ns, task: None, body: Body::TraceEnd(end) })?;
        Ok(())
    }

    /// Reads the buffers of children that have ended a moment ago, and of those that live.
    fn finish_buffers(&mut self) {
        let models = Models::of(&self.consumer);
        let began = std::time::Instant::now();
        loop {
            let intake = &mut self.intake;
            let ended = |pid, fork_ns| intake.ends.was_read(pid, fork_ns);
            let now_ns = clock::boot_ns();
            let events = self.buffers.finish_remains(ended, now_ns);
            for event in events {
                self.intake.push(event);
            }
            if !self.intake.ends.is_reading() || began.elapsed() >= buffers::READ {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let records = &self.kernel.records;
        for event in self.buffers.finish(records, models.wanted, clock::boot_ns()) {
            self.intake.push(event);
        }
    }

    /// Adds what is counted outside of the kernel. Returns the first of the waits that it counts.
    fn count(
        &mut self,
        counters: &mut BTreeMap<Counter, u64>,
        now_ns: u64,
    ) -> Vec<(Task, UnjudgedWait)> {
        self.waits.give_up(&self.kernel, Models::of(&self.consumer), now_ns);
        let Unfinished { waiting, interrupted, mut named } =
            self.waits.unfinished(&self.kernel, &self.consumer, now_ns);
        let models = Models::of(&self.consumer);
        let denied = self.waits.denied(models);
        let of_denied = |pid: &u32| {
            let wait = UnjudgedWait { why: Unjudged::Denied, ..UnjudgedWait::default() };
            (waits::named(models, *pid, *pid), wait)
        };
        named.extend(denied.iter().take(unjudged::MOST).map(of_denied));
        counters.extend([
            (Counter::WaitsLeftOut, self.waits.left_out()),
            (Counter::WaitsNotSampled, waiting),
            (Counter::WaitsInterrupted, interrupted),
            (Counter::WaitsGone, self.waits.gone()),
            (Counter::ProcessesDenied, denied.len() as u64),
            (Counter::ProcessesOf32Bits, self.tracked.credentials.of_32_bits()),
        ]);
        if !self.tracked.scope.follow {
            counters.insert(Counter::ChildrenNotFollowed, models.wanted.counts().forks);
        }
        named
    }
}
