//! Who has a file open, and who has a lock on it.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
};

use super::{proc_text, threads};
use crate::arch::{Blocking, HOST};
use forktrace_model::event::{Doing, LockLook, LockOpener, LockSort};

/// Most descriptors of one process that are looked at.
const MOST_FDS: usize = 4096;
/// Most bytes that are read of `/proc/locks`, and of a `fdinfo`.
const MOST: u64 = 1 << 20;
/// A file that is longer is no pid file.
const LONGEST_PID_FILE: u64 = 64;
/// How a database of SQLite begins (<https://sqlite.org/fileformat.html>, 1.3).
const SQLITE: &[u8] = b"SQLite format 3\0";
/// Files that belong to one (<https://sqlite.org/tempfiles.html>, 2).
const SQLITE_ENDS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// `O_ACCMODE`, `include/uapi/asm-generic/fcntl.h`.
const ACCESS: u64 = 3;

/// Looks at a file: which of the processes `pids` have it open, and who has a POSIX lock on it. `device` as
/// in `/proc/locks`.
pub fn look(pids: &[u32], inode: u64, device: &str, sort: LockSort) -> LockLook {
    let mut look = LockLook::default();
    let file = format!("{device}:{inode}");
    look.locked_by = posix_locks(&file);
    for pid in pids {
        let fds = proc_text::numbers(*pid, &format!("{pid}/fd")).unwrap_or_default();
        for fd in fds.into_iter().take(MOST_FDS) {
            let Ok(fd) = i32::try_from(fd) else { continue };
            let Some(mut opener) = opener(*pid, fd, inode, &file, sort) else { continue };
            if sort == LockSort::Posix {
                opener.holds = look.locked_by.contains(pid);
            }
            if look.path.is_empty() {
                describe(&mut look, *pid, fd);
            }
            let known = look.openers.iter().position(|known| known.pid == *pid);
            match known {
                // One of its descriptors is enough: that with the lock.
                Some(at) if opener.holds && !look.openers[at].holds => look.openers[at] = opener,
                Some(_) => {}
                None => look.openers.push(opener),
            }
        }
    }
    look
}

/// A descriptor of the file.
fn opener(pid: u32, fd: i32, inode: u64, file: &str, sort: LockSort) -> Option<LockOpener> {
    let bytes = proc_text::bytes(pid, &format!("{pid}/fdinfo/{fd}"), MOST).ok()?;
    let info = Info::parse(&String::from_utf8_lossy(&bytes), file, sort);
    match info.inode {
        Some(known) => (known == inode).then_some(())?,
        None => {
            // Before Linux 5.14. Only paths are followed: what is behind may be far away.
            let link = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
            link.is_absolute().then_some(())?;
            let found = fs::metadata(format!("/proc/{pid}/fd/{fd}")).ok()?;
            (found.ino() == inode).then_some(())?;
        }
    }
    let link = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    // Inodes of sockets and pipes are of other devices.
    link.is_absolute().then_some(())?;
    let writes = info.mode != Some(0);
    Some(LockOpener { pid, fd, holds: info.holds, writes, waits_for_child: waits_for_child(pid) })
}

/// What is needed of a `fdinfo` (`seq_show`, `fs/proc/fd.c`, and `show_fd_locks`, `fs/locks.c`, Linux 6.18).
#[derive(Debug, PartialEq, Eq)]
struct Info {
    mode: Option<u64>,
    inode: Option<u64>,
    holds: bool,
}

impl Info {
    fn parse(text: &str, file: &str, sort: LockSort) -> Self {
        let mut info = Info { mode: None, inode: None, holds: false };
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name {
                "flags" => info.mode = u64::from_str_radix(value, 8).ok().map(|all| all & ACCESS),
                "ino" => info.inode = value.parse().ok(),
                "lock" => info.holds |= Line::parse(value).is_some_and(|line| line.is(file, sort)),
                _ => {}
            }
        }
        info
    }
}

/// A lock as `/proc` shows it: `1: FLOCK  ADVISORY  WRITE 12345 08:01:131090 0 EOF`.
struct Line<'a> {
    kind: &'a str,
    pid: Option<u32>,
    file: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace().skip(1);
        let kind = words.next()?;
        let pid = words.nth(2)?.parse::<u32>().ok().filter(|pid| *pid > 0);
        Some(Line { kind, pid, file: words.next()? })
    }

    fn is(&self, file: &str, sort: LockSort) -> bool {
        let kind = match sort {
            LockSort::Flock => "FLOCK",
            LockSort::Ofd => "OFDLCK",
            LockSort::Posix => "POSIX",
            LockSort::Other => return false,
        };
        self.kind == kind && self.file == file
    }
}

/// The processes that have a POSIX lock on a file. A line of one who waits begins otherwise.
fn posix_locks(file: &str) -> Vec<u32> {
    let bytes = proc_text::bytes(0, "locks", MOST).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter_map(Line::parse);
    let mut pids: Vec<u32> =
        lines.filter(|line| line.is(file, LockSort::Posix)).filter_map(|line| line.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Notes what the file is.
fn describe(look: &mut LockLook, pid: u32, fd: i32) {
    let place = format!("/proc/{pid}/fd/{fd}");
    let Ok(path) = fs::read_link(&place) else { return };
    look.path = path.to_string_lossy().into_owned();
    look.sqlite = SQLITE_ENDS.iter().any(|end| look.path.ends_with(end));
    // What is no regular file may block whoever opens it.
    let Ok(meta) = fs::metadata(&place) else { return };
    if !meta.is_file() {
        return;
    }
    let mut bytes = Vec::new();
    let read =
        File::open(&place).and_then(|file| file.take(LONGEST_PID_FILE).read_to_end(&mut bytes));
    if read.is_ok() {
        look.sqlite |= bytes.starts_with(SQLITE);
        look.names_pid = (meta.len() <= LONGEST_PID_FILE).then(|| pid_in(&bytes)).flatten();
    }
}

/// The number of which a text consists.
fn pid_in(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.trim_matches(['\n', ' ', '\r', '\0']).parse().ok()
}

/// A `fdinfo`, `/proc/locks` or a pid file, taken for each; for fuzz targets.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn parse(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let info = Info::parse(&text, "08:01:77", LockSort::Flock);
    assert!(info.mode.is_none_or(|mode| mode <= ACCESS));
    assert!(!info.holds || text.contains("08:01:77"));
    pid_in(data);
}

/// Whether the first thread waits for the end of a child.
fn waits_for_child(pid: u32) -> bool {
    let Doing::Syscall(number) = threads::doing(pid, pid) else { return false };
    let blocking = i64::try_from(number).ok().and_then(|number| HOST.blocking(number));
    matches!(blocking, Some(Blocking::Wait | Blocking::WaitId))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_found_in_fdinfo() {
        let text = "pos:\t0\nflags:\t0100002\nmnt_id:\t29\nino:\t77\n\
                    lock:\t1: FLOCK  ADVISORY  WRITE 41 08:01:77 0 EOF\n";
        let info = Info::parse(text, "08:01:77", LockSort::Flock);
        assert_eq!(info, Info { mode: Some(2), inode: Some(77), holds: true });
        assert!(!Info::parse(text, "08:01:78", LockSort::Flock).holds);
        assert!(!Info::parse(text, "08:01:77", LockSort::Posix).holds);
        assert!(
            Line::parse("1: -> POSIX  ADVISORY  WRITE 41 08:01:77 0 EOF")
                .is_none_or(|line| { !line.is("08:01:77", LockSort::Posix) })
        );
    }

    #[test]
    fn a_pid_file_has_a_number_and_nothing_else() {
        assert_eq!(pid_in(b"4711\n"), Some(4711));
        assert_eq!(pid_in(b"4711 x"), None);
        assert_eq!(pid_in(b""), None);
    }
}
