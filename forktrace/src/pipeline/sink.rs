//! Where events and findings go.

use std::io;

use forktrace_model::{event::Event, finding::Finding, hazards::Reason};

use super::{Follow, Step};

/// The event that is being taken, and what it meant.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The event.
    pub event: &'a Event,
    /// What it changed and led to.
    pub step: &'a Step,
    /// Model and judge, which have taken it already.
    pub follow: &'a Follow,
}

/// Takes what comes out of the pipeline, in the order of time. An error ends the trace: a sink that can
/// do without its output keeps the error to itself.
pub trait Sink {
    /// Whether [`Step::identity`] is read.
    fn needs_identity(&self) -> bool {
        false
    }

    /// Takes an event.
    ///
    /// # Errors
    /// When the output cannot be written; likewise below.
    fn event(&mut self, at: &At<'_>) -> io::Result<()>;

    /// Takes a new finding, or a stronger one about a wait that was reported already.
    #[expect(clippy::missing_errors_doc, reason = "as above; likewise below")]
    fn finding(&mut self, _finding: &Finding, _at: &At<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Takes that a wait about which there was a finding has ended, after so many ns.
    #[expect(clippy::missing_errors_doc, reason = "as above")]
    fn resumed(&mut self, _finding: &Finding, _waited_ns: u64, _at: &At<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Takes that evidence has led to no finding.
    #[expect(clippy::missing_errors_doc, reason = "as above")]
    fn no_finding(&mut self, _reason: Reason, _at: &At<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Everything that one event meant has been taken.
    #[expect(clippy::missing_errors_doc, reason = "as above")]
    fn settled(&mut self, _follow: &Follow) -> io::Result<()> {
        Ok(())
    }

    /// Does what is due. A live trace calls it ten times a second.
    #[expect(clippy::missing_errors_doc, reason = "as above")]
    fn tick(&mut self, _follow: &Follow) -> io::Result<()> {
        Ok(())
    }

    /// Writes out everything that is buffered, after the last event.
    #[expect(clippy::missing_errors_doc, reason = "as above")]
    fn end(&mut self, _follow: &Follow) -> io::Result<()> {
        Ok(())
    }

    /// Whether nobody reads the output any more.
    fn is_gone(&self) -> bool {
        false
    }
}

/// A sink that may be switched off.
impl<S: Sink> Sink for Option<S> {
    fn needs_identity(&self) -> bool {
        self.as_ref().is_some_and(S::needs_identity)
    }

    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.event(at))
    }

    fn finding(&mut self, finding: &Finding, at: &At<'_>) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.finding(finding, at))
    }

    fn resumed(&mut self, finding: &Finding, waited_ns: u64, at: &At<'_>) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.resumed(finding, waited_ns, at))
    }

    fn no_finding(&mut self, reason: Reason, at: &At<'_>) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.no_finding(reason, at))
    }

    fn settled(&mut self, follow: &Follow) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.settled(follow))
    }

    fn tick(&mut self, follow: &Follow) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.tick(follow))
    }

    fn end(&mut self, follow: &Follow) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.end(follow))
    }

    fn is_gone(&self) -> bool {
        self.as_ref().is_some_and(S::is_gone)
    }
}
