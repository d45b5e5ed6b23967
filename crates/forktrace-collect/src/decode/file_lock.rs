//! Acts on locks on files.

use forktrace_common::file_lock::{self, act, sort};
use forktrace_model::event::{FileLock, LockAct, LockSort, TakenLock};

/// Bits of the minor in the kernel's own number of a device (`MINORBITS`, `include/linux/kdev_t.h`).
const MINOR_BITS: u32 = 20;

pub(super) fn file_lock(seen: &file_lock::LockAct) -> FileLock {
    let before = &seen.before;
    let fd = |fd: i32| (fd >= 0).then_some(fd);
    FileLock {
        sort: match seen.sort {
            sort::FLOCK => LockSort::Flock,
            sort::POSIX => LockSort::Posix,
            sort::DESCRIPTION => LockSort::Ofd,
            _ => LockSort::Other,
        },
        act: match seen.act {
            act::LOCKED => LockAct::Locked,
            act::RELEASED => LockAct::Released,
            act::CLOSED => LockAct::Closed,
            act::REFUSED => LockAct::Refused,
            act::TAKEN => LockAct::Taken,
            act::USED => LockAct::Used,
            _ => LockAct::Other,
        },
        inode: seen.inode,
        device: device(seen.device),
        owner: before.first_ns,
        exclusive: seen.exclusive != 0,
        fd: fd(seen.fd),
        taken: TakenLock {
            pid: before.tgid,
            fd: fd(before.fd),
            at_ns: before.locked_ns,
            exclusive: before.exclusive != 0,
            held: before.held != 0,
        },
        look: None,
    }
}

/// As `/proc/locks` writes it (`lock_get_status`, `fs/locks.c`, Linux 6.18).
fn device(number: u32) -> String {
    format!("{:02x}:{:02x}", number >> MINOR_BITS, number & ((1 << MINOR_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros as _;

    use super::*;

    #[test]
    fn an_act_says_what_was_known_before() {
        let mut seen = file_lock::LockAct::new_zeroed();
        (seen.sort, seen.act, seen.fd, seen.device) =
            (sort::FLOCK, act::RELEASED, -1, 8 << 20 | 17);
        (seen.before.tgid, seen.before.fd, seen.before.held) = (70, 4, 1);
        let lock = file_lock(&seen);
        assert_eq!((lock.sort, lock.act), (LockSort::Flock, LockAct::Released));
        assert_eq!((lock.fd, lock.taken.fd, lock.taken.pid), (None, Some(4), 70));
        assert!(lock.taken.held && !lock.taken.exclusive);
        assert_eq!(lock.device, "08:11");
        seen.act = 99;
        assert_eq!(file_lock(&seen).act, LockAct::Other);
    }
}
