//! Strategies: any act on a lock on a file, and any blocked signals.

use forktrace_model::event::{
    BlockedSignals, FileLock, LockAct, LockLook, LockOpener, LockSort, PendingSignal, TakenLock,
};
use proptest::{collection::vec, option, prelude::*};

use super::any::text;

fn look() -> impl Strategy<Value = LockLook> {
    let opener = any::<(u32, i32, bool, bool, bool)>().prop_map(
        |(pid, fd, holds, writes, waits_for_child)| LockOpener {
            pid,
            fd,
            holds,
            writes,
            waits_for_child,
        },
    );
    let small = any::<(u64, u32, Option<u32>, bool)>();
    (small, text(), vec(opener, 0..3), vec(any::<u32>(), 0..2)).prop_map(
        |((after_ns, by, names_pid, sqlite), path, openers, locked_by)| LockLook {
            after_ns,
            by,
            path,
            names_pid,
            sqlite,
            openers,
            locked_by,
        },
    )
}

/// Any act on a lock on a file.
pub(super) fn file_lock() -> impl Strategy<Value = FileLock> {
    let act = prop_oneof![Just(LockAct::Released), Just(LockAct::Closed), Just(LockAct::Used)];
    let sort = prop_oneof![Just(LockSort::Flock), Just(LockSort::Posix), Just(LockSort::Ofd)];
    let taken = any::<(u32, Option<i32>, u64, bool, bool)>().prop_map(
        |(pid, fd, at_ns, exclusive, held)| TakenLock { pid, fd, at_ns, exclusive, held },
    );
    (act, sort, any::<(u64, u64, bool, Option<i32>)>(), text(), taken, option::of(look())).prop_map(
        |(act, sort, (inode, owner, exclusive, fd), device, taken, look)| FileLock {
            sort,
            act,
            inode,
            device,
            owner,
            exclusive,
            fd,
            taken,
            look: look.map(Box::new),
        },
    )
}

/// Any blocked signals.
pub(super) fn blocked() -> impl Strategy<Value = BlockedSignals> {
    let pending = any::<(i32, u64, u32, bool)>().prop_map(|(signal, for_ns, looks, handled)| {
        PendingSignal { signal, for_ns, looks, handled }
    });
    (any::<[u64; 3]>(), vec(pending, 0..3), vec(any::<u32>(), 0..2)).prop_map(
        |([blocked, at_fork, at_first], pending, zombies)| BlockedSignals {
            blocked,
            at_fork,
            at_first,
            first_after_ns: at_fork / 3,
            pending,
            zombies,
        },
    )
}
