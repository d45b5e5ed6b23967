//! Checks made from the results of trials. Pure.

use caps::Capability;

use super::facts::{ABOVE, AS_ROOT, in_the_way, list};
use crate::{doctor::Check, kernel::Error};

/// What to do where `--exact` alone lacks something.
const ABOVE_OR_WITHOUT: &str = "leave out --exact, or see the check of the tracepoint above";

/// The results of the trials.
pub(super) enum Trial {
    /// Nothing was tried.
    NotTried {
        /// What is missing.
        needs: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Everything was tried.
    Done {
        /// Whether the kernel has ring buffers.
        ring: Result<bool, String>,
        /// Loading and attaching; inside, reading registers.
        loaded: Result<Result<(), String>, Error>,
        /// Loading and attaching the programs on futex calls, too.
        exact: Result<(), Error>,
        /// Probing a function of this process.
        probes: Result<(), String>,
        /// Whether the kernel has such probes at all.
        has_uprobes: bool,
    },
}

/// Runs the trials if they can succeed: not on an unknown machine, and not without the capabilities
/// `lacking`.
pub(super) fn may_try(known: bool, lacking: &[Capability], trial: impl FnOnce() -> Trial) -> Trial {
    match (known, lacking.is_empty()) {
        (true, true) => trial(),
        (true, false) => Trial::NotTried { needs: list(lacking), remedy: AS_ROOT },
        (false, _) => Trial::NotTried { needs: "a known machine".into(), remedy: ABOVE },
    }
}

impl Trial {
    /// The checks of the results.
    pub(super) fn checks(self, has_btf: bool) -> Vec<Check> {
        let btf = btf(has_btf);
        let names = ("program-load", "ring-buffer", "registers", "uprobes", "exact-load");
        match self {
            Trial::NotTried { needs, remedy } => {
                let words = || format!("not tested: needs {needs}");
                vec![
                    Check::missing(names.0, words(), remedy),
                    Check::missing(names.1, words(), remedy),
                    Check::limited(names.4, words(), remedy),
                    btf,
                    Check::limited(names.2, words(), remedy),
                    Check::limited(names.3, words(), remedy),
                ]
            }
            Trial::Done { ring, loaded, exact, probes, has_uprobes } => {
                let loads = loaded.is_ok();
                let seen = loaded.as_ref().ok().cloned();
                vec![
                    load(names.0, loaded),
                    ring_buffer(names.1, ring),
                    exact_load(names.4, loads.then_some(exact)),
                    btf,
                    registers(names.2, seen),
                    uprobes(names.3, loads.then_some(probes), has_uprobes),
                ]
            }
        }
    }
}

fn load(name: &'static str, loaded: Result<Result<(), String>, Error>) -> Check {
    match loaded {
        Ok(_) => Check::ok(name, "the programs of the default can be loaded and attached"),
        Err(Error::Refused { what, cause, remedy }) => {
            Check::missing(name, format!("the kernel refused {what}: {cause}"), remedy)
        }
        Err(error @ Error::OpenFiles { needed, .. }) => {
            Check::missing(name, error.to_string(), format!("raise the limit: ulimit -n {needed}"))
        }
        Err(Error::Tracefs { .. } | Error::Tracepoint(_)) => {
            Check::missing(name, "not tested: tracefs or a tracepoint is missing", ABOVE)
        }
        Err(error) => in_the_way(name, error),
    }
}

/// The default does not need these programs. `loaded`: `None` if not even its own can be loaded.
fn exact_load(name: &'static str, loaded: Option<Result<(), Error>>) -> Check {
    match loaded {
        None => unloaded(name),
        Some(Ok(())) => Check::ok(name, "the programs of --exact can be loaded and attached"),
        Some(Err(Error::ExactTracepoint(_))) => Check::limited(
            name,
            "a tracepoint of futex calls is missing: --exact does not work; the default does",
            ABOVE_OR_WITHOUT,
        ),
        Some(Err(Error::Refused { what, cause, remedy })) => Check::limited(
            name,
            format!("the kernel refused {what}: --exact does not work ({cause})"),
            remedy,
        ),
        Some(Err(error)) => Check::limited(
            name,
            format!("--exact does not work: {error}"),
            "leave out --exact: the default works",
        ),
    }
}

fn ring_buffer(name: &'static str, ring: Result<bool, String>) -> Check {
    match ring {
        Ok(true) => Check::ok(name, "supported"),
        Ok(false) => Check::missing(name, "not in this kernel", "use Linux 5.8 or later"),
        Err(cause) => Check::missing(
            name,
            format!("the kernel refused to create one: {}", first_line(&cause)),
            "use a kernel with CONFIG_BPF_SYSCALL; in a container, allow bpf(2)",
        ),
    }
}

/// The programs do not need BTF: their offsets come from tracefs.
fn btf(has: bool) -> Check {
    match has {
        true => Check::ok("btf", "present (for registers of blocked threads, and first writes)"),
        false => Check::limited(
            "btf",
            "no /sys/kernel/btf/vmlinux: no registers of blocked threads, and fewer hangs on \
             locks without an owner are certain",
            "use a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

/// `seen`: `None` if the programs cannot be loaded.
fn registers(name: &'static str, seen: Option<Result<(), String>>) -> Check {
    match seen {
        None => unloaded(name),
        Some(Ok(())) => Check::ok(name, "registers of blocked threads are readable"),
        Some(Err(cause)) => Check::limited(
            name,
            format!("{}: stacks are cut where a frame pointer is needed", first_line(&cause)),
            "use Linux 5.15 or later with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

fn uprobes(name: &'static str, probes: Option<Result<(), String>>, has: bool) -> Check {
    match (probes, has) {
        (None, _) => unloaded(name),
        (Some(Ok(())), _) => Check::ok(name, "functions can be probed (for --locks)"),
        (Some(Err(_)), false) => Check::limited(
            name,
            "not in this kernel: --locks does not work",
            "use a kernel with CONFIG_UPROBE_EVENTS",
        ),
        (Some(Err(cause)), true) => Check::limited(
            name,
            format!("the kernel refused a probe: --locks does not work ({})", first_line(&cause)),
            "run forktrace as root, with sudo; for details: forktrace doctor -vv",
        ),
    }
}

fn unloaded(name: &'static str) -> Check {
    Check::limited(name, "not tested: the programs cannot be loaded", ABOVE)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
