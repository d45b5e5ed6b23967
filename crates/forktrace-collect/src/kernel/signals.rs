//! Signals that forktrace sends or lets through: to its own demo processes, and to itself.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::{
    sys::signal::{SigHandler, Signal, killpg, signal},
    unistd::Pid,
};

/// Whether whoever started forktrace had it ignore SIGPIPE.
static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// Rust's runtime ignores SIGPIPE before `main`; what was so before that is seen only here, among
/// the functions that the C library calls first.
#[used]
#[unsafe(link_section = ".init_array")]
static REMEMBER_SIGPIPE: extern "C" fn() = remember_sigpipe;

extern "C" fn remember_sigpipe() {
    // SAFETY: all zeroes is a valid `sigaction`, which the call fills in; nothing is changed.
    let ignored = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    };
    SIGPIPE_IGNORED.store(ignored, Ordering::Relaxed);
}

/// Gives SIGPIPE the action that it had when forktrace was started, for a command to inherit.
/// Async-signal-safe.
pub(super) fn restore_sigpipe() {
    if !SIGPIPE_IGNORED.load(Ordering::Relaxed) {
        // SAFETY: the default action runs no code of ours. It fails for invalid signals only.
        let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    }
}

/// From here on Ctrl-C ends forktrace at once: the first one has been obeyed, and a second means
/// "do not finish".
pub fn restore_interrupt() {
    // SAFETY: the default action runs no code of ours.
    // It fails for invalid signals only.
    let _ = unsafe { signal(Signal::SIGINT, SigHandler::SigDfl) };
}

/// The process group of a command that forktrace started for itself.
#[derive(Debug)]
pub struct ProcessGroup(Pid);

impl ProcessGroup {
    /// The group led by `leader`, a child made with a group of its own.
    pub fn of(leader: u32) -> Self {
        ProcessGroup(Pid::from_raw(i32::try_from(leader).unwrap_or(i32::MAX)))
    }

    /// Ends every process of the group and reaps its leader, which nobody has done before: until
    /// then its number cannot belong to another group.
    pub fn end(self) {
        // Nobody left to end is what is wanted.
        let _ = killpg(self.0, Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(self.0, None);
    }
}
