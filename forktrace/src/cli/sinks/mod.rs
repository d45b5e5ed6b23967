//! What the command line does with events and findings: text or JSON on stdout, a log in files.

mod json;
mod recording;
mod text;
mod visible;

use crate::report::reasons;
use std::io::{self, Write};

use crate::{
    cli::failure::say,
    pipeline::{At, Follow, Sink},
};
use forktrace_model::{event::Body, finding::Finding, hazards::Reason};

#[cfg(feature = "top")]
pub(super) use self::recording::known;
pub(super) use self::{json::Json, recording::Recording, text::Text, visible::Visible};

/// Where text goes.
pub(super) type Out = Box<dyn Write>;

/// Whether an event tells of a long wait of a forked child that has a timeout. Such waits are not
/// sampled, so that nothing else tells why they are no findings.
fn is_long_timed_wait(at: &At<'_>) -> bool {
    let (Body::FutexWait(wait), Some(task)) = (&at.event.body, &at.event.task) else {
        return false;
    };
    let process = at.follow.model().live(task.pid);
    let is_forked = process.is_some_and(|process| process.inherited().is_some());
    wait.wait.timed && wait.result.is_none() && !wait.over && is_forked
}

fn say_why(at: &At<'_>, reason: Reason) {
    if let Some(task) = &at.event.task {
        say(&format!("{}[{}] waits: {}", task.comm, task.tid, reasons::text(reason)));
    }
}

/// The outputs of one run.
pub(super) struct Outputs {
    /// The event log on stdout.
    pub(super) json: Option<Json>,
    /// The event log in files.
    pub(super) recording: Option<Recording>,
    pub(super) text: Option<Text>,
    /// Which findings are shown and counted.
    pub(super) visible: Visible,
    /// Say why a wait led to no finding.
    pub(super) reasons: bool,
}

impl Outputs {
    /// Does the same with each.
    fn each(&mut self, mut what: impl FnMut(&mut dyn Sink) -> io::Result<()>) -> io::Result<()> {
        what(&mut self.json)?;
        what(&mut self.recording)?;
        what(&mut self.text)
    }
}

impl Sink for Outputs {
    fn needs_identity(&self) -> bool {
        self.json.needs_identity() || self.recording.needs_identity()
    }

    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        if self.reasons && is_long_timed_wait(at) {
            say_why(at, Reason::Timed);
        }
        self.each(|sink| sink.event(at))
    }

    fn finding(&mut self, finding: &Finding, at: &At<'_>) -> io::Result<()> {
        self.each(|sink| sink.finding(finding, at))
    }

    fn resumed(&mut self, finding: &Finding, waited_ns: u64, at: &At<'_>) -> io::Result<()> {
        self.each(|sink| sink.resumed(finding, waited_ns, at))
    }

    fn no_finding(&mut self, reason: Reason, at: &At<'_>) -> io::Result<()> {
        if self.reasons {
            say_why(at, reason);
        }
        self.each(|sink| sink.no_finding(reason, at))
    }

    fn settled(&mut self, follow: &Follow) -> io::Result<()> {
        self.each(|sink| sink.settled(follow))
    }

    fn tick(&mut self, follow: &Follow) -> io::Result<()> {
        self.each(|sink| sink.tick(follow))
    }

    fn end(&mut self, follow: &Follow) -> io::Result<()> {
        self.each(|sink| sink.end(follow))
    }

    fn is_gone(&self) -> bool {
        self.json.is_gone() || self.text.is_gone()
    }
}
