//! Who takes the events of a live trace, and what the engine asks back.

use std::{collections::BTreeMap, io};

use forktrace_model::{
    event::{Counter, EndReason, Event},
    judge::{Conclusion, Unaccounted},
    model::{Change, Model, ProcId},
};

/// What is known from the events of a trace so far.
pub trait Known {
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
}

/// Takes the events of a trace in the order of their time.
pub trait Consumer {
    /// What the events have led to.
    type Known: Known;

    /// Takes the next event. Returns what it changed in [`Known::everything`].
    ///
    /// # Errors
    /// When the output cannot be written.
    fn event(&mut self, event: &Event) -> io::Result<Vec<Change>>;

    /// What is known after that.
    fn known(&self) -> &Self::Known;

    /// Does what is due: soon after each event, and once a second.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn tick(&mut self) -> io::Result<()>;

    /// Whether it is enough to ask [`Consumer::wants_end`] once a second while nothing happens.
    fn may_rest(&self) -> bool {
        true
    }

    /// Whether [`Consumer::vitals`] is to be called now; asked soon after each event, and once a second.
    fn wants_vitals(&self) -> bool {
        false
    }

    /// Takes the state of the engine itself.
    fn vitals(&mut self, _vitals: Vitals) {}

    /// Whether to give back all memory that can be read again, now; asked as [`Consumer::wants_vitals`] is.
    fn is_short_of_memory(&mut self) -> bool {
        false
    }

    /// Takes what is no event of a traced process.
    fn notice(&mut self, notice: Notice);

    /// Why tracing is to stop now, if it is.
    fn wants_end(&mut self) -> Option<EndReason>;
}

/// The state of the engine itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Records that were lost since the attach, by kind; `not_run`: runs of programs that the kernel left
    /// out.
    pub lost: BTreeMap<String, u64>,
    /// The kernel's other counts since the attach.
    pub counters: BTreeMap<Counter, u64>,
    /// For how long the look at processes that is under way has lasted, ns; `None`: none is under way.
    pub looking_ns: Option<u64>,
    /// How long each look took that has ended since the last time, ns.
    pub looks_ns: Vec<u64>,
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
        let known = consumer.known();
        Models { everything: known.everything(), wanted: known.wanted() }
    }
}
