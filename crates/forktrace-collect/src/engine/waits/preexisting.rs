//! Waits that had begun before tracing did, and processes that were forked before.
//!
//! The programs see a wait begin. One that is already under way is found by reading what every
//! thread is doing, once, in the background, and put into the programs' own table: from there on it
//! is a wait like any other, and its end is seen.

use forktrace_common::maps::WaitState;
use rustc_hash::FxHashSet;
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::{
    clock,
    inspect::preexisting_waits::{self, Found, Standing},
    kernel::Maps,
};
use forktrace_model::model::Process;

/// What was found at the attach.
#[derive(Debug)]
pub(super) struct PreexistingWaits {
    sender: mpsc::UnboundedSender<Found>,
    receiver: mpsc::UnboundedReceiver<Found>,
    forked: FxHashSet<u32>,
    /// How many waits were found that are not sampled.
    left_out: u64,
    /// Processes that something denied access to.
    denied: FxHashSet<u32>,
    /// How many searches have not come to their end.
    searching: usize,
    /// When the last search was over, `CLOCK_BOOTTIME`, ns.
    searched_ns: u64,
}

impl PreexistingWaits {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        PreexistingWaits {
            sender,
            receiver,
            forked: FxHashSet::default(),
            left_out: 0,
            denied: FxHashSet::default(),
            searching: 0,
            searched_ns: clock::boot_ns(),
        }
    }

    /// Reads what these processes do, in the background.
    pub(super) fn search(&mut self, pids: Vec<u32>) {
        self.searching += 1;
        self.start(pids, false);
    }

    /// Finds out which of these processes were forked: their forks may have been lost. What was traced before goes on being so.
    pub(super) fn search_again(&mut self, pids: Vec<u32>) {
        self.start(pids, true);
    }

    fn start(&self, pids: Vec<u32>, again: bool) {
        let sender = self.sender.clone();
        spawn_blocking(move || {
            let found = match again {
                // The programs have seen their waits begin.
                true => {
                    Found { forked: preexisting_waits::forked(&pids), again, ..Found::default() }
                }
                false => preexisting_waits::find(&pids, clock::boot_ns()),
            };
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
        self.left_out = self.left_out.saturating_add(found.left_out);
        for one in self.take_forked(found) {
            let wait = state(&one);
            // In this order: a wait that ends after it was checked again takes its entry with it.
            if maps.add_found_wait(&wait) && !preexisting_waits::still_stands(&one) {
                maps.remove_found_wait(&wait);
            }
        }
    }

    /// Notes who was forked before, and returns the waits that were found: for those who do not keep
    /// waits in the programs' table, and find the others later.
    pub(super) fn take_forked(&mut self, found: Found) -> Vec<Standing> {
        self.forked.extend(found.forked);
        self.denied.extend(found.denied);
        if !found.again {
            self.searching = self.searching.saturating_sub(1);
            self.searched_ns = clock::boot_ns();
        }
        found.standing
    }

    /// Whether the process may hang on a lock that it inherited in a fork that was not seen.
    pub(super) fn concerns(&self, process: &Process) -> bool {
        let unseen = process.fork.is_none() && process.exec.is_none();
        unseen && self.forked.contains(&process.pid)
    }

    /// How many waits were found that are not sampled.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Processes, forked or perhaps so, that something denied access to.
    pub(super) fn denied(&self) -> &FxHashSet<u32> {
        &self.denied
    }

    /// Since when everything that is to be traced is, what had begun before included,
    /// `CLOCK_BOOTTIME`, ns; `None`: not yet.
    pub(super) fn searched_since(&self) -> Option<u64> {
        (self.searching == 0).then_some(self.searched_ns)
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
