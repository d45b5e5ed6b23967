//! What the kernel records of a System V semaphore.

use crate::inspect::stall::Recorded;

/// Reads it: the semaphore `number` of a set of this process's IPC namespace. `None`: it is gone, or may not
/// be read.
pub(super) fn read_semaphore(set: i32, number: u16) -> Option<Recorded> {
    let number = i32::from(number);
    // SAFETY: all zeroes is a valid `semid_ds`, which the call fills in; the others return numbers, and
    // none of them changes the set.
    let (value, last, set) = unsafe {
        let mut record: libc::semid_ds = std::mem::zeroed();
        let read = libc::semctl(set, 0, libc::IPC_STAT, &raw mut record);
        let value = libc::semctl(set, number, libc::GETVAL);
        (value, libc::semctl(set, number, libc::GETPID), (read == 0).then_some(record))
    };
    let set = set?;
    Some(Recorded {
        value: u32::try_from(value).ok()?,
        last: u32::try_from(last).ok()?,
        // Seconds. To set a value is a change of the set, as is to make it (`semctl_setval`, `newary`,
        // `ipc/sem.c`, Linux 6.18).
        operated: set.sem_otime != 0 && set.sem_otime >= set.sem_ctime,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::undocumented_unsafe_blocks, reason = "tests")]

    use super::*;

    #[test]
    fn a_semaphore_tells_its_value_and_who_changed_it_last() {
        let own = std::process::id();
        let set = unsafe { libc::semget(libc::IPC_PRIVATE, 2, 0o600) };
        assert!(set >= 0, "{}", std::io::Error::last_os_error());
        let new = read_semaphore(set, 1);
        let mut operation = libc::sembuf { sem_num: 1, sem_op: 3, sem_flg: 0 };
        let done = unsafe { libc::semop(set, &raw mut operation, 1) };
        let (operated, other) = (read_semaphore(set, 1), read_semaphore(set, 0));
        unsafe { libc::semctl(set, 0, libc::IPC_RMID) };
        assert_eq!(done, 0);
        assert_eq!(new, Some(Recorded { value: 0, last: 0, operated: false }));
        assert_eq!(operated, Some(Recorded { value: 3, last: own, operated: true }));
        assert_eq!(other, Some(Recorded { value: 0, last: 0, operated: true }));
        assert_eq!(read_semaphore(set, 0), None, "it is gone");
    }
}
