//! The progress of reading a log. It is shown on a terminal, if reading takes long and nothing else is
//! printed meanwhile.

use std::{
    io::{self, IsTerminal as _, Read, Write as _},
    time::{Duration, Instant},
};

use crate::report::bytes;

/// Progress is shown when reading takes longer than this.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two updates.
const EVERY: Duration = Duration::from_millis(200);

/// Counts the bytes that are read from all files.
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    done: u64,
    began: Instant,
    /// When it was last printed.
    shown: Option<Instant>,
    enabled: bool,
}

impl Progress {
    /// `total`: bytes in all files; `quiet`: nothing is printed to stdout meanwhile.
    pub(super) fn new(total: u64, quiet: bool) -> Self {
        let free = quiet || !io::stdout().is_terminal();
        let enabled = total > 0 && free && io::stderr().is_terminal();
        Progress { total, done: 0, began: Instant::now(), shown: None, enabled }
    }

    fn add(&mut self, read: usize) {
        self.done += read as u64;
        if !self.enabled || self.began.elapsed() < PATIENCE {
            return;
        }
        if self.shown.is_none_or(|shown| shown.elapsed() >= EVERY) {
            self.shown = Some(Instant::now());
            // An error means that the terminal is gone.
            let _ = write!(io::stderr(), "\r\x1b[K{}", self.text());
        }
    }

    fn text(&self) -> String {
        let percent = self.done.saturating_mul(100) / self.total.max(1);
        format!("reading: {} % of {}", percent.min(100), bytes(self.total))
    }

    /// Removes the line from the terminal.
    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// A file that counts the bytes read from it.
pub(super) struct Counted<R> {
    pub(super) file: R,
    pub(super) progress: std::rc::Rc<std::cell::RefCell<Progress>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.progress.borrow_mut().add(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_words() {
        let mut progress = Progress::new(2_000_000_000, true);
        progress.add(500_000_000);
        assert_eq!(progress.text(), "reading: 25 % of 2.0 GB");
        progress.add(usize::MAX >> 1);
        assert_eq!(progress.text(), "reading: 100 % of 2.0 GB", "it grew meanwhile");
    }
}
