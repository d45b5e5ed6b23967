//! The capabilities and limits that tracing needs, and the capabilities that forktrace drops when its
//! programs are attached.

use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError, has_cap};
use nix::sys::{
    prctl,
    resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
};

use super::Error;

/// The capabilities that every trace needs: to load programs and maps, to attach to tracepoints and
/// read memory in programs, to read the memory of other processes, and to read tracefs and the files in
/// `/proc` that only their owner may read. Without the last one, a trace would not see older hangs and
/// would look clean.
pub(crate) const NEEDED: [Capability; 4] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
];

/// Open files that forktrace needs: about 50 for programs, maps and attachments, and some files of
/// traced processes.
const OPEN_FILES: u64 = 128;

/// Fails in a user namespace, if capabilities are missing, or if the limit of open files is too low.
pub(crate) fn check() -> Result<(), Error> {
    let users = std::fs::read_link("/proc/self/ns/user");
    user_namespace(users.ok().as_deref().and_then(Path::to_str))?;
    let missing = missing(&has);
    if missing.is_empty() {
        return open_files();
    }
    let missing: Vec<String> = missing.iter().map(Capability::to_string).collect();
    Err(lacking(missing.join(", "), "to load eBPF programs and to read other processes", ""))
}

/// What `/proc/<pid>/ns/user` points to in the initial user namespace: `PROC_USER_INIT_INO`,
/// `include/linux/proc_ns.h`, Linux 6.18.
const INITIAL_USERS: &str = "user:[4026531837]";

/// Fails in a user namespace. `users`: the user namespace, if known.
pub(crate) fn user_namespace(users: Option<&str>) -> Result<(), Error> {
    match users {
        Some(users) if users != INITIAL_USERS => Err(Error::Hindered {
            detail: "forktrace runs in a user namespace, where eBPF is not allowed".into(),
            remedy: "run it as root of the host (tracing does not work in a rootless container)",
        }),
        _ => Ok(()),
    }
}

pub(crate) fn lacking(missing: String, purpose: &'static str, otherwise: &'static str) -> Error {
    Error::Privilege { missing, purpose, otherwise }
}

/// Whether this process has the capability.
pub(crate) fn has(capability: Capability) -> bool {
    has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}

/// The capabilities of [`NEEDED`] that are missing.
pub(crate) fn missing(has: &dyn Fn(Capability) -> bool) -> Vec<Capability> {
    let lacks = |needed: &Capability| !has(*needed) && !stand_in(*needed).is_some_and(has);
    NEEDED.into_iter().filter(lacks).collect()
}

/// Fails if no process may read the memory of another, not even as root: a trace would find nothing and
/// look clean.
pub(crate) fn check_memory() -> Result<(), Error> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    match scope.is_ok_and(|scope| scope.trim() == NO_ATTACH) {
        true => Err(Error::MemoryClosed),
        false => Ok(()),
    }
}

/// `YAMA_SCOPE_NO_ATTACH`, `security/yama/yama_lsm.c`, Linux 6.18.
pub(crate) const NO_ATTACH: &str = "3";

/// The capability that includes this one (`bpf_capable` and `perfmon_capable`, `include/linux/capability.h`;
/// `generic_permission`, `fs/namei.c`; Linux 6.18).
fn stand_in(capability: Capability) -> Option<Capability> {
    match capability {
        Capability::CAP_BPF | Capability::CAP_PERFMON => Some(Capability::CAP_SYS_ADMIN),
        Capability::CAP_DAC_READ_SEARCH => Some(Capability::CAP_DAC_OVERRIDE),
        _ => None,
    }
}

/// Fails if the limit of open files is too low.
pub(crate) fn open_files() -> Result<(), Error> {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((limit, _)) if limit < OPEN_FILES => Err(Error::OpenFiles { limit, needed: OPEN_FILES }),
        // If the limit is unknown, opening a file fails later.
        _ => Ok(()),
    }
}

/// From here on some kernels, such as Debian's, let nobody without `CAP_SYS_ADMIN` make a perf event,
/// by which a program is attached to a tracepoint; what the kernel itself knows of
/// `kernel.perf_event_paranoid` ends at 2 (`kernel/events/core.c`, Linux 6.18). Seen on Debian's 6.12.
const PERF_CLOSED: i64 = 3;

/// Replaces the cause and remedy of a refusal if a limit or setting of the kernel explains it. `memory`:
/// the limit of locked memory before loading.
pub(crate) fn explained(error: Error, memory: Limit) -> Error {
    if let (Error::Refused { .. }, Err(short)) =
        (&error, locked_memory(&release(), memory.lifted()))
    {
        return short;
    }
    match error {
        Error::Refused { what, cause, .. } if perf_is_closed() => Error::Refused {
            what,
            cause,
            remedy: "some kernels need CAP_SYS_ADMIN for this if kernel.perf_event_paranoid is 3 or more: \
                     run forktrace as root, or run sudo sysctl kernel.perf_event_paranoid=2",
        },
        other => other,
    }
}

fn perf_is_closed() -> bool {
    let setting = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let level = setting.ok().and_then(|text| text.trim().parse::<i64>().ok());
    level.is_some_and(|level| level >= PERF_CLOSED) && !has(Capability::CAP_SYS_ADMIN)
}

/// What forktrace does after its programs are attached.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Later {
    /// It judges hangs that are older than the trace.
    pub(crate) late: bool,
    /// It probes new processes.
    pub(crate) locks: bool,
    /// It creates, chowns and deletes files in directories of other users.
    pub(crate) new_files: bool,
}

impl Later {
    /// The capabilities that it needs on the kernel `release`. Tested on Linux 6.18 by removing one after
    /// the other.
    fn capabilities(self, release: &str) -> CapsHashSet {
        use Capability as C;
        // To read other processes, and not to be preempted inside of a map.
        let mut keep = vec![C::CAP_SYS_PTRACE, C::CAP_DAC_READ_SEARCH, C::CAP_SYS_NICE];
        // To open the files that they have mapped (`proc_map_files_get_link`, `fs/proc/base.c`,
        // Linux 6.18); before 5.9 there is no such capability.
        keep.push(match version(release) >= Some((5, 9)) {
            true => C::CAP_CHECKPOINT_RESTORE,
            false => C::CAP_SYS_ADMIN,
        });
        if version(release) < Some((5, 19)) {
            // Every command of bpf(2) asks for it (until "bpf: refine kernel.unprivileged_bpf_disabled
            // behaviour", Linux 5.19), later on only those that make something.
            keep.push(C::CAP_BPF);
        }
        if self.late {
            // To see page frames (`pagemap_read`, `fs/proc/task_mmu.c`, Linux 6.18).
            keep.push(C::CAP_SYS_ADMIN);
        }
        if self.locks {
            // To probe (`perf_uprobe_event_init`, `kernel/events/core.c`: CAP_PERFMON was enough until
            // "perf: Revert to requiring CAP_SYS_ADMIN for uprobes", Linux 6.16 and stable kernels).
            keep.extend([C::CAP_SYS_ADMIN, C::CAP_PERFMON, C::CAP_BPF]);
        }
        if self.new_files {
            keep.extend([C::CAP_DAC_OVERRIDE, C::CAP_CHOWN, C::CAP_FOWNER]);
        }
        keep.into_iter().collect()
    }

    /// Drops the other capabilities for good, in this thread and its future threads. Programs that they
    /// execute cannot gain any. This process has memory of the traced programs from now on, so it also
    /// disables core files and ptrace.
    pub(crate) fn settle(self) {
        if let Err(error) = give_up_all_but(&self.capabilities(&release())) {
            tracing::debug!("giving up capabilities: {error}");
        }
        for (what, done) in
            [("no_new_privs", prctl::set_no_new_privs()), ("dumpable", prctl::set_dumpable(false))]
        {
            if let Err(error) = done {
                tracing::debug!("{what}: {error}");
            }
        }
    }
}

fn give_up_all_but(keep: &CapsHashSet) -> Result<(), CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let has = |capability: &Capability| permitted.contains(capability);
    let instead = keep.iter().filter(|wanted| !has(wanted)).filter_map(|wanted| stand_in(*wanted));
    let keep = keep.iter().copied().chain(instead).filter(has).collect();
    caps::clear(None, CapSet::Ambient)?;
    caps::set(None, CapSet::Effective, &keep)?;
    caps::set(None, CapSet::Permitted, &keep)?;
    caps::clear(None, CapSet::Inheritable)
}

/// The release of the kernel. Empty if it is unknown.
fn release() -> String {
    let name = nix::sys::utsname::uname();
    name.map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// Major and minor number of a kernel release such as `6.1.0-18-amd64`.
pub(crate) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// From here on maps count as memory of the cgroup instead of locked memory (`memcg-based memory
/// accounting`, merged for Linux 5.11).
const UNLOCKED: (u32, u32) = (5, 11);
/// The memory that the maps of a trace could use by default, rounded up. Older kernels count it when a
/// map is created (`htab_map_alloc`, `kernel/bpf/hashtab.c`, Linux 5.10).
const MAPS: u64 = 256 << 20;

/// Whether the kernel counts maps as locked memory. `None`: unknown.
pub(crate) fn maps_are_locked(release: &str) -> Option<bool> {
    version(release).map(|version| version < UNLOCKED)
}

/// Fails if the default maps need more locked memory than allowed. `lockable`: the limit, bytes
/// ([`Limit::lifted`]).
pub(crate) fn locked_memory(release: &str, lockable: u64) -> Result<(), Error> {
    match maps_are_locked(release) {
        Some(true) if lockable < MAPS => Err(Error::Hindered {
            detail: format!(
                "the limit of locked memory is {} KiB, but before Linux 5.11 eBPF maps need {} MiB by \
                 default",
                lockable >> 10,
                MAPS >> 20
            ),
            remedy: "raise the limit as root (ulimit -l unlimited), or run forktrace with \
                     CAP_SYS_RESOURCE",
        }),
        _ => Ok(()),
    }
}

/// The limit of locked memory, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// The current limit.
    pub(crate) soft: u64,
    /// The maximum to which a process without privilege may raise it.
    pub(crate) hard: u64,
    /// This process may raise it without limit.
    pub(crate) lifts: bool,
}

impl Limit {
    pub(crate) fn now() -> Self {
        // If the limit is unknown, creating a map fails later.
        let limit = getrlimit(Resource::RLIMIT_MEMLOCK);
        let (soft, hard) = limit.unwrap_or((RLIM_INFINITY, RLIM_INFINITY));
        Limit { soft, hard, lifts: has(Capability::CAP_SYS_RESOURCE) }
    }

    /// The limit after [`MemoryLock::lift`].
    pub(crate) fn lifted(self) -> u64 {
        if self.lifts { RLIM_INFINITY } else { self.hard }
    }
}

/// Raises the limit of locked memory until it is dropped.
///
/// Kernels before 5.11 count the memory that a map could use when the map is created
/// (`bpf_map_charge_init`, `kernel/bpf/syscall.c`, Linux 5.10). The limit is restored because a traced
/// command would inherit it.
pub(crate) struct MemoryLock((u64, u64));

impl MemoryLock {
    /// Raises the limit as far as allowed. If that is too low, the kernel refuses a map later.
    pub(crate) fn lift() -> Option<Self> {
        let before = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
        let lift = |limit| setrlimit(Resource::RLIMIT_MEMLOCK, limit, limit);
        // CAP_SYS_RESOURCE is needed to exceed the hard limit.
        lift(RLIM_INFINITY).or_else(|_| lift(before.1)).ok()?;
        Some(MemoryLock(before))
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let (soft, hard) = self.0;
        // Lowering a limit is always allowed.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_kept_is_what_is_still_done() {
        let kept = |later: Later, release| {
            let mut names: Vec<String> =
                later.capabilities(release).iter().map(Capability::to_string).collect();
            names.sort();
            names.join(" ")
        };
        let nothing = Later::default();
        let reading = "CAP_CHECKPOINT_RESTORE CAP_DAC_READ_SEARCH CAP_SYS_NICE CAP_SYS_PTRACE";
        assert_eq!(kept(nothing, "6.18.44"), reading);
        assert_eq!(kept(nothing, "5.19.0-41-generic"), reading);
        assert_eq!(kept(nothing, "5.10.0-32-amd64"), format!("CAP_BPF {reading}"));
        // None is known: as on the oldest.
        for release in ["5.8.0", ""] {
            let all = "CAP_BPF CAP_DAC_READ_SEARCH CAP_SYS_ADMIN CAP_SYS_NICE CAP_SYS_PTRACE";
            assert_eq!(kept(nothing, release), all);
        }
        let late = Later { late: true, ..nothing };
        assert!(kept(late, "6.18.44").contains("CAP_SYS_ADMIN"));
        let locks = Later { locks: true, ..nothing };
        assert!(kept(locks, "6.18.44").contains("CAP_PERFMON"));
        let files = Later { new_files: true, ..nothing };
        assert!(kept(files, "6.18.44").contains("CAP_CHOWN"));
    }

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
