//! A lock of the `parking_lot` crate is held at the fork, and the child wants it: it hangs. The
//! tracer must say: inherited-lock, certain, with the lock's own address.
//!
//! `parking_lot_locks mutex|reentrant|write|write-read|read|upgradable HOLDER keep|release`

use std::sync::Arc;

use forktrace_workloads::{Plan, fact, hang};
use parking_lot::{Mutex, ReentrantMutex, RwLock};

fn address<T>(lock: &T) -> i64 {
    (&raw const *lock).addr().try_into().unwrap_or_default()
}

fn main() {
    let plan = Plan::from_args();
    let mutex = Arc::new(Mutex::new(7_u64));
    let reentrant = Arc::new(ReentrantMutex::new(7_u64));
    let rwlock = Arc::new(RwLock::new(7_u64));
    match plan.lock.as_str() {
        "mutex" => {
            fact("lock", address(&*mutex));
            hang(&plan, || mutex.lock(), || drop(mutex.lock()));
        }
        "reentrant" => hang(&plan, || reentrant.lock(), || drop(reentrant.lock())),
        "write" => {
            fact("lock", address(&*rwlock));
            hang(&plan, || rwlock.write(), || drop(rwlock.write()));
        }
        "write-read" => hang(&plan, || rwlock.write(), || drop(rwlock.read())),
        "read" => hang(&plan, || rwlock.read(), || drop(rwlock.write())),
        "upgradable" => {
            hang(&plan, || rwlock.upgradable_read(), || drop(rwlock.upgradable_read()));
        }
        other => panic!("no lock {other}"),
    }
}
