//! Uses of sockets.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use forktrace_common::socket::{PATH_LEN, SENT, SocketShared};
use forktrace_model::event::{PeerEnd, SocketFamily, SocketUse, SocketUser};

/// `AF_UNIX`, `AF_INET`, `AF_INET6`, `include/linux/socket.h`, Linux 6.18.
const UNIX: u32 = 1;
const INET: u32 = 2;
const INET6: u32 = 10;
/// `RCV_SHUTDOWN`, `include/net/sock.h`.
const RECEIVES_NO_MORE: u32 = 1;

pub(super) fn socket_use(shared: &SocketShared) -> SocketUse {
    let state = &shared.state;
    let (family, peer, local) = match shared.family {
        INET => (
            SocketFamily::Inet,
            SocketAddr::new(v4(&shared.peer).into(), shared.peer_port).to_string(),
            SocketAddr::new(v4(&shared.local).into(), shared.local_port).to_string(),
        ),
        INET6 => (
            SocketFamily::Inet6,
            SocketAddr::new(v6(&shared.peer).into(), shared.peer_port).to_string(),
            SocketAddr::new(v6(&shared.local).into(), shared.local_port).to_string(),
        ),
        UNIX => (SocketFamily::Unix, path(shared), String::new()),
        _ => (SocketFamily::Other, String::new(), String::new()),
    };
    let users = [&shared.user, &shared.before].into_iter().filter(|user| user.tgid != 0);
    SocketUse {
        inode: state.inode,
        family,
        peer,
        local,
        users: users.map(user).collect(),
        turns: state.turns,
        tls: state.tls != 0,
        shut_by: (state.shut_by != 0).then_some(state.shut_by),
        receives_no_more: shared.shutdown & RECEIVES_NO_MORE != 0,
        ended: (state.ended_after != 0).then_some(PeerEnd {
            after: state.ended_after,
            sent: state.ended_after_act == SENT,
            after_ns: state.ended_after_ns,
        }),
    }
}

fn user(usage: &forktrace_common::socket::SocketUse) -> SocketUser {
    SocketUser {
        pid: usage.tgid,
        fd: (usage.fd >= 0).then_some(usage.fd),
        first_ns: usage.first_ns,
        last_ns: usage.last_ns,
        sends: usage.sends,
        receives: usage.receives,
        crossings: usage.crossings,
        after_others: usage.after_others,
        failures: usage.failures,
        error: usage.error,
    }
}

fn v4(bytes: &[u8; 16]) -> Ipv4Addr {
    let [a, b, c, d, ..] = *bytes;
    Ipv4Addr::new(a, b, c, d)
}

fn v6(bytes: &[u8; 16]) -> Ipv6Addr {
    let address = Ipv6Addr::from(*bytes);
    // A server that listens for both has IPv4 addresses in this form.
    address.to_ipv4_mapped().map_or(address, |v4| v4.to_ipv6_mapped())
}

/// The name of a Unix socket; an abstract one begins with `@`, as in `/proc/net/unix`.
fn path(shared: &SocketShared) -> String {
    let length = usize::try_from(shared.path_len).unwrap_or(0).min(PATH_LEN);
    let bytes = shared.path.get(..length).unwrap_or_default();
    match bytes.split_first() {
        Some((0, name)) => format!("@{}", String::from_utf8_lossy(name)),
        _ => super::text(bytes),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use zerocopy::FromZeros as _;

    use super::*;

    #[test]
    fn addresses_are_read_by_their_family() {
        let mut shared = SocketShared::new_zeroed();
        shared.family = INET;
        shared.peer[..4].copy_from_slice(&[10, 0, 0, 5]);
        shared.peer_port = 5432;
        assert_eq!(socket_use(&shared).peer, "10.0.0.5:5432");
        shared.family = INET6;
        shared.peer = Ipv6Addr::LOCALHOST.octets();
        assert_eq!(socket_use(&shared).peer, "[::1]:5432");
        shared.family = UNIX;
        shared.path[..5].copy_from_slice(b"\0name");
        shared.path_len = 5;
        assert_eq!(socket_use(&shared).peer, "@name");
        shared.path[..5].copy_from_slice(b"/run\0");
        assert_eq!(socket_use(&shared).peer, "/run");
        shared.path_len = u32::MAX;
        assert_eq!(socket_use(&shared).peer, "/run", "no length is trusted");
    }

    #[test]
    fn who_used_it_before_is_told_once() {
        let mut shared = SocketShared::new_zeroed();
        shared.user.tgid = 71;
        shared.user.fd = -1;
        assert_eq!(socket_use(&shared).users.len(), 1);
        assert_eq!(socket_use(&shared).users.first().unwrap().fd, None);
        shared.before.tgid = 70;
        let pids: Vec<u32> = socket_use(&shared).users.iter().map(|user| user.pid).collect();
        assert_eq!(pids, [71, 70]);
    }
}
