//! Tables, one after the other.

use std::{
    io::{self, ErrorKind, Write},
    time::{Duration, Instant},
};

use super::{Told, arrangement, clock, style};
use crate::{
    cli::{args::TopArgs, dump, failure::say, live::Watches},
    pipeline::{At, Follow, Sink},
    report::{Clock, Style},
    top::{Arrangement, State, plain},
};
use forktrace_collect::clock::boot_ns;
use forktrace_model::judge::Judge;

/// Writes a table at times.
pub(super) struct Tables<W> {
    out: W,
    how: (Arrangement, Style, Clock),
    json: bool,
    delay: Duration,
    due: Instant,
    /// Tables that are left to be written; `None`: no end.
    left: Option<u32>,
    is_gone: bool,
    told: Told,
}

impl<W: Write> Tables<W> {
    /// The first table comes when a hang can have been judged.
    pub(super) fn new(out: W, told: Told, args: &TopArgs) -> Self {
        let first = dump::long_enough(args.min_wait).max(args.delay);
        Tables {
            out,
            how: (arrangement(args), style(args), clock(told.offset_ns)),
            json: args.json,
            delay: args.delay,
            due: Instant::now() + first,
            left: args.iterations,
            is_gone: false,
            told,
        }
    }

    /// Writes one table.
    ///
    /// # Errors
    /// When it cannot be written. That nobody reads it is no error.
    pub(super) fn write(&mut self, state: &State) -> io::Result<()> {
        let (arrangement, style, clock) = &self.how;
        let written = match self.json {
            true => plain::json(&mut self.out, state, arrangement, clock),
            false => plain::table(&mut self.out, state, arrangement, *style, clock),
        };
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.is_gone = self.left == Some(0);
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_gone = true;
                Ok(())
            }
            written => written,
        }
    }
}

impl<W: Write> Sink for Tables<W> {
    fn event(&mut self, _: &At<'_>) -> io::Result<()> {
        Ok(())
    }

    fn tick(&mut self, follow: &Follow) -> io::Result<()> {
        if Instant::now() < self.due || self.is_gone {
            return Ok(());
        }
        self.due = Instant::now() + self.delay;
        self.write(&self.told.state(follow, boot_ns()))
    }

    fn is_gone(&self) -> bool {
        self.is_gone
    }
}

impl<W: Write> Watches for Tables<W> {
    fn has_found(&self, _: &Judge) -> bool {
        false
    }

    fn may_rest(&self) -> bool {
        false
    }

    fn say(&mut self, message: &str) {
        say(message);
    }
}
