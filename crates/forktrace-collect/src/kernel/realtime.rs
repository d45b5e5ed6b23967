//! Access to maps that no ordinary task interrupts, see [`super::misses`].
//!
//! A kernel that preempts its own code may put another task on the CPU while this one is inside of a
//! map, and no program sees what that task does. As a task of the real-time class this one is let
//! through; it is for microseconds. Where that is not allowed, the kernel's count tells what was missed.

use std::{cell::Cell, sync::OnceLock};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// While this lives, the thread is preempted by real-time tasks alone.
pub(crate) struct Unpreempted {
    /// The policy to go back to; `None`: nothing was changed.
    before: Option<i32>,
}

impl Unpreempted {
    /// From here on; within another one nothing is done.
    pub(crate) fn here() -> Self {
        let outermost = DEPTH.get() == 0;
        DEPTH.set(DEPTH.get() + 1);
        let before = (outermost && kernel_preempts()).then(raise).flatten();
        Unpreempted { before }
    }
}

impl Drop for Unpreempted {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if let Some(policy) = self.before {
            set(policy, 0);
        }
    }
}

/// Whether the kernel can preempt itself: its version names the model it was built with
/// (`init/Makefile`, Linux 6.18).
pub(crate) fn kernel_preempts() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        nix::sys::utsname::uname()
            .is_ok_and(|name| name.version().to_string_lossy().contains("PREEMPT"))
    })
}

/// Makes the thread a real-time one of the lowest priority; the policy that it had, if it was another.
fn raise() -> Option<i32> {
    // SAFETY: no memory is involved.
    let policy = unsafe { libc::sched_getscheduler(0) };
    let ordinary = [libc::SCHED_OTHER, libc::SCHED_BATCH, libc::SCHED_IDLE].contains(&policy);
    (ordinary && set(libc::SCHED_FIFO, 1)).then_some(policy)
}

fn set(policy: i32, priority: i32) -> bool {
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameter outlives the call. The nice value stays what it is.
    unsafe { libc::sched_setscheduler(0, policy, &raw const param) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> i32 {
        // SAFETY: no memory is involved.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn the_thread_is_as_before_when_the_outermost_ends() {
        let before = policy();
        let outer = Unpreempted::here();
        let raised = policy();
        drop(Unpreempted::here());
        assert_eq!(policy(), raised);
        drop(outer);
        assert_eq!(policy(), before);
    }
}
