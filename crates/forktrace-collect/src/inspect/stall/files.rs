//! What file descriptors stand for: the links in `/proc/<pid>/fd` and the text in `fdinfo`.

use std::fs;

use super::polled;
use crate::inspect::proc_text;
use forktrace_model::event::stall::Way;

/// What a file descriptor is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::inspect) enum Link {
    /// A pipe without a name, by its inode.
    Pipe(u64),
    /// A socket, by its inode.
    Socket(u64),
    /// One of the kernel's own objects, by their kind.
    Kernel(Object),
    /// Anything at a path.
    Path,
    /// Anything else.
    Other,
}

/// Objects of the kernel that are files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::inspect) enum Object {
    Eventfd,
    Timerfd,
    Epoll,
    Pidfd,
    /// An io_uring, by which the kernel may write to an eventfd.
    Ring,
    /// Another one by which it may: KVM.
    Signaller,
    Other,
}

impl Link {
    /// By its text (`fs/pipe.c`, `net/socket.c`, `anon_inode_getfile`; `pidfs` since Linux 6.9).
    pub(in crate::inspect) fn parse(text: &str) -> Self {
        let inode = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix(']')?.parse().ok();
        if let Some(inode) = inode("pipe:[") {
            return Link::Pipe(inode);
        }
        if let Some(inode) = inode("socket:[") {
            return Link::Socket(inode);
        }
        match text.strip_prefix("anon_inode:") {
            Some("[eventfd]") => Link::Kernel(Object::Eventfd),
            Some("[timerfd]") => Link::Kernel(Object::Timerfd),
            Some("[eventpoll]") => Link::Kernel(Object::Epoll),
            Some("[pidfd]") => Link::Kernel(Object::Pidfd),
            Some("[io_uring]") => Link::Kernel(Object::Ring),
            Some(name) if name.starts_with("kvm-") => Link::Kernel(Object::Signaller),
            Some(_) => Link::Kernel(Object::Other),
            None if inode("pidfd:[").is_some() => Link::Kernel(Object::Pidfd),
            None if text.starts_with('/') => Link::Path,
            None => Link::Other,
        }
    }
}

/// A thread's file descriptor: its text and what it is of.
pub(in crate::inspect) fn link(pid: u32, tid: u32, fd: i32) -> Option<(String, Link)> {
    let path = fs::read_link(format!("/proc/{pid}/task/{tid}/fd/{fd}")).ok()?;
    let text = path.to_string_lossy().into_owned();
    let link = Link::parse(&text);
    Some((text, link))
}

/// What is needed of a `fdinfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::inspect) struct Info {
    /// How it was opened, `O_ACCMODE` of its flags; `None`: not known.
    pub(in crate::inspect) mode: Option<u64>,
    /// Its inode, since Linux 5.14.
    pub(in crate::inspect) inode: Option<u64>,
    /// An eventfd's number (`eventfd_show_fdinfo`, `fs/eventfd.c`, since Linux 5.2).
    pub(in crate::inspect) eventfd: Option<u64>,
    /// Whether a timerfd is armed (`timerfd_show`, `fs/timerfd.c`, Linux 6.18).
    pub(in crate::inspect) armed: Option<bool>,
    /// The process of a pidfd (`pidfd_show_fdinfo`, `fs/pidfs.c`); `Some(0)`: it has ended.
    pub(in crate::inspect) pid: Option<u32>,
    /// The files that an epoll instance watches (`ep_show_fdinfo`, `fs/eventpoll.c`, Linux 6.18).
    pub(in crate::inspect) watched: Vec<Watched>,
    /// How many descriptors are in messages that wait in a Unix socket, or in a connection that it has not
    /// yet accepted (`unix_show_fdinfo`, `net/unix/af_unix.c`, Linux 6.18).
    pub(in crate::inspect) in_messages: u64,
    /// The locks that come of this descriptor, as device and inode (`show_fd_locks`, `fs/locks.c`).
    pub(in crate::inspect) locks: Vec<String>,
}

/// A file that an epoll instance watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inspect) struct Watched {
    /// The number by which it was added.
    pub(in crate::inspect) fd: i32,
    pub(in crate::inspect) events: u32,
    /// Its inode; `None`: not told.
    pub(in crate::inspect) inode: Option<u64>,
}

impl Watched {
    pub(in crate::inspect) fn ways(&self) -> impl Iterator<Item = Way> + use<> {
        polled::ways(self.events)
    }
}

/// `O_ACCMODE`, `include/uapi/asm-generic/fcntl.h`, Linux 6.18.
const ACCESS: u64 = 3;
/// Most bytes of a `fdinfo` that are read: an epoll instance has a line for each file.
const MOST: u64 = 256 << 10;

/// The `fdinfo` of a thread's file descriptor.
pub(in crate::inspect) fn text(pid: u32, tid: u32, fd: i32) -> Option<String> {
    let bytes = proc_text::bytes(pid, &format!("{pid}/task/{tid}/fdinfo/{fd}"), MOST).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

impl Info {
    /// That of a thread's file descriptor.
    pub(in crate::inspect) fn of(pid: u32, tid: u32, fd: i32) -> Option<Self> {
        Some(Info::parse(&text(pid, tid, fd)?))
    }

    pub(in crate::inspect) fn parse(text: &str) -> Self {
        let mut info = Info::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name {
                "flags" => info.mode = u64::from_str_radix(value, 8).ok().map(|all| all & ACCESS),
                "ino" => info.inode = value.parse().ok(),
                "eventfd-id" => info.eventfd = value.parse().ok(),
                "it_value" => info.armed = armed(value),
                "Pid" => {
                    info.pid = value.parse::<i64>().ok().map(|pid| u32::try_from(pid).unwrap_or(0))
                }
                "tfd" => info.watched.extend(watched(value)),
                "scm_fds" => info.in_messages = value.parse().unwrap_or(0),
                "lock" => info.locks.extend(locked(value)),
                _ => {}
            }
        }
        info
    }

    /// Whether it can be read from and be written to.
    pub(in crate::inspect) fn ends(&self) -> (bool, bool) {
        // Not known: both.
        (self.mode != Some(1), self.mode != Some(0))
    }
}

/// `(seconds, nanoseconds)` until it fires.
fn armed(value: &str) -> Option<bool> {
    let (seconds, ns) = value.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let zero = |text: &str| text.trim().parse::<u64>().map(|number| number == 0).ok();
    Some(!(zero(seconds)? && zero(ns)?))
}

/// `<fd> events: <hex> data: <hex>  pos:<n> ino:<hex> sdev:<hex>`.
fn watched(value: &str) -> Option<Watched> {
    let fd = value.split_whitespace().next()?.parse().ok()?;
    let field = |name: &str| {
        let rest = value.split_once(name)?.1.trim_start();
        rest.split_whitespace().next()
    };
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let events = u32::try_from(hex(field("events:")?)?).ok()?;
    Some(Watched { fd, events, inode: field("ino:").and_then(hex) })
}

/// `1: FLOCK  ADVISORY  WRITE 12345 08:01:131090 0 EOF`: the sixth word is the file.
fn locked(value: &str) -> Option<String> {
    let file = value.split_whitespace().nth(5)?;
    is_file(file).then(|| file.to_owned())
}

/// Whether a word is a device and an inode, `08:01:131090`.
pub(in crate::inspect) fn is_file(word: &str) -> bool {
    let parts: Vec<&str> = word.split(':').collect();
    let hex = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.len() == 3 && parts.iter().all(hex)
}
