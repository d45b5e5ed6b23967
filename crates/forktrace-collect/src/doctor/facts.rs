//! Checks from what was found. Pure.

use caps::Capability;

use crate::{
    doctor::{Check, Status},
    inspect::{Reach, Sight},
    kernel::{
        Error,
        privilege::{self, Limit, version},
    },
};

/// What gives every privilege.
pub(super) const AS_ROOT: &str = "run it as root, with sudo";
/// What follows from something else.
pub(super) const ABOVE: &str = "first what is said above";
/// The oldest kernel that is supported: it has ring buffers and `CAP_BPF`.
const OLDEST: (u32, u32) = (5, 8);

pub(super) fn kernel(release: &str) -> Check {
    let name = "kernel";
    let (major, minor) = OLDEST;
    let release = release.trim();
    match version(release) {
        Some(version) if version < OLDEST => Check::missing(
            name,
            format!("Linux {release} is too old"),
            format!("Linux {major}.{minor} or later"),
        ),
        Some(_) => Check::ok(name, format!("Linux {release} (needed: {major}.{minor})")),
        None => Check::limited(
            name,
            format!("its version is not known ({release:?})"),
            format!("it must be Linux {major}.{minor} or later; mount /proc"),
        ),
    }
}

pub(super) fn pid_namespace(found: Result<(), Error>) -> Check {
    let name = "pid-namespace";
    match found {
        Ok(()) => Check::ok(name, "the host's"),
        Err(Error::PidNamespace { found }) => Check::missing(
            name,
            format!("{found} (a pid namespace of its own): the kernel's process ids mean nothing"),
            "run forktrace on the host, or in a container that has the host's processes (docker run \
             --pid=host, or hostPID: true in a pod)",
        ),
        Err(error) => Check::missing(name, error.to_string(), AS_ROOT),
    }
}

/// `users`: the user namespace, where it can be told; `preempts`: the kernel preempts its own code.
pub(super) fn capabilities(
    has: &dyn Fn(Capability) -> bool,
    users: Option<&str>,
    preempts: bool,
) -> Check {
    let name = "capabilities";
    if let Err(error) = privilege::user_namespace(users) {
        return in_the_way(name, error);
    }
    let missing = privilege::missing(has);
    if !missing.is_empty() {
        let detail = format!("no {}: nothing can be traced (-p, -a or CMD)", list(&missing));
        return Check::missing(name, detail, AS_ROOT);
    }
    let admin = has(Capability::CAP_SYS_ADMIN);
    let mut lost = Vec::new();
    if !admin {
        // Probes of one process ask for it (`perf_uprobe`, seen on Linux 6.18), as the frame numbers
        // in `/proc/<pid>/pagemap` do (`pagemap_read`, `fs/proc/task_mmu.c`).
        lost.push(
            "no CAP_SYS_ADMIN: no --locks, and what a parent's page tells of an old fork is lost",
        );
    }
    if !admin && !has(Capability::CAP_CHECKPOINT_RESTORE) {
        lost.push(
            "no CAP_CHECKPOINT_RESTORE: functions of programs and libraries that were replaced since \
             they were started have no names",
        );
    }
    if preempts && !has(Capability::CAP_SYS_NICE) {
        lost.push(
            "no CAP_SYS_NICE: this kernel may preempt forktrace inside of a map, and no program sees \
             what others do there meanwhile; such events are counted as lost (from Linux 5.12 on)",
        );
    }
    match lost.is_empty() {
        true => Check::ok(name, format!("{}, CAP_SYS_ADMIN", list(&privilege::NEEDED))),
        false => Check::limited(name, lost.join("; "), AS_ROOT),
    }
}

pub(super) fn list(capabilities: &[Capability]) -> String {
    capabilities.iter().map(Capability::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn open_files(found: Result<(), Error>, limit: u64) -> Check {
    let name = "open-files";
    match found {
        Ok(()) => Check::ok(name, format!("{limit} may be open at once")),
        Err(Error::OpenFiles { limit, needed }) => Check::missing(
            name,
            format!("only {limit} may be open at once, and {needed} are needed"),
            format!("ulimit -n {needed}"),
        ),
        Err(error) => Check::missing(name, error.to_string(), AS_ROOT),
    }
}

/// What keeps a trace from beginning, in the words of its error.
pub(super) fn in_the_way(name: &'static str, error: Error) -> Check {
    match error {
        Error::Hindered { detail, remedy } => Check::missing(name, detail, remedy),
        other => Check::missing(name, other.to_string(), AS_ROOT),
    }
}

/// Smaller maps than by default may fit, so that too little is not the end.
pub(super) fn memory_lock(release: &str, limit: Limit) -> Check {
    let name = "memory-lock";
    let size = format!("{} KiB", limit.soft >> 10);
    let as_it_is = privilege::locked_memory(release, limit.soft);
    match (privilege::locked_memory(release, limit.lifted()), as_it_is) {
        (Err(short), _) => Check { status: Status::Limited, ..in_the_way(name, short) },
        (Ok(()), Err(_)) => {
            Check::ok(name, format!("{size} may be locked; forktrace lifts that while it loads"))
        }
        _ if privilege::maps_are_locked(release) == Some(false) => {
            Check::ok(name, "no limit for maps (from 5.11 on)")
        }
        _ if limit.soft == u64::MAX => Check::ok(name, "no limit"),
        _ => Check::ok(name, format!("{size} may be locked")),
    }
}

/// `text`: `/sys/kernel/security/lockdown`, such as `[none] integrity confidentiality`. Only the
/// last keeps programs from reading kernel memory (`LOCKDOWN_BPF_READ_KERNEL`,
/// `include/linux/security.h`, Linux 6.18).
pub(super) fn lockdown(text: Option<&str>) -> Check {
    let name = "lockdown";
    let Some(text) = text else {
        return Check::ok(name, "none to be seen");
    };
    let mode = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    match mode.unwrap_or("unknown") {
        "confidentiality" => Check::missing(
            name,
            "confidentiality: no program may read the kernel's memory, root's neither",
            "boot with lockdown=integrity or without lockdown= (or, where it comes with Secure Boot, \
             without that)",
        ),
        mode => Check::ok(name, mode),
    }
}

/// `text`: `kernel.yama.ptrace_scope`; without Yama there is none. 3 closes the memory of other
/// processes to everybody, until the next boot (`Documentation/admin-guide/LSM/Yama.rst`, 6.18).
pub(super) fn ptrace_scope(text: Option<&str>, privileged: bool) -> Check {
    let name = "ptrace-scope";
    match (text.map(str::trim), privileged) {
        (None, _) => Check::ok(name, "not restricted (no Yama)"),
        (Some(privilege::NO_ATTACH), _) => Check::missing(
            name,
            "3: nobody may read the memory of other processes, so that no lock is recognised",
            "set kernel.yama.ptrace_scope to 2 or less in /etc/sysctl.d and boot again",
        ),
        (Some("0"), _) => Check::ok(name, "0"),
        (Some(scope), true) => Check::ok(name, format!("{scope}; CAP_SYS_PTRACE stands above it")),
        (Some(scope), false) => Check::limited(
            name,
            format!("{scope}: without CAP_SYS_PTRACE other processes are closed"),
            AS_ROOT,
        ),
    }
}

/// Memory and mapped files of the processes that run here. `closed`: nobody may read memory, see
/// [`ptrace_scope`].
pub(super) fn processes(reach: Reach, lacking: &[Capability], closed: bool) -> Vec<Check> {
    let Reach { tried, memory, denied, first_denied, files } = reach;
    let of = |n: usize| format!("of {n} among {tried} processes");
    let is_denied = denied > 0 && lacking.is_empty() && !closed;
    let memory = match memory {
        _ if tried == 0 => Check::ok("process-memory", "no other process to try it on"),
        n if is_denied => denied_memory(n, denied, first_denied, tried),
        0 => Check::missing(
            "process-memory",
            format!("that of none among {tried} processes may be read: no lock is recognised"),
            if lacking.is_empty() { ABOVE } else { AS_ROOT },
        ),
        n if lacking.contains(&Capability::CAP_SYS_PTRACE) => {
            Check::limited("process-memory", format!("{} may be read", of(n)), AS_ROOT)
        }
        n => Check::ok("process-memory", format!("that {} may be read", of(n))),
    };
    let files = match files {
        _ if tried == 0 => Check::ok("mapped-files", "no other process to try it on"),
        0 => Check::limited(
            "mapped-files",
            format!("none among {tried} processes may be opened: functions have no names"),
            if is_denied { ABOVE } else { AS_ROOT },
        ),
        n => Check::ok("mapped-files", format!("those {} may be opened", of(n))),
    };
    vec![memory, files]
}

/// With the capabilities and without Yama a security module alone denies it. What a trace starts itself it
/// may often read all the same, so that not all is lost.
fn denied_memory(read: usize, denied: usize, first: Option<u32>, tried: usize) -> Check {
    let first = first.map_or_else(String::new, |pid| format!(" (first: pid {pid})"));
    Check::limited(
        "process-memory",
        format!(
            "that of {read} among {tried} processes may be read; something, mostly a security module \
             (SELinux, AppArmor, Landlock), denies that of {denied}{first}, whose hangs are not recognised"
        ),
        "see what denies it in the audit log (ausearch -m avc; dmesg), and let forktrace run in a domain \
         or profile that may ptrace them (cat /proc/self/attr/current)",
    )
}

pub(super) fn page_frames(sight: Sight) -> Check {
    let name = "kpageflags";
    let lost = "of a fork before the trace, what the parent's page still tells";
    match sight {
        Sight::Full => Check::ok(name, "shows which pages were written since a fork"),
        Sight::Frames => Check::limited(
            name,
            format!("does not show which pages were written since a fork; lost: {lost}"),
            "Linux 5.19 or later",
        ),
        Sight::None => Check::limited(
            name,
            format!("page frames are not shown; lost: {lost}"),
            "run it as root (CAP_SYS_ADMIN), on a kernel with CONFIG_PROC_PAGE_MONITOR",
        ),
    }
}

pub(super) fn python(built_in: bool) -> Check {
    match built_in {
        true => Check::ok("python", "in this build: lines and locks of Python are shown"),
        false => Check::limited(
            "python",
            "not in this build: Python's lines, threads and lock objects are not shown",
            "build it with the feature python (cargo build --features python)",
        ),
    }
}
