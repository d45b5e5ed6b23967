//! What a blocked system call waits for, as far as its arguments say.

use forktrace_common::futex;
use forktrace_model::event::{Doing, stall::Way};

use crate::{
    arch::{Blocking, HOST},
    inspect::threads,
};

/// `include/uapi/asm-generic/fcntl.h`, Linux 6.18; likewise below.
const F_SETLKW: u64 = 7;
const F_OFD_SETLKW: u64 = 38;
/// `include/uapi/linux/sched.h`.
const CLONE_VFORK: u64 = 0x4000;
/// `include/uapi/linux/io_uring.h`.
const IORING_ENTER_GETEVENTS: u64 = 1;
const IORING_ENTER_EXT_ARG: u64 = 8;
/// Kinds of number that `waitid` takes (`include/uapi/linux/wait.h`).
const P_ALL: u64 = 0;
const P_PID: u64 = 1;
const P_PGID: u64 = 2;
const P_PIDFD: u64 = 3;

/// A blocked system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// It ends by itself.
    pub(super) timed: bool,
    /// What else ends it: any of these.
    pub(super) targets: Vec<Target>,
}

/// What would end a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A wake of a futex word.
    Word { uaddr: u64, op: u32 },
    /// A wake of any of `count` futex words, of which an array tells (`struct futex_waitv`).
    Words { array: u64, count: u64 },
    /// A file descriptor.
    File(i32, Way),
    /// Any of `count` file descriptors of an array (`struct pollfd`).
    Polled { array: u64, count: u64 },
    /// Any of the descriptors below `count` in sets, for reading, writing and exceptions.
    Selected { count: u64, sets: [u64; 3] },
    /// Whatever an epoll instance has.
    Epoll(i32),
    /// The end of a child.
    Children(Which),
    /// The end of the process that a descriptor stands for.
    OfPidfd(i32),
    /// A lock on a file.
    Lock(i32),
    /// A lock on a file that belongs to an open file, not to a process.
    LockOfOpenFile(i32),
    /// The other end of a FIFO that is being opened, or whatever else keeps a file from being opened.
    Opened,
    /// That somebody takes a connection.
    Connected(i32),
    /// A message in a queue, or room for one.
    Message,
    /// A System V semaphore of a set, of which `count` operations tell (`struct sembuf`).
    Semaphore { set: i32, operations: u64, count: u64 },
    /// Completions of an io_uring; the address of `struct io_uring_getevents_arg`, or 0.
    Ring { argument: u64 },
    /// Something that no task does.
    Outside,
}

/// Which children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Which {
    Any,
    Pid(u32),
    /// Of one process group; 0: the caller's own.
    Group(u32),
}

impl Call {
    /// By its number and arguments.
    pub(super) fn of(number: i64, arguments: [u64; 6]) -> Self {
        match threads::decode(number, arguments) {
            Doing::Futex { uaddr, op, timed, .. } => {
                return Call { timed, targets: futex(uaddr, op, arguments) };
            }
            Doing::Running | Doing::Unknown | Doing::Syscall(_) => {}
        }
        match HOST.blocking(number) {
            Some(blocking) => of(blocking, arguments),
            None => Call { timed: false, targets: vec![Target::Outside] },
        }
    }

    /// Whether it only waits until files are ready, and uses none of them.
    pub(super) fn is_poll(&self) -> bool {
        self.targets.iter().any(|target| {
            matches!(target, Target::Polled { .. } | Target::Selected { .. } | Target::Epoll(_))
        })
    }

    /// Whether something that no task does ends it.
    pub(super) fn is_outside(&self) -> bool {
        self.targets.contains(&Target::Outside)
    }
}

/// Of a waiter that may be moved to another word, the second one is the fifth argument.
fn futex(uaddr: u64, op: u32, arguments: [u64; 6]) -> Vec<Target> {
    let [_, _, _, _, second, _] = arguments;
    match op & futex::FUTEX_CMD_MASK {
        _ if op == futex::OP_WAITV => {
            vec![Target::Words { array: uaddr, count: arguments[1] & u64::from(u32::MAX) }]
        }
        futex::FUTEX_WAIT_REQUEUE_PI => {
            vec![Target::Word { uaddr, op }, Target::Word { uaddr: second, op }]
        }
        _ => vec![Target::Word { uaddr, op }],
    }
}

fn of(blocking: Blocking, arguments: [u64; 6]) -> Call {
    let [first, second, third, fourth, fifth, _] = arguments;
    let call = |timed, target| Call { timed, targets: vec![target] };
    match blocking {
        Blocking::Read => call(false, Target::File(int(first), Way::Read)),
        Blocking::Write => call(false, Target::File(int(first), Way::Write)),
        Blocking::ReadMany => call(fifth != 0, Target::File(int(first), Way::Read)),
        Blocking::Splice => Call {
            timed: false,
            targets: vec![
                Target::File(int(first), Way::Read),
                Target::File(int(third), Way::Write),
            ],
        },
        Blocking::Poll => {
            call(int(third) >= 0, Target::Polled { array: first, count: low(second) })
        }
        Blocking::PollTime => call(third != 0, Target::Polled { array: first, count: low(second) }),
        Blocking::Select => {
            let sets = [second, third, fourth];
            call(fifth != 0, Target::Selected { count: low(first), sets })
        }
        Blocking::Epoll => call(int(fourth) >= 0, Target::Epoll(int(first))),
        Blocking::EpollTime => call(fourth != 0, Target::Epoll(int(first))),
        Blocking::Wait => call(false, Target::Children(waited(int(first)))),
        Blocking::WaitId => call(false, waited_by_id(low(first), second)),
        Blocking::Flock => call(false, Target::Lock(int(first))),
        Blocking::Fcntl => match low(second) {
            F_SETLKW => call(false, Target::Lock(int(first))),
            F_OFD_SETLKW => call(false, Target::LockOfOpenFile(int(first))),
            _ => call(false, Target::Outside),
        },
        Blocking::Vfork | Blocking::Clone3 => call(false, Target::Children(Which::Any)),
        Blocking::Clone if first & CLONE_VFORK != 0 => call(false, Target::Children(Which::Any)),
        Blocking::Clone => call(false, Target::Outside),
        Blocking::Semop | Blocking::SemopTime => {
            let timed = blocking == Blocking::SemopTime && fourth != 0;
            call(
                timed,
                Target::Semaphore { set: int(first), operations: second, count: low(third) },
            )
        }
        Blocking::Open => call(false, Target::Opened),
        Blocking::Connect => call(false, Target::Connected(int(first))),
        Blocking::Message => call(false, Target::Message),
        Blocking::MessageTime => call(fifth != 0, Target::Message),
        Blocking::Sleep => Call { timed: true, targets: Vec::new() },
        // `io_uring_getevents_arg` has the timeout (io_uring_enter(2)).
        Blocking::Ring if low(fourth) & IORING_ENTER_GETEVENTS == 0 => call(false, Target::Outside),
        Blocking::Ring => {
            let extended = low(fourth) & IORING_ENTER_EXT_ARG != 0;
            call(false, Target::Ring { argument: if extended { fifth } else { 0 } })
        }
    }
}

/// What the first argument of waitpid(2) means.
fn waited(pid: i32) -> Which {
    match pid {
        -1 => Which::Any,
        0 => Which::Group(0),
        1.. => Which::Pid(pid.unsigned_abs()),
        _ => Which::Group(pid.unsigned_abs()),
    }
}

fn waited_by_id(kind: u64, id: u64) -> Target {
    let number = u32::try_from(low(id)).unwrap_or_default();
    match kind {
        P_ALL => Target::Children(Which::Any),
        P_PID => Target::Children(Which::Pid(number)),
        P_PGID => Target::Children(Which::Group(number)),
        P_PIDFD => Target::OfPidfd(int(id)),
        _ => Target::Outside,
    }
}

/// An argument of type `unsigned int` is the low half of its register.
fn low(register: u64) -> u64 {
    register & u64::from(u32::MAX)
}

/// One of type `int`.
fn int(register: u64) -> i32 {
    let [a, b, c, d, ..] = register.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}
