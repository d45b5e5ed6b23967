//! A recorded log, moment by moment.

use std::{io, path::PathBuf};

use super::{
    Told,
    batch::Tables,
    files,
    screen::{self, Shown},
    view,
};
use crate::{
    cli::{
        args::TopArgs, failure::Failure, filter::filter, interrupts::Interrupts, log_files,
        log_stream::Walk, output,
    },
    pipeline::{At, Follow, Pipeline, Sink, filter::Narrowed},
    top::{Ruler, Seek, State, View},
};
use forktrace_model::{event::Event, finding::Finding};

/// Reads the log, then shows it: on a screen, or as tables of moments that are equally far from each other.
pub(super) fn run(args: &TopArgs, batch: bool) -> Result<u8, Failure> {
    output::init_plain_diagnostics(args.color);
    let mut replay = Replay::read(args)?;
    if !batch {
        replay.show(replay.ruler.until_ns)?;
        let mut view = view(args, replay.told.offset_ns);
        view.set_ruler(replay.ruler.clone());
        return watch(replay, view);
    }
    let mut tables = Tables::new(io::stdout(), replay.told.clone(), args);
    let count = u64::from(args.iterations.unwrap_or(1));
    let Ruler { from_ns, until_ns, .. } = replay.ruler;
    for table in 1..=count {
        let since = u128::from(until_ns.saturating_sub(from_ns)) * u128::from(table);
        let since = u64::try_from(since / u128::from(count)).unwrap_or(u64::MAX);
        replay.show(from_ns.saturating_add(since))?;
        if let Some(state) = replay.state.take() {
            tables.write(&state)?;
        }
        if tables.is_gone() {
            break;
        }
    }
    Ok(0)
}

/// Shows a log on a screen, until somebody quits or a signal ends it.
fn watch(replay: Replay, view: View) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupts = Interrupts::new()?;
        let mut shown = Shown::begin(replay, view)?;
        tokio::select! {
            () = interrupts.next() => {}
            () = shown.ended() => {}
        }
        shown.end()
    })
}

/// A log in memory.
struct Replay {
    events: Vec<Event>,
    told: Told,
    ruler: Ruler,
    /// What the events before `next` mean.
    pipeline: Pipeline<Option<Collect>>,
    next: usize,
    /// What is known at the moment that is shown, until the screen has taken it.
    state: Option<State>,
    messages: Vec<String>,
}

impl Replay {
    fn read(args: &TopArgs) -> Result<Self, Failure> {
        let filter = filter(&args.filter)?;
        let files = log_files::in_order(&args.files)?;
        let walk = Walk::new(&files, args.memory, args.batch, |_, start| {
            let collect = Collect { told: Told::of(start, args), ..Collect::default() };
            Ok(Pipeline::new(Follow::default(), collect).narrowed(filter.map(Narrowed::new)))
        });
        let walked = walk.run()?.map(|walked| walked.pipeline.into_parts().1);
        let Collect { events, marks_ns, told } = walked.unwrap_or_default();
        let at = |event: Option<&Event>| event.map_or(0, |event| event.boot_ns);
        let (from_ns, until_ns) = (at(events.first()), at(events.last()));
        Ok(Replay {
            ruler: Ruler { from_ns, until_ns, at_ns: until_ns, marks_ns },
            told,
            events,
            pipeline: nothing_yet(),
            next: 0,
            state: None,
            messages: Vec::new(),
        })
    }

    /// Goes to a moment, `CLOCK_BOOTTIME`, ns: on from where it stands, or anew if that is later.
    fn show(&mut self, at_ns: u64) -> io::Result<()> {
        if at_ns < self.ruler.at_ns {
            (self.pipeline, self.next) = (nothing_yet(), 0);
        }
        self.ruler.at_ns = at_ns;
        while let Some(event) = self.events.get(self.next).filter(|event| event.boot_ns <= at_ns) {
            self.pipeline.event(event)?;
            self.next += 1;
        }
        self.state = Some(self.told.state(self.pipeline.follow(), at_ns));
        Ok(())
    }
}

fn nothing_yet() -> Pipeline<Option<Collect>> {
    Pipeline::new(Follow::default(), None)
}

impl screen::Source for Replay {
    fn newest(&mut self) -> Option<State> {
        self.state.take()
    }

    fn seek(&mut self, seek: Seek) -> Option<Ruler> {
        if let Err(error) = self.show(seek.on(&self.ruler)) {
            self.messages.push(error.to_string());
        }
        Some(self.ruler.clone())
    }

    fn export(&mut self, path: PathBuf) {
        self.messages.push(files::write_report(&path, self.events.iter()));
    }

    fn message(&mut self) -> Option<String> {
        self.messages.pop()
    }
}

/// Keeps events, and when findings were made.
#[derive(Debug, Default)]
struct Collect {
    events: Vec<Event>,
    marks_ns: Vec<u64>,
    told: Told,
}

impl Sink for Collect {
    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        self.events.push(at.event.clone());
        Ok(())
    }

    fn finding(&mut self, finding: &Finding, at: &At<'_>) -> io::Result<()> {
        if finding.is_shown(self.told.shown.suspects, &self.told.shown.asked) {
            self.marks_ns.push(at.event.boot_ns);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use clap::Parser as _;

    use super::{screen::Source as _, *};
    use crate::{
        cli::args::{Cli, Command},
        report::{Clock, Style},
        top::{Arrangement, plain},
    };

    fn replay() -> Replay {
        let log = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/prefork.jsonl");
        let cli = Cli::try_parse_from(["forktrace", "top", log, "-b"]).unwrap();
        let Some(Command::Top(args)) = cli.command else { panic!("another command") };
        Replay::read(&args).unwrap()
    }

    fn table(replay: &mut Replay) -> String {
        let clock = Clock { offset_ns: 0, zone: jiff::tz::TimeZone::UTC };
        let mut text = Vec::new();
        let state = replay.newest().unwrap();
        plain::table(&mut text, &state, &Arrangement::default(), Style::default(), &clock).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_moment_is_the_same_from_both_sides() {
        let mut forth = replay();
        let Ruler { from_ns, until_ns, marks_ns, .. } = forth.ruler.clone();
        assert_eq!(marks_ns.len(), 3);
        let moments: Vec<u64> = (0..=20).map(|n| from_ns + (until_ns - from_ns) / 20 * n).collect();
        forth.show(from_ns).unwrap();
        let mut tables = Vec::new();
        for moment in &moments {
            forth.show(*moment).unwrap();
            tables.push(table(&mut forth));
        }
        assert!(!tables.first().unwrap().contains("HANGS"));
        assert!(tables.last().unwrap().contains("HANGS"));
        let mut back = replay();
        back.show(until_ns).unwrap();
        for (moment, wanted) in moments.iter().zip(&tables).rev() {
            back.show(*moment).unwrap();
            assert_eq!(table(&mut back), *wanted);
        }
    }

    #[test]
    fn keys_go_from_finding_to_finding() {
        let mut replay = replay();
        replay.seek(Seek::Begin);
        for hanging in 1..=3 {
            let ruler = replay.seek(Seek::NextFinding).unwrap();
            assert!(replay.ruler.marks_ns.contains(&ruler.at_ns));
            assert!(table(&mut replay).contains(&format!("{hanging} hanging")));
        }
    }
}
