//! The registers of tasks that are inside the kernel, by a program that visits tasks when asked.
//!
//! Nothing is attached anywhere: reading the iterator is what runs the program, once for each task
//! visited, so that a traced process costs nothing and notices nothing.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    sync::Arc,
};

use aya::{Btf, Ebpf, programs::Iter};
use forktrace_common::maps::Registers;
use zerocopy::{FromBytes as _, Immutable, IntoBytes};

use crate::inspect::stacks::TaskRegisters;

/// Name of the program in the object.
const PROGRAM: &str = "task_registers";
/// `BPF_LINK_CREATE` of `enum bpf_cmd`, `include/uapi/linux/bpf.h`; likewise below.
const LINK_CREATE: libc::c_long = 28;
/// `BPF_ITER_CREATE`.
const ITER_CREATE: libc::c_long = 33;
/// `BPF_TRACE_ITER` of `enum bpf_attach_type`.
const TRACE_ITER: u32 = 28;
/// Most bytes read of one visit: more tasks than Linux can have is nobody's intent.
const MOST: u64 = 256 << 20;

/// `struct link_create` of `union bpf_attr`, as an iterator uses it.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    info: u64,
    info_len: u32,
    reserved: u32,
}

/// `union bpf_iter_link_info`, for tasks. Kernels before 6.1 do not look at it for an iterator over
/// tasks and visit them all.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct IterInfo {
    tid: u32,
    pid: u32,
    pid_fd: u32,
    reserved: u32,
}

/// Reads registers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The loaded program, or why there is none.
    program: Result<Arc<OwnedFd>, String>,
}

impl Visitor {
    /// Loads the program, where the kernel has what it needs: BTF, and Linux 5.15.
    pub(super) fn load(ebpf: &mut Ebpf, supported: bool) -> Self {
        let program = match supported {
            true => program(ebpf).map(Arc::new),
            false => Err("this kernel does not show a task's registers (Linux 5.15 does)".into()),
        };
        if let Err(why) = &program {
            tracing::debug!("registers: {why}");
        }
        Visitor { program }
    }

    /// Registers of tasks that are inside the kernel: those of task `tid` alone where the kernel can
    /// choose (from 6.1), otherwise those of every task, without saying whose they are.
    ///
    /// # Errors
    /// Why there are none, in a few words.
    pub fn candidates(&self, tid: u32) -> Result<Vec<Registers>, String> {
        let program = self.program.as_ref().map_err(Clone::clone)?;
        let mut bytes = Vec::new();
        open(program, tid)
            .and_then(|file| file.take(MOST).read_to_end(&mut bytes))
            .map_err(|error| format!("the kernel did not show its registers ({error})"))?;
        let one = |bytes: &[u8]| Registers::read_from_bytes(bytes).ok();
        Ok(bytes.chunks_exact(size_of::<Registers>()).filter_map(one).collect())
    }
}

fn program(ebpf: &mut Ebpf) -> Result<OwnedFd, String> {
    let words = |error: &dyn std::fmt::Display| {
        let text = error.to_string();
        tracing::debug!("the program for registers: {text}");
        format!("the kernel refused to show registers: {}", text.lines().next().unwrap_or_default())
    };
    let btf = Btf::from_sys_fs().map_err(|error| words(&error))?;
    let program = ebpf.program_mut(PROGRAM).ok_or_else(|| words(&"no such program"))?;
    let program: &mut Iter = program.try_into().map_err(|error| words(&error))?;
    program.load("task", &btf).map_err(|error| words(&error))?;
    let fd = program.fd().map_err(|error| words(&error))?;
    fd.as_fd().try_clone_to_owned().map_err(|error| words(&error))
}

/// A file whose reading visits task `tid` alone, or every task where the kernel cannot choose.
fn open(program: &OwnedFd, tid: u32) -> io::Result<File> {
    let info = IterInfo { tid, pid: 0, pid_fd: 0, reserved: 0 };
    let link = LinkCreate {
        program: number(program.as_raw_fd()),
        target: 0,
        attach_type: TRACE_ITER,
        flags: 0,
        info: std::ptr::from_ref(&info).addr() as u64,
        info_len: size_of::<IterInfo>() as u32,
        reserved: 0,
    };
    let link = bpf(LINK_CREATE, link.as_bytes())?;
    let iter = bpf(ITER_CREATE, [number(link.as_raw_fd()), 0].as_bytes())?;
    Ok(File::from(iter))
}

fn number(fd: RawFd) -> u32 {
    u32::try_from(fd).unwrap_or(u32::MAX)
}

/// The system call, for commands that return a descriptor. An `attr` that points somewhere points
/// to what outlives the call.
fn bpf(command: libc::c_long, attr: &[u8]) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads `attr.len()` bytes of `attr` and what they point to, and keeps
    // neither; aya has no way to choose a task.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), attr.len()) };
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl TaskRegisters for Visitor {
    fn candidates(&self, tid: u32) -> Result<Vec<Registers>, String> {
        Visitor::candidates(self, tid)
    }
}
