//! A lock of Rust's standard library is held at the fork, and the child wants it: it hangs. The
//! tracer must say: inherited-lock, certain.
//!
//! `std_locks mutex|mutex-static|write|write-read|read|once|lazy|stdout HOLDER keep|release`

use std::{
    io::{Write as _, stdout},
    sync::{Arc, LazyLock, Mutex, Once, RwLock},
    thread,
    time::Duration,
};

use forktrace_workloads::{Plan, hang};

static MUTEX: Mutex<u32> = Mutex::new(7);
static ONCE: Once = Once::new();

fn main() {
    let plan = Plan::from_args();
    let mutex = Arc::new(Mutex::new([7_u64; 4]));
    let rwlock = Arc::new(RwLock::new(7_u8));
    match plan.lock.as_str() {
        "mutex" => hang(&plan, || mutex.lock(), || drop(mutex.lock())),
        "mutex-static" => hang(&plan, || MUTEX.lock(), || drop(MUTEX.lock())),
        "write" => hang(&plan, || rwlock.write(), || drop(rwlock.write())),
        "write-read" => hang(&plan, || rwlock.write(), || drop(rwlock.read())),
        "read" => hang(&plan, || rwlock.read(), || drop(rwlock.write())),
        "stdout" => hang(&plan, || stdout().lock(), || drop(stdout().write(b"hangs here\n"))),
        "once" => running(&plan, || ONCE.call_once(|| thread::sleep(Duration::from_secs(60)))),
        "lazy" => {
            static LAZY: LazyLock<u32> = LazyLock::new(|| {
                thread::sleep(Duration::from_secs(60));
                7
            });
            running(&plan, || assert_eq!(*LAZY, 7));
        }
        other => panic!("no lock {other}"),
    }
}

/// Another thread runs an initialisation at the fork, whoever is to hold something.
fn running(plan: &Plan, initialise: fn()) {
    thread::spawn(initialise);
    thread::sleep(Duration::from_millis(300));
    hang(&Plan { others: 1, ..plan.clone() }, || (), initialise);
}
