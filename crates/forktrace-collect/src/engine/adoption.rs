//! Putting into the trace what is alive already.

use std::{collections::BTreeSet, io};

use forktrace_model::event::Body;

use super::{Consumer, Engine};
use crate::{clock, inspect, kernel};

/// Why a process could not be put into the trace.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The kernel refused it: the table of traced processes is full.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl<C: Consumer> Engine<C> {
    /// Puts a command that waits for its release into the trace, under the name that it will have.
    ///
    /// # Errors
    /// When the table of traced processes is full or the output cannot be written.
    pub fn adopt_command(&mut self, pid: u32, name: &str) -> Result<(), AdoptError> {
        self.kernel.maps.trace(pid)?;
        let now = clock::boot_ns();
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
            self.intake.push(event);
        }
        Ok(self.release()?)
    }

    /// Puts processes that are alive already into the trace, with all their descendants unless
    /// `alone`.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn adopt(&mut self, roots: &[u32], alone: bool) -> Result<(), AdoptError> {
        let mut known = BTreeSet::new();
        // A child made between the reading of /proc and the entry of its parent in the map is found
        // by reading again; one made later is followed by the kernel.
        loop {
            let tree =
                if alone { roots.to_vec() } else { inspect::scan::tree(roots).unwrap_or_default() };
            let new: Vec<u32> = tree.into_iter().filter(|pid| known.insert(*pid)).collect();
            if new.is_empty() {
                break;
            }
            for pid in &new {
                self.kernel.maps.trace(*pid)?;
                self.kernel.maps.count_socket_uses(*pid);
            }
        }
        let pids: Vec<u32> = known.into_iter().collect();
        self.snapshot(&pids, None)?;
        self.tracked.set_adopted(clock::boot_ns());
        self.waits.search(pids);
        Ok(())
    }

    /// Puts every process of the host into the trace.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn adopt_all(&mut self) -> io::Result<()> {
        let pids = everybody();
        self.tracked.kernel_tasks.read();
        for pid in &pids {
            self.kernel.maps.count_socket_uses(*pid);
        }
        self.snapshot(&pids, None)?;
        self.tracked.set_adopted(clock::boot_ns());
        self.waits.search(pids);
        Ok(())
    }
}

pub(super) fn everybody() -> Vec<u32> {
    let own = std::process::id();
    inspect::scan::all().unwrap_or_default().into_iter().filter(|pid| *pid != own).collect()
}
