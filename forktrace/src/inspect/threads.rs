//! What the threads of a process are doing, by two looks a moment apart.

use std::{collections::BTreeMap, fs, thread, time::Duration};

use forktrace_common::futex::{OP_WAIT_SYSCALL, OP_WAITV, is_wait};

use super::processes::{inner_number, process};
use crate::event::{Doing, ThreadSample};

/// Time between the looks. A thread that runs at all in it is not stuck.
const BETWEEN: Duration = Duration::from_millis(30);

/// System call numbers of x86-64 (`arch/x86/entry/syscalls/syscall_64.tbl`, Linux 6.18).
const FUTEX: u64 = 202;
const FUTEX_WAITV: u64 = 449;
const FUTEX_WAIT: u64 = 455;

/// One look at one thread.
struct Look {
    comm: String,
    ns_tid: Option<u32>,
    doing: Doing,
    /// Context switches so far; they grow when the thread runs.
    switches: Option<u64>,
}

/// Looks twice at every thread. Takes about 30 ms, nearly all of it asleep.
pub(super) fn sample(pid: u32) -> Vec<ThreadSample> {
    let first = look(pid);
    thread::sleep(BETWEEN);
    look(pid)
        .into_iter()
        .map(|(tid, now)| {
            let before = first.get(&tid);
            let ran = before.and_then(|before| {
                Some(before.switches? != now.switches? || before.doing != now.doing)
            });
            ThreadSample { tid, ns_tid: now.ns_tid, comm: now.comm, doing: now.doing, ran }
        })
        .collect()
}

fn look(pid: u32) -> BTreeMap<u32, Look> {
    let tasks = process(pid).and_then(|process| process.tasks().ok());
    let tasks = tasks.into_iter().flatten().filter_map(Result::ok);
    tasks
        .filter_map(|task| {
            let tid = u32::try_from(task.tid).ok()?;
            let status = task.status().ok()?;
            let switches = match (status.voluntary_ctxt_switches, status.nonvoluntary_ctxt_switches)
            {
                (Some(voluntary), Some(forced)) => Some(voluntary.wrapping_add(forced)),
                _ => None,
            };
            let ns_tid = inner_number(status.nspid.as_deref());
            let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall"));
            let doing = text.map_or(Doing::Unknown, |text| parse(&text));
            Some((tid, Look { comm: status.name, ns_tid, doing, switches }))
        })
        .collect()
}

/// Parses `/proc/<pid>/task/<tid>/syscall`: `running`, or the number, six arguments, stack pointer
/// and program counter of the system call that the thread is blocked in; -1 when it is blocked
/// outside of one (`proc_pid_syscall`, `fs/proc/base.c`, Linux 6.18).
fn parse(text: &str) -> Doing {
    let mut words = text.split_whitespace();
    let number = match words.next() {
        Some("running") => return Doing::Running,
        Some(number) => number.parse::<u64>(),
        None => return Doing::Unknown,
    };
    let Ok(number) = number else { return Doing::Unknown };
    let args: Vec<u64> = words
        .map_while(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
        .take(6)
        .collect();
    let [a0, a1, a2, a3, a4, _] = args[..] else { return Doing::Syscall(number) };
    match number {
        FUTEX if is_wait(a1 as u32) => {
            Doing::Futex { uaddr: a0, op: a1 as u32, val: u64::from(a2 as u32), timed: a3 != 0 }
        }
        // waiters, nr_futexes, flags, timeout, clockid
        FUTEX_WAITV => Doing::Futex { uaddr: a0, op: OP_WAITV, val: a1, timed: a3 != 0 },
        // uaddr, val, mask, flags, timeout, clockid
        FUTEX_WAIT => Doing::Futex { uaddr: a0, op: OP_WAIT_SYSCALL, val: a1, timed: a4 != 0 },
        other => Doing::Syscall(other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::mpsc;

    use super::*;

    #[test]
    fn system_calls_are_told_apart() {
        let sem = "202 0x55d0 0x189 0x0 0x0 0x0 0xffffffff 0x7ffc 0x7f21\n";
        let expected = Doing::Futex { uaddr: 0x55d0, op: 0x189, val: 0, timed: false };
        assert_eq!(parse(sem), expected);
        let timed = "202 0x55d0 0x80 0x2 0x7ffc 0x0 0x0 0x7ffc 0x7f21";
        assert!(matches!(parse(timed), Doing::Futex { timed: true, .. }));
        let wake = "202 0x55d0 0x81 0x1 0x0 0x0 0x0 0x7ffc 0x7f21";
        assert_eq!(parse(wake), Doing::Syscall(202));
        let read = "0 0x3 0x7ffc 0x400 0x0 0x0 0x0 0x7ffc 0x7f21";
        assert_eq!(parse(read), Doing::Syscall(0));
        assert_eq!(parse("running\n"), Doing::Running);
        for text in ["", "-1 0x7ffc 0x7f21", "x", "0xff"] {
            assert_eq!(parse(text), Doing::Unknown, "{text:?}");
        }
        assert_eq!(parse("202 0x1"), Doing::Syscall(202), "arguments that cannot be read");
    }

    #[test]
    fn a_blocked_thread_has_not_run_and_a_busy_one_has() {
        let (send_tid, tid) = mpsc::channel();
        let (release, blocked) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            send_tid.send(nix::unistd::gettid().as_raw().unsigned_abs()).unwrap();
            let _ = blocked.recv();
        });
        let tid = tid.recv().unwrap();
        // It may still be on its way into the wait.
        let in_futex = |sample: &ThreadSample| {
            sample.tid == tid
                && sample.ran == Some(false)
                && matches!(sample.doing, Doing::Futex { .. })
        };
        let own = std::process::id();
        let seen = (0..50).any(|_| sample(own).iter().any(in_futex));
        drop(release);
        thread.join().unwrap();
        assert!(seen);
    }
}
