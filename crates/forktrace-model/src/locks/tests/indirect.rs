//! What the decoders of parked waiters share: a wait on one word for a lock at another.

use crate::{
    arch::Machine,
    event::{AtFork, Mapping, Missing, Place, Wait, Window},
    locks::{Code, Reading, Scene, read, target},
};

/// A parked waiter, ready to be changed by a test and read.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    pub(super) wait: Wait,
    pub(super) now: Window,
    pub(super) lock: Place,
}

/// Where the memory around the futex word begins, before the word.
const BEFORE_FUTEX: u64 = 40;
/// Where the memory around the lock begins, before the lock.
const BEFORE_LOCK: u64 = 24;

impl Parked {
    /// From memory as captured: around the futex word, and around the lock now and at the fork.
    pub(super) fn new(
        (op, val): (u32, u64),
        (uaddr, now): (u64, &str),
        lock: u64,
        (lock_now, lock_then): (&str, &str),
    ) -> Self {
        let mapping = Mapping {
            start: lock & !0xfff,
            end: (lock & !0xfff) + 0x1000,
            perms: "rw-p".into(),
            ..Mapping::default()
        };
        Parked {
            wait: Wait { enter_ns: 1, uaddr, op, val, ..Wait::default() },
            now: window(uaddr - BEFORE_FUTEX, now),
            lock: Place {
                address: lock,
                mapping: Some(mapping),
                now: Some(window(lock - BEFORE_LOCK, lock_now)),
                at_fork: AtFork::Known(window(lock - BEFORE_LOCK, lock_then)),
                python_type: None,
                owner: None,
            },
        }
    }

    pub(super) fn target(&self) -> Option<u64> {
        target(&self.wait, &self.now, Machine::default())
    }

    pub(super) fn read(&self) -> Option<Reading> {
        read(&Scene {
            machine: Machine::default(),
            wait: &self.wait,
            mapping: None,
            now: &self.now,
            at_fork: None,
            module: None,
            libc: None,
            target: Some(&self.lock),
            code: Code::default(),
        })
    }

    /// The same with a byte of the waiter's memory changed; `offset` is from the futex word.
    pub(super) fn with(mut self, offset: i64, byte: u8) -> Self {
        put(&mut self.now, BEFORE_FUTEX, offset, byte);
        self
    }

    /// The same with a byte of the lock's memory now changed; `offset` is from the lock.
    pub(super) fn with_lock(mut self, offset: i64, byte: u8) -> Self {
        put(self.lock.now.as_mut().unwrap(), BEFORE_LOCK, offset, byte);
        self
    }

    /// The same with a byte of the lock's inherited memory changed.
    pub(super) fn with_inherited(mut self, offset: i64, byte: u8) -> Self {
        match &mut self.lock.at_fork {
            AtFork::Known(window) => put(window, BEFORE_LOCK, offset, byte),
            AtFork::Unknown(missing) => panic!("{missing:?}"),
        }
        self
    }

    /// The same with nothing known of the fork.
    pub(super) fn without_inherited(mut self) -> Self {
        self.lock.at_fork = AtFork::Unknown(Missing::NoFault);
        self
    }

    /// What is cut short, lies elsewhere or is missing must be refused without a panic.
    pub(super) fn survives_truncation(&self) {
        for len in 0..self.now.bytes.len() {
            let mut cut = self.clone();
            cut.now.bytes.truncate(len);
            let _ = cut.read();
        }
        for len in 0..self.lock.now.as_ref().unwrap().bytes.len() {
            let mut cut = self.clone();
            cut.lock.now.as_mut().unwrap().bytes.truncate(len);
            let _ = cut.read();
            let mut cut = self.clone();
            let AtFork::Known(window) = &mut cut.lock.at_fork else { panic!("unknown") };
            window.bytes.truncate(len);
            let _ = cut.read();
        }
        for uaddr in [0, 8, 32, 40, u64::MAX - 7, u64::MAX - 3, u64::MAX] {
            let mut moved = self.clone();
            moved.wait.uaddr = uaddr;
            moved.now.address = uaddr.saturating_sub(BEFORE_FUTEX);
            let _ = moved.read();
        }
        let mut elsewhere = self.clone();
        elsewhere.lock.address += 8;
        assert_eq!(elsewhere.read(), None, "another place was read");
        let mut unmapped = self.clone();
        unmapped.lock.mapping = None;
        assert_eq!(unmapped.read(), None, "whether others see the lock is not known");
        let mut unread = self.clone();
        unread.lock.now = None;
        assert_eq!(unread.read(), None);
    }
}

fn put(window: &mut Window, before: u64, offset: i64, byte: u8) {
    let at = usize::try_from(i64::try_from(before).unwrap() + offset).unwrap();
    window.bytes[at] = byte;
}

fn window(address: u64, hex: &str) -> Window {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Window { address, bytes: (0..hex.len()).step_by(2).map(digit).collect() }
}
