//! The text files of `/proc/<pid>`.
//!
//! Names and paths in them are chosen by the traced programs: they need not be UTF-8, and may look
//! like any other text, so lines are split before they are decoded and nothing is taken for granted.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
};

use super::{Error, Result};

/// Most bytes read of a file that is one line or a fixed set of lines.
const MAX_SMALL: u64 = 64 * 1024;
/// Most bytes of a line that are kept: a path of `PATH_MAX` bytes, each escaped as `\ooo`.
const MAX_LINE: u64 = 20 * 1024;

/// The whole of a small file below `/proc`, such as `1234/status`.
pub(super) fn small(pid: u32, path: &str) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes(pid, path, MAX_SMALL)?).into_owned())
}

/// The first `most` bytes of a file below `/proc`.
pub(super) fn bytes(pid: u32, path: &str, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(2048);
    File::open(format!("/proc/{path}"))
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|error| Error::sort(pid, "/proc", error))?;
    Ok(bytes)
}

/// The first answer of `pick` to the lines of a file below `/proc`.
pub(super) fn find_line<T>(
    pid: u32,
    path: &str,
    mut pick: impl FnMut(&str) -> Option<T>,
) -> Result<Option<T>> {
    let sort = |error| Error::sort(pid, "/proc", error);
    let mut file = BufReader::new(File::open(format!("/proc/{path}")).map_err(sort)?);
    let mut line = Vec::with_capacity(256);
    loop {
        line.clear();
        if (&mut file).take(MAX_LINE).read_until(b'\n', &mut line).map_err(sort)? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line);
        if let Some(found) = pick(text.trim_end_matches('\n')) {
            return Ok(Some(found));
        }
    }
}

/// The numbers that a folder's entries are named by (`/proc` itself, or `/proc/<pid>/task`).
pub(super) fn numbers(pid: u32, path: &str) -> Result<Vec<u32>> {
    let entries = std::fs::read_dir(format!("/proc/{path}"))
        .map_err(|error| Error::sort(pid, "/proc", error))?;
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.ok().and_then(|entry| entry.file_name().to_str()?.parse().ok())
    };
    let mut numbers: Vec<u32> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// A task's name, from its `comm`. The kernel lets any byte but NUL be in it, newlines too.
pub(super) fn comm(pid: u32, tid: u32) -> Result<String> {
    let mut text = small(pid, &format!("{pid}/task/{tid}/comm"))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// A process's effective user id: the second number of `Uid` in its `status` (proc(5)).
pub(super) fn uid(pid: u32) -> Option<u32> {
    uid_in(&small(pid, &format!("{pid}/status")).ok()?)
}

pub(super) fn uid_in(status: &str) -> Option<u32> {
    // The name comes first, with its newlines escaped, so it cannot pretend to be a field.
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A process's cgroup: its path in the one hierarchy of version 2, or where that holds nothing in
/// systemd's of version 1 (cgroups(7)).
pub(super) fn cgroup(pid: u32) -> Option<String> {
    cgroup_in(&small(pid, &format!("{pid}/cgroup")).ok()?)
}

pub(super) fn cgroup_in(text: &str) -> Option<String> {
    let path = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
    let systemd = || text.lines().find_map(|line| Some(line.split_once(":name=systemd:")?.1));
    let unified = path("0::");
    let found = unified.filter(|path| *path != "/").or_else(systemd).or(unified)?;
    Some(found.to_owned())
}

/// What a task does, as far as it is needed (`State`; `task_state_array`, `fs/proc/array.c`, Linux 6.18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// It sleeps until something wakes it (`S`).
    Sleeps,
    /// It is stopped, by a signal or by its tracer (`T`, `t`).
    Stopped,
    /// It sleeps and no signal wakes it (`D`).
    Fixed,
    /// It has ended (`Z`, `X`).
    Ended,
    /// It runs, or does something else.
    #[default]
    Other,
}

impl State {
    fn parse(value: &str) -> Self {
        match value.chars().next() {
            Some('S') => State::Sleeps,
            Some('T' | 't') => State::Stopped,
            Some('D') => State::Fixed,
            Some('Z' | 'X') => State::Ended,
            _ => State::Other,
        }
    }
}

/// Where in the kernel a task waits: the name of a function, `0` if it runs (`proc_pid_wchan`, `fs/proc/base.c`,
/// Linux 6.18); empty: it cannot be read.
pub(super) fn wait_channel(pid: u32, tid: u32) -> String {
    let place = small(pid, &format!("{pid}/task/{tid}/wchan")).unwrap_or_default();
    place.trim().to_owned()
}

/// What is needed of a task's `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Signals with a handler (`SigCgt`).
    pub(super) handlers: Option<u64>,
    /// Signals that are ignored (`SigIgn`).
    pub(super) ignored: Option<u64>,
    /// The task's id in its innermost pid namespace (last of `NSpid`).
    pub(super) ns_id: Option<u32>,
    /// What it does.
    pub(super) state: State,
    /// How often it left a CPU, by itself or not.
    pub(super) switches: Option<u64>,
    /// How often by itself: it blocked.
    pub(super) blocked: Option<u64>,
    /// A filter looks at its system calls (`Seccomp` of 2, `SECCOMP_MODE_FILTER`).
    pub(super) filtered: bool,
}

impl Status {
    /// That of one task.
    pub(super) fn of(pid: u32, tid: u32) -> Result<Self> {
        Ok(Self::parse(&small(pid, &format!("{pid}/task/{tid}/status"))?))
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut status = Status::default();
        let (mut by_itself, mut pushed) = (None, None);
        // The name comes first, with its newlines escaped, so it cannot pretend to be a field.
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name {
                "State" => status.state = State::parse(value),
                "SigCgt" => status.handlers = u64::from_str_radix(value, 16).ok(),
                "Seccomp" => status.filtered = value == "2",
                "SigIgn" => status.ignored = u64::from_str_radix(value, 16).ok(),
                "NSpid" => {
                    status.ns_id = value.split_whitespace().last().and_then(|id| id.parse().ok());
                }
                "voluntary_ctxt_switches" => by_itself = value.parse::<u64>().ok(),
                "nonvoluntary_ctxt_switches" => pushed = value.parse::<u64>().ok(),
                _ => {}
            }
        }
        status.blocked = by_itself;
        status.switches = by_itself.zip(pushed).and_then(|(a, b)| a.checked_add(b));
        status
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn status_fields_are_found_and_names_are_not_fields() {
        let text = "Name:\tSigCgt:\\n7\nState:\tS (sleeping)\nTgid:\t12\nSigIgn:\t0000000000010000\nNSpid:\t12\t3\nSigCgt:\t0000000180000002\n\
                    voluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\nSeccomp:\t2\n";
        let status = Status::parse(text);
        assert!(status.filtered && !Status::parse("Seccomp:\t1\nSeccomp_filters:\t2\n").filtered);
        assert_eq!(status.handlers, Some(0x1_8000_0002));
        assert_eq!(status.ignored, Some(1 << 16));
        assert_eq!(status.ns_id, Some(3));
        assert_eq!(status.state, State::Sleeps);
        for (text, state) in [
            ("T (stopped)", State::Stopped),
            ("t (tracing stop)", State::Stopped),
            ("R (running)", State::Other),
            ("", State::Other),
        ] {
            assert_eq!(Status::parse(&format!("State:\t{text}\n")).state, state);
        }
        assert_eq!((status.switches, status.blocked), (Some(42), Some(40)));
    }

    #[test]
    fn missing_and_odd_fields_are_unknown() {
        let odd = "SigCgt:\tzz\nNSpid:\t\nvoluntary_ctxt_switches:\t18446744073709551615\n\
                   nonvoluntary_ctxt_switches:\t1\n\n:::\n";
        let blocked = Some(u64::MAX);
        assert_eq!(Status::parse(odd), Status { blocked, ..Status::default() });
        assert_eq!(Status::parse(""), Status::default());
    }

    #[test]
    fn the_cgroup_is_the_unified_one_or_systemds() {
        let v2 = "0::/system.slice/cron.service\n";
        assert_eq!(cgroup_in(v2).unwrap(), "/system.slice/cron.service");
        let both = "2:cpu:/x\n1:name=systemd:/system.slice/a:b.scope\n0::/\n";
        assert_eq!(cgroup_in(both).unwrap(), "/system.slice/a:b.scope");
        assert_eq!(cgroup_in("0::/\n").unwrap(), "/");
        assert_eq!(cgroup_in(""), None);
    }

    #[test]
    fn own_files_are_read() {
        assert_eq!(uid(std::process::id()), Some(nix::unistd::geteuid().as_raw()));
        let pid = std::process::id();
        assert!(numbers(pid, "").unwrap().contains(&pid));
        assert!(numbers(pid, &format!("{pid}/task")).unwrap().contains(&pid));
        assert!(!comm(pid, pid).unwrap().is_empty());
        assert!(Status::of(pid, pid).unwrap().switches.is_some());
        assert!(matches!(small(u32::MAX, "4294967295/status"), Err(Error::Gone { .. })));
    }
}
