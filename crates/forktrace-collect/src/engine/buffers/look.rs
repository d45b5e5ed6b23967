//! One look: the buffers that a child inherited with something in them, and what became of it. All of this
//! blocks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use forktrace_common::maps::Touch;
use forktrace_model::{
    buffers::{self, Unwritten, Wrote},
    event::{BufferKind, BufferSide, BufferState},
    model::Process,
};

use crate::{
    clock,
    inspect::{buffered, leaving::Code, scan},
    kernel::{ForkRecords, Remains},
};

/// How long code that was found in a process is taken for what it still has, and of how many processes it is
/// kept.
const FRESH: Duration = Duration::from_secs(10);
const MOST_KNOWN: usize = 32;

/// Code by process: many children of one are looked at.
static CODE: Mutex<BTreeMap<u32, (Instant, Arc<Code>)>> = Mutex::new(BTreeMap::new());

fn code_of(pid: u32) -> Arc<Code> {
    let known = || CODE.lock().unwrap_or_else(PoisonError::into_inner);
    let fresh = |at: &Instant| at.elapsed() < FRESH;
    if let Some((_, code)) = known().get(&pid).filter(|(at, _)| fresh(at)) {
        return Arc::clone(code);
    }
    let code = Arc::new(Code::of(pid));
    if *code == Code::default() {
        // It has gone.
        return code;
    }
    let mut known = known();
    known.retain(|_, (at, _)| fresh(at));
    if known.len() < MOST_KNOWN {
        known.insert(pid, (Instant::now(), Arc::clone(&code)));
    }
    code
}

/// Types of files that were seen in a process, by its pid and the type's address, and when.
static TYPES: Mutex<BTreeMap<(u32, u64), Instant>> = Mutex::new(BTreeMap::new());

/// Whether a buffer of Python is one by its type in process `pid`, or, if that has gone, by what was seen there a
/// moment ago.
fn is_file_of(pid: u32, buffer: &Unwritten) -> bool {
    let key = (pid, buffer.class);
    let mut types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    types.retain(|_, at| at.elapsed() < FRESH);
    let is_one = buffered::is_python(pid, buffer);
    if is_one == Some(true) && types.len() < MOST_KNOWN {
        types.insert(key, Instant::now());
    }
    is_one.unwrap_or_else(|| types.contains_key(&key))
}

/// Most pages of one child that are searched, and most buffers of it.
const MOST_PAGES: usize = 4096;
const MOST_FOUND: usize = 16;
/// Size of a page, bytes.
const PAGE: u64 = forktrace_common::maps::PAGE_SIZE as u64;

/// A child, by its pid and the time of its fork.
pub(super) type Child = (u32, u64);

/// A child that is to be looked at.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Subject {
    pub(in crate::engine) pid: u32,
    pub(super) comm: String,
    /// `CLOCK_BOOTTIME` of its fork, ns.
    pub(in crate::engine) fork_ns: u64,
    /// The process that forked, whether it lives or not, and its name.
    pub(super) by: (u32, String),
}

impl Subject {
    /// `None`: it does not have the memory that it inherited.
    pub(super) fn of(process: &Process) -> Option<Self> {
        let fork = process.inherited()?;
        Some(Subject {
            pid: process.pid,
            comm: process.comm.clone(),
            fork_ns: fork.boot_ns,
            by: (fork.by_pid, fork.by_comm.clone()),
        })
    }

    pub(super) fn child(&self) -> Child {
        (self.pid, self.fork_ns)
    }
}

/// What a look has found.
#[derive(Debug)]
pub(in crate::engine) struct Looked {
    pub(in crate::engine) subject: Subject,
    pub(super) found: Vec<Found>,
    /// It ran code that only `exit()` runs.
    pub(super) exits: bool,
    pub(super) cut: bool,
    /// Its descriptors that are of something else than those of the process that forked.
    pub(super) elsewhere: Vec<i32>,
    /// When the child ended, `CLOCK_BOOTTIME`, ns, if it has.
    pub(in crate::engine) ended_ns: Option<u64>,
    /// When the look began, `CLOCK_BOOTTIME`, ns, and how long it took, ns.
    pub(super) began_ns: u64,
    pub(super) took_ns: u64,
}

/// A buffer that was not empty at the fork.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) buffer: Unwritten,
    pub(super) state: BufferState,
    pub(super) fd: Option<i32>,
    pub(super) file: Option<String>,
    /// What the process that forked did with it.
    pub(super) parent: BufferSide,
}

/// Looks at a child that lives.
pub(super) fn at_living(records: &ForkRecords, subject: Subject) -> Looked {
    let began_ns = clock::boot_ns();
    let (written, all) = records.written_pages(subject.pid, MOST_PAGES);
    let read = written.iter().filter_map(|page| Some((page.start, records.written_page(page)?)));
    // A page that was not written is as inherited.
    let found = buffers::in_pages(read, |at| buffered::object(subject.pid, at));
    let found: Vec<Unwritten> = found.take(MOST_FOUND).collect();
    let elsewhere = buffered::elsewhere(subject.pid, subject.by.0);
    let of_living = |buffer| of_living(records, &subject, buffer, &elsewhere);
    let found: Vec<Found> = found.into_iter().filter_map(of_living).collect();
    let took_ns = clock::boot_ns().saturating_sub(began_ns);
    tracing::debug!(
        pid = subject.pid,
        pages = written.len(),
        took_us = took_ns / 1000,
        "buffers: {found:?}"
    );
    Looked { subject, found, exits: false, cut: !all, elsewhere, ended_ns: None, began_ns, took_ns }
}

fn of_living(
    records: &ForkRecords,
    subject: &Subject,
    buffer: Unwritten,
    elsewhere: &[i32],
) -> Option<Found> {
    if is_python(&buffer) && buffered::is_python(subject.pid, &buffer) != Some(true) {
        return None;
    }
    let now = buffered::object(subject.pid, buffer.address)?;
    let mut state = buffers::state(&buffer, &now);
    let page = buffer.address & !(PAGE - 1);
    let write = |side| records.of_child(subject.pid).first_write(page, side);
    let mut code = None;
    let mut first = |write: Option<Touch>| {
        let write = write?;
        let code = code.get_or_insert_with(|| code_of(subject.pid));
        Some(by_write(code, &buffer, &write))
    };
    if state == BufferState::Emptied {
        state = match first(write(forktrace_common::maps::SIDE_CHILD)) {
            // It was thrown away.
            Some((_, Wrote::Purge)) => BufferState::Unknown,
            Some((BufferState::Written, _)) => BufferState::Written,
            _ => state,
        };
    }
    let (fd, file) = place(subject.pid, &buffer);
    if fd.is_some_and(|fd| elsewhere.contains(&fd)) {
        state = BufferState::Unknown;
    }
    let (pid, comm) = &subject.by;
    let mut parent = living_side(*pid, comm, &buffer);
    if parent.state == BufferState::Emptied {
        let write = first(write(forktrace_common::maps::SIDE_FORKER));
        if let Some((BufferState::Written, _)) = write {
            parent.state = BufferState::Written;
        }
    }
    Some(Found { buffer, state, fd, file, parent })
}

/// What a living process did with a buffer that it had at the fork.
fn living_side(pid: u32, comm: &str, buffer: &Unwritten) -> BufferSide {
    let now = buffered::object(pid, buffer.address);
    let state = now.map_or(BufferState::Unknown, |now| buffers::state(buffer, &now));
    BufferSide { pid, comm: comm.to_owned(), state }
}

/// What a first write says of a buffer, and the function that made it.
fn by_write(code: &Code, buffer: &Unwritten, write: &Touch) -> (BufferState, Wrote) {
    let function = code.wrote(write.ip, buffer);
    (buffers::by_first_write(buffer, write.address, function), function)
}

fn is_python(buffer: &Unwritten) -> bool {
    matches!(buffer.kind, BufferKind::PythonText | BufferKind::PythonBytes)
}

/// The descriptor of a buffer, and what it is of.
fn place(pid: u32, buffer: &Unwritten) -> (Option<i32>, Option<String>) {
    let fd = buffered::descriptor(pid, buffer);
    (fd, fd.and_then(|fd| buffered::file(pid, fd)))
}

/// A child that has ended, and what it left.
pub(super) struct Work {
    pub(super) subject: Subject,
    pub(super) remains: Remains,
    pub(super) ended_ns: u64,
    /// Its descriptors that were seen to be of something else than those of the process that forked.
    pub(super) elsewhere: Vec<i32>,
}

/// Reads what a child left that has ended by itself.
pub(super) fn at_ended(work: Work) -> Looked {
    let began_ns = clock::boot_ns();
    let Work { subject, remains, ended_ns, elsewhere } = work;
    let inherited = remains.buffers.get(..MOST_FOUND).unwrap_or(&remains.buffers);
    let by = &subject.by;
    let lives = Some(by.0).filter(|pid| scan::lives(*pid));
    // What was found in it for another child of a moment ago does as well.
    let mut code = match inherited.is_empty() {
        true => Arc::default(),
        false => code_of(by.0),
    };
    if *code == Code::default() {
        let class = inherited.iter().find(|one| one.kind == BufferKind::Glibc).map(|one| one.class);
        code = Arc::new(class.and_then(Code::by_class).unwrap_or_default());
    }
    let exits = remains.writes.iter().any(|write| code.is_exit(write.ip));
    let ended = Ended { code: &code, exits, remains: &remains, by, lives, elsewhere: &elsewhere };
    let found: Vec<Found> = inherited.iter().filter_map(|one| ended.found(*one)).collect();
    let took_ns = clock::boot_ns().saturating_sub(began_ns);
    tracing::debug!(
        pid = subject.pid,
        exits,
        took_us = took_ns / 1000,
        "buffers at the end: {found:?}"
    );
    Looked {
        subject,
        found,
        exits,
        cut: remains.cut,
        elsewhere,
        ended_ns: Some(ended_ns),
        began_ns,
        took_ns,
    }
}

struct Ended<'a> {
    code: &'a Code,
    exits: bool,
    remains: &'a Remains,
    by: &'a (u32, String),
    /// The process that forked, if it lives.
    lives: Option<u32>,
    elsewhere: &'a [i32],
}

impl Ended<'_> {
    fn found(&self, buffer: Unwritten) -> Option<Found> {
        let lives = self.lives;
        if is_python(&buffer) && !is_file_of(self.by.0, &buffer) {
            return None;
        }
        let (state, function) = self.first(&self.remains.writes, &buffer)?;
        let (fd, file) = lives.map_or((buffer.fd, None), |pid| place(pid, &buffer));
        let elsewhere = fd.is_some_and(|fd| self.elsewhere.contains(&fd));
        let state = match state {
            _ if function == Wrote::Purge || elsewhere => BufferState::Unknown,
            // The end by exit() writes what is still there.
            BufferState::Added | BufferState::Touched if self.exits => BufferState::Written,
            state => state,
        };
        let parent = self.parent(&buffer);
        Some(Found { buffer, state, fd, file, parent })
    }

    /// What the process that forked did with it.
    fn parent(&self, buffer: &Unwritten) -> BufferSide {
        let (pid, comm) = self.by;
        let by_write = || self.first(&self.remains.by_forker, buffer).map(|(state, _)| state);
        let mut side = match self.lives {
            Some(pid) => living_side(pid, comm, buffer),
            None => BufferSide { pid: *pid, comm: comm.clone(), state: BufferState::Unknown },
        };
        if matches!(side.state, BufferState::Emptied | BufferState::Unknown)
            && let Some(BufferState::Written) = by_write()
        {
            side.state = BufferState::Written;
        }
        side
    }

    /// What the first of these writes to the page of a buffer says of it.
    fn first(&self, writes: &[Touch], buffer: &Unwritten) -> Option<(BufferState, Wrote)> {
        let page = buffer.address & !(PAGE - 1);
        let write = writes.iter().find(|write| write.address & !(PAGE - 1) == page)?;
        Some(by_write(self.code, buffer, write))
    }
}
