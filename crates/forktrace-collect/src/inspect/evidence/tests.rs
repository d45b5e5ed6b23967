#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::{Arc, Mutex, mpsc};

use forktrace_common::futex;

use super::*;
use forktrace_model::event::Doing;

/// Answers as the kernel side does, with memory that is all sevens.
struct Sevens;

impl Inherited for Sevens {
    fn bytes(&self, _pid: u32, address: u64, len: usize) -> AtFork {
        AtFork::Known(Window { address, bytes: vec![7; len] })
    }

    fn wakes(&self, _pid: u32, _uaddr: u64) -> Option<u64> {
        Some(3)
    }

    fn first_writes(&self) -> [Option<(FirstWrite, u64)>; 2] {
        [Some((FirstWrite { tid: 4, ..FirstWrite::default() }, 1)), None]
    }

    fn waiters(&self, _: &Wait, _: &[ThreadSample]) -> Vec<Waiter> {
        vec![Waiter { tid: 4, enter_ns: 5, times: None }]
    }
}

/// A window that ends before the word.
struct TooShort;

impl Inherited for TooShort {
    fn bytes(&self, _pid: u32, address: u64, _len: usize) -> AtFork {
        AtFork::Known(Window { address, bytes: vec![7; 4] })
    }

    fn wakes(&self, _pid: u32, _uaddr: u64) -> Option<u64> {
        None
    }

    fn first_writes(&self) -> [Option<(FirstWrite, u64)>; 2] {
        [None, None]
    }

    fn waiters(&self, _: &Wait, _: &[ThreadSample]) -> Vec<Waiter> {
        Vec::new()
    }
}

#[test]
#[cfg(target_env = "gnu")]
fn the_descriptor_of_a_thread_tells_its_tid() {
    use std::os::unix::thread::JoinHandleExt as _;

    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        tell.send(nix::unistd::gettid().as_raw()).unwrap();
        let _ = ended.recv();
    });
    let address = thread.as_pthread_t();
    let tid = told.recv().unwrap().cast_unsigned();
    let pid = std::process::id();
    let read = |address| {
        let bytes = memory::read(pid, address, DESCRIPTOR_LEN).unwrap();
        descriptor_tid(address, &Window { address, bytes })
    };
    assert_eq!(read(address), Some(tid));
    assert_eq!(read(address + 8), None);
    drop(end);
    thread.join().unwrap();
}

#[test]
fn a_thread_of_this_process_that_waits() {
    let pid = std::process::id();
    let lock = Arc::new(Mutex::new(()));
    let guard = lock.lock().unwrap();
    let (tell, told) = mpsc::channel();
    let waiter = std::thread::spawn({
        let lock = lock.clone();
        move || {
            tell.send(u32::try_from(nix::unistd::gettid().as_raw()).unwrap()).unwrap();
            drop(lock.lock());
        }
    });
    let tid = told.recv().unwrap();
    let wait = loop {
        match threads::doing(pid, tid) {
            Doing::Futex { uaddr, op, val, timed } => {
                break Wait { enter_ns: 5, uaddr, op, val, timed, ..Wait::default() };
            }
            _ => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    };
    let task = Task { pid, tid, comm: "waiter".into() };

    let evidence = collect(&task, &wait, &Sevens, vec![9]);
    assert!(evidence.still_waiting);
    assert_eq!(evidence.wait, wait);
    let now = evidence.now.unwrap();
    assert_eq!(now.word(wait.uaddr), Some(2));
    assert!(evidence.mapping.unwrap().is_heap());
    let AtFork::Known(at_fork) = evidence.at_fork else { panic!("unknown") };
    assert_eq!(at_fork.word(wait.uaddr), Some(0x0707_0707));
    assert_eq!((at_fork.address, at_fork.bytes.len()), (now.address, now.bytes.len()));
    assert_eq!(evidence.wakes_since_fork, Some(3));
    assert_eq!(evidence.memory_shared_with, [9]);
    assert!(evidence.handlers.is_some());
    assert!(evidence.threads.iter().any(|thread| thread.tid == tid && thread.ran == Some(false)));
    assert!(matches!(evidence.python, Python::None(_)));

    // The same thread asked about a wait that it is not in.
    let other = Wait { op: futex::FUTEX_WAIT, ..wait.clone() };
    let evidence = collect(&task, &other, &TooShort, Vec::new());
    assert!(!evidence.still_waiting);
    assert_eq!(evidence.at_fork, AtFork::Unknown(Missing::NoFault));

    drop(guard);
    waiter.join().unwrap();
    assert!(!collect(&task, &wait, &Sevens, Vec::new()).still_waiting);
}

#[test]
fn a_process_that_is_gone_tells_nothing() {
    let task = Task { pid: u32::MAX, tid: u32::MAX, comm: String::new() };
    let evidence = collect(&task, &Wait::default(), &TooShort, Vec::new());
    assert!(!evidence.still_waiting && evidence.now.is_none() && evidence.mapping.is_none());
    assert_eq!((evidence.handlers, evidence.timers), (None, None));
}

#[test]
fn the_window_stays_inside_the_mapping() {
    let mapping = |start, end| Mapping { start, end, ..Mapping::default() };
    let inside = mapping(0x1000, 0x3000);
    assert_eq!(clip(0x2000, Some(&inside)), (0x1f80, 256));
    assert_eq!(clip(0x1010, Some(&inside)), (0x1000, 0x90));
    assert_eq!(clip(0x2ffc, Some(&inside)), (0x2f7c, 0x84));
    assert_eq!(clip(0x2000, None), (0x2000, 4));
    assert_eq!(clip(u64::MAX, None), (u64::MAX, 0));
    assert_eq!(clip(0, Some(&mapping(0, 16))), (0, 16));
    assert_eq!(clip(u64::MAX - 3, Some(&mapping(u64::MAX - 15, u64::MAX))).1, 15);
    // A mapping that does not hold the word must not turn the window around.
    assert_eq!(clip(0x2000, Some(&mapping(0x5000, 0x6000))), (0x2000, 128));
    assert_eq!(clip(0x2000, Some(&mapping(0x500, 0x600))), (0x1f80, 128));
}

#[test]
fn timers_are_counted() {
    assert_eq!(timers(u32::MAX), None);
    assert!(timers(std::process::id()).is_none_or(|count| count < 100));
}
