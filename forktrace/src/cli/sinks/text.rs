//! Text on stdout.

use std::io::{self, Write as _};

use super::{Out, Visible};
use crate::{
    pipeline::{At, Follow, Sink},
    report,
};
use forktrace_model::finding::Finding;

/// Writes lines and HANG blocks. A reader that has gone away is no error, but noted.
pub(in crate::cli) struct Text {
    /// `None`: its reader has gone away.
    text: Option<report::text::Text<Out>>,
    visible: Visible,
}

impl Text {
    pub(in crate::cli) fn new(text: report::text::Text<Out>, visible: Visible) -> Self {
        Text { text: Some(text), visible }
    }

    /// Writes text.
    ///
    /// # Errors
    /// When that fails for another reason than that nobody reads it.
    pub(in crate::cli) fn write(
        &mut self,
        write: impl FnOnce(&mut report::text::Text<Out>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(text) = &mut self.text else { return Ok(()) };
        match write(text) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.text = None;
                Ok(())
            }
            result => result,
        }
    }

    /// Writes the titles of the columns now rather than with the first line.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(in crate::cli) fn begin(&mut self) -> io::Result<()> {
        self.write(|text| {
            text.begin()?;
            text.out().flush()
        })
    }
}

impl Sink for Text {
    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        self.write(|text| text.event(at.event, at.follow.model()))
    }

    fn finding(&mut self, finding: &Finding, _: &At<'_>) -> io::Result<()> {
        match self.visible.shows(finding) {
            true => self.write(|text| text.finding(finding)),
            false => Ok(()),
        }
    }

    fn resumed(&mut self, finding: &Finding, waited_ns: u64, _: &At<'_>) -> io::Result<()> {
        match self.visible.shows(finding) {
            true => self.write(|text| text.ended(finding, waited_ns)),
            false => Ok(()),
        }
    }

    fn tick(&mut self, _: &Follow) -> io::Result<()> {
        self.write(|text| {
            text.tick()?;
            text.out().flush()
        })
    }

    fn end(&mut self, _: &Follow) -> io::Result<()> {
        self.write(|text| {
            text.count_hidden()?;
            text.out().flush()
        })
    }

    fn is_gone(&self) -> bool {
        self.text.is_none()
    }
}
