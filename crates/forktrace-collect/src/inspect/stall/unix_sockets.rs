//! Which Unix sockets are connected with which, as the kernel tells over netlink (sock_diag(7)).
//!
//! It tells of the sockets of one network namespace: that of the thread that asks.

use std::os::fd::AsRawFd as _;

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
        sockopt,
    },
    time::{TimeVal, TimeValLike as _},
};
use rustc_hash::FxHashMap;

/// A Unix socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UnixSocket {
    /// The inode of the other end.
    pub(super) peer: Option<u64>,
    /// It has a name, or was accepted by one that has: then it has the name of that one
    /// (`unix_stream_connect`, `net/unix/af_unix.c`, Linux 6.18).
    pub(super) named: bool,
    /// Anybody may send to it, or connect to it: it listens, or takes single messages and has a name.
    pub(super) open_to_all: bool,
}

/// `include/uapi/linux/netlink.h` and `sock_diag.h`, Linux 6.18.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLMSG_DONE: u16 = 3;
const NLMSG_ERROR: u16 = 2;
const HEADER: usize = 16;
/// `include/uapi/linux/unix_diag.h`: what is asked for, and the attributes that tell it.
const SHOW_NAME_AND_PEER: u32 = 1 | 4;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_PEER: u16 = 2;
/// Bytes of a `struct unix_diag_msg`.
const MESSAGE: usize = 16;
const AF_UNIX: u8 = 1;
const SOCK_DGRAM: u8 = 2;
/// `TCP_LISTEN`, `include/net/tcp_states.h`.
const LISTEN: u8 = 10;

/// Most bytes of one answer, and most answers.
const ANSWER: usize = 64 << 10;
const ANSWERS: usize = 1024;

/// All Unix sockets of this thread's network namespace by inode; none where the kernel does not tell.
pub(super) fn all() -> FxHashMap<u64, UnixSocket> {
    let mut found = FxHashMap::default();
    // What was told until something failed may lack sockets, which are then taken for unknown.
    let _ = ask(&mut found);
    found
}

fn ask(found: &mut FxHashMap<u64, UnixSocket>) -> nix::Result<()> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&netlink, sockopt::ReceiveTimeout, &TimeVal::seconds(1))?;
    send(netlink.as_raw_fd(), &request(), MsgFlags::empty())?;
    let mut answer = vec![0; ANSWER];
    for _ in 0..ANSWERS {
        let len = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        if len == 0 || parse(answer.get(..len).unwrap_or_default(), found) {
            break;
        }
    }
    Ok(())
}

/// A `struct nlmsghdr` and a `struct unix_diag_req` for all sockets.
fn request() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(40_u32.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([AF_UNIX, 0, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(SHOW_NAME_AND_PEER.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes
}

/// Takes an answer. True: it was the last one.
pub(super) fn parse(mut bytes: &[u8], found: &mut FxHashMap<u64, UnixSocket>) -> bool {
    while let (Some(len), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let len = len as usize;
        if matches!(kind, NLMSG_DONE | NLMSG_ERROR) || len < HEADER {
            return true;
        }
        if kind == SOCK_DIAG_BY_FAMILY {
            found.extend(bytes.get(HEADER..len).and_then(message));
        }
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

/// A `struct unix_diag_msg` with its attributes.
fn message(bytes: &[u8]) -> Option<(u64, UnixSocket)> {
    let (kind, state) = (*bytes.get(1)?, *bytes.get(2)?);
    let inode = u64::from(word(bytes, 4)?);
    let mut socket = UnixSocket { open_to_all: state == LISTEN, ..UnixSocket::default() };
    let mut rest = bytes.get(MESSAGE..)?;
    while let (Some(len), Some(name)) = (half(rest, 0), half(rest, 2)) {
        let len = usize::from(len);
        match name {
            _ if len < 4 => break,
            UNIX_DIAG_PEER => {
                socket.peer = word(rest, 4).map(u64::from).filter(|inode| *inode != 0)
            }
            UNIX_DIAG_NAME => {
                socket.named = true;
                socket.open_to_all |= kind == SOCK_DGRAM;
            }
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Some((inode, socket))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}
