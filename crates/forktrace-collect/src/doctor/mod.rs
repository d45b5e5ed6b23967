//! `forktrace doctor`: checks whether this host can be traced, and what to do if it cannot.
//!
//! This file collects the facts; the neighbouring files turn them into checks.

mod check;
mod facts;
mod processor;
#[cfg(test)]
mod tests;
mod tracepoints;
mod trial;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use aya::{maps::MapType, sys::is_map_supported};
use nix::sys::resource::{Resource, getrlimit};

use self::{tracepoints::Layouts, trial::Trial};
use crate::{
    arch::HostMachine,
    inspect,
    kernel::{
        Error,
        error::{causes, refused},
        file_locks::FILE_LOCKS,
        loader::{self, FAULTS, FORKS, Fields, NEWER_FUTEX, Options},
        lock_probes::PROBE_TYPE,
        namespace, privilege,
        realtime::kernel_preempts,
        sockets::SOCKETS,
    },
};

pub use check::{Check, Status};

/// Time limit of one trial, about a hundred times its usual time.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs all checks. A cause comes before the checks that fail because of it.
///
/// The eBPF programs are loaded and attached for a moment, and no process is traced. Without the
/// capabilities for that, they are not loaded, and their checks show that.
pub fn examine() -> Vec<Check> {
    let host = Host(PathBuf::from("/"));
    let release = host.text("proc/sys/kernel/osrelease");
    let release = release.as_deref().unwrap_or_default();
    let has = &privilege::has;
    let lacking = privilege::missing(has);
    let users = host.link("proc/self/ns/user");
    let layouts = within(|| {
        let fields = Fields::of_this_kernel();
        loader::with_tracefs(move |tracefs| Layouts {
            place: tracefs.place().to_owned(),
            survey: tracefs.survey(),
            socket_fields: fields.sockets.is_some(),
            lock_fields: fields.file_locks.is_some(),
            present: [&NEWER_FUTEX[..], &FORKS, &FAULTS, &SOCKETS, &FILE_LOCKS]
                .concat()
                .into_iter()
                .map(|(_, event)| event)
                .filter(|event| tracefs.has(event))
                .collect(),
        })
    });
    let layouts = layouts.unwrap_or_else(|| Err(Error::Tracefs { cause: "no answer".into() }));
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);

    let machine = HostMachine::here();
    let mut checks = vec![
        processor::processor(&machine),
        facts::kernel(release),
        facts::pid_namespace(namespace::check_pid_namespace()),
        facts::capabilities(has, users.as_deref(), kernel_preempts()),
        facts::open_files(privilege::open_files(), files),
        facts::memory_lock(release, privilege::Limit::now()),
        facts::lockdown(host.text("sys/kernel/security/lockdown").as_deref()),
        tracepoints::tracefs(
            &layouts,
            host.text("proc/self/mounts").as_deref().unwrap_or_default(),
        ),
    ];
    checks.extend(tracepoints::tracepoints(layouts.as_ref().ok()));
    let trial = trial::may_try(machine.check().is_ok(), &lacking, || try_all(&host));
    checks.extend(trial.checks(host.has("sys/kernel/btf/vmlinux")));
    let reach = within(inspect::reach).unwrap_or_default();
    let scope = host.text("proc/sys/kernel/yama/ptrace_scope");
    let scope = facts::ptrace_scope(scope.as_deref(), has(caps::Capability::CAP_SYS_PTRACE));
    let closed = scope.status == Status::Missing;
    checks.push(scope);
    checks.extend(facts::processes(reach, &lacking, closed));
    checks.push(facts::page_frames(within(inspect::sight).unwrap_or(inspect::Sight::None)));
    checks.push(facts::python(cfg!(feature = "python")));
    checks
}

/// Tests what can only be known by testing it.
fn try_all(host: &Host) -> Trial {
    // The default size of a trace: kernels before 5.11 count the memory that maps could use.
    let options = Options {
        trace_all: false,
        follow: true,
        min_wait_ns: 1_000_000_000,
        stream: false,
        snapshots: true,
        fault_events: false,
        locks: false,
        lean: true,
        snapshot_limit: 128 << 20,
        ring_bytes: None,
        table_sizes: Vec::new(),
        diagnostics: false,
        late: true,
        new_files: false,
    };
    let ring = within(|| is_map_supported(MapType::RingBuf).map_err(|error| causes(&error)));
    let own = std::process::id();
    let (wanted, late) = (options.clone(), || "no answer within 15 s".to_owned());
    let loaded = within(move || {
        let (kernel, ring) = loader::load(&wanted)?;
        let registers = kernel.registers.candidates(own).map(drop);
        drop((ring, kernel));
        Ok(registers)
    });
    let exact = Options { lean: false, ..options.clone() };
    let exact = within(move || loader::load(&exact).map(drop));
    let with_locks = Options { locks: true, ..options };
    let probes = within(move || loader::try_lock_probes(&with_locks));
    Trial::Done {
        ring: ring.unwrap_or_else(|| Err(late())),
        loaded: loaded.unwrap_or_else(|| Err(refused("its programs", &late()))),
        exact: exact.unwrap_or_else(|| Err(refused("its programs", &late()))),
        probes: probes.unwrap_or_else(|| Err(late())),
        has_uprobes: host.has(PROBE_TYPE),
    }
}

/// The result of `work`, or `None` if it takes too long: reading a file of `/proc` may wait for a process
/// that is stuck in the kernel.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, answer) = mpsc::channel();
    // Sending fails if `work` took too long.
    let thread = std::thread::Builder::new().spawn(move || drop(sender.send(work())));
    thread.ok().and_then(|_| answer.recv_timeout(PATIENCE).ok())
}

/// The root of the file system with `/proc` and `/sys`.
struct Host(PathBuf);

impl Host {
    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let text: io::Result<String> = fs::read_to_string(self.0.join(path));
        text.ok()
    }

    fn link(&self, path: impl AsRef<Path>) -> Option<String> {
        let target = fs::read_link(self.0.join(path)).ok()?;
        Some(target.to_string_lossy().into_owned())
    }

    fn has(&self, path: impl AsRef<Path>) -> bool {
        self.0.join(path).exists()
    }
}
