//! Signals that forktrace sends or lets through: to its own demo processes, and to itself.

use nix::{
    sys::signal::{SigHandler, Signal, killpg, signal},
    unistd::Pid,
};

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
