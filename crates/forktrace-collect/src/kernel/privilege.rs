//! Which capabilities and limits are needed, whether they are there, and which are given up once the
//! programs are attached.

use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError, has_cap};
use nix::sys::{
    prctl,
    resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
};

use super::Error;

/// Needed by any tracing: loading programs and maps, attaching to tracepoints and reading memory
/// from programs, reading the memory of other users' processes, and tracefs and what only its owner
/// may read in `/proc`. Without that last one no older hang would be seen, and a trace would look
/// clean.
pub(crate) const NEEDED: [Capability; 4] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
];

/// Open files that are enough: one for each program, map and attachment, some 50, and those that
/// are read of traced processes.
const OPEN_FILES: u64 = 128;

/// Fails where capabilities do not count, with the names of those that are missing, or if too few files
/// may be open.
pub(crate) fn check() -> Result<(), Error> {
    let users = std::fs::read_link("/proc/self/ns/user");
    user_namespace(users.ok().as_deref().and_then(Path::to_str))?;
    let missing = missing(&has);
    if missing.is_empty() {
        return open_files();
    }
    let missing: Vec<String> = missing.iter().map(Capability::to_string).collect();
    Err(lacking(missing.join(", "), "to load its eBPF programs and to read other processes", ""))
}

/// What `/proc/<pid>/ns/user` points to in the initial user namespace: `PROC_USER_INIT_INO`,
/// `include/linux/proc_ns.h`, Linux 6.18.
const INITIAL_USERS: &str = "user:[4026531837]";

/// Fails in a user namespace. `users`: which one it is, where that can be told.
pub(crate) fn user_namespace(users: Option<&str>) -> Result<(), Error> {
    match users {
        Some(users) if users != INITIAL_USERS => Err(Error::Hindered {
            detail: "this is a user namespace, where no capability counts for eBPF".into(),
            remedy: "run it as root of the host (a rootless container cannot trace)",
        }),
        _ => Ok(()),
    }
}

pub(crate) fn lacking(missing: String, purpose: &'static str, otherwise: &'static str) -> Error {
    Error::Privilege { missing, purpose, otherwise }
}

/// Whether this process has a capability.
pub(crate) fn has(capability: Capability) -> bool {
    has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}

/// Which needed capabilities are missing.
pub(crate) fn missing(has: &dyn Fn(Capability) -> bool) -> Vec<Capability> {
    let lacks = |needed: &Capability| !has(*needed) && !stand_in(*needed).is_some_and(has);
    NEEDED.into_iter().filter(lacks).collect()
}

/// Fails where the memory of other processes is closed to everybody, root included: a trace would find
/// nothing and look clean.
pub(crate) fn check_memory() -> Result<(), Error> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    match scope.is_ok_and(|scope| scope.trim() == NO_ATTACH) {
        true => Err(Error::MemoryClosed),
        false => Ok(()),
    }
}

/// `YAMA_SCOPE_NO_ATTACH`, `security/yama/yama_lsm.c`, Linux 6.18.
pub(crate) const NO_ATTACH: &str = "3";

/// What allows the same and more (`bpf_capable` and `perfmon_capable`, `include/linux/capability.h`;
/// `generic_permission`, `fs/namei.c`; Linux 6.18).
fn stand_in(capability: Capability) -> Option<Capability> {
    match capability {
        Capability::CAP_BPF | Capability::CAP_PERFMON => Some(Capability::CAP_SYS_ADMIN),
        Capability::CAP_DAC_READ_SEARCH => Some(Capability::CAP_DAC_OVERRIDE),
        _ => None,
    }
}

/// Fails if too few files may be open.
pub(crate) fn open_files() -> Result<(), Error> {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((limit, _)) if limit < OPEN_FILES => Err(Error::OpenFiles { limit, needed: OPEN_FILES }),
        // Where it cannot be told, it will be seen.
        _ => Ok(()),
    }
}

/// From here on some kernels, such as Debian's, let nobody without `CAP_SYS_ADMIN` make a perf event,
/// by which a program is attached to a tracepoint; what the kernel itself knows of
/// `kernel.perf_event_paranoid` ends at 2 (`kernel/events/core.c`, Linux 6.18). Seen on Debian's 6.12.
const PERF_CLOSED: i64 = 3;

/// A refusal with its cause and remedy, where a limit or a setting of the kernel is why. `memory`: what
/// could be locked before.
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
            remedy: "with kernel.perf_event_paranoid at 3 or more some kernels ask for CAP_SYS_ADMIN: \
                     run it as root, or set that to 2 (sudo sysctl kernel.perf_event_paranoid=2)",
        },
        other => other,
    }
}

fn perf_is_closed() -> bool {
    let setting = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let level = setting.ok().and_then(|text| text.trim().parse::<i64>().ok());
    level.is_some_and(|level| level >= PERF_CLOSED) && !has(Capability::CAP_SYS_ADMIN)
}

/// What is still to be done after the programs are attached.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Later {
    /// Hangs that are older than the trace are judged.
    pub(crate) late: bool,
    /// Processes are probed as they come.
    pub(crate) locks: bool,
    /// Files are made, given to others and deleted, in whosever folders.
    pub(crate) new_files: bool,
}

impl Later {
    /// The capabilities that it takes; `release` is the kernel's. Seen on Linux 6.18, by leaving out
    /// one after the other.
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

    /// Gives up, in this thread and those that it makes, what is not needed any more, and for good:
    /// no program that they execute can gain anything. Memory of the traced programs is here from
    /// now on, so that the process leaves no core file and lets nobody look into it.
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

/// The kernel's release; empty where it is not known.
fn release() -> String {
    let name = nix::sys::utsname::uname();
    name.map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// Major and minor number of a kernel's release, such as `6.1.0-18-amd64`.
pub(crate) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// From here on maps count as memory of the cgroup instead of locked memory (`memcg-based memory
/// accounting`, merged for Linux 5.11).
const UNLOCKED: (u32, u32) = (5, 11);
/// What the maps of a trace could hold by default, rounded up. Older kernels count that when they
/// are made (`htab_map_alloc`, `kernel/bpf/hashtab.c`, Linux 5.10).
const MAPS: u64 = 256 << 20;

/// Whether a kernel counts maps as locked memory; `None`: it is not known.
pub(crate) fn maps_are_locked(release: &str) -> Option<bool> {
    version(release).map(|version| version < UNLOCKED)
}

/// Fails where less memory may be locked than maps count for by default. `lockable`: bytes that may be
/// ([`Limit::lifted`]).
pub(crate) fn locked_memory(release: &str, lockable: u64) -> Result<(), Error> {
    match maps_are_locked(release) {
        Some(true) if lockable < MAPS => Err(Error::Hindered {
            detail: format!(
                "only {} KiB may be locked, and before Linux 5.11 maps count as locked memory: by \
                 default {} MiB",
                lockable >> 10,
                MAPS >> 20
            ),
            remedy: "raise that as root (ulimit -l unlimited), or run it with CAP_SYS_RESOURCE",
        }),
        _ => Ok(()),
    }
}

/// How much memory may be locked, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// As things are.
    pub(crate) soft: u64,
    /// The most to which a process without privilege may lift that.
    pub(crate) hard: u64,
    /// This one has the privilege to lift it as it likes.
    pub(crate) lifts: bool,
}

impl Limit {
    pub(crate) fn now() -> Self {
        // Where it cannot be told, it will be seen.
        let limit = getrlimit(Resource::RLIMIT_MEMLOCK);
        let (soft, hard) = limit.unwrap_or((RLIM_INFINITY, RLIM_INFINITY));
        Limit { soft, hard, lifts: has(Capability::CAP_SYS_RESOURCE) }
    }

    /// What [`MemoryLock::lift`] can make of it.
    pub(crate) fn lifted(self) -> u64 {
        if self.lifts { RLIM_INFINITY } else { self.hard }
    }
}

/// The limit of locked memory, lifted for as long as this lives.
///
/// Kernels before 5.11 count against it what maps could hold (`bpf_map_charge_init`,
/// `kernel/bpf/syscall.c`, Linux 5.10), at their making only. It is put back because a traced command
/// would inherit it.
pub(crate) struct MemoryLock((u64, u64));

impl MemoryLock {
    /// Lifts it as far as may be; if that is too little, the kernel says so when it refuses a map.
    pub(crate) fn lift() -> Option<Self> {
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
