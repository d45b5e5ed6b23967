//! TCP connections both ends of which are on this host, in one network namespace: each end is listed with the
//! addresses of the other one the other way round.

use rustc_hash::FxHashMap;

use crate::inspect::proc_text;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its inode.
    pub(super) inode: u64,
    /// It has sent what was not received yet.
    pub(super) sends: bool,
}

/// `TCP_ESTABLISHED`, `include/net/tcp_states.h`, Linux 6.18: neither end was closed or shut down.
const ESTABLISHED: &str = "01";
/// An IPv4 address in the list of IPv6 ones (`::ffff:a.b.c.d`; each four bytes are printed as one number of this
/// machine, `tcp6_seq_show`, `net/ipv6/tcp_ipv6.c`, Linux 6.18).
const MAPPED: &str = "0000000000000000FFFF0000";

/// Address and port, as the lists have them.
type Name = String;

/// The other ends of all connections of the network namespace of a process whose two ends are in it, by inode.
pub(super) fn peers(pid: u32) -> FxHashMap<u64, Peer> {
    let mut lists = Lists::default();
    for list in ["tcp", "tcp6"] {
        // A list that cannot be read, or that does not exist, has no connection that is known.
        let _ = proc_text::find_line(pid, &format!("{pid}/net/{list}"), |line| {
            lists.add(line);
            None::<()>
        });
    }
    lists.peers()
}

/// Connections that were listed: inode and what the other end has not yet received.
#[derive(Debug, Default)]
pub(super) struct Lists {
    ends: FxHashMap<(Name, Name), (u64, bool)>,
}

impl Lists {
    /// Takes a line: `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode`
    /// (`get_tcp4_sock`, `net/ipv4/tcp_ipv4.c`, Linux 6.18).
    pub(super) fn add(&mut self, line: &str) {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (Some(local), Some(remote), Some(ESTABLISHED), Some(queues)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return;
        };
        let inode = fields.nth(4).and_then(|inode| inode.parse().ok());
        // A connection that is not yet accepted, or that nobody has any more, has none.
        let Some(inode) = inode.filter(|inode| *inode != 0) else { return };
        let sends = queues.split(':').next() != Some("00000000");
        self.ends.insert((name(local), name(remote)), (inode, sends));
    }

    pub(super) fn peers(&self) -> FxHashMap<u64, Peer> {
        let peer = |((local, remote), (inode, _)): (&(Name, Name), &(u64, bool))| {
            let (other, sends) = *self.ends.get(&(remote.clone(), local.clone()))?;
            Some((*inode, Peer { inode: other, sends }))
        };
        self.ends.iter().filter_map(peer).collect()
    }
}

fn name(address: &str) -> Name {
    address.strip_prefix(MAPPED).unwrap_or(address).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{
        io::Write as _,
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd,
    };

    use super::*;

    fn inode(socket: &impl AsRawFd) -> u64 {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let text = path.to_str().unwrap();
        text.trim_start_matches("socket:[").trim_end_matches(']').parse().unwrap()
    }

    fn connected(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    #[test]
    fn both_ends_of_a_connection_of_this_host_are_known() {
        let (one, mut other) = connected("127.0.0.1:0");
        let own = std::process::id();
        let found = peers(own);
        assert_eq!(found.get(&inode(&one)).map(|peer| peer.inode), Some(inode(&other)));
        assert_eq!(found.get(&inode(&other)).map(|peer| peer.inode), Some(inode(&one)));
        other.set_nonblocking(true).unwrap();
        while other.write(&[0; 65536]).is_ok() {}
        let found = peers(own);
        assert!(found[&inode(&one)].sends && !found[&inode(&other)].sends);
        drop(one);
        assert_eq!(peers(own).get(&inode(&other)), None, "it was closed");
    }

    #[test]
    fn lines_of_the_lists_are_read() {
        let line = |local: &str, remote: &str, state: &str, inode: u64| {
            format!(
                "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 \
                 {inode} 1 0000000000000000 20 4 30 10 -1"
            )
        };
        let (server, client) = ("0100007F:1F90", "0100007F:A1B2");
        let mapped = format!("{MAPPED}{server}");
        let peers = |lines: &[String]| {
            let mut lists = Lists::default();
            lines.iter().for_each(|line| lists.add(line));
            lists.peers().len()
        };
        let pair = [line(client, server, "01", 7), line(server, client, "01", 8)];
        assert_eq!(peers(&pair), 2);
        let mixed = [line(client, server, "01", 7), line(&mapped, client, "01", 8)];
        assert_eq!(peers(&mixed), 2, "a server that listens for both");
        assert_eq!(peers(&pair[..1]), 0, "the other end is elsewhere");
        assert_eq!(peers(&[pair[0].clone(), line(server, client, "08", 8)]), 0, "it was shut down");
        assert_eq!(peers(&[pair[0].clone(), line(server, client, "01", 0)]), 0, "nobody has it");
        assert_eq!(peers(&[line(client, client, "01", 7)]), 1, "connected with itself");
        for len in 0..pair[0].len() {
            Lists::default().add(&pair[0][..len]);
        }
    }
}
