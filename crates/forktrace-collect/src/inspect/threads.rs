//! What the threads of a process are doing, by two looks a moment apart.
//!
//! `/proc/<pid>/task/<tid>/syscall` shows the system call that a blocked thread is in, its
//! arguments first; `running` for one that runs or may (`fs/proc/base.c`, `proc_pid_syscall`, and
//! `lib/syscall.c`, Linux 6.18). A thread that blocks in the same call at both looks may have left
//! and entered it in between: only its count of context switches tells.

use std::{
    cell::LazyCell,
    time::{Duration, Instant},
};

use forktrace_common::futex;
use procfs::{FromRead, process::Syscall};

use super::{
    Result, memory,
    proc_text::{self, Status},
};
use crate::arch::HOST;
use forktrace_model::event::{Doing, Mapping, ThreadSample, Wait};

/// Time between the two looks.
pub const APART: Duration = Duration::from_millis(30);

/// Numbers of system calls.
const FUTEX: i64 = HOST.calls.futex;
const FUTEX_WAITV: i64 = HOST.calls.futex_waitv;
const FUTEX_WAIT: i64 = HOST.calls.futex_wait;

/// The first look at a process's threads.
#[derive(Debug)]
pub struct FirstLook {
    pid: u32,
    taken: Instant,
    threads: Vec<Observation>,
}

#[derive(Clone, Debug)]
struct Observation {
    tid: u32,
    ns_tid: Option<u32>,
    doing: Doing,
    switches: Option<u64>,
}

/// A thread's present name; `None`: it has ended.
pub fn name(pid: u32, tid: u32) -> Option<String> {
    proc_text::comm(pid, tid).ok()
}

/// The numbers of a process's threads.
pub fn all(pid: u32) -> Result<Vec<u32>> {
    proc_text::numbers(pid, &format!("{pid}/task"))
}

/// Looks for the first time.
pub fn first_look(pid: u32) -> Result<FirstLook> {
    let threads = look(pid)?;
    Ok(FirstLook { pid, taken: Instant::now(), threads })
}

impl FirstLook {
    /// Looks again, [`APART`] after the first time: waits for what is left of it.
    pub fn second_look(self) -> Result<Vec<ThreadSample>> {
        std::thread::sleep(APART.saturating_sub(self.taken.elapsed()));
        let mappings = LazyCell::new(|| memory::mappings(self.pid).unwrap_or_default());
        let sample = |now: Observation| {
            let before = self.threads.iter().find(|before| before.tid == now.tid);
            ThreadSample {
                tid: now.tid,
                ns_tid: now.ns_tid,
                comm: proc_text::comm(self.pid, now.tid).unwrap_or_default(),
                ran: ran(before, &now),
                private: is_private(&now.doing, || &mappings),
                doing: now.doing,
            }
        };
        Ok(look(self.pid)?.into_iter().map(sample).collect())
    }
}

/// Whether a thread ran between the looks. One that is new did; one that runs now may have.
fn ran(before: Option<&Observation>, now: &Observation) -> Option<bool> {
    let Some(before) = before else { return Some(true) };
    if [&before.doing, &now.doing].contains(&&Doing::Running) || before.doing != now.doing {
        return Some(true);
    }
    before.switches.zip(now.switches).map(|(before, now)| before != now)
}

/// Whether the word of an untimed futex wait is in private memory, where the operation leaves that open.
/// `None`: it does not, or a private page of a file may be meant that was never written: the kernel
/// takes such a word for one of the file (`get_futex_key`, `kernel/futex/core.c`, Linux 6.18). Of
/// `futex_waitv` the address is that of the list of its words.
fn is_private<'a>(doing: &Doing, mappings: impl FnOnce() -> &'a Vec<Mapping>) -> Option<bool> {
    let Doing::Futex { uaddr, op, timed: false, .. } = doing else { return None };
    if *op >= futex::OP_WAITV || op & futex::FUTEX_PRIVATE_FLAG != 0 {
        return None;
    }
    let holds = |mapping: &&Mapping| (mapping.start..mapping.end).contains(uaddr);
    let mapping = mappings().iter().find(holds)?;
    (mapping.shared || mapping.perms.starts_with("rw")).then_some(!mapping.shared)
}

/// One look at every thread. A thread that ends meanwhile is left out.
fn look(pid: u32) -> Result<Vec<Observation>> {
    let look = |tid| {
        // The count first: a thread that runs after it was read will not show the same again.
        let status = Status::of(pid, tid).ok()?;
        let ns_tid = status.ns_id.filter(|ns_tid| *ns_tid != tid);
        Some(Observation { tid, ns_tid, doing: doing(pid, tid), switches: status.switches })
    };
    let tids = proc_text::numbers(pid, &format!("{pid}/task"))?;
    Ok(tids.into_iter().filter_map(look).collect())
}

/// What one thread is doing now.
pub fn doing(pid: u32, tid: u32) -> Doing {
    match Syscall::from_file(format!("/proc/{pid}/task/{tid}/syscall")) {
        Ok(Syscall::Running) => Doing::Running,
        Ok(Syscall::Blocked { syscall_number, argument_registers, .. }) => {
            decode(syscall_number, argument_registers)
        }
        _ => Doing::Unknown,
    }
}

/// Where a blocked thread's stack ends now; `None` for one that runs.
pub(super) fn stack_pointer(pid: u32, tid: u32) -> Option<u64> {
    match Syscall::from_file(format!("/proc/{pid}/task/{tid}/syscall")) {
        Ok(Syscall::Blocked { stack_pointer, .. }) => Some(stack_pointer),
        _ => None,
    }
}

/// Names a blocked system call as the kernel programs name it in a [`Wait`].
pub(crate) fn decode(number: i64, arguments: [u64; 6]) -> Doing {
    let [first, second, third, fourth, ..] = arguments;
    // Arguments of type `u32` or `int` are the low half of their register.
    let low = |register: u64| u32::try_from(register & u64::from(u32::MAX)).unwrap_or_default();
    match number {
        FUTEX if futex::is_wait(low(second)) => Doing::Futex {
            uaddr: first,
            op: low(second),
            val: u64::from(low(third)),
            timed: fourth != 0,
        },
        FUTEX_WAITV => Doing::Futex {
            uaddr: first,
            op: futex::OP_WAITV,
            val: u64::from(low(second)),
            timed: fourth != 0,
        },
        FUTEX_WAIT => Doing::Futex {
            uaddr: first,
            op: futex::OP_WAIT_SYSCALL,
            val: second,
            timed: arguments[4] != 0,
        },
        // Blocked, but not in a system call: a page fault, for example.
        other => u64::try_from(other).map_or(Doing::Unknown, Doing::Syscall),
    }
}

/// Whether a thread is in this very kind of wait, on this word.
pub fn is_in(doing: &Doing, wait: &Wait) -> bool {
    matches!(doing, Doing::Futex { uaddr, op, .. } if *uaddr == wait.uaddr && *op == wait.op)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::{
        sync::{Arc, Condvar, Mutex, atomic::AtomicBool, mpsc},
        thread,
    };

    use super::*;

    fn own_tid() -> u32 {
        u32::try_from(nix::unistd::gettid().as_raw()).unwrap()
    }

    /// Waits until a thread of this process blocks in a futex.
    fn until_blocked(tid: u32) -> Doing {
        for _ in 0..2000 {
            match doing(std::process::id(), tid) {
                found @ Doing::Futex { .. } => return found,
                _ => thread::sleep(Duration::from_millis(1)),
            }
        }
        panic!("thread {tid} did not block");
    }

    #[test]
    fn a_wait_is_told_by_its_word_and_operation() {
        let (uaddr, op) = (0x1000, futex::FUTEX_WAIT_BITSET | futex::FUTEX_PRIVATE_FLAG);
        let doing = Doing::Futex { uaddr, op, val: 2, timed: false };
        let wait = Wait { uaddr, op, ..Wait::default() };
        assert!(is_in(&doing, &wait));
        assert!(!is_in(&doing, &Wait { uaddr: uaddr + 4, ..wait.clone() }));
        assert!(!is_in(&Doing::Running, &wait));
    }

    #[test]
    fn threads_that_block_and_a_thread_that_runs() {
        let pid = std::process::id();
        let lock = Arc::new(Mutex::new(()));
        let guard = lock.lock().unwrap();
        let (tell, told) = mpsc::channel();
        let blocked = thread::spawn({
            let (lock, tell) = (lock.clone(), tell.clone());
            move || {
                tell.send(own_tid()).unwrap();
                drop(lock.lock());
            }
        });
        let on_lock = told.recv().unwrap();
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let timed = thread::spawn({
            let (pair, tell) = (pair.clone(), tell.clone());
            move || {
                tell.send(own_tid()).unwrap();
                let flag = pair.0.lock().unwrap();
                let hour = Duration::from_secs(3600);
                drop(pair.1.wait_timeout_while(flag, hour, |done| !*done));
            }
        });
        let on_cond = told.recv().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let busy = thread::spawn({
            let stop = stop.clone();
            move || {
                tell.send(own_tid()).unwrap();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
        });
        let running = told.recv().unwrap();
        until_blocked(on_lock);
        until_blocked(on_cond);

        let first = first_look(pid).unwrap();
        let samples = first.second_look().unwrap();
        let sample = |tid| samples.iter().find(|sample| sample.tid == tid).unwrap();

        // The lock's word is the first of its fields; where it lies is the library's affair.
        let start = Arc::as_ptr(&lock).addr() as u64;
        let Doing::Futex { uaddr, op, val, timed: ends } = sample(on_lock).doing else {
            panic!("{:?}", sample(on_lock))
        };
        assert!((start..start + 16).contains(&uaddr), "{uaddr:#x} {start:#x}");
        let expected = futex::FUTEX_WAIT_BITSET | futex::FUTEX_PRIVATE_FLAG;
        assert_eq!((op, val, ends), (expected, 2, false));
        assert_eq!(sample(on_lock).ran, Some(false));
        assert!(matches!(sample(on_cond).doing, Doing::Futex { timed: true, .. }));
        assert_eq!(sample(on_cond).ran, Some(false));
        assert_eq!(sample(running).doing, Doing::Running);
        assert_eq!(sample(running).ran, Some(true));
        assert!(!sample(running).comm.is_empty());

        drop(guard);
        *pair.0.lock().unwrap() = true;
        pair.1.notify_all();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for thread in [blocked, timed, busy] {
            thread.join().unwrap();
        }
    }

    #[test]
    fn system_calls_are_decoded() {
        let futex = |uaddr, op, val, timed| Doing::Futex { uaddr, op, val, timed };
        let high = 0xffff_ffff_0000_0000;
        assert_eq!(decode(FUTEX, [16, high | 0x189, high, 0, 0, 0]), futex(16, 0x189, 0, false));
        assert_eq!(decode(FUTEX, [16, 0x80, 2, 9, 0, 0]), futex(16, 0x80, 2, true));
        assert_eq!(decode(FUTEX, [16, 0x81, 1, 0, 0, 0]), Doing::Syscall(FUTEX as u64));
        assert_eq!(decode(FUTEX_WAITV, [16, 3, 0, 1, 0, 0]), futex(16, futex::OP_WAITV, 3, true));
        let wait = futex(16, futex::OP_WAIT_SYSCALL, 5, true);
        assert_eq!(decode(FUTEX_WAIT, [16, 5, 0xffff_ffff, 2, 1, 0]), wait);
        assert_eq!(decode(7, [0; 6]), Doing::Syscall(7));
        assert_eq!(decode(-1, [0; 6]), Doing::Unknown);
    }

    #[test]
    fn only_a_wait_that_does_not_say_so_itself_is_looked_up() {
        let mapping = |start, perms: &str, shared| {
            let end = start + 0x1000;
            Mapping { start, end, perms: perms.into(), shared, ..Mapping::default() }
        };
        let maps = vec![
            mapping(0x1000, "rw-p", false),
            mapping(0x2000, "rw-s", true),
            mapping(0x3000, "r--p", false),
        ];
        let of =
            |uaddr, op, timed| is_private(&Doing::Futex { uaddr, op, val: 0, timed }, || &maps);
        assert_eq!(of(0x1004, futex::FUTEX_WAIT, false), Some(true));
        assert_eq!(of(0x2004, futex::FUTEX_WAIT, false), Some(false));
        assert_eq!(of(0x3004, futex::FUTEX_WAIT, false), None, "the file's own page");
        assert_eq!(of(0x4004, futex::FUTEX_WAIT, false), None);
        assert_eq!(of(0x1004, futex::FUTEX_WAIT, true), None);
        assert_eq!(of(0x1004, futex::OP_WAITV, false), None);
        assert_eq!(of(0x1004, futex::FUTEX_WAIT | futex::FUTEX_PRIVATE_FLAG, false), None);
    }

    #[test]
    fn running_is_told_from_waiting() {
        let look = |doing: Doing, switches| Observation { tid: 1, ns_tid: None, doing, switches };
        let still = look(Doing::Syscall(7), Some(4));
        assert_eq!(ran(Some(&still), &still), Some(false));
        assert_eq!(ran(Some(&still), &look(Doing::Syscall(7), Some(5))), Some(true));
        assert_eq!(ran(Some(&still), &look(Doing::Syscall(1), Some(4))), Some(true));
        assert_eq!(ran(Some(&still), &look(Doing::Running, Some(4))), Some(true));
        assert_eq!(ran(None, &still), Some(true));
        assert_eq!(ran(Some(&still), &look(Doing::Syscall(7), None)), None);
    }

    #[test]
    fn a_process_that_is_gone_has_no_threads() {
        assert!(first_look(u32::MAX).is_err());
        assert_eq!(doing(u32::MAX, u32::MAX), Doing::Unknown);
    }
}
