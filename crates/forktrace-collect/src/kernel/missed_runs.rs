//! Runs of the programs that the kernel has left out.
//!
//! While a program on a tracepoint runs, or a map is read or changed by a system call, the kernel runs
//! no other on that CPU (`bpf_prog_active`: `trace_call_bpf`, `kernel/trace/bpf_trace.c`, and
//! `bpf_disable_instrumentation`, `include/linux/bpf.h`, Linux 6.18). Whoever is preempted in the middle
//! leaves the CPU to tasks of which nothing is seen. The kernel counts that, from 5.12 on.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::Ebpf;

/// The loaded programs, by name.
pub(super) struct Misses(Vec<(String, OwnedFd)>);

impl Misses {
    pub(super) fn of(ebpf: &Ebpf) -> Self {
        let fd =
            |program: &aya::programs::Program| program.fd().ok()?.as_fd().try_clone_to_owned().ok();
        let named = ebpf.programs().filter_map(|(name, program)| Some((name.into(), fd(program)?)));
        Misses(named.collect())
    }

    /// How many runs of each program were left out so far; nothing of those that the kernel does not
    /// count.
    pub(super) fn by_program(&self) -> BTreeMap<&str, u64> {
        let counted = self.0.iter().filter_map(|(name, fd)| Some((name.as_str(), left_out(fd)?)));
        counted.filter(|(_, count)| *count > 0).collect()
    }
}

/// As `bpf_prog_show_fdinfo` writes it (`kernel/bpf/syscall.c`, Linux 6.18).
fn left_out(program: &OwnedFd) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).ok()?;
    let count = info.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
    count.trim().parse().ok()
}
