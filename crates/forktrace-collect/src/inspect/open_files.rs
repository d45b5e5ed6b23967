//! What processes have open: which descriptors are of one open description, and what is done with it.

use std::fs;

use super::{
    kcmp, proc_text,
    stall::{
        files::{self, Info, Link, Object},
        look::{Doing, Look},
    },
};

/// Descriptors from this one on are looked at: the ones before are standard input and output, which
/// processes share on purpose.
const FIRST: i32 = 3;

/// Something that a process has open and that a look can tell the use of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its descriptor.
    pub fd: i32,
    /// What it is.
    pub kind: Kind,
    /// The path of a file, empty for an epoll instance.
    pub path: String,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file at a path, which may have an offset.
    File,
    /// An epoll instance.
    Epoll,
}

/// An open file's offset, and what may be done with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset {
    /// Bytes from the beginning.
    pub at: u64,
    /// The file's inode, since Linux 5.14 (`seq_show`, `fs/proc/fd.c`); 0 before.
    pub inode: u64,
    /// It can be read.
    pub reads: bool,
    /// It can be written.
    pub writes: bool,
    /// Writes go to the end, or it is no file that is read or written by an offset.
    pub unmoved: bool,
}

/// Bytes that a process has read and written since its start, by whatever call (`rchar` and `wchar` of
/// `/proc/<pid>/io`; proc_pid_io(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// `rchar`.
    pub read: u64,
    /// `wchar`.
    pub written: u64,
}

/// The files and epoll instances that a process has open, in the order of their descriptors; at most `most`
/// descriptors are looked at. Devices are left out: they have no offset, or are shared on purpose.
pub fn all(pid: u32, most: usize) -> Vec<Open> {
    let fds = proc_text::numbers(pid, &format!("{pid}/fd")).unwrap_or_default();
    let fds = fds.into_iter().filter_map(|fd| i32::try_from(fd).ok()).filter(|fd| *fd >= FIRST);
    fds.take(most).filter_map(|fd| open(pid, fd)).collect()
}

fn open(pid: u32, fd: i32) -> Option<Open> {
    let text = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?.to_string_lossy().into_owned();
    match Link::parse(&text) {
        Link::Kernel(Object::Epoll) => Some(Open { fd, kind: Kind::Epoll, path: String::new() }),
        Link::Path if !text.starts_with("/dev/") => Some(Open { fd, kind: Kind::File, path: text }),
        _ => None,
    }
}

/// Whether two descriptors of two processes are of one open description.
pub fn are_one(one: (u32, i32), other: (u32, i32)) -> bool {
    kcmp::share_file(one, other) == Some(true)
}

/// Whether a process has the same as standard input, output or errors, too.
pub fn is_standard((pid, fd): (u32, i32)) -> bool {
    (0..FIRST).any(|standard| are_one((pid, fd), (pid, standard)))
}

/// The offset of an open file.
pub fn offset(pid: u32, fd: i32) -> Option<Offset> {
    offset_in(&files::text(pid, pid, fd)?)
}

pub(super) fn offset_in(text: &str) -> Option<Offset> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim())
    };
    let flags = i32::from_str_radix(field("flags")?, 8).ok()?;
    let mode = flags & libc::O_ACCMODE;
    // A file without a name has this bit too (`O_TMPFILE`, include/uapi/asm-generic/fcntl.h, Linux 6.18).
    let is_directory = flags & libc::O_TMPFILE == libc::O_DIRECTORY;
    Some(Offset {
        at: field("pos")?.parse().ok()?,
        inode: field("ino").and_then(|inode| inode.parse().ok()).unwrap_or(0),
        reads: mode != libc::O_WRONLY,
        writes: mode != libc::O_RDONLY,
        unmoved: flags & (libc::O_APPEND | libc::O_PATH) != 0 || is_directory,
    })
}

/// How many bytes a process has read and written; `None`: it has ended, or that may not be read.
pub fn bytes(pid: u32) -> Option<Bytes> {
    bytes_in(&proc_text::small(pid, &format!("{pid}/io")).ok()?)
}

pub(super) fn bytes_in(text: &str) -> Option<Bytes> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok());
    Some(Bytes { read: field("rchar: ")?, written: field("wchar: ")? })
}

/// What an epoll instance watches: descriptor and inode of each, as they were added. The inode is that of
/// all objects without one of their own where it is an eventfd or the like. `None`: it is no such instance.
pub fn watched(pid: u32, fd: i32) -> Option<Vec<(i32, u64)>> {
    let info = Info::parse(&files::text(pid, pid, fd)?);
    Some(info.watched.iter().map(|file| (file.fd, file.inode.unwrap_or(0))).collect())
}

/// Whether a thread was seen to wait on the epoll instance of this descriptor.
pub fn waits_on(look: &Look, fd: i32) -> bool {
    matches!(&look.doing, Doing::Blocked(blocked) if blocked.epoll() == Some(fd))
}

/// Whether a process has the socket or pipe of this inode as this descriptor. `None`: it has something that an
/// inode does not tell from others.
pub fn has(pid: u32, fd: i32, inode: u64) -> Option<bool> {
    let Ok(path) = fs::read_link(format!("/proc/{pid}/fd/{fd}")) else { return Some(false) };
    match Link::parse(&path.to_string_lossy()) {
        Link::Socket(own) | Link::Pipe(own) => Some(own == inode),
        _ => None,
    }
}

/// Whether the socket of this inode listens, in the network namespace of a process (`tcp4_seq_show`,
/// `net/ipv4/tcp_ipv4.c`; `unix_seq_show`, `net/unix/af_unix.c`, Linux 6.18).
pub fn listens(pid: u32, inode: u64) -> bool {
    let found = |file: &str, is_it: fn(&str, u64) -> bool| {
        let line = |line: &str| is_it(line, inode).then_some(());
        proc_text::find_line(pid, &format!("{pid}/net/{file}"), line).is_ok_and(|it| it.is_some())
    };
    found("tcp", tcp_listens) || found("tcp6", tcp_listens) || found("unix", unix_listens)
}

/// `sl local rem st tx:rx tr:when retrnsmt uid timeout inode …`; `TCP_LISTEN` is 10.
pub(super) fn tcp_listens(line: &str, inode: u64) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(3);
    let listens = fields.next() == Some("0A");
    listens && fields.nth(5).and_then(|field| field.parse().ok()) == Some(inode)
}

/// `Num RefCount Protocol Flags Type St Inode Path`; `__SO_ACCEPTCON` is bit 16.
pub(super) fn unix_listens(line: &str, inode: u64) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(3);
    let flags = fields.next().and_then(|field| u32::from_str_radix(field, 16).ok());
    flags.is_some_and(|flags| flags & (1 << 16) != 0)
        && fields.nth(2).and_then(|field| field.parse().ok()) == Some(inode)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{
        io::{Read as _, Seek as _},
        net::TcpListener,
        os::{fd::AsRawFd as _, unix::net::UnixListener},
    };

    use super::*;

    const PID: fn() -> u32 = std::process::id;

    #[test]
    fn an_open_file_is_told_by_its_description() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"twelve bytes").unwrap();
        file.rewind().unwrap();
        let (copy, other) = (file.try_clone().unwrap(), tempfile::tempfile().unwrap());
        let at = |file: &fs::File| (PID(), file.as_raw_fd());
        assert!(are_one(at(&file), at(&copy)) && !are_one(at(&file), at(&other)));
        let before = bytes(PID()).unwrap();
        file.read_exact(&mut [0; 4]).unwrap();
        let seen = offset(PID(), copy.as_raw_fd()).unwrap();
        assert_eq!((seen.at, seen.reads, seen.writes, seen.unmoved), (4, true, true, false));
        assert!(bytes(PID()).unwrap().read >= before.read + 4);
        let opens = all(PID(), usize::MAX);
        assert!(opens.iter().any(|open| open.fd == file.as_raw_fd() && open.kind == Kind::File));
    }

    #[test]
    fn flags_and_numbers_are_read() {
        let text = "pos:\t7\nflags:\t0102001\nmnt_id:\t25\nino:\t4711\n";
        let offset = offset_in(text).unwrap();
        assert_eq!((offset.at, offset.inode, offset.reads), (7, 4711, false));
        assert!(offset.writes && offset.unmoved, "O_APPEND");
        assert_eq!(offset_in("pos:\t-1\nflags:\t0\n"), None);
        assert_eq!(offset_in(""), None);
        let io = "rchar: 12\nwchar: 34\nsyscr: 5\n";
        assert_eq!(bytes_in(io), Some(Bytes { read: 12, written: 34 }));
        assert_eq!(bytes_in("rchar: 12\n"), None);
    }

    #[test]
    fn sockets_that_listen_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(folder.path().join("socket")).unwrap();
        let connected = std::net::TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let inode = |fd: i32| {
            let link = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
            let text = link.to_str().unwrap().to_owned();
            text.trim_start_matches("socket:[").trim_end_matches(']').parse::<u64>().unwrap()
        };
        assert!(listens(PID(), inode(tcp.as_raw_fd())));
        assert!(listens(PID(), inode(unix.as_raw_fd())));
        let own = inode(connected.as_raw_fd());
        assert!(!listens(PID(), own));
        assert_eq!(has(PID(), connected.as_raw_fd(), own), Some(true));
        assert_eq!(has(PID(), connected.as_raw_fd(), own + 1), Some(false));
        assert_eq!(has(PID(), i32::MAX, own), Some(false));
    }
}
