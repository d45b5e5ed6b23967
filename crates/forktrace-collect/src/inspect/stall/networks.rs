//! Sockets of all network namespaces. Unix sockets of another one than this one's are told to a thread alone
//! that enters it.
//!
//! Where that is not allowed, the list of its sockets (`/proc/<pid>/net/unix`) still shows that there is a
//! socket, but not who has its other end.

use std::{fs, path::PathBuf};

use rustc_hash::FxHashMap;

use super::{
    host::Host,
    tcp_sockets::{self, Peer},
    unix_sockets::{self, UnixSocket},
};
use crate::inspect::proc_text;

/// Runs something in the network namespace of a process, in a thread of its own. `false`: it was not run.
pub type InNetworkOf = fn(u32, &mut (dyn FnMut() + Send)) -> bool;

/// What is known of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Known(UnixSocket),
    /// It is a Unix socket, but it is not known with which one it is connected.
    Unknown,
    /// No Unix socket, or one to which anybody may send.
    Outside,
}

/// The sockets of other network namespaces than this one's.
#[derive(Debug)]
pub(super) struct Networks {
    enter: InNetworkOf,
    /// By what `/proc/<pid>/ns/net` points to.
    others: FxHashMap<PathBuf, FxHashMap<u64, UnixSocket>>,
    /// The other ends of TCP connections, of each network namespace.
    tcp: FxHashMap<PathBuf, FxHashMap<u64, Peer>>,
}

impl Networks {
    pub(super) fn new(enter: InNetworkOf) -> Self {
        Networks { enter, others: FxHashMap::default(), tcp: FxHashMap::default() }
    }

    /// A socket that process `pid` has open, or its other end.
    pub(super) fn find(&mut self, host: &Host, pid: u32, inode: u64) -> Found {
        let own = host.sockets();
        let other = || self.of_network(pid)?.get(&inode).copied();
        match own.get(&inode).copied().or_else(other) {
            Some(socket) if socket.open_to_all => Found::Outside,
            Some(socket) => Found::Known(socket),
            None if is_listed(pid, inode) => Found::Unknown,
            None => Found::Outside,
        }
    }

    /// The other end of a TCP connection that process `pid` has open, where that is in the same network
    /// namespace.
    pub(super) fn tcp_peer(&mut self, pid: u32, inode: u64) -> Option<Peer> {
        let network = network_of(&pid.to_string())?;
        let peers = self.tcp.entry(network).or_insert_with(|| tcp_sockets::peers(pid));
        peers.get(&inode).copied()
    }

    /// The sockets of the network namespace of a process, if that is another one than this one's.
    fn of_network(&mut self, pid: u32) -> Option<&FxHashMap<u64, UnixSocket>> {
        let network = network_of(&pid.to_string())?;
        if Some(&network) == network_of("self").as_ref() {
            return None;
        }
        let enter = self.enter;
        let sockets = self.others.entry(network).or_insert_with(|| {
            let mut sockets = FxHashMap::default();
            enter(pid, &mut || sockets = unix_sockets::all());
            sockets
        });
        Some(sockets)
    }
}

fn network_of(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/net")).ok()
}

/// Whether the list of a process's network namespace has a Unix socket of this inode to which not anybody
/// may send.
fn is_listed(pid: u32, inode: u64) -> bool {
    let is_it = |line: &str| is_line_of(line, inode).then_some(());
    proc_text::find_line(pid, &format!("{pid}/net/unix"), is_it).is_ok_and(|found| found.is_some())
}

/// `__SO_ACCEPTCON`, `include/uapi/linux/net.h`: it listens.
const LISTENS: u32 = 1 << 16;
const SOCK_DGRAM: u32 = 2;

/// `Num RefCount Protocol Flags Type St Inode Path` (`unix_seq_show`, `net/unix/af_unix.c`, Linux 6.18).
fn is_line_of(line: &str, inode: u64) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(3);
    let mut hex = || u32::from_str_radix(fields.next()?, 16).ok();
    let (flags, kind, _state) = (hex(), hex(), hex());
    let is_it = fields.next().and_then(|field| field.parse().ok()) == Some(inode);
    let takes_messages = kind == Some(SOCK_DGRAM) && fields.next().is_some();
    is_it && flags.is_some_and(|flags| flags & LISTENS == 0) && !takes_messages
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::{fd::AsRawFd as _, unix::net::UnixStream};

    use super::*;

    #[test]
    fn lines_of_the_list_are_read() {
        let pair = "0000000000000000: 00000003 00000000 00000000 0001 03 4711";
        assert!(is_line_of(pair, 4711) && !is_line_of(pair, 471));
        let accepted = format!("{pair} /run/socket");
        assert!(is_line_of(&accepted, 4711), "whoever has the other end alone may send");
        let listens = "0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/socket";
        assert!(!is_line_of(listens, 4711));
        let messages = "0000000000000000: 00000002 00000000 00000000 0002 01 4711";
        assert!(is_line_of(messages, 4711) && !is_line_of(&format!("{messages} @name"), 4711));
        for len in 0..pair.len() {
            assert!(!is_line_of(&pair[..len], 4711));
        }
    }

    #[test]
    fn the_list_shows_a_socket_of_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let path = fs::read_link(format!("/proc/self/fd/{}", one.as_raw_fd())).unwrap();
        let inode = path.to_str().unwrap().trim_start_matches("socket:[").trim_end_matches(']');
        let inode = inode.parse().unwrap();
        assert!(is_listed(std::process::id(), inode));
        let mut networks = Networks::new(|_, _| false);
        let found = networks.find(&Host::default(), std::process::id(), inode);
        assert!(matches!(found, Found::Known(socket) if socket.peer.is_some()));
        assert_eq!(networks.find(&Host::default(), std::process::id(), 1), Found::Outside);
    }
}
