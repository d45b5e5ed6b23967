//! The Python object behind a semaphore.
//!
//! While a thread waits in `acquire`, the C functions that it is in have the object at hand, on
//! their stack or in registers that the callees saved there. All objects of the standard library
//! that have a lock of the kernel's side inside keep its address right after the object's head:
//! `lockobject` and `rlockobject` (`Modules/_threadmodule.c`) and `simplequeueobject`
//! (`Modules/_queuemodule.c`), CPython 3.8 to 3.12. A word on the stack is believed if what it
//! points to has the lock's address in that place and its type has one of the known names.

use std::collections::BTreeSet;

use procfs::{FromRead, process::Syscall};

use super::remote::{Remote, is_object};
use forktrace_model::event::{AtFork, PythonLock, Window};

/// Words of the stack that are searched, from its top.
const DEPTH: usize = 2048;
/// Bytes of an object that are kept: an `RLock`'s are the most.
const SIZE: usize = 48;
/// Offset of the lock's address.
const LOCK: u64 = 16;

/// Types that have a lock at [`LOCK`].
const TYPES: [&str; 3] = ["_thread.lock", "_thread.RLock", QUEUE];
/// A queue's.
pub(super) const QUEUE: &str = "_queue.SimpleQueue";

/// The object with the lock at `uaddr`, for which thread `tid` waits.
pub(super) fn find(remote: &Remote, pid: u32, tid: u32, uaddr: u64) -> Option<PythonLock> {
    let path = format!("/proc/{pid}/task/{tid}/syscall");
    let Ok(Syscall::Blocked { stack_pointer, .. }) = Syscall::from_file(path) else {
        return None;
    };
    let words = remote.longs(stack_pointer & !7, DEPTH);
    let candidates: BTreeSet<u64> = words.into_iter().filter(|word| is_object(*word)).collect();
    candidates.into_iter().find_map(|address| {
        if remote.long(address.checked_add(LOCK)?)? != uaddr {
            return None;
        }
        let type_name = remote.type_name(address)?;
        let now = Window { address, bytes: remote.bytes::<SIZE>(address)?.to_vec() };
        TYPES.contains(&type_name.as_str()).then(|| PythonLock {
            address,
            type_name,
            now,
            at_fork: AtFork::default(),
            exits: Vec::new(),
            owner_tid: None,
        })
    })
}
