//! The programs that see who uses a connection.

use forktrace_common::socket::SocketOffsets;

use super::btf::Types;

/// Program and tracepoint. The first two came with Linux 6.3 (`include/trace/events/sock.h`).
pub(crate) const SOCKETS: [(&str, &str); 3] = [
    ("sock_send_length", "sock/sock_send_length"),
    ("sock_recv_length", "sock/sock_recv_length"),
    ("inet_sock_set_state", "sock/inet_sock_set_state"),
];

/// Where this kernel's structures have their fields; `None`: it does not say.
pub(super) fn offsets(types: &Types<'_>) -> Option<SocketOffsets> {
    let sock = |field| types.offset("sock", field);
    let common = |field| types.offset("sock_common", field);
    let inode = types.offset("socket_alloc", "vfs_inode")?;
    Some(SocketOffsets {
        socket: sock("sk_socket")?,
        kind: sock("sk_type")?,
        shutdown: sock("sk_shutdown")?,
        family: common("skc_family")?,
        state: common("skc_state")?,
        peer_v4: common("skc_daddr")?,
        local_v4: common("skc_rcv_saddr")?,
        // A kernel without IPv6 has no such sockets.
        peer_v6: common("skc_v6_daddr").unwrap_or(0),
        local_v6: common("skc_v6_rcv_saddr").unwrap_or(0),
        peer_port: common("skc_dport")?,
        local_port: common("skc_num")?,
        inode: inode.checked_add(types.offset("inode", "i_ino")?)?,
        unix_peer: types.offset("unix_sock", "peer")?,
        unix_addr: types.offset("unix_sock", "addr")?,
        address_len: types.offset("unix_address", "len")?,
        address_name: types.offset("unix_address", "name")?,
    })
}
