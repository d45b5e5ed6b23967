//! `forktrace top`: the processes of this host or of a recorded log as a table that is looked at.

mod batch;
mod files;
mod kept;
mod live;
mod replay;
mod screen;
mod terminal;

use std::{
    io::{IsTerminal as _, stdout},
    time::Duration,
};

use forktrace_model::event::{Body, Event};

use super::{args::TopArgs, dump, failure::Failure, output, usage};
use crate::{
    pipeline::Follow,
    report::{Clock, Style},
    top::{Arrangement, Column, Shown, State, View},
};

/// Shows a log if one is named, otherwise this host.
pub(super) fn run(args: &TopArgs) -> Result<u8, Failure> {
    if !args.batch && !stdout().is_terminal() {
        return Err(usage("stdout is not a terminal: use -b to print tables"));
    }
    if !args.batch && args.iterations.is_some() {
        return Err(usage("-n needs -b"));
    }
    match (args.files.is_empty(), args.batch) {
        (true, true) => live::batch(args),
        (true, false) => live::watch(args),
        (false, batch) => replay::run(args, batch),
    }
}

fn arrangement(args: &TopArgs) -> Arrangement {
    Arrangement {
        tree: !args.flat,
        only_findings: args.hangs,
        ended: args.ended,
        filter: String::new(),
        sort: Column::default(),
        reversed: false,
    }
}

/// How text looks: without escape codes, since the screen has its own.
fn style(args: &TopArgs) -> Style {
    let color = output::is_colored(args.color, stdout().is_terminal());
    Style { color, ascii: args.ascii, ..Style::default() }
}

fn clock(offset_ns: i64) -> Clock {
    Clock { offset_ns, zone: jiff::tz::TimeZone::system() }
}

fn view(args: &TopArgs, offset_ns: i64) -> View {
    View::new(arrangement(args), style(args), clock(offset_ns))
}

/// What the first event of a trace tells of it.
#[derive(Clone, Debug, Default)]
struct Told {
    /// What is traced, in words.
    scope: String,
    /// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`, ns.
    offset_ns: i64,
    /// How long a wait must last to be judged.
    min_wait: Duration,
    shown: Shown,
}

impl Told {
    fn of(start: &Event, args: &TopArgs) -> Self {
        let suspects = args.suspects;
        let Body::TraceStart(start) = &start.body else { return Told::default() };
        Told {
            scope: start.filter.clone(),
            offset_ns: start.clock_offset_ns,
            min_wait: Duration::from_nanos(start.min_wait_ns),
            shown: Shown { suspects, asked: start.asked.iter().copied().collect() },
        }
    }

    /// All that is known at the moment `now_ns` (`CLOCK_BOOTTIME`, ns).
    fn state(&self, follow: &Follow, now_ns: u64) -> State {
        let state = State::of(follow, &self.shown, now_ns);
        let watched = Duration::from_nanos(state.watched_ns);
        State {
            scope: self.scope.clone(),
            is_early: watched < dump::long_enough(self.min_wait),
            ..state
        }
    }
}
