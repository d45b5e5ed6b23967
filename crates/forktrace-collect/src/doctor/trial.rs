//! Checks of what must be tried to be known. Pure.

use caps::Capability;

use super::facts::{ABOVE, AS_ROOT, in_the_way, list};
use crate::{doctor::Check, kernel::Error};

/// What was tried.
pub(super) enum Trial {
    /// Nothing, and what it needs first.
    NotTried {
        /// What is missing.
        needs: String,
        /// What can be done about it.
        remedy: &'static str,
    },
    /// All.
    Done {
        /// Whether the kernel has ring buffers.
        ring: Result<bool, String>,
        /// Loading and attaching; inside, reading registers.
        loaded: Result<Result<(), String>, Error>,
        /// Probing a function of this process.
        probes: Result<(), String>,
        /// Whether the kernel has such probes at all.
        has_uprobes: bool,
    },
}

/// Tries only what can succeed: on a machine that is not `known`, and without the capabilities, every
/// answer is the same.
pub(super) fn may_try(known: bool, lacking: &[Capability], trial: impl FnOnce() -> Trial) -> Trial {
    match (known, lacking.is_empty()) {
        (true, true) => trial(),
        (true, false) => Trial::NotTried { needs: list(lacking), remedy: AS_ROOT },
        (false, _) => Trial::NotTried { needs: "another machine".into(), remedy: ABOVE },
    }
}

impl Trial {
    /// What came of it.
    pub(super) fn checks(self, has_btf: bool) -> Vec<Check> {
        let btf = btf(has_btf);
        let names = ("program-load", "ring-buffer", "registers", "uprobes");
        match self {
            Trial::NotTried { needs, remedy } => {
                let words = || format!("not tried: it needs {needs}");
                vec![
                    Check::missing(names.0, words(), remedy),
                    Check::missing(names.1, words(), remedy),
                    btf,
                    Check::limited(names.2, words(), remedy),
                    Check::limited(names.3, words(), remedy),
                ]
            }
            Trial::Done { ring, loaded, probes, has_uprobes } => {
                let loads = loaded.is_ok();
                let seen = loaded.as_ref().ok().cloned();
                vec![
                    load(names.0, loaded),
                    ring_buffer(names.1, ring),
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
        Ok(_) => Check::ok(name, "all programs loaded and attached, and ended again"),
        Err(Error::Refused { what, cause, remedy }) => {
            Check::missing(name, format!("the kernel refused {what}: {cause}"), remedy)
        }
        Err(error @ Error::OpenFiles { needed, .. }) => {
            Check::missing(name, error.to_string(), format!("ulimit -n {needed}"))
        }
        Err(Error::Tracefs { .. } | Error::Tracepoint(_)) => {
            Check::missing(name, "not tried: tracefs or a tracepoint is missing", ABOVE)
        }
        Err(error) => in_the_way(name, error),
    }
}

fn ring_buffer(name: &'static str, ring: Result<bool, String>) -> Check {
    match ring {
        Ok(true) => Check::ok(name, "the kernel makes them"),
        Ok(false) => Check::missing(name, "this kernel has none", "Linux 5.8 or later"),
        Err(cause) => Check::missing(
            name,
            format!("the kernel refused one: {}", first_line(&cause)),
            "a kernel with CONFIG_BPF_SYSCALL; in a container, one that allows bpf(2)",
        ),
    }
}

/// The programs themselves need no BTF: offsets come from tracefs.
fn btf(has: bool) -> Check {
    match has {
        true => {
            Check::ok("btf", "there, for registers of blocked threads and the proofs of --lean")
        }
        false => Check::limited(
            "btf",
            "no /sys/kernel/btf/vmlinux: no registers of blocked threads, and with --lean a lock \
             without an owner is less often certain",
            "a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

/// `None`: the programs cannot be loaded at all; so below.
fn registers(name: &'static str, seen: Option<Result<(), String>>) -> Check {
    match seen {
        None => unloaded(name),
        Some(Ok(())) => Check::ok(name, "those of blocked threads are shown"),
        Some(Err(cause)) => Check::limited(
            name,
            format!("{}: stacks end where a frame pointer is needed", first_line(&cause)),
            "Linux 5.15 or later with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

fn uprobes(name: &'static str, probes: Option<Result<(), String>>, has: bool) -> Check {
    match (probes, has) {
        (None, _) => unloaded(name),
        (Some(Ok(())), _) => Check::ok(name, "a function was probed (for --locks)"),
        (Some(Err(_)), false) => Check::limited(
            name,
            "this kernel has none: no --locks",
            "a kernel with CONFIG_UPROBE_EVENTS",
        ),
        (Some(Err(cause)), true) => Check::limited(
            name,
            format!("no function could be probed: no --locks ({})", first_line(&cause)),
            "run it as root, with sudo; forktrace doctor -vv says more",
        ),
    }
}

fn unloaded(name: &'static str) -> Check {
    Check::limited(name, "not tried: the programs cannot be loaded", ABOVE)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
