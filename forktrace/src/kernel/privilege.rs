//! Which capabilities and limits are needed, and whether they are there.

use caps::{CapSet, Capability, has_cap};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::Error;

/// Needed by any tracing: loading programs and maps, attaching to tracepoints and reading memory
/// from programs, and reading the memory of other users' processes.
pub(super) const NEEDED: [Capability; 3] =
    [Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_SYS_PTRACE];

/// Open files that are enough: one for each program, map and attachment, some 50, and those that
/// are read of traced processes.
const OPEN_FILES: u64 = 128;

/// Fails with the names of the capabilities that are missing, or if too few files may be open.
pub(super) fn check() -> Result<(), Error> {
    let missing = missing(&has);
    if missing.is_empty() {
        return open_files();
    }
    let missing: Vec<String> = missing.iter().map(Capability::to_string).collect();
    Err(Error::Privilege { missing: missing.join(", ") })
}

/// Whether this process has a capability.
pub(super) fn has(capability: Capability) -> bool {
    has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}

/// Which needed capabilities are missing. `CAP_SYS_ADMIN` stands for the first two (`bpf_capable`,
/// `perfmon_capable`, `include/linux/capability.h`, Linux 6.18).
pub(super) fn missing(has: &dyn Fn(Capability) -> bool) -> Vec<Capability> {
    let admin = has(Capability::CAP_SYS_ADMIN);
    let lacks = |capability: &Capability| {
        let implied = admin && *capability != Capability::CAP_SYS_PTRACE;
        !implied && !has(*capability)
    };
    NEEDED.into_iter().filter(lacks).collect()
}

/// Fails if too few files may be open.
pub(super) fn open_files() -> Result<(), Error> {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((limit, _)) if limit < OPEN_FILES => Err(Error::OpenFiles { limit, needed: OPEN_FILES }),
        // Where it cannot be told, it will be seen.
        _ => Ok(()),
    }
}

/// The limit of locked memory, lifted for as long as this lives.
///
/// Kernels before 5.11 count against it what maps could hold (`bpf_map_charge_init`,
/// `kernel/bpf/syscall.c`, Linux 5.10), at their making only. It is put back because a traced command
/// would inherit it.
pub(super) struct MemoryLock((u64, u64));

impl MemoryLock {
    /// Lifts it as far as may be; if that is too little, the kernel says so when it refuses a map.
    pub(super) fn lift() -> Option<Self> {
        let before = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
        let lift = |limit| setrlimit(Resource::RLIMIT_MEMLOCK, limit, limit);
        // Above the hard limit only with CAP_SYS_RESOURCE.
        lift(RLIM_INFINITY).or_else(|_| lift(before.1)).ok()?;
        Some(MemoryLock(before))
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let (soft, hard) = self.0;
        // Downwards is always allowed.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_limit_of_locked_memory_is_put_back() {
        let limit = || getrlimit(Resource::RLIMIT_MEMLOCK).unwrap();
        let before = limit();
        let lifted = MemoryLock::lift();
        assert!(lifted.is_some() && limit().0 >= before.1);
        drop(lifted);
        assert_eq!(limit(), before);
    }
}
