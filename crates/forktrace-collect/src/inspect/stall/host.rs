//! What is known of all processes of the host: who has which file open and which memory mapped. Each
//! part is read at its first use, once.

use std::{
    cell::OnceCell,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    time::{Duration, Instant},
};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    file_locks::{self, FileLock},
    files::{self, Info, Link, Object},
    rings,
    unix_sockets::{self, UnixSocket},
};
use crate::inspect::{
    Error,
    kcmp::{self, Shared},
    pages, proc_text, scan,
};

/// How long one part may take to be read, and the most files that are looked at.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_FILES: usize = 1 << 19;
/// Most bytes that are read of the mounts.
const MOST_MOUNTS: u64 = 4 << 20;

/// A file descriptor of a process, and a thread by which its files can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) fd: i32,
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) ppid: u32,
    pub(super) group: u32,
    /// A thread of it that lives: its first one may have ended.
    pub(super) thread: u32,
    /// How many threads it has, those that have ended and are still listed included.
    threads: usize,
    /// Its start, in clock ticks since boot.
    pub(super) start: u64,
    /// It has ended, and its parent has not yet taken notice.
    pub(super) ended: bool,
}

/// The host.
#[derive(Debug, Default)]
pub(super) struct Host {
    processes: OnceCell<FxHashMap<u32, Process>>,
    files: OnceCell<Files>,
    memory: OnceCell<Memory>,
    sockets: OnceCell<FxHashMap<u64, UnixSocket>>,
    locks: OnceCell<Vec<FileLock>>,
    tracers: OnceCell<FxHashSet<u32>>,
    with_messages: OnceCell<Option<Vec<u64>>>,
    of_mounts: OnceCell<Vec<u64>>,
}

/// Who has which files open.
#[derive(Debug, Default)]
pub(super) struct Files {
    by_inode: FxHashMap<u64, Vec<Open>>,
    objects: FxHashMap<Object, Vec<Open>>,
    paths: Vec<Open>,
    /// One descriptor of each socket.
    sockets: Vec<Open>,
    /// What is registered with rings.
    in_rings: Vec<Link>,
    unread: Unread,
}

/// Who has which shared memory mapped.
#[derive(Debug, Default)]
pub(super) struct Memory {
    by_file: FxHashMap<SharedFile, Vec<u32>>,
    unread: Unread,
}

/// Of whom it is not known what they have.
#[derive(Debug, Default)]
struct Unread {
    /// Reading took too long.
    too_many: bool,
    /// A ring does not tell what is registered with it.
    ring: bool,
    /// Processes that something denies access to.
    denied: Vec<u32>,
}

/// What processes have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    Files,
    Memory,
}

/// A file in memory, by device and inode.
pub(super) type SharedFile = ((u32, u32), u64);

impl Host {
    /// All processes by pid.
    pub(super) fn processes(&self) -> &FxHashMap<u32, Process> {
        self.processes.get_or_init(|| {
            let pids = proc_text::numbers(0, "").unwrap_or_default();
            pids.into_iter().filter_map(|pid| Some((pid, process(pid)?))).collect()
        })
    }

    /// The living children of a process.
    pub(super) fn children(&self, parent: u32) -> impl Iterator<Item = (u32, Process)> {
        let of = move |(_, process): &(&u32, &Process)| process.ppid == parent && !process.ended;
        self.processes().iter().filter(of).map(|(pid, process)| (*pid, *process))
    }

    /// Whether a process traces others, whose stops it is told of as of the ends of its children.
    pub(super) fn traces(&self, pid: u32) -> bool {
        let tracers = || {
            let tracer = |pid: &u32| {
                let text = proc_text::small(*pid, &format!("{pid}/status")).ok()?;
                let line = text.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
                line.trim().parse().ok()
            };
            self.processes().keys().filter_map(tracer).collect()
        };
        self.tracers.get_or_init(tracers).contains(&pid)
    }

    pub(super) fn files(&self) -> &Files {
        self.files.get_or_init(|| Files::read(self.processes()))
    }

    pub(super) fn memory(&self) -> &Memory {
        self.memory.get_or_init(|| Memory::read(self.processes()))
    }

    /// Whether those who are known to have a file are all who have it, apart from who was handed it in a
    /// message. Who may not be read and is older than all of them did not inherit it from them.
    pub(super) fn are_all(&self, users: impl Iterator<Item = u32>, of: Whose) -> bool {
        let unread = match of {
            Whose::Files => &self.files().unread,
            Whose::Memory => &self.memory().unread,
        };
        let start = |pid: &u32| self.processes().get(pid).map(|process| process.start);
        let first = users.filter_map(|pid| start(&pid)).min();
        let older = |pid: &u32| first.zip(start(pid)).is_some_and(|(first, own)| own < first);
        !unread.too_many && !unread.ring && unread.denied.iter().all(older)
    }

    /// The other processes that run in the very memory of process `pid` (clone(2), `CLONE_VM` without
    /// `CLONE_THREAD`), of which a blocked thread's stack ends at `stack`.
    pub(super) fn sharing(&self, pid: u32, stack: u64) -> Vec<u32> {
        let Some(own) = self.processes().get(&pid) else { return Vec::new() };
        let shares = |other: &u32, process: &Process| {
            let shared = kcmp::share(own.thread, process.thread, Shared::Memory);
            let near = process.ppid == pid || own.ppid == *other;
            shared.unwrap_or_else(|| near && pages::same_memory(pid, *other, stack))
        };
        let others = self.processes().iter().filter(|(_, process)| !process.ended);
        let sharing = others.filter(|(other, process)| **other != pid && shares(other, process));
        sharing.map(|(other, _)| *other).collect()
    }

    /// All Unix sockets of this network namespace by inode.
    pub(super) fn sockets(&self) -> &FxHashMap<u64, UnixSocket> {
        self.sockets.get_or_init(unix_sockets::all)
    }

    /// Whether descriptors are on their way in messages of Unix sockets (unix(7), `SCM_RIGHTS`): who will
    /// have them is not known. Each socket of the host is looked at.
    pub(super) fn has_in_messages(&self) -> bool {
        self.with_messages().is_none_or(|sockets| !sockets.is_empty())
    }

    /// The sockets in which such messages wait, by inode; `None`: that takes too long.
    pub(super) fn with_messages(&self) -> Option<&[u64]> {
        let sockets = self.with_messages.get_or_init(|| with_messages(&self.files().sockets));
        sockets.as_deref()
    }

    /// Whether the kernel itself has the write end of a pipe: that of a mount of autofs, which asks its daemon by
    /// it (`pipe_ino=` in `autofs_show_options`, `fs/autofs/inode.c`, Linux 6.18).
    pub(super) fn is_of_a_mount(&self, pipe: u64) -> bool {
        let all = || {
            let bytes = proc_text::bytes(0, "self/mountinfo", MOST_MOUNTS).unwrap_or_default();
            pipes_of_mounts(&String::from_utf8_lossy(&bytes))
        };
        self.of_mounts.get_or_init(all).contains(&pipe)
    }

    pub(super) fn locks(&self) -> &[FileLock] {
        self.locks.get_or_init(file_locks::all)
    }
}

pub(super) fn pipes_of_mounts(text: &str) -> Vec<u64> {
    let of_autofs = text.lines().filter(|line| line.contains(" - autofs "));
    let options = of_autofs.flat_map(|line| line.split([' ', ',']));
    options.filter_map(|option| option.strip_prefix("pipe_ino=")?.parse().ok()).collect()
}

fn process(pid: u32) -> Option<Process> {
    let stat = scan::stat(pid).ok()?;
    // A leader that has ended shows as a zombie, but its process lives on with its other threads.
    let living = match stat.state {
        'Z' | 'X' => kcmp::living(pid, &threads(pid)),
        _ => Some(pid),
    };
    Some(Process {
        thread: living.unwrap_or(pid),
        threads: usize::try_from(stat.num_threads).unwrap_or(usize::MAX),
        ppid: u32::try_from(stat.ppid).ok()?,
        group: u32::try_from(stat.pgrp).ok()?,
        start: stat.starttime,
        ended: living.is_none(),
    })
}

/// Those of some sockets in which messages with descriptors wait, by inode; `None`: that takes too long.
pub(super) fn with_messages(sockets: &[Open]) -> Option<Vec<u64>> {
    let end = Instant::now() + PATIENCE;
    let mut found = Vec::new();
    for open in sockets {
        (Instant::now() <= end).then_some(())?;
        let Open { pid, tid, fd } = *open;
        let has_some = Info::of(pid, tid, fd).is_some_and(|info| info.in_messages > 0);
        if let Some((_, Link::Socket(inode))) = files::link(pid, tid, fd).filter(|_| has_some) {
            found.push(inode);
        }
    }
    Some(found)
}

fn threads(pid: u32) -> Vec<u32> {
    proc_text::numbers(pid, &format!("{pid}/task")).unwrap_or_default()
}

impl Files {
    fn read(processes: &FxHashMap<u32, Process>) -> Self {
        let mut files = Files::default();
        let end = Instant::now() + PATIENCE;
        let mut left = MOST_FILES;
        for (pid, process) in processes.iter().filter(|(_, process)| !process.ended) {
            if left == 0 || Instant::now() > end {
                files.unread.too_many = true;
                break;
            }
            for tid in tables(*pid, process) {
                files.add(*pid, tid, &mut left);
            }
        }
        files
    }

    fn add(&mut self, pid: u32, tid: u32, left: &mut usize) {
        let numbers = match proc_text::numbers(pid, &format!("{pid}/task/{tid}/fd")) {
            Ok(found) => found,
            Err(error) => {
                self.unread.add(pid, &error);
                return;
            }
        };
        for fd in numbers {
            *left = left.saturating_sub(1);
            let Ok(fd) = i32::try_from(fd) else { continue };
            let path = match fs::read_link(format!("/proc/{pid}/task/{tid}/fd/{fd}")) {
                Ok(path) => path,
                Err(error) => {
                    self.unread.add(pid, &Error::sort(pid, "file descriptors", error));
                    continue;
                }
            };
            let open = Open { pid, tid, fd };
            match Link::parse(&path.to_string_lossy()) {
                Link::Pipe(inode) => self.by_inode.entry(inode).or_default().push(open),
                Link::Socket(inode) => {
                    let all = self.by_inode.entry(inode).or_default();
                    self.sockets.extend(all.is_empty().then_some(open));
                    all.push(open);
                }
                Link::Kernel(Object::Ring) => {
                    let registered = rings::registered_with(open);
                    self.unread.ring |= registered.is_none();
                    self.in_rings.extend(registered.unwrap_or_default());
                    self.objects.entry(Object::Ring).or_default().push(open);
                }
                Link::Kernel(object) => self.objects.entry(object).or_default().push(open),
                Link::Path => self.paths.push(open),
                Link::Other => {}
            }
        }
    }

    /// Who has a pipe or a socket open. Both have inodes of one counter (`get_next_ino`, `fs/inode.c`,
    /// Linux 6.18).
    pub(super) fn of_inode(&self, inode: u64) -> &[Open] {
        self.by_inode.get(&inode).map(Vec::as_slice).unwrap_or_default()
    }

    /// Who has objects of a kind open.
    pub(super) fn of_kind(&self, object: Object) -> &[Open] {
        self.objects.get(&object).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether a pipe or a socket is registered with a ring.
    pub(super) fn is_in_ring(&self, inode: u64) -> bool {
        self.in_rings.iter().any(|link| [Link::Pipe(inode), Link::Socket(inode)].contains(link))
    }

    /// Whether an object of a kind is registered with a ring.
    pub(super) fn has_in_ring(&self, object: Object) -> bool {
        self.in_rings.contains(&Link::Kernel(object))
    }

    /// Who has files at paths open.
    pub(super) fn at_paths(&self) -> &[Open] {
        &self.paths
    }
}

impl Files {
    /// The processes that have a file of memory open, whatever name it has where they see it: they may map
    /// it. `device`: of its status; `path`: its name in `maps`.
    pub(super) fn that_have<'a>(
        &'a self,
        inode: u64,
        device: Option<u64>,
        path: &'a str,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let has = move |open: &&Open| {
            let link = format!("/proc/{}/task/{}/fd/{}", open.pid, open.tid, open.fd);
            let like = fs::read_link(&link).is_ok_and(|name| {
                name.as_os_str() == path || name.as_os_str().as_bytes().ends_with(b" (deleted)")
            });
            // The status of another file is not asked for: its file system may be a program.
            let same = || Info::of(open.pid, open.tid, open.fd)?.inode;
            let on_same = |found: fs::Metadata| device.is_none_or(|device| found.dev() == device);
            like && same().is_none_or(|found| found == inode)
                && fs::metadata(&link).is_ok_and(|found| found.ino() == inode && on_same(found))
        };
        self.paths.iter().filter(has).map(|open| open.pid)
    }
}

impl Unread {
    fn add(&mut self, pid: u32, error: &Error) {
        if matches!(error, Error::Denied { .. }) && self.denied.last() != Some(&pid) {
            self.denied.push(pid);
        }
    }
}

/// One thread for each table of file descriptors that the threads of a process have: a thread may have
/// one of its own (unshare(2), `CLONE_FILES`). One more is read where it cannot be told.
fn tables(pid: u32, process: &Process) -> Vec<u32> {
    let mut found = vec![process.thread];
    if process.threads > 1 {
        let same = |tid: u32| kcmp::share(process.thread, tid, Shared::Files) == Some(true);
        let others = threads(pid).into_iter().filter(|tid| *tid != process.thread);
        found.extend(others.filter(|tid| !same(*tid)));
    }
    found
}

impl Memory {
    fn read(processes: &FxHashMap<u32, Process>) -> Self {
        let mut memory = Memory::default();
        let end = Instant::now() + PATIENCE;
        for (pid, process) in processes.iter().filter(|(_, process)| !process.ended) {
            let pid = *pid;
            if Instant::now() > end {
                memory.unread.too_many = true;
                break;
            }
            let mut files = FxHashSet::default();
            let path = format!("{}/maps", process.thread);
            let read = proc_text::find_line(pid, &path, |line| {
                files.extend(shared_file(line));
                None::<()>
            });
            if let Err(error) = read {
                memory.unread.add(pid, &error);
            }
            for file in files {
                memory.by_file.entry(file).or_default().push(pid);
            }
        }
        memory
    }

    /// The processes that share a file's memory.
    pub(super) fn of(&self, file: SharedFile) -> &[u32] {
        self.by_file.get(&file).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The file of a line of `maps`, if it is mapped to be shared: `start-end perms offset dev inode path`.
pub(super) fn shared_file(line: &str) -> Option<SharedFile> {
    let mut fields = line.split(' ').skip(1);
    let perms = fields.next()?;
    if perms.as_bytes().get(3) != Some(&b's') {
        return None;
    }
    let (major, minor) = fields.nth(1)?.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    let device = (number(major)?, number(minor)?);
    let inode = fields.next()?.parse().ok()?;
    Some((device, inode))
}
