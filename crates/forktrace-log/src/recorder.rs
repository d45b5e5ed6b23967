//! A log in one file, or in several that follow each other.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    file::open_for_writing,
    finding_line::FindingLine,
    name::{earlier_part, part_path},
    part::{Format, Part},
    writer::{Identity, Writer},
};
use forktrace_model::event::{Body, Event, EventsLost, Resync, Rotated};

/// How long a line may wait to be handed to the operating system.
const FLUSH: Duration = Duration::from_secs(1);
/// How long to go on with the present file where a new one cannot be opened.
const RETRY: Duration = Duration::from_secs(10);

/// When a log goes on in a new file.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// When the file has this many bytes.
    pub size: Option<u64>,
    /// After this long.
    pub time: Option<Duration>,
    /// How many files are kept; the oldest are deleted.
    pub keep: Option<usize>,
}

impl Rotation {
    /// Whether it ever does.
    pub fn is_on(&self) -> bool {
        self.size.is_some() || self.time.is_some()
    }
}

/// An event that repeats what was told before, and whose it is.
pub type Carried = (Event, Option<Identity>);

/// Records a trace.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    format: Format,
    owner: Option<(u32, u32)>,
    rotation: Rotation,
    writer: Writer<Part>,
    clock_offset_ns: i64,
    /// The trace's first event; that of every file is made from it.
    start: Option<Event>,
    /// Number of the present file, from 1.
    part: u32,
    began: Instant,
    flushed: Instant,
    not_before: Option<Instant>,
    /// Size of the present file with what was carried over into it.
    carried: u64,
    files: VecDeque<Written>,
    earlier: Totals,
    /// Lines that were missing when the log was last mended.
    told: u64,
    last_ns: u64,
    said: bool,
}

/// A file that was written.
#[derive(Debug)]
struct Written {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Written {
    /// Deletes the file, if it is there still. Only what was written here: somebody may have put
    /// another file in its place.
    fn delete(&self) -> bool {
        let same = fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode));
        same && fs::remove_file(&self.path).is_ok()
    }
}

/// What was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Lines.
    pub lines: u64,
    /// Their bytes.
    pub raw: u64,
    /// Bytes that they take in the files, those that were deleted included.
    pub stored: u64,
    /// Lines that could not be written.
    pub unwritten: u64,
    /// Files.
    pub files: u32,
    /// Files that were deleted again.
    pub deleted: u32,
}

impl Recorder {
    /// Opens the first file. `owner`: see [`open_for_writing`].
    ///
    /// # Errors
    /// When it cannot be written, see [`open_for_writing`]. Where the log is to go on in new files,
    /// also when there are parts of an earlier one with its name: some of them would stay.
    pub fn open(
        path: &Path,
        format: Format,
        rotation: Rotation,
        owner: Option<(u32, u32)>,
    ) -> io::Result<Self> {
        if rotation.is_on()
            && let Some(part) = earlier_part(path)
        {
            let text = format!(
                "{} is a part of an earlier recording with this name; delete or move its parts, or \
                 choose another name",
                part.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let first = if rotation.is_on() { part_path(path, 1) } else { path.to_owned() };
        let (part, written) = open(&first, format, owner)?;
        let now = Instant::now();
        Ok(Recorder {
            path: path.to_owned(),
            format,
            owner,
            rotation,
            writer: Writer::new(part, 0),
            clock_offset_ns: 0,
            start: None,
            part: 1,
            began: now,
            flushed: now,
            not_before: None,
            carried: 0,
            files: VecDeque::from([written]),
            earlier: Totals::default(),
            told: 0,
            last_ns: 0,
            said: false,
        })
    }

    /// The name of the present file.
    pub fn path(&self) -> &Path {
        self.files.back().map_or(&self.path, |file| &file.path)
    }

    /// Writes one event, see [`Writer::event`]. The first one must be the trace's start.
    pub fn event(&mut self, event: &Event, identity: Option<&Identity>) {
        self.last_ns = event.boot_ns;
        match &event.body {
            Body::TraceStart(start) => {
                let mut start = start.clone();
                self.clock_offset_ns = start.clock_offset_ns;
                start.part = u32::from(self.rotation.is_on());
                let event = Event { body: Body::TraceStart(start), ..event.clone() };
                self.writer.set_clock(self.clock_offset_ns);
                // Where there is no room for it, it is no missing line: it is written later.
                begin(&mut self.writer, &event, &[]);
                self.start = Some(event);
            }
            Body::TraceEnd(end) => {
                let mut end = end.clone();
                end.unwritten = self.totals().unwritten;
                self.put(&Event { body: Body::TraceEnd(end), ..event.clone() }, identity);
            }
            _ => self.put(event, identity),
        }
    }

    /// Writes one finding, see [`Writer::finding`], and hands all to the operating system.
    pub fn finding(&mut self, finding: &FindingLine, boot_ns: u64, identity: Option<&Identity>) {
        // A part keeps its own errors.
        let _ = self.writer.finding(finding, boot_ns, identity);
        self.flush();
    }

    fn put(&mut self, event: &Event, identity: Option<&Identity>) {
        let _ = self.writer.event(event, identity);
    }

    /// Hands everything written so far to the operating system.
    pub fn flush(&mut self) {
        let _ = self.writer.flush();
        self.flushed = Instant::now();
    }

    /// Flushes if something has waited long enough. False: nothing was due.
    pub fn flush_if_due(&mut self) -> bool {
        let due = self.flushed.elapsed() >= FLUSH;
        if due {
            self.flush();
        }
        due
    }

    /// The error of a write, the first time that one fails.
    pub fn take_error(&mut self) -> Option<io::Error> {
        let error = self.writer.get_mut().take_error()?;
        let first = !self.said;
        self.said = true;
        first.then_some(error)
    }

    /// Whether lines are missing at the end that could perhaps be made up for now.
    pub fn is_broken(&self) -> bool {
        self.writer.get_ref().is_broken()
    }

    /// Goes on after a failure: tells how many lines are missing, and all that is alive. Where not
    /// even the file's first line is there, it comes first.
    pub fn mend(&mut self, carried: &[Carried]) {
        let unwritten = self.writer.get_ref().unwritten();
        let (seq, mark) = (self.writer.lines(), self.writer.get_ref().mark());
        self.writer.get_mut().retry();
        let count = unwritten.saturating_sub(self.told);
        if self.writer.get_ref().is_empty()
            && let Some(start) = &self.start
        {
            begin(&mut self.writer, start, &[]);
            // The numbers of the missing lines are left out, as after any other failure.
            self.writer.rewind(self.writer.lines() + count);
        }
        let by_kind = [("unwritten".to_owned(), count)].into();
        let processes = carried.iter().filter(|(event, _)| is_snapshot(event)).count();
        let trace = |body| Event { boot_ns: self.last_ns, task: None, body };
        let lost = trace(Body::EventsLost(EventsLost { count, by_kind }));
        let looked =
            Resync { processes: u32::try_from(processes).unwrap_or(u32::MAX), ..Resync::default() };
        let looked = trace(Body::Resync(looked));
        self.put(&lost, None);
        for (event, identity) in carried.iter().filter(|(event, _)| is_snapshot(event)) {
            self.put(event, identity.as_ref());
        }
        self.put(&looked, None);
        for (event, identity) in carried.iter().filter(|(event, _)| !is_snapshot(event)) {
            self.put(event, identity.as_ref());
        }
        self.flush();
        match self.is_broken() {
            true => {
                // Parts of it would report a loss that is reported again later.
                self.writer.get_mut().back_to(&mark);
                self.writer.rewind(seq);
            }
            false => self.told = unwritten,
        }
    }

    /// Whether the log is to go on in a new file now.
    pub fn is_due(&self) -> bool {
        if self.not_before.is_some_and(|when| Instant::now() < when) || self.is_broken() {
            return false;
        }
        let size = self.writer.get_ref().size();
        // What is carried over must not fill a file by itself.
        let full = self.rotation.size.is_some_and(|limit| size >= limit.max(2 * self.carried));
        full || self.rotation.time.is_some_and(|limit| self.began.elapsed() >= limit)
    }

    /// The time of the latest event written, `CLOCK_BOOTTIME`, ns.
    pub fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Goes on in a new file, which begins with `carried`. Where there is no room for that, the log
    /// goes on in the present file for now, and no new one is left behind.
    ///
    /// # Errors
    /// When the new file cannot be opened: the log goes on in the present one for now.
    pub fn rotate(&mut self, carried: &[Carried]) -> io::Result<()> {
        // Lines that are not in the file yet may never come to be there.
        self.flush();
        if self.is_broken() {
            return Ok(());
        }
        let next = self.part.saturating_add(1);
        let path = part_path(&self.path, next);
        let (part, written) = open(&path, self.format, self.owner).inspect_err(|_| {
            self.not_before = Some(Instant::now() + RETRY);
        })?;
        let mut writer = Writer::new(part, self.clock_offset_ns);
        if let Some(start) = self.first_line(next, carried)
            && !begin(&mut writer, &start, carried)
        {
            written.delete();
            self.not_before = Some(Instant::now() + RETRY);
            if let Some(error) = writer.get_mut().take_error() {
                self.writer.get_mut().keep_error(error);
            }
            return Ok(());
        }
        let rotated = Body::Rotated(Rotated { next });
        self.put(&Event { boot_ns: self.last_ns, task: None, body: rotated }, None);
        self.flush();
        self.earlier = self.totals();
        let mut before = std::mem::replace(&mut self.writer, writer).into_inner();
        if let Some(error) = before.take_error() {
            // The line that is missing there is counted already.
            self.writer.get_mut().keep_error(error);
        }
        self.carried = self.writer.get_ref().size();
        self.told = 0;
        self.part = next;
        self.began = Instant::now();
        self.files.push_back(written);
        self.delete_old();
        Ok(())
    }

    /// The first line of a later file.
    fn first_line(&self, part: u32, carried: &[Carried]) -> Option<Event> {
        let mut event = self.start.clone()?;
        if let Body::TraceStart(start) = &mut event.body {
            start.part = part;
            start.carried = u32::try_from(carried.len()).unwrap_or(u32::MAX);
        }
        event.boot_ns = self.last_ns;
        Some(event)
    }

    fn delete_old(&mut self) {
        let Some(keep) = self.rotation.keep else { return };
        while self.files.len() > keep.max(1) {
            let Some(old) = self.files.pop_front() else { return };
            if old.delete() {
                self.earlier.deleted += 1;
            }
        }
    }

    /// What was recorded so far.
    pub fn totals(&self) -> Totals {
        let part = self.writer.get_ref();
        let (lines, raw, stored) = part.totals();
        Totals {
            lines: self.earlier.lines + lines,
            raw: self.earlier.raw + raw,
            stored: self.earlier.stored + stored,
            unwritten: self.earlier.unwritten + part.unwritten(),
            files: self.part,
            deleted: self.earlier.deleted,
        }
    }

    /// The files that are there, the oldest first.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// The names of the first and the last file that are there.
    pub fn names(&self) -> (String, String) {
        let name = |file: Option<&Written>| {
            file.map(|file| file.path.display().to_string()).unwrap_or_default()
        };
        (name(self.files.front()), name(self.files.back()))
    }
}

fn open(path: &Path, format: Format, owner: Option<(u32, u32)>) -> io::Result<(Part, Written)> {
    let file = open_for_writing(path, owner)?;
    let metadata = file.metadata()?;
    let written = Written { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() };
    Ok((Part::new(file, format)?, written))
}

/// Writes the beginning of a file, or nothing of it. False: it could not be written.
fn begin(writer: &mut Writer<Part>, start: &Event, carried: &[Carried]) -> bool {
    let mark = writer.get_ref().mark();
    writer.rewind(0);
    // A part keeps its own errors.
    let _ = writer.event(start, None);
    for (event, identity) in carried {
        let _ = writer.event(event, identity.as_ref());
    }
    let _ = writer.flush();
    let whole = !writer.get_ref().is_broken();
    if !whole {
        writer.get_mut().back_to(&mark);
    }
    whole
}

fn is_snapshot(event: &Event) -> bool {
    matches!(event.body, Body::ProcessSnapshot(_))
}
