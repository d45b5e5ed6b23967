//! Which capabilities are needed, and whether they are there.

use caps::{CapSet, Capability, has_cap};

use super::Error;

/// Needed by any tracing: loading programs and maps, attaching to tracepoints and reading memory
/// from programs, and reading the memory of other users' processes.
const NEEDED: [Capability; 3] =
    [Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_SYS_PTRACE];

/// Fails with the names of the capabilities that are missing. `CAP_SYS_ADMIN` stands for the first
/// two (`bpf_capable`, `perfmon_capable`, `include/linux/capability.h`, Linux 6.18).
pub(super) fn check() -> Result<(), Error> {
    let has = |capability| has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    let admin = has(Capability::CAP_SYS_ADMIN);
    let missing: Vec<String> = NEEDED
        .into_iter()
        .filter(|capability| {
            let implied = admin && *capability != Capability::CAP_SYS_PTRACE;
            !implied && !has(*capability)
        })
        .map(|capability| capability.to_string())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Privilege { missing: missing.join(", ") })
}
