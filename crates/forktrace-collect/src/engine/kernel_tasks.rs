//! Tasks of the kernel itself. They have no memory to hand on, and `/proc` scans leave them out, but
//! where all processes of the host are traced, their births and deaths come as events like any other.

use rustc_hash::FxHashSet;

use forktrace_model::event::{Body, Event};

use crate::inspect::scan;

/// What an event means beside the kernel's own tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// Something that a process did.
    Process,
    /// Something that only the kernel's own tasks did.
    Kernel,
    /// A task of the kernel has made a process, as `call_usermodehelper` does: the task itself is to
    /// be announced first, as the parent.
    Helper(u32),
}

/// Which tasks are the kernel's own.
#[derive(Debug, Default)]
pub(super) struct KernelTasks {
    pids: FxHashSet<u32>,
    /// kthreadd, which makes all others (`kthreadd`, `kernel/kthread.c`, Linux 6.18).
    creator: Option<u32>,
}

impl KernelTasks {
    /// Adds those that there are now.
    pub(super) fn read(&mut self) {
        for (pid, parent) in scan::kernel_tasks().unwrap_or_default() {
            self.add(pid, parent);
        }
    }

    fn add(&mut self, pid: u32, parent: u32) {
        self.pids.insert(pid);
        if parent == 0 {
            self.creator = Some(pid);
        }
    }

    /// Takes the next event in order.
    pub(super) fn take(&mut self, event: &Event) -> Means {
        let Some(pid) = event.task.as_ref().map(|task| task.pid) else { return Means::Process };
        if !self.pids.contains(&pid) {
            return Means::Process;
        }
        match &event.body {
            Body::ProcessFork(fork) if self.creator == Some(pid) => {
                self.pids.insert(fork.child_pid);
            }
            Body::ProcessFork(_) => {
                self.pids.remove(&pid);
                return Means::Helper(pid);
            }
            // One thread each: the end of the thread is the end of the task.
            Body::ProcessExit(_) | Body::ThreadExit(_) => {
                self.pids.remove(&pid);
            }
            _ => {}
        }
        Means::Kernel
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use forktrace_model::event::{ProcessExit, ProcessFork, Task};

    fn event(pid: u32, body: Body) -> Event {
        let task = Some(Task { pid, tid: pid, comm: "kworker/0:1".into() });
        Event { boot_ns: 1, task, body }
    }

    fn fork(pid: u32, child_pid: u32) -> Event {
        event(pid, Body::ProcessFork(ProcessFork { child_pid, ..ProcessFork::default() }))
    }

    fn exit(pid: u32) -> Event {
        event(pid, Body::ProcessExit(ProcessExit::default()))
    }

    fn tasks() -> KernelTasks {
        let mut tasks = KernelTasks::default();
        tasks.add(2, 0);
        tasks.add(9, 2);
        tasks
    }

    #[test]
    fn a_thread_of_the_kernel_is_born_and_dies_unnoticed() {
        let mut tasks = tasks();
        assert_eq!(tasks.take(&fork(2, 77)), Means::Kernel);
        assert_eq!(tasks.take(&exit(77)), Means::Kernel);
        // The number is free again.
        assert_eq!(tasks.take(&fork(77, 78)), Means::Process);
        assert_eq!(tasks.take(&exit(9)), Means::Kernel);
    }

    #[test]
    fn processes_are_processes() {
        let mut tasks = tasks();
        assert_eq!(tasks.take(&fork(100, 101)), Means::Process);
        assert_eq!(tasks.take(&exit(101)), Means::Process);
    }

    #[test]
    fn a_helper_of_the_kernel_has_a_parent_that_is_announced_once() {
        let mut tasks = tasks();
        assert_eq!(tasks.take(&fork(9, 200)), Means::Helper(9));
        assert_eq!(tasks.take(&exit(200)), Means::Process);
        assert_eq!(tasks.take(&fork(9, 201)), Means::Process);
        assert_eq!(tasks.take(&exit(9)), Means::Process);
    }

    #[test]
    fn before_any_is_known_everything_is_a_process() {
        assert_eq!(KernelTasks::default().take(&fork(2, 3)), Means::Process);
    }
}
