//! Whether two tasks have something of the kernel's in common (kcmp(2)).

use std::ffi::c_long;

use super::{
    proc_text::{self, State, Status},
    scan,
};

/// What two tasks may share, by its number (`enum kcmp_type`, `include/uapi/linux/kcmp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shared {
    /// Their memory (`KCMP_VM`).
    Memory = 1,
    /// Their table of file descriptors (`KCMP_FILES`).
    Files = 2,
}

/// Whether two tasks, by their numbers, share it. `None`: not known, as without `CAP_SYS_PTRACE` or on a
/// kernel without `CONFIG_KCMP`. Two tasks that have ended have none in common, though the kernel takes
/// them for alike.
pub(super) fn share(one: u32, other: u32, what: Shared) -> Option<bool> {
    let (one, other) = (c_long::from(one), c_long::from(other));
    // SAFETY: the call takes numbers only, and the last two are not used for these kinds.
    let result =
        unsafe { libc::syscall(libc::SYS_kcmp, one, other, what as c_long, 0_usize, 0_usize) };
    // 0: the same; 1, 2 and 3: another one.
    (result >= 0).then_some(result == 0)
}

/// Whether a descriptor of one task and one of another are of one open description (`KCMP_FILE`). `None`: not
/// known, as above, or one of them has no such descriptor.
pub(super) fn share_file((one, its): (u32, i32), (other, others): (u32, i32)) -> Option<bool> {
    /// `enum kcmp_type`.
    const FILE: c_long = 0;
    let task = |number: u32| c_long::from(number);
    let fd = |number: i32| usize::try_from(number).ok();
    // SAFETY: the call takes numbers only.
    let result = unsafe {
        libc::syscall(libc::SYS_kcmp, task(one), task(other), FILE, fd(its)?, fd(others)?)
    };
    (result >= 0).then_some(result == 0)
}

/// The number by which `/proc` shows the memory and the files of a process: its own, or that of another
/// thread if its first one has ended. Such a one has given up both (`exit_mm` and `exit_files`,
/// `kernel/exit.c`, Linux 6.18), whatever the others have. `/proc` opens the numbers of threads, though
/// it does not list them.
pub(super) fn shown(pid: u32) -> u32 {
    let ended = scan::stat(pid).is_ok_and(|stat| matches!(stat.state, 'Z' | 'X'));
    let other = || living(pid, &proc_text::numbers(pid, &format!("{pid}/task")).ok()?);
    ended.then(other).flatten().unwrap_or(pid)
}

/// The first of these threads of a process that has not ended.
pub(super) fn living(pid: u32, tids: &[u32]) -> Option<u32> {
    let lives = |tid: &u32| Status::of(pid, *tid).is_ok_and(|found| found.state != State::Ended);
    tids.iter().copied().find(lives)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{sync::mpsc, thread};

    use nix::sched::{CloneFlags, unshare};

    use super::*;

    fn own_tid() -> u32 {
        u32::try_from(nix::unistd::gettid().as_raw()).unwrap()
    }

    /// A thread that has done something, and lives until the sender is dropped.
    fn thread_after(done: fn()) -> (u32, mpsc::Sender<()>, thread::JoinHandle<()>) {
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let handle = thread::spawn(move || {
            done();
            tell.send(own_tid()).unwrap();
            let _ = ended.recv();
        });
        (told.recv().unwrap(), end, handle)
    }

    #[test]
    fn threads_share_their_memory_and_mostly_their_files() {
        let me = std::process::id();
        let (plain, end_plain, plain_handle) = thread_after(|| {});
        let (apart, end_apart, apart_handle) =
            thread_after(|| unshare(CloneFlags::CLONE_FILES).unwrap());
        for tid in [plain, apart] {
            assert_eq!(share(me, tid, Shared::Memory), Some(true));
        }
        assert_eq!(share(me, plain, Shared::Files), Some(true));
        assert_eq!(share(me, apart, Shared::Files), Some(false));
        drop((end_plain, end_apart));
        plain_handle.join().unwrap();
        apart_handle.join().unwrap();
        assert_eq!(share(me, u32::MAX, Shared::Files), None);
    }

    #[test]
    fn a_process_whose_first_thread_lives_is_shown_by_its_own_number() {
        let me = std::process::id();
        assert_eq!(shown(me), me);
        assert_eq!(living(me, &[u32::MAX, me]), Some(me));
        assert_eq!(shown(u32::MAX), u32::MAX);
    }
}
