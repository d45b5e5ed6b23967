//! Locks on files that several processes of a fork family act on.
//!
//! The kernel tells each change of a lock, of whatever call, and by the flag `FL_CLOSE` whether a close gave
//! it back (`flock_lock_inode` and `posix_lock_inode`, `fs/locks.c`, Linux 5.10 and 6.18). What traced
//! processes take is kept by its owner: of flock(2) the open file description, of fcntl(2) the process.
//! Nothing is sent until a process acts on what another one took, or loses what it has by a close.

use aya_ebpf::{
    helpers::bpf_probe_read_kernel, macros::raw_tracepoint, programs::RawTracePointContext,
};
use forktrace_common::{
    file_lock::{Held, HeldKey, HeldRanges, LockAct, RANGES, Range, act, sort},
    record::Kind,
};

use crate::{
    config::{config, current, traced},
    maps::{FILE_LOCKS, NO_RANGES, POSIX_LOCKS},
    registers::lock_call,
    ring::{emit, now},
};

/// `FL_CLOSE` and `FL_OFDLCK`, `include/linux/filelock.h`, Linux 6.18; the same in 5.10.
const CLOSE: u32 = 64;
const OF_DESCRIPTION: u32 = 1024;
/// `F_WRLCK` and `F_UNLCK`, `include/uapi/asm-generic/fcntl.h`.
const WRITE: u8 = 1;
const UNLOCK: u8 = 2;
/// `EAGAIN`; and `FILE_LOCK_DEFERRED`, `include/linux/filelock.h`: the caller is to wait.
const AGAIN: i32 = -11;
const DEFERRED: i32 = 1;
/// So many acts on one lock are told, and then each whose number is a power of two.
const TOLD: u64 = 32;

/// `TP_PROTO(struct inode *inode, struct file_lock *fl, int ret)`, `include/trace/events/filelock.h`,
/// Linux 5.10 and 6.18.
#[raw_tracepoint]
pub(crate) fn flock_lock_inode(ctx: RawTracePointContext) -> i32 {
    let call = Call::of(&ctx);
    described(&ctx, &call, sort::FLOCK);
    0
}

/// The same.
#[raw_tracepoint]
pub(crate) fn posix_lock_inode(ctx: RawTracePointContext) -> i32 {
    let call = Call::of(&ctx);
    match call.flags & OF_DESCRIPTION {
        0 => of_process(&ctx, &call),
        _ => described(&ctx, &call, sort::DESCRIPTION),
    }
    0
}

/// What is asked of a lock, and the answer.
struct Call {
    inode: u64,
    lock: u64,
    result: i32,
    owner: u64,
    flags: u32,
    kind: u8,
    tgid: u32,
}

impl Call {
    #[inline(always)]
    fn of(ctx: &RawTracePointContext) -> Self {
        let (inode, lock): (u64, u64) = (ctx.arg(0), ctx.arg(1));
        Call {
            inode,
            lock,
            result: ctx.arg::<u64>(2) as i32,
            owner: read_u64(lock, config!(file_locks.owner)),
            flags: read_u32(lock, config!(file_locks.flags)),
            kind: read_u8(lock, config!(file_locks.kind)),
            tgid: current().0,
        }
    }

    #[inline(always)]
    fn key(&self) -> HeldKey {
        HeldKey { owner: self.owner, inode: self.inode }
    }

    #[inline(always)]
    fn file(&self) -> u64 {
        read_u64(self.lock, config!(file_locks.file))
    }

    #[inline(always)]
    fn range(&self) -> Range {
        let start = read_u64(self.lock, config!(file_locks.start));
        Range { start, end: read_u64(self.lock, config!(file_locks.end)) }
    }

    #[inline(always)]
    fn is_exclusive(&self) -> u32 {
        (self.kind == WRITE).into()
    }

    /// The lock, as one that its process has now taken by the description `file`.
    #[inline(always)]
    fn fresh(&self, file: u64) -> Held {
        let now_ns = now();
        Held {
            locked_ns: now_ns,
            first_ns: now_ns,
            file,
            tgid: self.tgid,
            fd: self.fd(),
            held: 1,
            exclusive: self.is_exclusive(),
            ..Held::default()
        }
    }

    #[inline(always)]
    fn fd(&self) -> i32 {
        match config!(registers) != 0 && self.flags & CLOSE == 0 {
            true => lock_call().unwrap_or(-1),
            false => -1,
        }
    }
}

/// A lock that belongs to an open file description.
#[inline(always)]
fn described(ctx: &RawTracePointContext, call: &Call, sort: u32) {
    let file = HeldKey { owner: 0, inode: call.inode };
    if call.result == AGAIN || call.result == DEFERRED {
        refused(ctx, call, sort, &file);
    } else if call.result != 0 {
    } else if call.kind != UNLOCK {
        if traced(call.tgid) {
            taken(ctx, call, sort, &file);
        }
    } else if let Some(held) = FILE_LOCKS.get_ptr_mut(&call.key()) {
        // SAFETY: an entry of the map, whose words are written whole, likewise below.
        let held = unsafe { &mut *held };
        if call.flags & CLOSE != 0 {
            if held.shared != 0 {
                tell(ctx, call, sort, act::CLOSED, held);
            }
            let _ = FILE_LOCKS.remove(&call.key());
            return;
        }
        if sort == sort::DESCRIPTION && !covers(&call.range(), &held.range) {
            return;
        }
        released(ctx, call, sort, held, &file);
    }
}

#[inline(always)]
fn released(ctx: &RawTracePointContext, call: &Call, sort: u32, held: &mut Held, file: &HeldKey) {
    let of_another = held.held != 0 && held.tgid != call.tgid;
    if of_another || held.shared != 0 {
        held.shared = 1;
        held.acts += 1;
        tell(ctx, call, sort, act::RELEASED, held);
    }
    held.held = 0;
    if let Some(latest) = FILE_LOCKS.get_ptr_mut(file) {
        // SAFETY: as above.
        let latest = unsafe { &mut *latest };
        if latest.file == call.owner {
            latest.held = 0;
            latest.other = of_another.into();
        }
    }
}

#[inline(always)]
fn taken(ctx: &RawTracePointContext, call: &Call, sort: u32, file: &HeldKey) {
    let mut fresh = call.fresh(call.owner);
    if sort == sort::DESCRIPTION {
        fresh.range = call.range();
    }
    if let Some(held) = FILE_LOCKS.get_ptr_mut(&call.key()) {
        // SAFETY: as above.
        let held = unsafe { &mut *held };
        if held.held != 0 && held.range != fresh.range {
            return;
        }
        if held.held != 0 && held.tgid != call.tgid || held.shared != 0 {
            held.shared = 1;
            held.acts += 1;
            tell(ctx, call, sort, act::LOCKED, held);
            fresh.first_ns = held.first_ns;
            fresh.acts = held.acts;
            fresh.shared = 1;
        } else if held.held != 0 {
            // Its owner changes the sort of its lock.
            fresh.first_ns = held.first_ns;
            fresh.locked_ns = held.locked_ns;
        }
        *held = fresh;
    } else {
        // Without room it is as one that was taken before the trace.
        let _ = FILE_LOCKS.insert(&call.key(), &fresh, 0);
    }
    fresh.shared = 0;
    if let Some(latest) = FILE_LOCKS.get_ptr_mut(file) {
        // SAFETY: as above.
        let latest = unsafe { &mut *latest };
        if latest.other != 0 && latest.file != call.owner {
            tell(ctx, call, sort, act::TAKEN, latest);
        }
        *latest = fresh;
    } else {
        let _ = FILE_LOCKS.insert(file, &fresh, 0);
    }
}

/// Somebody does not get a lock that a traced process took. Told now and then.
#[inline(always)]
fn refused(ctx: &RawTracePointContext, call: &Call, sort: u32, file: &HeldKey) {
    if !traced(call.tgid) {
        return;
    }
    let Some(latest) = FILE_LOCKS.get_ptr_mut(file) else { return };
    // SAFETY: as above.
    let latest = unsafe { &mut *latest };
    if latest.held != 0 {
        latest.acts += 1;
        if latest.acts & (latest.acts - 1) == 0 {
            tell(ctx, call, sort, act::REFUSED, latest);
        }
    }
}

/// A lock that belongs to a process.
#[inline(always)]
fn of_process(ctx: &RawTracePointContext, call: &Call) {
    if call.result != 0 {
        return;
    }
    if call.kind == UNLOCK {
        if let Some(held) = POSIX_LOCKS.get_ptr_mut(&call.key()) {
            // SAFETY: as above.
            given_back(ctx, call, unsafe { &mut *held });
        }
        return;
    }
    if !traced(call.tgid) {
        return;
    }
    let file = call.file();
    by_description(ctx, call, file);
    if POSIX_LOCKS.get_ptr(&call.key()).is_none() {
        // From a table: on the stack it would be too large for Linux 5.10, which counts those of all
        // functions of a call together.
        let Some(nothing) = NO_RANGES.get(0) else { return };
        let _ = POSIX_LOCKS.insert(&call.key(), nothing, 0);
    }
    let Some(held) = POSIX_LOCKS.get_ptr_mut(&call.key()) else { return };
    // SAFETY: as above.
    let held = unsafe { &mut *held };
    if held.first.held == 0 || held.first.tgid != call.tgid {
        held.first = call.fresh(file);
        held.first.held = 0;
    }
    held.first.exclusive |= call.is_exclusive();
    add(held, call.range());
}

#[inline(always)]
fn given_back(ctx: &RawTracePointContext, call: &Call, held: &mut HeldRanges) {
    if held.first.held == 0 {
        return;
    }
    if call.flags & CLOSE != 0 {
        tell(ctx, call, sort::POSIX, act::CLOSED, &held.first);
        held.first.held = 0;
        return;
    }
    let range = call.range();
    for index in 0..RANGES {
        if overlaps(&range, &held.ranges[index]) {
            held.first.held &= !(1 << index);
        }
    }
}

/// Puts a range among those that are held; one for which there is no place is not followed.
#[inline(always)]
fn add(held: &mut HeldRanges, range: Range) {
    for index in 0..RANGES {
        if held.first.held & (1 << index) != 0 && held.ranges[index] == range {
            return;
        }
    }
    // The lowest bit that is not set, and its number, without branches: each would double the verifier's work.
    let free = !held.first.held & (held.first.held + 1);
    let index = ((free >> 1) - (free >> 3)) as usize;
    if free < 1 << RANGES && index < RANGES {
        held.ranges[index] = range;
        held.first.held |= free;
    }
}

/// Tells of a second process that takes POSIX locks by one description.
#[inline(always)]
fn by_description(ctx: &RawTracePointContext, call: &Call, file: u64) {
    let key = HeldKey { owner: file, inode: call.inode };
    let Some(known) = FILE_LOCKS.get_ptr_mut(&key) else {
        let _ = FILE_LOCKS.insert(&key, &Held { held: 0, ..call.fresh(file) }, 0);
        return;
    };
    // SAFETY: as above.
    let known = unsafe { &mut *known };
    if known.tgid != call.tgid && known.other != call.tgid {
        known.other = call.tgid;
        known.acts += 1;
        tell(ctx, call, sort::POSIX, act::USED, known);
    }
}

#[inline(always)]
fn covers(outer: &Range, inner: &Range) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

#[inline(always)]
fn overlaps(one: &Range, other: &Range) -> bool {
    one.start <= other.end && other.start <= one.end
}

/// Sends an act and what was known of the lock before.
#[inline(never)]
fn tell(ctx: &RawTracePointContext, call: &Call, sort: u32, act: u32, before: &Held) {
    if before.acts > TOLD && before.acts & (before.acts - 1) != 0 {
        return;
    }
    let superblock = read_u64(call.inode, config!(file_locks.superblock));
    let file = call.file();
    let (inode, device) = (
        read_u64(call.inode, config!(file_locks.inode)),
        read_u32(superblock, config!(file_locks.device)),
    );
    let (fd, exclusive) = (call.fd(), call.is_exclusive());
    emit::<LockAct>(ctx, Kind::FileLock, now(), |record| {
        // SAFETY: reserved memory of the payload's size.
        unsafe {
            (&raw mut (*record).before).write(*before);
            (&raw mut (*record).inode).write(inode);
            (&raw mut (*record).device).write(device);
            (&raw mut (*record).sort).write(sort);
            (&raw mut (*record).act).write(act);
            (&raw mut (*record).exclusive).write(exclusive);
            (&raw mut (*record).fd).write(fd);
            (&raw mut (*record).same_file).write((file == before.file).into());
        }
    });
}

#[inline(always)]
fn read_u64(address: u64, offset: u32) -> u64 {
    // SAFETY: the helper checks the source.
    unsafe { bpf_probe_read_kernel(address.wrapping_add(offset.into()) as *const u64) }.unwrap_or(0)
}

#[inline(always)]
fn read_u32(address: u64, offset: u32) -> u32 {
    // SAFETY: the helper checks the source.
    unsafe { bpf_probe_read_kernel(address.wrapping_add(offset.into()) as *const u32) }.unwrap_or(0)
}

#[inline(always)]
fn read_u8(address: u64, offset: u32) -> u8 {
    // SAFETY: the helper checks the source.
    unsafe { bpf_probe_read_kernel(address.wrapping_add(offset.into()) as *const u8) }.unwrap_or(0)
}
