//! Putting into the trace what is alive already.

use std::{collections::BTreeSet, io};

use super::{Live, REORDER_NS};
use crate::cli::{
    failure::{Failure, say},
    filter::Narrowed,
};
use forktrace_collect::inspect;
use forktrace_model::event::Body;

impl Live {
    /// Puts a command that waits for its release into the trace, under the name that it will have.
    ///
    /// # Errors
    /// When the table of traced processes is full or the output cannot be written.
    pub(in crate::cli) fn adopt_command(&mut self, pid: u32, name: &str) -> Result<(), Failure> {
        self.kernel.maps.trace(pid)?;
        let now = forktrace_collect::clock::boot_ns();
        if let Ok(mut event) = inspect::scan::snapshot(pid, now, false) {
            if let (Some(task), Body::ProcessSnapshot(snapshot)) =
                (&mut event.task, &mut event.body)
            {
                task.comm = name.to_owned();
                snapshot.exe = None;
                snapshot.command = true;
                for thread in &mut snapshot.threads {
                    thread.comm = name.to_owned();
                }
            }
            self.order.push_unsequenced(event);
        }
        Ok(self.release()?)
    }

    /// Puts processes that are alive already into the trace, with all their descendants unless
    /// `alone`.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(in crate::cli) fn adopt(&mut self, roots: &[u32], alone: bool) -> Result<(), Failure> {
        let mut known = BTreeSet::new();
        // A child made between the look at /proc and the entry of its parent in the map is found
        // by looking again; one made later is followed by the kernel.
        loop {
            let tree =
                if alone { roots.to_vec() } else { inspect::scan::tree(roots).unwrap_or_default() };
            let new: Vec<u32> = tree.into_iter().filter(|pid| known.insert(*pid)).collect();
            if new.is_empty() {
                break;
            }
            for pid in &new {
                self.kernel.maps.trace(*pid)?;
            }
        }
        let pids: Vec<u32> = known.into_iter().collect();
        self.snapshot(&pids, None)?;
        self.adopted_ns = Some(forktrace_collect::clock::boot_ns());
        self.before.search(pids);
        Ok(())
    }

    /// Puts every process of the host into the trace.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(in crate::cli) fn adopt_all(&mut self) -> io::Result<()> {
        let pids = everybody();
        self.kernel_tasks.look();
        self.snapshot(&pids, None)?;
        self.adopted_ns = Some(forktrace_collect::clock::boot_ns());
        self.before.search(pids);
        Ok(())
    }

    /// Says what of the filter nothing fits, once all are known that were alive at the attach.
    pub(super) fn say_unfit(&mut self) {
        let known = |adopted_ns: &mut u64| *adopted_ns + REORDER_NS <= self.drained_ns;
        if self.adopted_ns.take_if(known).is_some()
            && let Some(unfit) = self.narrowed.as_ref().and_then(Narrowed::unfit)
        {
            say(&unfit);
        }
    }
}

pub(super) fn everybody() -> Vec<u32> {
    let own = std::process::id();
    inspect::scan::all().unwrap_or_default().into_iter().filter(|pid| *pid != own).collect()
}
