//! Recordings around findings.
//!
//! The trace is recorded all the time, in two files at most, of which the older one is deleted each time that
//! a new one begins. At a finding the files that are there get a second name, and so do those that follow for
//! a while: they are kept, and what is recorded goes on.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use forktrace_log::{Format, Recorder, Rotation};
use forktrace_model::finding::{Confidence, Finding};
use jiff::Timestamp;

use crate::{
    cli::{
        failure::{Failure, cause},
        sinks::Recording,
    },
    pipeline::{At, Follow, Sink},
    serve::journal::{Journal, Level},
};

/// In front of the names of files that are deleted again.
const RING: &str = "ring-";
/// In front of the names of files that are kept.
const KEPT: &str = "finding-";
/// The end of all their names.
const END: &str = ".jsonl.zst";

/// What is kept, and for how long.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// The folder.
    pub(super) folder: PathBuf,
    /// At least so long before a finding, and after it.
    pub(super) time: Duration,
    /// Bytes of a file, at most.
    pub(super) size: u64,
    /// The newest recordings.
    pub(super) recordings: usize,
}

/// Records all the time.
pub(super) struct Archive {
    recording: Recording,
    limits: Limits,
    journal: Journal,
    /// The recording that is being kept: its name, and until when files are added to it.
    keeping: Option<(String, Instant)>,
    failed: bool,
}

impl Archive {
    /// Opens the first file. Files that a forktrace before left there and did not mean to keep are deleted.
    pub(super) fn open(limits: Limits, journal: Journal) -> Result<Self, Failure> {
        let path = limits.folder.join(format!("{RING}{}{END}", Timestamp::now().as_second()));
        let cannot = |error: io::Error| Failure::CannotWrite {
            path: limits.folder.clone(),
            cause: cause(&error),
        };
        for old in names(&limits.folder, RING).map_err(cannot)? {
            // The next one that is opened says what is wrong.
            let _ = fs::remove_file(limits.folder.join(old));
        }
        let rotation = Rotation { size: Some(limits.size), time: Some(limits.time), keep: Some(2) };
        let recorder = Recorder::open(&path, Format::Zstd, rotation, None).map_err(cannot)?;
        let recording = Recording::new(recorder);
        Ok(Archive { recording, limits, journal, keeping: None, failed: false })
    }

    /// Lines that could not be written.
    pub(super) fn unwritten(&self) -> u64 {
        self.recording.unwritten()
    }

    /// How many recordings are kept from now on.
    pub(super) fn keep_newest(&mut self, recordings: usize) {
        self.limits.recordings = recordings;
        self.delete_old();
    }

    /// Gives the files that are there a name that stays.
    fn keep(&mut self) {
        let Some((name, until)) = &self.keeping else { return };
        let (mut failure, is_over) = (None, Instant::now() >= *until);
        for file in self.recording.files() {
            match fs::hard_link(file, kept_path(&self.limits.folder, name, file)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = failure.filter(|_| !self.failed) {
            self.failed = true;
            let folder = self.limits.folder.display();
            let text = format!("cannot keep a recording in {folder}: {}", cause(&error));
            self.journal.say(Level::Warning, text);
        }
        if is_over {
            self.keeping = None;
            self.delete_old();
        }
    }

    fn delete_old(&self) {
        let folder = &self.limits.folder;
        let Ok(names) = names(folder, KEPT) else { return };
        let recording = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let mut recordings: Vec<String> = names.iter().map(|name| recording(name)).collect();
        recordings.sort();
        recordings.dedup();
        let excess = recordings.len().saturating_sub(self.limits.recordings);
        let old = recordings.get(..excess).unwrap_or_default();
        for name in names.iter().filter(|name| old.contains(&recording(name))) {
            let _ = fs::remove_file(folder.join(name));
        }
    }
}

/// `finding-….2.jsonl.zst` for `ring-….2.jsonl.zst`.
fn kept_path(folder: &Path, name: &str, file: &Path) -> PathBuf {
    let ring = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let part = ring.strip_suffix(END).and_then(|stem| stem.rsplit('.').next()).unwrap_or("1");
    folder.join(format!("{name}.{part}{END}"))
}

/// Names of files that begin like this, sorted.
fn names(folder: &Path, begin: &str) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        names.filter(|name| name.starts_with(begin) && name.ends_with(END)).collect();
    names.sort();
    Ok(names)
}

impl Sink for Archive {
    fn needs_identity(&self) -> bool {
        true
    }

    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        self.recording.event(at)
    }

    fn finding(&mut self, finding: &Finding, at: &At<'_>) -> io::Result<()> {
        self.recording.finding(finding, at)?;
        if finding.confidence > Confidence::Suspect {
            let until = Instant::now() + self.limits.time;
            let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
            let name = match self.keeping.take() {
                Some((name, _)) => name,
                None => format!("{KEPT}{time}-{}", finding.subject.pid),
            };
            self.keeping = Some((name, until));
            self.keep();
        }
        Ok(())
    }

    fn settled(&mut self, follow: &Follow) -> io::Result<()> {
        self.recording.settled(follow)
    }

    fn tick(&mut self, follow: &Follow) -> io::Result<()> {
        self.recording.tick(follow)?;
        self.keep();
        Ok(())
    }

    fn end(&mut self, follow: &Follow) -> io::Result<()> {
        self.recording.end(follow)?;
        self.keep();
        // Without a finding nothing of it is to stay.
        for file in self.recording.files() {
            let _ = fs::remove_file(file);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{pipeline::Pipeline, serve::journal};
    use forktrace_log::{Input, LineKind, Reader};

    static LOG: &[u8] = include_bytes!("../../../tests/golden/prefork.jsonl");

    fn files(folder: &Path, begin: &str) -> usize {
        names(folder, begin).unwrap().len()
    }

    /// Records a log with a finding, if `whole`.
    fn record(folder: &Path, whole: bool) {
        let limits =
            Limits { folder: folder.into(), time: Duration::ZERO, size: 1 << 20, recordings: 2 };
        let journal = Journal::start(journal::Format::Text).unwrap();
        let archive = Archive::open(limits, journal).unwrap();
        let mut follow = Follow::default();
        follow.keep_evidence();
        let mut pipeline = Pipeline::new(follow, archive);
        for line in Reader::new(Input::new(LOG).unwrap()) {
            match line.unwrap().kind {
                LineKind::Event(event) => drop(pipeline.event(&event).unwrap()),
                _ if whole => {}
                _ => break,
            }
            if !whole && pipeline.judge().hangs() {
                break;
            }
        }
        pipeline.end().unwrap();
    }

    #[test]
    fn a_smaller_number_of_recordings_is_taken_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let limits =
            Limits { folder: folder.into(), time: Duration::ZERO, size: 1 << 20, recordings: 3 };
        let journal = Journal::start(journal::Format::Text).unwrap();
        let mut archive = Archive::open(limits, journal).unwrap();
        for second in 1..=3 {
            let name = format!("finding-19700101T00000{second}Z-1.1.jsonl.zst");
            fs::write(folder.join(name), "old").unwrap();
        }
        archive.keep_newest(3);
        assert_eq!(files(folder, KEPT), 3);
        archive.keep_newest(1);
        assert_eq!(names(folder, KEPT).unwrap(), ["finding-19700101T000003Z-1.1.jsonl.zst"]);
    }

    #[test]
    fn what_is_around_findings_is_kept_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("ring-1.7.jsonl.zst"), "old").unwrap();
        record(folder, true);
        assert_eq!(files(folder, RING), 0);
        let first = names(folder, KEPT).unwrap();
        assert!(!first.is_empty(), "there are findings in it");
        let path = folder.join(&first[0]);
        let input = Input::new(fs::File::open(&path).unwrap()).unwrap();
        let lines: Vec<_> = Reader::new(input).collect();
        assert!(lines.len() > 10 && lines.iter().all(Result::is_ok));
        for old in
            ["finding-19700101T000000Z-1.1.jsonl.zst", "finding-19700101T000001Z-2.3.jsonl.zst"]
        {
            fs::write(folder.join(old), "old").unwrap();
        }
        record(folder, true);
        let now = names(folder, KEPT).unwrap();
        assert!(now.iter().all(|name| !name.starts_with("finding-1970")), "{now:?}");
    }
}
