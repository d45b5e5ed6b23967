//! Namespaces: this process and `/proc` must use the pids of the initial pid namespace; the network namespace
//! of another process is entered to ask of its sockets.
//!
//! eBPF programs see pids of the initial pid namespace. In another one, `/proc` shows other numbers: no
//! event would find its process, and the trace would look clean.

use std::{
    fs::{self, File},
    path::Path,
    thread,
};

use nix::sched::{CloneFlags, setns};

use super::Error;

/// What `/proc/<pid>/ns/pid` points to in the initial pid namespace: `PROC_PID_INIT_INO`,
/// `include/linux/proc_ns.h`, Linux 6.18 (the same since 3.8).
const INITIAL: &str = "pid:[4026531836]";

/// Fails unless this process and its `/proc` are in the initial pid namespace.
///
/// # Errors
/// [`Error::PidNamespace`], with the remedy.
pub fn check_pid_namespace() -> Result<(), Error> {
    // If /proc belongs to a namespace that this process is not in, `self` does not resolve
    // (`proc_self_get_link`, `fs/proc/self.c`, Linux 6.18).
    check(fs::read_link("/proc/self/ns/pid").ok().as_deref())
}

fn check(link: Option<&Path>) -> Result<(), Error> {
    match link {
        Some(link) if link == Path::new(INITIAL) => Ok(()),
        Some(_) => Err(Error::PidNamespace { found: "forktrace runs in a container" }),
        None => Err(Error::PidNamespace { found: "/proc is missing or belongs to a container" }),
    }
}

/// Runs something in the network namespace of a process, in a thread of its own that ends with it. This
/// needs `CAP_SYS_ADMIN` (`netns_install`, `net/core/net_namespace.c`, Linux 6.18). `false`: it was not run.
pub(super) fn in_network_of(pid: u32, run: &mut (dyn FnMut() + Send)) -> bool {
    let Ok(namespace) = File::open(format!("/proc/{pid}/ns/net")) else { return false };
    let inside = || {
        let entered = setns(&namespace, CloneFlags::CLONE_NEWNET).is_ok();
        if entered {
            run();
        }
        entered
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, inside);
        thread.is_ok_and(|thread| thread.join().unwrap_or(false))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn only_the_initial_namespace_is_taken() {
        check(Some(Path::new("pid:[4026531836]"))).unwrap();
        for other in [Some(Path::new("pid:[4026532271]")), None] {
            let text = check(other).unwrap_err().to_string();
            assert!(text.contains("--pid=host") && text.lines().count() == 1, "{text}");
        }
    }
}
