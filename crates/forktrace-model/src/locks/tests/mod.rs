//! Decoders against real bytes.
//!
//! The bytes were captured from a C program (glibc 2.36): a second thread took the lock, which was
//! in a block of `calloc` or `malloc`; then the parent's memory was dumped, it forked, and the
//! child's memory was dumped with `process_vm_readv` once it waited for the lock. The dumps begin
//! 8 bytes before the lock, with `malloc`'s size field. Waits are those of `/proc/<pid>/syscall`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod code;
mod cxa_guard;
mod event;
mod family;
mod glibc_cond;
mod glibc_internal;
mod glibc_mutex;
mod glibc_robust;
mod glibc_rwlock;
mod glibc_sem;
mod glibc_thread;
mod indirect;
mod musl;
mod parking_lot;
mod py_mutex;
mod rust_std;
mod word_fact;

use super::{Code, Reading, Scene, read, read_event};
use crate::{
    arch::Machine,
    event::{FirstWrite, Libc, Mapping, Wait, Waiter, Window, stacks::Frame},
};

/// A lock's address, as `malloc` aligns it.
const LOCK: u64 = 0x5655_0100_02a0;

/// Waits as the kernel showed them: `FUTEX_WAIT` and `FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME`,
/// both private.
const WAIT: u32 = 0x80;
const WAIT_BITSET: u32 = 0x189;

/// One waiting process, ready to be changed by a test and read.
#[derive(Clone, Debug)]
struct Case {
    wait: Wait,
    mapping: Option<Mapping>,
    now: Window,
    at_fork: Option<Window>,
    module: Option<&'static str>,
    libc: Option<Libc>,
    frames: Option<Vec<Frame>>,
    first_write: Option<FirstWrite>,
    waiters: Vec<Waiter>,
}

impl Case {
    /// A wait on the word `offset` bytes into the lock.
    fn new(offset: u64, op: u32, val: u64, at_fork: &str, now: &str) -> Self {
        Case {
            wait: Wait { enter_ns: 1, uaddr: LOCK + offset, op, val, ..Wait::default() },
            mapping: Some(Mapping {
                start: 0x5655_0100_0000,
                end: 0x5655_0102_1000,
                perms: "rw-p".into(),
                shared: false,
                path: "[heap]".into(),
                offset: 0,
            }),
            now: window(now),
            at_fork: Some(window(at_fork)),
            module: None,
            libc: None,
            frames: None,
            first_write: None,
            waiters: Vec::new(),
        }
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            machine: Machine::default(),
            wait: &self.wait,
            mapping: self.mapping.as_ref(),
            now: &self.now,
            at_fork: self.at_fork.as_ref(),
            module: self.module,
            libc: self.libc,
            target: None,
            code: Code {
                frames: self.frames.as_deref(),
                first_write: self.first_write.as_ref(),
                waiters: &self.waiters,
            },
        }
    }

    fn read(&self) -> Option<Reading> {
        read(&self.scene())
    }

    /// The same with a stack: names of files and functions, innermost first.
    fn called_by(mut self, frames: &[(&str, Option<&str>)]) -> Self {
        let frame = |(module, symbol): &(&str, Option<&str>)| Frame {
            module: Some((*module).into()),
            symbol: symbol.map(str::to_owned),
            ..Frame::default()
        };
        self.frames = Some(frames.iter().map(frame).collect());
        self
    }

    /// The same with a word of both dumps changed; `offset` is from the lock's address.
    fn with(mut self, offset: i64, word: u32) -> Self {
        self.now = put(self.now, offset, word);
        self.with_inherited(offset, word)
    }

    /// The same with a word of the inherited memory changed.
    fn with_inherited(mut self, offset: i64, word: u32) -> Self {
        self.at_fork = self.at_fork.map(|window| put(window, offset, word));
        self
    }
}

fn put(mut window: Window, offset: i64, word: u32) -> Window {
    let start = usize::try_from(offset + 8).unwrap();
    window.bytes[start..start + 4].copy_from_slice(&word.to_le_bytes());
    window
}

fn window(hex: &str) -> Window {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Window { address: LOCK - 8, bytes: (0..hex.len()).step_by(2).map(digit).collect() }
}

/// Bytes cut at every length, and windows that lie elsewhere, must be refused without a panic.
fn survives_truncation(case: &Case) {
    for len in 0..case.now.bytes.len() {
        let mut cut = case.clone();
        cut.now.bytes.truncate(len);
        let _ = cut.read();
        let mut cut = case.clone();
        cut.at_fork.as_mut().unwrap().bytes.truncate(len);
        let _ = cut.read();
    }
    for uaddr in [0, 4, 8, 12, u64::MAX, u64::MAX - 3, u64::MAX - 7] {
        let mut moved = case.clone();
        moved.wait.uaddr = uaddr;
        moved.now.address = uaddr.saturating_sub(40);
        assert!(moved.read().is_none_or(|reading| reading.address <= uaddr));
    }
}

#[test]
fn words_outside_a_window_do_not_exist() {
    let window = Window { address: 0x1000, bytes: vec![1, 0, 0, 0, 2, 0, 0, 0] };
    assert_eq!(window.word(0x1004), Some(2));
    assert_eq!(window.long(0x1000), Some(0x2_0000_0001));
    assert_eq!(window.word(0x1005), None);
    assert_eq!(window.word(0xfff), None);
    assert_eq!(window.long(0x1004), None);
    let top = Window { address: u64::MAX - 3, bytes: vec![7; 4] };
    assert_eq!(top.word(u64::MAX - 3), Some(0x0707_0707));
    assert_eq!(top.long(u64::MAX - 3), None);
}
