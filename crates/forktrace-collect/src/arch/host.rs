//! The machine that this process runs on.

use std::{fs, sync::OnceLock};

use forktrace_model::arch::{ARCHES, Machine};
use nix::unistd::{SysconfVar, sysconf};

/// Why processes cannot be traced on a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}; {remedy}")]
pub struct Unsupported {
    /// What about the machine.
    pub detail: String,
    /// What can be done about it.
    pub remedy: &'static str,
}

/// What to do on a machine that cannot be traced.
const ELSEWHERE: &str = "trace there, and read the log here (forktrace report, forktrace export)";

/// What decides whether processes can be traced on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostMachine {
    /// Its processor, as `uname -m` gives it.
    pub arch: String,
    /// The processor for which this program was built.
    pub built_for: &'static str,
    /// Size of a page, bytes.
    pub page_size: u64,
    /// Whether the first byte of a number is its highest.
    pub big_endian: bool,
}

impl HostMachine {
    /// This machine.
    pub fn here() -> Self {
        // The kernel's own (`kernel/utsname_sysctl.c`, since Linux 6.1): what uname(2) says depends on
        // the process's personality, and an emulator that runs programs of another processor changes
        // it.
        let arch = fs::read_to_string("/proc/sys/kernel/arch").ok();
        let arch = arch.map(|arch| arch.trim().to_owned()).filter(|arch| !arch.is_empty());
        HostMachine {
            arch: arch.unwrap_or_else(|| std::env::consts::ARCH.into()),
            built_for: std::env::consts::ARCH,
            page_size: page_size(),
            big_endian: cfg!(target_endian = "big"),
        }
    }

    /// Fails unless processes can be traced on this machine: on any other the programs would be
    /// attached, find nothing, and a hang would look like none.
    ///
    /// # Errors
    /// Why not, and what can be done about it.
    pub fn check(&self) -> Result<(), Unsupported> {
        let HostMachine { arch, built_for, page_size, big_endian } = self;
        let refused = |detail, remedy| Err(Unsupported { detail, remedy });
        let ported = ARCHES.into_iter().filter(|known| !known.page_sizes.is_empty());
        let names: Vec<&str> = ported.clone().map(|known| known.name).collect();
        let names = names.join(" and ");
        let Some(known) = ported.clone().find(|known| known.name == arch) else {
            let detail = format!("forktrace traces only on {names}, and this machine is {arch}");
            return refused(detail, ELSEWHERE);
        };
        if built_for != arch {
            let detail =
                format!("this forktrace was built for {built_for}, this machine is {arch}");
            return refused(detail, "use a forktrace that was built for this machine");
        }
        if *big_endian {
            let detail = "forktrace traces only on little-endian machines, this one is big-endian";
            return refused(detail.into(), ELSEWHERE);
        }
        if !known.page_sizes.contains(page_size) {
            let sizes: Vec<String> = known.page_sizes.iter().map(u64::to_string).collect();
            let detail = format!(
                "forktrace traces only with pages of {} bytes, and this kernel has {page_size}",
                sizes.join(" or ")
            );
            return refused(detail, "boot a kernel with such pages");
        }
        Ok(())
    }
}

/// Fails unless processes can be traced on this machine.
///
/// # Errors
/// See [`HostMachine::check`].
pub fn check_host() -> Result<(), Unsupported> {
    HostMachine::here().check()
}

/// This machine, as its logs are judged.
pub fn machine() -> Machine {
    Machine { arch: super::HOST.facts, page_size: page_size() }
}

/// Size of a page on this machine, bytes.
pub fn page_size() -> u64 {
    static SIZE: OnceLock<u64> = OnceLock::new();
    *SIZE.get_or_init(|| {
        let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        // Every system has an answer.
        size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
    })
}
