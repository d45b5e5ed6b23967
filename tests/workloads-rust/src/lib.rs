//! What the workloads share: see `tests/workloads/common.h`.

use std::{ffi::c_int, fmt::Display, sync::mpsc, thread, time::Duration};

/// What a workload is called with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to lock.
    pub lock: String,
    /// Who has it at the fork: `thread` or `forker`.
    pub holder: String,
    /// Whether the parent gives it back after the fork.
    pub release: bool,
    /// Seconds after which the child ends.
    pub seconds: u32,
    /// Other threads of the parent that the child does not have.
    pub others: i64,
}

impl Plan {
    /// From the command line: `LOCK HOLDER keep|release [SECONDS]`.
    pub fn from_args() -> Self {
        let mut args = std::env::args().skip(1);
        let mut next = || args.next().unwrap_or_default();
        Plan {
            lock: next(),
            holder: next(),
            release: next() == "release",
            seconds: next().parse().unwrap_or(6),
            others: 0,
        }
    }
}

/// The number of seconds that the command line has at this place.
pub fn seconds(at: usize, otherwise: u32) -> u32 {
    std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Says a fact about this run: a line `name=number` on stdout, in one write.
///
/// Written without Rust's own stdout, whose lock is one of those that the workloads hold.
pub fn fact(name: &str, value: impl Display) {
    let line = format!("{name}={value}\n");
    // SAFETY: the pointer and length are those of a living string.
    let wrote = unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
    assert_eq!(usize::try_from(wrote), Ok(line.len()), "writing a fact");
}

/// In a child that hangs: the default action of SIGALRM ends it, so that it does not stay behind. With
/// `WORKLOAD_SECONDS` set it hangs for so long at least.
pub fn hang_at_most(seconds: u32) {
    let least = std::env::var("WORKLOAD_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds = seconds.max(least.unwrap_or_default());
    // SAFETY: neither call takes a pointer.
    let pid = unsafe {
        libc::alarm(seconds);
        libc::getpid()
    };
    fact("stuck", pid);
}

/// Forks. True in the child.
pub fn fork_is_child() -> bool {
    // SAFETY: what the child runs after it is the point of these programs: it takes a lock.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    pid == 0
}

/// Waits for all children.
pub fn reap() {
    let mut status: c_int = 0;
    // SAFETY: the pointer is valid for the call.
    while unsafe { libc::wait(&raw mut status) } > 0 {}
}

/// Takes a lock with `take` in a thread or in this one, forks, and lets the child take it with
/// `want`: it hangs. `take` is given what holds the lock until the parent is to give it back.
pub fn hang<G>(plan: &Plan, take: impl Fn() -> G + Send + Sync, want: impl Fn()) {
    thread::scope(|scope| {
        let (release, released) = mpsc::channel::<()>();
        let own = if plan.holder == "forker" {
            Some(take())
        } else {
            let (tell, told) = mpsc::channel();
            let take = &take;
            scope.spawn(move || {
                let guard = take();
                assert!(tell.send(()).is_ok());
                // Until the sender is gone.
                let _ = released.recv();
                drop(guard);
            });
            assert!(told.recv().is_ok());
            None
        };
        if fork_is_child() {
            hang_at_most(plan.seconds);
            want();
            // SAFETY: ends this process; nothing of it is needed any more.
            unsafe { libc::_exit(98) };
        }
        // SAFETY: takes no pointer.
        fact("forker", unsafe { libc::getpid() });
        fact("lost", plan.others + i64::from(plan.holder != "forker"));
        if plan.release {
            thread::sleep(Duration::from_millis(100));
            drop(own);
            drop(release);
            reap();
        } else {
            reap();
            drop(own);
            drop(release);
        }
    });
}
