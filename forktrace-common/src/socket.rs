//! What the programs keep of stream sockets that processes of a fork family use.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Array of bytes by tgid, [`crate::maps::HINT_CHUNK`] in each entry. 0: the process has neither forked a
/// child with a copy of its memory nor is one; otherwise a number that each of its forks changes.
pub const FORK_FAMILY: &str = "FORK_FAMILY";
/// Hash map, least recently used entries leave first: address of `struct sock` → [`SocketState`].
pub const SOCKETS: &str = "SOCKETS";
/// The same: [`UseKey`] → [`SocketUse`], once a second process has come to a socket.
pub const SOCKET_USES: &str = "SOCKET_USES";

/// Bytes of the name of a Unix socket. Source: `sun_path`, `include/uapi/linux/un.h`, Linux 6.18.
pub const PATH_LEN: usize = 108;

/// Byte offsets in structures of the kernel, by its own description (BTF); all
/// [`crate::config::NO_FIELD`] where it does not describe itself.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SocketOffsets {
    /// `struct sock` `sk_socket`; likewise below.
    pub socket: u32,
    /// `sk_type`.
    pub kind: u32,
    /// `sk_shutdown`.
    pub shutdown: u32,
    /// `struct sock_common` `skc_family`, which `struct sock` begins with; likewise below.
    pub family: u32,
    /// `skc_state`.
    pub state: u32,
    /// `skc_daddr`.
    pub peer_v4: u32,
    /// `skc_rcv_saddr`.
    pub local_v4: u32,
    /// `skc_v6_daddr`.
    pub peer_v6: u32,
    /// `skc_v6_rcv_saddr`.
    pub local_v6: u32,
    /// `skc_dport`, in network order.
    pub peer_port: u32,
    /// `skc_num`.
    pub local_port: u32,
    /// `i_ino` of the inode that lies behind `struct socket` in `struct socket_alloc`.
    pub inode: u32,
    /// `struct unix_sock` `peer`.
    pub unix_peer: u32,
    /// `struct unix_sock` `addr`.
    pub unix_addr: u32,
    /// `struct unix_address` `len`.
    pub address_len: u32,
    /// `struct unix_address` `name`.
    pub address_name: u32,
}

/// One process's use of a socket since the second process came, or since its latest fork before that.
/// Times are `CLOCK_BOOTTIME`, ns.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SocketUse {
    /// The first use that is counted.
    pub first_ns: u64,
    /// The latest use.
    pub last_ns: u64,
    /// Calls that sent something.
    pub sends: u64,
    /// Calls that received something.
    pub receives: u64,
    /// Receives before which another process had used the socket since this one's latest send.
    pub crossings: u64,
    /// Receives after which the latest send was another process's.
    pub after_others: u64,
    /// [`SocketState::acts`] at its latest send.
    pub send_act: u64,
    /// Its own uses since then.
    pub own_acts: u32,
    /// 1: it has received nothing since its latest send.
    pub is_open: u32,
    /// Calls that failed since the connection had ended.
    pub failures: u32,
    /// The latest of them: an error number, or 0 for the end of the stream.
    pub error: u32,
    /// The process.
    pub tgid: u32,
    /// Its descriptor of the socket, -1: not known.
    pub fd: i32,
}

/// A socket that a process of a fork family has used.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SocketState {
    /// The socket's inode: tells whether the address has become that of another socket.
    pub inode: u64,
    /// Uses by all, since the second process came.
    pub acts: u64,
    /// `CLOCK_BOOTTIME` of the latest use, ns.
    pub used_ns: u64,
    /// The peer had ended the connection so long after the latest use, ns; of a Unix socket, another
    /// process found that it had.
    pub ended_after_ns: u64,
    /// How often the socket was used by another process than before.
    pub turns: u64,
    /// While there is one user: the first use that is counted, `CLOCK_BOOTTIME`, ns.
    pub first_ns: u64,
    /// Likewise: calls that sent something.
    pub sends: u64,
    /// Likewise: calls that received something.
    pub receives: u64,
    /// Who used it latest.
    pub last: u32,
    /// What it did: [`SENT`] or [`RECEIVED`].
    pub last_act: u32,
    /// Who sent latest.
    pub last_sender: u32,
    /// 1: it is no connection, or one without a name.
    pub ignored: u32,
    /// 1: more than one process has used it.
    pub shared: u32,
    /// The only user's number of forks, see [`FORK_FAMILY`].
    pub forks: u32,
    /// Who had used it last when the peer ended the connection; 0: it has not.
    pub ended_after: u32,
    /// What that process had done.
    pub ended_after_act: u32,
    /// Who shut it down, or closed it as the last; 0: nobody.
    pub shut_by: u32,
    /// 1: what was sent over it is records of TLS.
    pub tls: u32,
    /// While there is one user: its descriptor, -1: not known.
    pub fd: i32,
    /// Zero.
    pub reserved: u32,
}

/// [`SocketState::last_act`].
pub const SENT: u32 = 1;
/// [`SocketState::last_act`].
pub const RECEIVED: u32 = 2;

/// Identifies one process's use of one socket.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UseKey {
    /// The socket's inode.
    pub inode: u64,
    /// The process.
    pub tgid: u32,
    /// Zero.
    pub reserved: u32,
}

/// Payload of [`crate::record::Kind::SocketUse`]: the task uses a socket that another process of the
/// trace has used.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SocketShared {
    /// The socket.
    pub state: SocketState,
    /// The task's process.
    pub user: SocketUse,
    /// Who had used it before, when a second process came; otherwise all zero.
    pub before: SocketUse,
    /// The addresses: as many bytes as the family has.
    pub peer: [u8; 16],
    /// Likewise.
    pub local: [u8; 16],
    /// `AF_INET`, `AF_INET6` or `AF_UNIX`.
    pub family: u32,
    /// Port, in host order.
    pub peer_port: u16,
    /// Likewise.
    pub local_port: u16,
    /// Unix sockets: bytes of `path`.
    pub path_len: u32,
    /// `sk_shutdown`: 1, nothing more is received; 2, nothing more is sent.
    pub shutdown: u32,
    /// Unix sockets: the name that was connected to.
    pub path: [u8; PATH_LEN],
    /// Zero.
    pub reserved: [u8; 4],
}
