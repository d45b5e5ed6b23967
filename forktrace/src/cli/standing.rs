//! Waits that had begun before tracing did, and processes that were forked before.
//!
//! The programs see a wait begin. One that is already under way is found by reading what every
//! thread is doing, once, in the background, and put into the programs' own table: from there on it
//! is a wait like any other, and its end is seen.

use forktrace_common::maps::WaitState;
use rustc_hash::FxHashSet;
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::{
    inspect::late::{self, Found, Standing},
    kernel::{self, Maps},
    model::Process,
};

/// What was found at the attach.
#[derive(Debug)]
pub(super) struct Before {
    sender: mpsc::UnboundedSender<Found>,
    receiver: mpsc::UnboundedReceiver<Found>,
    forked: FxHashSet<u32>,
    asked: Vec<u32>,
}

impl Before {
    /// `asked`: processes asked for by their pid.
    pub(super) fn new(asked: Vec<u32>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Before { sender, receiver, forked: FxHashSet::default(), asked }
    }

    /// Looks at these processes in the background.
    pub(super) fn search(&self, pids: Vec<u32>) {
        let (sender, asked) = (self.sender.clone(), self.asked.clone());
        spawn_blocking(move || {
            let found = late::find(&pids, &asked, kernel::boot_ns());
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(found);
        });
    }

    /// What a search has found, when it is over.
    pub(super) async fn found(&mut self) -> Found {
        match self.receiver.recv().await {
            Some(found) => found,
            // Cannot be: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// Takes what was found: puts the waits that still go on into the programs' table.
    pub(super) fn take(&mut self, found: Found, maps: &mut Maps) {
        for one in self.take_forked(found) {
            let wait = state(&one);
            // In this order: a wait that ends after it was looked at again takes its entry with it.
            if maps.add_found_wait(&wait) && !late::still_stands(&one) {
                maps.remove_found_wait(&wait);
            }
        }
    }

    /// Notes who was forked before, and returns the waits that were found, for those who do not keep
    /// waits in the programs' table.
    pub(super) fn take_forked(&mut self, found: Found) -> Vec<Standing> {
        self.forked.extend(found.forked);
        found.standing
    }

    /// Whether a process was found to have been forked before tracing began.
    pub(super) fn is_forked(&self, pid: u32) -> bool {
        self.forked.contains(&pid)
    }

    /// Whether the process may hang on a lock that it inherited in a fork that was not seen.
    pub(super) fn concerns(&self, process: &Process, wait: &WaitState) -> bool {
        let unseen = process.fork.is_none() && process.exec.is_none();
        let pid = process.pid;
        unseen && (wait.found != 0 || self.forked.contains(&pid))
    }
}

fn state(one: &Standing) -> WaitState {
    WaitState {
        enter_ns: one.wait.enter_ns,
        uaddr: one.wait.uaddr,
        val: one.wait.val,
        op: one.wait.op,
        timed: u32::from(one.wait.timed),
        tgid: one.task.pid,
        tid: one.task.tid,
        restarting: 0,
        found: 1,
    }
}
