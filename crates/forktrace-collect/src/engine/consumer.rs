//! Who takes the events of a live trace, and what the engine asks back.

use std::io;

use forktrace_model::{
    event::{EndReason, Event},
    judge::{Conclusion, Unaccounted},
    model::{Change, Model, ProcId},
};

/// Takes the events of a trace in the order of their time.
pub trait Consumer {
    /// Takes the next event. Returns what it changed in [`Consumer::everything`].
    ///
    /// # Errors
    /// When the output cannot be written.
    fn event(&mut self, event: &Event) -> io::Result<Vec<Change>>;

    /// All processes that the events were about.
    fn everything(&self) -> &Model;

    /// Those of them that are judged: where nothing is filtered, all.
    fn wanted(&self) -> &Model;

    /// What the latest evidence about a wait, (tid, address of the word), has led to.
    fn conclusion(&self, process: ProcId, wait: (u32, u64)) -> Option<Conclusion>;

    /// Whether there is a finding about a wait that goes on.
    fn is_open(&self, process: ProcId, wait: (u32, u64)) -> bool;

    /// The waits that are not accounted for, the longest first, as far as what was read tells.
    fn unjudged(&self) -> Vec<Unaccounted>;

    /// Does what is due: soon after each event, and once a second.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn tick(&mut self) -> io::Result<()>;

    /// Whether it is enough to ask [`Consumer::wants_end`] once a second while nothing happens.
    fn may_rest(&self) -> bool {
        true
    }

    /// Takes what is no event of a traced process.
    fn notice(&mut self, notice: Notice);

    /// Why tracing is to stop now, if it is.
    fn wants_end(&mut self) -> Option<EndReason>;
}

/// What the engine has come to know of the trace itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Everything that was alive at the attach is in the models now.
    Adopted,
    /// The command has ended, and processes that it left behind are still traced.
    LeftBehind {
        /// Its exit status.
        status: u8,
        /// How many processes.
        processes: u64,
    },
}

/// The models of a consumer.
#[derive(Clone, Copy)]
pub(super) struct Models<'a> {
    pub(super) everything: &'a Model,
    pub(super) wanted: &'a Model,
}

impl<'a> Models<'a> {
    pub(super) fn of(consumer: &'a impl Consumer) -> Self {
        Models { everything: consumer.everything(), wanted: consumer.wanted() }
    }
}
