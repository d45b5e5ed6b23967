//! Starting the command to trace, held back until the probes are attached.
//!
//! The child is forked while this process has one thread only, and waits for a byte on a pipe
//! before it execs. Nothing of the command has run before it is traced, and if the tracer dies the
//! child reads the end of the pipe and leaves.

use std::{
    ffi::CString,
    io::{Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        prctl::set_pdeathsig,
        signal::Signal,
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::{ForkResult, Pid, fork, pipe2, setpgid},
};

use rustix::process::{PidfdFlags, pidfd_open};
use tokio::io::{Interest, unix::AsyncFd};

use super::{Error, signals};

/// Exit status of the child when the tracer went away before letting it run.
const TRACER_GONE: i32 = 125;

/// How a command is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    /// It gets a process group of its own, to be ended as a whole, and ends with forktrace.
    pub for_ourselves: bool,
    /// Stdout is for data: what the command writes there goes to stderr.
    pub stdout_is_taken: bool,
}

/// The command's process before it runs the command.
pub struct GatedChild {
    pid: Pid,
    command: String,
    gate: std::fs::File,
    failure: std::fs::File,
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with this status.
    Exited(u8),
    /// This signal ended it.
    Signaled(i32),
}

impl Outcome {
    /// The status that a shell would show: 128 + n for signal n.
    pub fn code(self) -> u8 {
        match self {
            Outcome::Exited(code) => code,
            Outcome::Signaled(signal) => u8::try_from(128 + signal).unwrap_or(255),
        }
    }
}

impl GatedChild {
    /// Forks the child. Must be called while the process has a single thread.
    ///
    /// # Errors
    /// When the command does not exist or no process can be made.
    pub fn spawn(command: &[String], start: Start) -> Result<Self, Error> {
        let name = command.first().cloned().unwrap_or_default();
        let fail = |cause: String| Error::Command { command: name.clone(), cause };
        let program = find(&name).map_err(fail)?;
        let text = |s: &[u8]| CString::new(s).map_err(|_| fail("it contains a NUL byte".into()));
        let path = text(program.as_os_str().as_bytes())?;
        let args: Vec<CString> =
            command.iter().map(|arg| text(arg.as_bytes())).collect::<Result<_, _>>()?;
        let mut argv: Vec<_> = args.iter().map(|arg| arg.as_ptr()).collect();
        argv.push(std::ptr::null());

        let os = |errno: Errno| fail(errno.desc().to_owned());
        let (gate_read, gate_write) = pipe2(OFlag::O_CLOEXEC).map_err(os)?;
        let (failure_read, failure_write) = pipe2(OFlag::O_CLOEXEC).map_err(os)?;
        // SAFETY: there is one thread, and the child calls async-signal-safe functions only.
        match unsafe { fork() }.map_err(os)? {
            ForkResult::Child => {
                drop(gate_write);
                if start.for_ourselves {
                    // The parent does the same; whoever comes first.
                    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
                    // It fails for invalid signals only.
                    let _ = set_pdeathsig(Signal::SIGKILL);
                }
                wait_and_exec(&gate_read, &failure_write, &path, &argv, start)
            }
            ForkResult::Parent { child } => {
                if start.for_ourselves {
                    let _ = setpgid(child, child);
                }
                Ok(GatedChild {
                    pid: child,
                    command: name,
                    gate: gate_write.into(),
                    failure: failure_read.into(),
                })
            }
        }
    }

    /// The child's pid, which the command keeps.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Lets the child run the command; returns once it does.
    ///
    /// # Errors
    /// When exec fails.
    pub fn release(mut self) -> Result<RunningChild, Error> {
        let fail = |cause: String| Error::Command { command: self.command.clone(), cause };
        self.gate.write_all(&[1]).map_err(|e| fail(e.to_string()))?;
        let mut errno = Vec::new();
        self.failure.read_to_end(&mut errno).map_err(|e| fail(e.to_string()))?;
        match <[u8; 4]>::try_from(errno) {
            Ok(bytes) => {
                let _ = waitpid(self.pid, None);
                Err(fail(refusal(Errno::from_raw(i32::from_ne_bytes(bytes)))))
            }
            // Closed by a successful exec.
            Err(_) => Ok(RunningChild { pid: self.pid }),
        }
    }
}

/// The command while it runs.
#[derive(Clone, Copy, Debug)]
pub struct RunningChild {
    pid: Pid,
}

impl RunningChild {
    /// Its pid.
    pub fn pid(self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// How it ended, without waiting; `None` while it runs. It is not reaped: until forktrace ends,
    /// its number stays its own.
    pub fn try_wait(self) -> Option<Outcome> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.pid), flags) {
            Ok(WaitStatus::Exited(_, code)) => Some(Outcome::Exited(code.to_le_bytes()[0])),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(Outcome::Signaled(signal as i32)),
            _ => None,
        }
    }
}

/// The end of a command, to be waited for.
pub struct End(AsyncFd<OwnedFd>);

impl RunningChild {
    /// Its end, where the kernel tells it (pidfd_open(2), from Linux 5.3). Must be called inside the tokio
    /// runtime.
    pub fn end(self) -> Option<End> {
        let pid = rustix::process::Pid::from_raw(self.pid.as_raw())?;
        let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // SAFETY: the descriptor stays the same and open until the `AsyncFd` that owns it is dropped.
        unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.ok().map(End)
    }
}

impl End {
    /// Waits for it. Cancel-safe.
    pub async fn comes(&self) {
        // It fails when the runtime ends.
        let _ = self.0.readable().await;
    }
}

/// Resolves a command as a shell does.
fn find(name: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        return runnable(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
    let mut refused = None;
    for candidate in candidates.filter(|candidate| candidate.is_file()) {
        match runnable(candidate) {
            Ok(program) => return Ok(program),
            Err(why) => refused = Some(why),
        }
    }
    Err(refused.unwrap_or_else(|| "no such command in PATH".into()))
}

/// The path, if it can be executed; otherwise why not.
fn runnable(path: PathBuf) -> Result<PathBuf, String> {
    let Ok(metadata) = path.metadata() else { return Err("no such file".into()) };
    if metadata.is_dir() {
        return Err("it is a directory; name a program".into());
    }
    match metadata.is_file() && executable(&path) {
        true => Ok(path),
        false => Err(refusal(Errno::EACCES)),
    }
}

fn executable(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// Why a file could not be executed, with the remedy.
fn refusal(errno: Errno) -> String {
    match errno {
        Errno::EACCES => {
            "it is not executable; write its interpreter (such as python3) before it, or \
                          make it executable with chmod +x"
                .into()
        }
        Errno::ENOEXEC => {
            "it is not a program and has no #! line; write its interpreter (such as sh) \
                           before it"
                .into()
        }
        Errno::ENOENT => "its interpreter does not exist".into(),
        other => other.desc().to_owned(),
    }
}

/// The child's side; never returns.
fn wait_and_exec(
    gate: &OwnedFd,
    failure: &OwnedFd,
    path: &CString,
    argv: &[*const libc::c_char],
    start: Start,
) -> ! {
    let mut byte = [0u8];
    let read = loop {
        match nix::unistd::read(gate, &mut byte) {
            Err(Errno::EINTR) => {}
            other => break other,
        }
    };
    if read == Ok(1) {
        signals::restore_sigpipe();
        if start.stdout_is_taken {
            // SAFETY: it touches descriptors only, which are this process's own.
            unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) };
        }
        // SAFETY: `path` and every element of `argv` are NUL-terminated strings that outlive the
        // call, and `argv` ends with a null pointer; `environ` is whatever this process has.
        unsafe { libc::execv(path.as_ptr(), argv.as_ptr()) };
        let errno = Errno::last_raw().to_ne_bytes();
        // SAFETY: the descriptor is open and the buffer is as long as said.
        unsafe { libc::write(failure.as_raw_fd(), errno.as_ptr().cast(), errno.len()) };
    }
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(TRACER_GONE) }
}
