//! One look at what a thread is doing, with counts that tell whether it has run since another one.

use procfs::{FromRead as _, process::Syscall};

use super::call::{Call, Target};
use crate::inspect::{
    Result,
    proc_text::{self, Status},
};

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It runs or may.
    Runs,
    /// It is blocked in a system call.
    Blocked(Blocked),
    /// It is stopped, in a call that would end by itself or by something outside, or in none.
    Stopped,
    /// It is blocked outside of a system call, or cannot be looked at.
    Unknown,
}

/// The system call that a thread is blocked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Its number.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// Stack pointer and instruction of the thread.
    pub place: (u64, u64),
}

impl Blocked {
    /// Whether the call ends by itself.
    pub fn is_timed(&self) -> bool {
        Call::of(self.number, self.arguments).timed
    }

    /// Whether only something that no task does ends it, as far as its arguments say.
    pub fn is_outside(&self) -> bool {
        Call::of(self.number, self.arguments).is_outside()
    }

    /// The descriptor of the epoll instance that it waits on.
    pub fn epoll(&self) -> Option<i32> {
        Call::of(self.number, self.arguments).targets.iter().find_map(|target| match target {
            Target::Epoll(fd) => Some(*fd),
            _ => None,
        })
    }

    /// The same call of the same place, whatever its arguments are.
    pub fn is_like(&self, other: &Blocked) -> bool {
        (self.number, self.place) == (other.number, other.place)
    }
}

/// A look at a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The thread.
    pub tid: u32,
    /// What it is doing.
    pub doing: Doing,
    /// How often it was given a CPU.
    pub runs: Option<u64>,
    /// CPU time that it took, ns.
    pub cpu_ns: Option<u64>,
}

impl Look {
    /// Whether the thread has not run between this look and an earlier one.
    pub fn is_still(&self, before: &Look) -> bool {
        let rests = matches!(self.doing, Doing::Blocked(_) | Doing::Stopped);
        rests && self.runs.is_some() && (self.doing, self.runs) == (before.doing, before.runs)
    }

    /// Whether the thread may have done nothing but go back to the same call since an earlier look.
    pub fn may_poll(&self, before: &Look) -> bool {
        match (&self.doing, &before.doing) {
            (Doing::Blocked(now), Doing::Blocked(before)) => now.is_like(before),
            (Doing::Runs, Doing::Blocked(_)) => true,
            _ => false,
        }
    }
}

/// Looks at every thread of a process, which takes some 10 µs a thread.
pub fn at_threads(pid: u32) -> Result<Vec<Look>> {
    let tids = proc_text::numbers(pid, &format!("{pid}/task"))?;
    Ok(tids.into_iter().map(|tid| at(pid, tid)).collect())
}

/// Looks at one thread.
pub(super) fn at(pid: u32, tid: u32) -> Look {
    // The count first: a thread that runs after it was read will not show the same again.
    let (cpu_ns, runs) = counts(pid, tid);
    let doing = match Syscall::from_file(format!("/proc/{pid}/task/{tid}/syscall")) {
        Ok(Syscall::Running) => Doing::Runs,
        Ok(Syscall::Blocked {
            syscall_number: number,
            argument_registers: arguments,
            stack_pointer,
            program_counter,
        }) if number >= 0 => {
            Doing::Blocked(Blocked { number, arguments, place: (stack_pointer, program_counter) })
        }
        _ => Doing::Unknown,
    };
    let may_be_stopped = match &doing {
        Doing::Blocked(blocked) => blocked.is_timed() || blocked.is_outside(),
        Doing::Unknown => true,
        Doing::Runs | Doing::Stopped => false,
    };
    let doing = if may_be_stopped && is_stopped(pid, tid) { Doing::Stopped } else { doing };
    Look { tid, doing, runs, cpu_ns }
}

/// Whether a thread is stopped (`State` in `stat`; proc_pid_stat(5)).
fn is_stopped(pid: u32, tid: u32) -> bool {
    let text = proc_text::small(pid, &format!("{pid}/task/{tid}/stat"));
    text.is_ok_and(|text| {
        let state = text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        matches!(state, Some('T' | 't'))
    })
}

/// CPU time that a thread has taken, ns.
pub fn cpu_ns(pid: u32, tid: u32) -> Option<u64> {
    counts(pid, tid).0
}

/// CPU time, ns, and how often the thread was given a CPU: the first and the third number of `schedstat`
/// (`proc_pid_schedstat`, `fs/proc/base.c`, Linux 6.18), which kernels without `CONFIG_SCHED_INFO` do not
/// have. Otherwise how often it has left one.
fn counts(pid: u32, tid: u32) -> (Option<u64>, Option<u64>) {
    let text = proc_text::small(pid, &format!("{pid}/task/{tid}/schedstat"));
    // Where it is not counted there are zeroes, but every thread has run.
    let numbers = text.ok().and_then(|text| schedstat(&text)).filter(|(_, runs)| *runs > 0);
    match numbers {
        Some((cpu_ns, runs)) => (Some(cpu_ns), Some(runs)),
        None => (None, Status::of(pid, tid).ok().and_then(|status| status.switches)),
    }
}

pub(super) fn schedstat(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_whitespace();
    Some((numbers.next()?.parse().ok()?, numbers.nth(1)?.parse().ok()?))
}
