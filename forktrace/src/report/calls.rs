//! The names of the system calls that block.

use forktrace_model::arch::{AARCH64, Machine, X86_64};

/// Name, and number on x86-64 (`arch/x86/entry/syscalls/syscall_64.tbl`) and on arm64
/// (`scripts/syscall.tbl`), Linux 6.18. arm64 has none of some old ones.
const CALLS: [(&str, Option<u64>, Option<u64>); 50] = [
    ("read", Some(0), Some(63)),
    ("write", Some(1), Some(64)),
    ("poll", Some(7), None),
    ("ioctl", Some(16), Some(29)),
    ("pread64", Some(17), Some(67)),
    ("pwrite64", Some(18), Some(68)),
    ("readv", Some(19), Some(65)),
    ("writev", Some(20), Some(66)),
    ("select", Some(23), None),
    ("pause", Some(34), None),
    ("nanosleep", Some(35), Some(101)),
    ("connect", Some(42), Some(203)),
    ("accept", Some(43), Some(202)),
    ("sendto", Some(44), Some(206)),
    ("recvfrom", Some(45), Some(207)),
    ("sendmsg", Some(46), Some(211)),
    ("recvmsg", Some(47), Some(212)),
    ("clone", Some(56), Some(220)),
    ("vfork", Some(58), None),
    ("wait4", Some(61), Some(260)),
    ("semop", Some(65), Some(193)),
    ("msgsnd", Some(69), Some(189)),
    ("msgrcv", Some(70), Some(188)),
    ("fcntl", Some(72), Some(25)),
    ("flock", Some(73), Some(32)),
    ("fsync", Some(74), Some(82)),
    ("fdatasync", Some(75), Some(83)),
    ("rt_sigtimedwait", Some(128), Some(137)),
    ("rt_sigsuspend", Some(130), Some(133)),
    ("futex", Some(202), Some(98)),
    ("io_getevents", Some(208), Some(4)),
    ("semtimedop", Some(220), Some(192)),
    ("clock_nanosleep", Some(230), Some(115)),
    ("epoll_wait", Some(232), None),
    ("mq_timedsend", Some(242), Some(182)),
    ("mq_timedreceive", Some(243), Some(183)),
    ("waitid", Some(247), Some(95)),
    ("openat", Some(257), Some(56)),
    ("pselect6", Some(270), Some(72)),
    ("ppoll", Some(271), Some(73)),
    ("splice", Some(275), Some(76)),
    ("epoll_pwait", Some(281), Some(22)),
    ("accept4", Some(288), Some(242)),
    ("recvmmsg", Some(299), Some(243)),
    ("sendmmsg", Some(307), Some(269)),
    ("io_uring_enter", Some(426), Some(426)),
    ("clone3", Some(435), Some(435)),
    ("epoll_pwait2", Some(441), Some(441)),
    ("futex_waitv", Some(449), Some(449)),
    ("futex_wait", Some(455), Some(455)),
];

/// The name of a call by its number on the machine of the trace. `None`: it is none of those that are
/// known to block.
pub(super) fn name(machine: Machine, number: u64) -> Option<&'static str> {
    let on = |x86_64, aarch64| match machine.arch {
        arch if *arch == X86_64 => x86_64,
        arch if *arch == AARCH64 => aarch64,
        _ => None,
    };
    let call = CALLS.iter().find(|(_, x86_64, aarch64)| on(*x86_64, *aarch64) == Some(number));
    call.map(|(name, ..)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_by_its_number_on_that_machine() {
        let named = |arch, number| name(Machine::new(arch, 4096), number);
        assert_eq!(named("x86_64", 202), Some("futex"));
        assert_eq!(named("aarch64", 202), Some("accept"));
        assert_eq!(named("aarch64", 98), Some("futex"));
        assert_eq!(named("x86_64", 98), None);
        assert_eq!(named("riscv64", 98), None);
    }
}
