//! Strategies: any use of a socket, of a file or of an epoll instance.

use forktrace_model::event::{
    FileClass, FileHolder, FileUse, PeerEnd, SocketFamily, SocketUse, SocketUser, WatchedFile,
};
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

/// Any use of a file or of an epoll instance.
pub(super) fn file_use() -> impl Strategy<Value = FileUse> {
    let holder = (any::<([u32; 2], [u64; 2], i32)>(), text()).prop_map(|(numbers, comm)| {
        let ([pid, waits], [read, written], fd) = numbers;
        FileHolder { pid, comm, fd, read, written, waits }
    });
    let watched = any::<(i32, bool, Vec<u32>, Option<u32>)>().prop_map(
        |(fd, listens, missing_in, removed_by)| WatchedFile {
            fd,
            listens,
            missing_in,
            removed_by,
            removed_from: removed_by,
        },
    );
    let class = prop_oneof![Just(FileClass::File), Just(FileClass::Epoll)];
    let numbers = any::<([u64; 3], [u32; 2], bool)>();
    (class, numbers, text(), vec(holder, 0..3), vec(watched, 0..3)).prop_map(
        |(class, ([id, inode, since_ns], [turns, both], elsewhere), name, holders, watched)| {
            FileUse { class, id, inode, name, holders, since_ns, elsewhere, turns, both, watched }
        },
    )
}
