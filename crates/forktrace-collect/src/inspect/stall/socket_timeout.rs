//! For how long a call that uses a socket waits for it: `SO_RCVTIMEO` and `SO_SNDTIMEO` of socket(7).
//!
//! No file of `/proc` tells them. A copy of the descriptor does (pidfd_getfd(2), since Linux 5.6), which
//! is closed again at once and is used for nothing else.

use std::os::fd::OwnedFd;

use forktrace_model::event::stall::Way;
use nix::sys::{
    socket::{getsockopt, sockopt},
    time::TimeVal,
};
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use super::files::{self, Link};
use crate::inspect::kcmp::{self, Shared};

/// For how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timeout {
    /// For ever, or the file is no socket: other files have no such time.
    None,
    Some,
    Unknown,
}

/// Of a descriptor of thread `tid` of process `pid`.
pub(super) fn of(pid: u32, tid: u32, fd: i32, way: Way) -> Timeout {
    match files::link(pid, tid, fd) {
        Some((_, Link::Socket(_))) => {}
        // What cannot be read is found to be so again.
        _ => return Timeout::None,
    }
    let Ok(copy) = copied(pid, tid, fd) else { return Timeout::Unknown };
    let time = match way {
        Way::Write => getsockopt(&copy, sockopt::SendTimeout),
        Way::Read | Way::Wake | Way::Release | Way::Exit => {
            getsockopt(&copy, sockopt::ReceiveTimeout)
        }
    };
    match time {
        Ok(time) if time == TimeVal::new(0, 0) => Timeout::None,
        Ok(_) => Timeout::Some,
        Err(_) => Timeout::Unknown,
    }
}

/// A copy of the descriptor of a thread: by its process, if that shows the same ones.
fn copied(pid: u32, tid: u32, fd: i32) -> Result<OwnedFd, Errno> {
    let same = pid == tid || kcmp::share(pid, tid, Shared::Files) == Some(true);
    let (id, flags) = match same {
        true => (pid, PidfdFlags::empty()),
        // `PIDFD_THREAD`, since Linux 6.9.
        false => (tid, PidfdFlags::from_bits_retain(libc::O_EXCL as u32)),
    };
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    pidfd_getfd(pidfd_open(id, flags)?, fd, PidfdGetfdFlags::empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{
        os::{fd::AsRawFd as _, unix::net::UnixStream},
        process,
        time::Duration,
    };

    use super::*;

    #[test]
    fn a_sockets_timeout_is_read_from_outside() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let own = process::id();
        let read = |way| of(own, own, socket.as_raw_fd(), way);
        assert_eq!((read(Way::Read), read(Way::Write)), (Timeout::None, Timeout::None));
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        assert_eq!((read(Way::Read), read(Way::Write)), (Timeout::Some, Timeout::None));
        socket.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(read(Way::Write), Timeout::Some);
    }

    #[test]
    fn other_files_have_none_and_a_process_that_is_gone_has_no_copy() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let own = process::id();
        assert_eq!(of(own, own, reader.as_raw_fd(), Way::Read), Timeout::None);
        assert_eq!(copied(u32::MAX, u32::MAX, 0).unwrap_err(), Errno::SRCH);
    }
}
