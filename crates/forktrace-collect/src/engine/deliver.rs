//! Handing events on, and what follows from each.

use std::io;

use forktrace_model::{
    event::{Body, Event},
    model::{Change, ProcId},
};

use super::{Consumer, Engine, Known as _, kernel_tasks::Means, later, lock_observations};
use crate::{clock, inspect};

impl<C: Consumer> Engine<C> {
    /// Hands on every event that is in its final order.
    pub(super) fn release(&mut self) -> io::Result<()> {
        while let Some(event) = self.intake.pop() {
            self.deliver(event)?;
        }
        Ok(())
    }

    pub(super) fn deliver(&mut self, mut event: Event) -> io::Result<()> {
        match self.tracked.kernel_tasks.take(&event) {
            Means::Process => {}
            Means::Kernel => return Ok(()),
            Means::Helper(pid) => {
                if let Ok(parent) = inspect::scan::snapshot(pid, event.boot_ns, false) {
                    self.consumer.event(&parent)?;
                }
            }
        }
        if let Body::FileLock(act) = &event.body
            && !later::is_of_concern(act, self.consumer.known().wanted())
        {
            return Ok(());
        }
        if let Body::EventsLost(lost) = &mut event.body {
            let dropped = self.kernel.maps.counters().dropped;
            lost.by_kind = self.tracked.losses.explain(lost.count, &dropped);
        }
        for change in self.consumer.event(&event)? {
            if let Change::Ended(id) = change {
                self.process_ended(id);
            }
        }
        self.waits.concluded(&event, &self.consumer, clock::boot_ns());
        self.lost_threads.consider(&event, self.consumer.known().wanted());
        self.later.consider(&event, self.consumer.known().wanted());
        self.open_files.consider(&event);
        self.buffers.consider(&event);
        // When the child is due is known from here on.
        if matches!(event.body, Body::ProcessFork(_)) {
            self.pace.stir();
        }
        if let Some(locks) = &self.kernel.locks {
            lock_observations::consider(locks, &event);
        }
        self.tracked.credentials.consider(&event);
        Ok(())
    }

    fn process_ended(&mut self, id: ProcId) {
        let pid = self.consumer.known().everything().get(id).map(|process| process.pid);
        let Some(pid) = pid else { return };
        // With a filter a process has another id there.
        if let Some(process) = self.consumer.known().wanted().latest(pid) {
            self.waits.forget(process.id);
            self.generators.forget(process.id);
            self.later.forget(process.id);
        }
        // What is in the maps by this number may be of the next one by now.
        if !self.kernel.exit_tells_last_thread && !inspect::scan::lives(pid) {
            self.forget(pid);
        }
        self.buffers.forget(pid);
        self.kernel.forget_locks(pid);
    }
}
