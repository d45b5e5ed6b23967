//! Strategies: any use of a socket.

use forktrace_model::event::{PeerEnd, SocketFamily, SocketUse, SocketUser};
use proptest::{collection::vec, prelude::*};

use super::any::text;

/// Any use of a socket.
pub(super) fn socket_use() -> impl Strategy<Value = SocketUse> {
    let user =
        any::<([u32; 3], [u64; 6], Option<i32>)>().prop_map(|(small, large, fd)| {
            let (
                [pid, failures, error],
                [first_ns, last_ns, sends, receives, crossings, after_others],
            ) = (small, large);
            SocketUser {
                pid,
                fd,
                first_ns,
                last_ns,
                sends,
                receives,
                crossings,
                after_others,
                failures,
                error,
            }
        });
    let family = prop_oneof![Just(SocketFamily::Inet6), Just(SocketFamily::Unix)];
    let ended = any::<Option<(u32, bool, u64)>>();
    (any::<[u64; 2]>(), family, text(), vec(user, 0..3), any::<Option<u32>>(), ended).prop_map(
        |([inode, turns], family, peer, users, shut_by, ended)| SocketUse {
            inode,
            family,
            local: peer.clone(),
            peer,
            users,
            turns,
            tls: turns % 2 == 0,
            shut_by,
            receives_no_more: turns % 3 == 0,
            ended: ended.map(|(after, sent, after_ns)| PeerEnd { after, sent, after_ns }),
        },
    )
}
