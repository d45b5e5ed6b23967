//! Checks made from facts about the host. Pure.

use caps::Capability;

use crate::{
    doctor::{Check, Status},
    inspect::{Reach, Sight},
    kernel::{
        Error,
        privilege::{self, Limit, version},
    },
};

/// Remedy for missing privilege.
pub(super) const AS_ROOT: &str = "run forktrace as root, with sudo";
/// Remedy of a check that failed because of an earlier one.
pub(super) const ABOVE: &str = "first fix the missing checks above";
/// Remedy for a pid namespace of its own.
const HOST_PIDS: &str = "run forktrace on the host, or in a container that shares the pid namespace of \
    the host (docker run --pid=host; in a pod hostPID: true)";
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
            format!("use Linux {major}.{minor} or later"),
        ),
        Some(_) => Check::ok(name, format!("Linux {release} (needed: {major}.{minor} or later)")),
        None => Check::limited(
            name,
            format!("unknown version ({release:?})"),
            format!("mount /proc; the kernel must be Linux {major}.{minor} or later"),
        ),
    }
}

pub(super) fn pid_namespace(found: Result<(), Error>) -> Check {
    let name = "pid-namespace";
    match found {
        Ok(()) => Check::ok(name, "the pid namespace of the host"),
        Err(Error::PidNamespace { found }) => Check::missing(
            name,
            format!("{found}: the process ids of the kernel are not valid here"),
            HOST_PIDS,
        ),
        Err(error) => Check::missing(name, error.to_string(), AS_ROOT),
    }
}

/// `users`: the user namespace, if known; `preempts`: whether the kernel preempts its own code.
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
        let detail = format!("missing: {}", list(&missing));
        return Check::missing(name, detail, AS_ROOT);
    }
    let admin = has(Capability::CAP_SYS_ADMIN);
    let mut lost = Vec::new();
    if !admin {
        // Probes of one process ask for it (`perf_uprobe`, seen on Linux 6.18), as the frame numbers
        // in `/proc/<pid>/pagemap` do (`pagemap_read`, `fs/proc/task_mmu.c`).
        lost.push(
            "without CAP_SYS_ADMIN, --locks does not work, and hangs older than the trace are harder to \
             prove",
        );
    }
    if !admin && !has(Capability::CAP_CHECKPOINT_RESTORE) {
        lost.push(
            "without CAP_CHECKPOINT_RESTORE, functions have no names if their file was replaced after \
             the program started",
        );
    }
    if preempts && !has(Capability::CAP_SYS_NICE) {
        lost.push(
            "without CAP_SYS_NICE, this kernel may preempt forktrace while it reads a map, and events \
             are lost then (they are counted from Linux 5.12 on)",
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
        Ok(()) => Check::ok(name, format!("limit {limit}")),
        Err(Error::OpenFiles { limit, needed }) => Check::missing(
            name,
            format!("limit {limit}, but forktrace needs {needed}"),
            format!("raise the limit: ulimit -n {needed}"),
        ),
        Err(error) => Check::missing(name, error.to_string(), AS_ROOT),
    }
}

/// A check of something that prevents tracing, with the text of its error.
pub(super) fn in_the_way(name: &'static str, error: Error) -> Check {
    match error {
        Error::Hindered { detail, remedy } => Check::missing(name, detail, remedy),
        other => Check::missing(name, other.to_string(), AS_ROOT),
    }
}

/// A low limit is no [`Status::Missing`]: a trace with smaller maps may still fit.
pub(super) fn memory_lock(release: &str, limit: Limit) -> Check {
    let name = "memory-lock";
    let size = format!("{} KiB", limit.soft >> 10);
    let as_it_is = privilege::locked_memory(release, limit.soft);
    match (privilege::locked_memory(release, limit.lifted()), as_it_is) {
        (Err(short), _) => Check { status: Status::Limited, ..in_the_way(name, short) },
        (Ok(()), Err(_)) => Check::ok(
            name,
            format!("limit {size}; forktrace raises it while it loads its programs"),
        ),
        _ if privilege::maps_are_locked(release) == Some(false) => {
            Check::ok(name, "no limit for eBPF maps since Linux 5.11")
        }
        _ if limit.soft == u64::MAX => Check::ok(name, "no limit"),
        _ => Check::ok(name, format!("limit {size}")),
    }
}

/// `text`: `/sys/kernel/security/lockdown`, such as `[none] integrity confidentiality`. Only the
/// last keeps programs from reading kernel memory (`LOCKDOWN_BPF_READ_KERNEL`,
/// `include/linux/security.h`, Linux 6.18).
pub(super) fn lockdown(text: Option<&str>) -> Check {
    let name = "lockdown";
    let Some(text) = text else {
        return Check::ok(name, "none");
    };
    let mode = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    match mode.unwrap_or("unknown") {
        "confidentiality" => Check::missing(
            name,
            "confidentiality: eBPF programs may not read kernel memory, not even as root",
            "boot with lockdown=integrity or without lockdown= (if Secure Boot enables it: without \
             Secure Boot)",
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
            "3: no process may read the memory of another, so forktrace cannot recognise locks",
            "set kernel.yama.ptrace_scope to 2 or less in /etc/sysctl.d, then reboot",
        ),
        (Some("0"), _) => Check::ok(name, "0"),
        (Some(scope), true) => Check::ok(name, format!("{scope} (CAP_SYS_PTRACE overrides it)")),
        (Some(scope), false) => Check::limited(
            name,
            format!("{scope}: reading other processes needs CAP_SYS_PTRACE"),
            AS_ROOT,
        ),
    }
}

/// Memory and mapped files of other processes. `closed`: [`ptrace_scope`] forbids to read memory.
pub(super) fn processes(reach: Reach, lacking: &[Capability], closed: bool) -> Vec<Check> {
    let Reach { tried, memory, denied, first_denied, files } = reach;
    let of = |n: String| format!("of {n} of {tried} sampled processes");
    let readable = |n: usize| format!("memory {} is readable", of(n.to_string()));
    let is_denied = denied > 0 && lacking.is_empty() && !closed;
    let memory = match memory {
        _ if tried == 0 => Check::ok("process-memory", "no other process to sample"),
        n if is_denied => denied_memory(n, denied, first_denied, tried),
        0 => Check::missing(
            "process-memory",
            format!("memory {} is readable: forktrace cannot recognise locks", of("none".into())),
            if lacking.is_empty() { ABOVE } else { AS_ROOT },
        ),
        n if lacking.contains(&Capability::CAP_SYS_PTRACE) => {
            Check::limited("process-memory", readable(n), AS_ROOT)
        }
        n => Check::ok("process-memory", readable(n)),
    };
    let files = match files {
        _ if tried == 0 => Check::ok("mapped-files", "no other process to sample"),
        0 => Check::limited(
            "mapped-files",
            format!("mapped files {} are readable: functions have no names", of("none".into())),
            if is_denied { ABOVE } else { AS_ROOT },
        ),
        n => Check::ok("mapped-files", format!("mapped files {} are readable", of(n.to_string()))),
    };
    vec![memory, files]
}

/// With the capabilities and without Yama, only a security module can deny it. It may still allow
/// access to a command that forktrace starts, so the status is not [`Status::Missing`].
fn denied_memory(read: usize, denied: usize, first: Option<u32>, tried: usize) -> Check {
    let first = first.map_or_else(String::new, |pid| format!(" (first: pid {pid})"));
    Check::limited(
        "process-memory",
        format!(
            "memory of {read} of {tried} sampled processes is readable; access to {denied} is denied{first}, \
             probably by a security module (SELinux, AppArmor, Landlock): forktrace cannot find hangs there"
        ),
        "find the denial in the audit log (ausearch -m avc; dmesg), then run forktrace in a domain or \
         profile that may ptrace these processes (the current one: cat /proc/self/attr/current)",
    )
}

pub(super) fn page_frames(sight: Sight) -> Check {
    let name = "kpageflags";
    let limit = "hangs older than the trace are harder to prove";
    match sight {
        Sight::Full => Check::ok(name, "shows whether a page was written since the fork"),
        Sight::Frames => Check::limited(
            name,
            format!("does not show whether a page was written since the fork: {limit}"),
            "use Linux 5.19 or later",
        ),
        Sight::None => Check::limited(
            name,
            format!("cannot read page frames: {limit}"),
            "run forktrace as root (CAP_SYS_ADMIN), on a kernel with CONFIG_PROC_PAGE_MONITOR",
        ),
    }
}

pub(super) fn python(built_in: bool) -> Check {
    match built_in {
        true => Check::ok("python", "in this build: Python lines and locks are shown"),
        false => Check::limited(
            "python",
            "not in this build: Python lines, threads and locks are not shown",
            "build forktrace with the feature python: cargo build --features python",
        ),
    }
}
