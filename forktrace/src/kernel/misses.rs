//! Runs of the programs that the kernel has left out.
//!
//! While a program on a tracepoint runs, or a map is read or changed by a system call, the kernel runs
//! no other on that CPU (`bpf_prog_active`: `trace_call_bpf`, `kernel/trace/bpf_trace.c`, and
//! `bpf_disable_instrumentation`, `include/linux/bpf.h`, Linux 6.18). Whoever is preempted in the middle
//! leaves the CPU to tasks of which nothing is seen. The kernel counts that, from 5.12 on.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::Ebpf;

/// The loaded programs.
pub(super) struct Misses(Vec<OwnedFd>);

impl Misses {
    pub(super) fn of(ebpf: &Ebpf) -> Self {
        let fd =
            |program: &aya::programs::Program| program.fd().ok()?.as_fd().try_clone_to_owned().ok();
        Misses(ebpf.programs().filter_map(|(_, program)| fd(program)).collect())
    }

    /// How many runs were left out so far; 0 where the kernel does not say.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().filter_map(left_out).fold(0, u64::saturating_add)
    }
}

/// As `bpf_prog_show_fdinfo` writes it (`kernel/bpf/syscall.c`, Linux 6.18).
fn left_out(program: &OwnedFd) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).ok()?;
    let count = info.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
    count.trim().parse().ok()
}
