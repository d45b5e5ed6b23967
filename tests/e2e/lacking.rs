//! What `forktrace doctor` says where one thing is really missing: that check changes, with what follows
//! from it and nothing else, and tracing agrees.
//!
//! What a machine has is taken away by mounting something over it in a mount namespace of its own, by a
//! capability less, or by a filter of system calls.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    run::{Ended, Job},
    trial, workload,
};
use libtest_mimic::Trial;

use crate::doctor::{checks, named, run};

const LIMIT: Duration = Duration::from_secs(60);

/// A thing that is taken away.
struct Lack {
    name: &'static str,
    needs: &'static [Need],
    /// What takes it away, in a mount namespace of its own.
    shell: &'static str,
    /// The checks that differ from those of the same host as it is, and what they say. The first is
    /// about the thing itself.
    differ: &'static [(&'static str, &'static str)],
    /// Words of the first.
    words: &'static [&'static str],
}

const MOUNTING: &[Need] = &[Need::Tracing, Need::Unshare];
const DROPPING: &[Need] = &[Need::Tracing, Need::Unshare, Need::Setpriv];
const FILTERING: &[Need] = &[Need::Tracing, Need::Unshare, Need::Cc];

/// Where the programs cannot be loaded, these follow.
const UNLOADED: [(&str, &str); 4] = [
    ("program-load", "missing"),
    ("exact-load", "limited"),
    ("registers", "limited"),
    ("uprobes", "limited"),
];

static LACKS: &[Lack] = &[
    Lack {
        name: "lacking_a_newer_kernel",
        needs: MOUNTING,
        // No older kernel can be had that starts forktrace: this one says that it is one.
        shell: "echo 5.7.19 >$own; mount --bind $own /proc/sys/kernel/osrelease",
        differ: &[("kernel", "missing"), ("memory-lock", "")],
        words: &["5.7.19", "Linux 5.8"],
    },
    Lack {
        name: "lacking_a_field",
        needs: MOUNTING,
        shell: "at=$events/sched/sched_process_fork/format; grep -v child_pid $at >$own; \
                mount --bind $own $at",
        differ: &[
            ("sched_process_fork", "missing"),
            UNLOADED[0],
            UNLOADED[1],
            UNLOADED[2],
            UNLOADED[3],
        ],
        words: &["no field child_pid"],
    },
    Lack {
        name: "lacking_a_field_of_a_newer_futex_call",
        needs: &[Need::Tracing, Need::Unshare, Need::Tracepoint("syscalls/sys_enter_futex_waitv")],
        shell: "at=$events/syscalls/sys_enter_futex_waitv/format; grep -v waiters $at >$own; \
                mount --bind $own $at",
        differ: &[("newer-futex-calls", "limited"), UNLOADED[1]],
        words: &["no field waiters", "--exact"],
    },
    Lack {
        name: "lacking_page_faults",
        needs: MOUNTING,
        shell: "mount -t tmpfs none $events/exceptions",
        differ: &[("page-faults", "limited")],
        words: &["exceptions/page_fault_*"],
    },
    Lack {
        name: "lacking_fork_calls",
        needs: MOUNTING,
        shell: "for call in clone clone3 fork; do at=$events/syscalls/sys_enter_$call; \
                [ ! -d $at ] || mount -t tmpfs none $at; done",
        differ: &[("fork-calls", "limited")],
        words: &["--locks"],
    },
    Lack {
        name: "lacking_type_information",
        needs: MOUNTING,
        shell: "mount -t tmpfs none /sys/kernel/btf",
        differ: &[
            ("btf", "limited"),
            ("registers", "limited"),
            ("socket-uses", "limited"),
            ("file-locks", "limited"),
        ],
        words: &["/sys/kernel/btf/vmlinux"],
    },
    Lack {
        name: "lacking_uprobes",
        needs: MOUNTING,
        shell: "mount -t tmpfs none /sys/bus/event_source/devices/uprobe",
        differ: &[("uprobes", "limited")],
        words: &["not in this kernel", "--locks"],
    },
    Lack {
        name: "lacking_page_frames",
        needs: MOUNTING,
        shell: "mount --bind /dev/null /proc/kpageflags",
        differ: &[("kpageflags", "limited")],
        words: &["cannot read page frames"],
    },
    Lack {
        name: "lacking_python_on_the_host",
        needs: &[Need::Tracing, Need::Unshare, Need::Python],
        // That of a traced process is read without any program of Python's: nothing is lost.
        shell: "while at=$(command -v python3); do mount --bind /dev/null $(readlink -f $at); done",
        differ: &[("python", "ok")],
        words: &["in this build"],
    },
    Lack {
        name: "lacking_bpf",
        needs: FILTERING,
        shell: "wrap={without_bpf}",
        differ: &[("ring-buffer", "missing"), UNLOADED[0], UNLOADED[1], UNLOADED[2], UNLOADED[3]],
        words: &["in a container, allow bpf(2)"],
    },
    Lack {
        name: "lacking_all_but_four_capabilities",
        needs: DROPPING,
        // The limit of locked memory is the kernel's before 5.11, and lifting it another capability's.
        shell: "ulimit -l unlimited 2>/dev/null || :; four=+bpf,+perfmon,+sys_ptrace,+dac_read_search; \
                wrap=\"setpriv --reuid=61234 --regid=61234 --clear-groups --inh-caps=-all,$four \
                --ambient-caps=-all,$four --bounding-set=-all,$four\"",
        differ: &[("capabilities", "limited"), ("kpageflags", "limited"), ("uprobes", "")],
        words: &["CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE", "--locks"],
    },
    Lack {
        name: "lacking_everything",
        needs: DROPPING,
        shell: "wrap='setpriv --reuid=61239 --regid=61239 --clear-groups --inh-caps=-all \
                --bounding-set=-all'",
        differ: &[
            ("capabilities", "missing"),
            ("tracefs", "missing"),
            ("task_newtask", "missing"),
            ("sched_process_fork", "missing"),
            ("sched_process_exec", "missing"),
            ("sched_process_exit", "missing"),
            ("sys_enter_futex", "limited"),
            ("sys_exit_futex", "limited"),
            ("socket-uses", "limited"),
            ("file-locks", "limited"),
            ("newer-futex-calls", "limited"),
            ("page-faults", "limited"),
            ("fork-calls", "limited"),
            UNLOADED[0],
            UNLOADED[1],
            UNLOADED[2],
            UNLOADED[3],
            ("ring-buffer", "missing"),
            ("memory-lock", ""),
            ("ptrace-scope", ""),
            ("process-memory", "missing"),
            ("mapped-files", "limited"),
            ("kpageflags", "limited"),
        ],
        words: &["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"],
    },
];

/// Each of these must be there.
static TRACEPOINTS: [&str; 4] = [
    "task/task_newtask",
    "sched/sched_process_fork",
    "sched/sched_process_exec",
    "sched/sched_process_exit",
];

/// These are for `--exact`.
static OF_EXACT: [&str; 2] = ["syscalls/sys_enter_futex", "syscalls/sys_exit_futex"];

pub(crate) fn trials() -> Vec<Trial> {
    let of = |lack: &'static Lack| {
        trial(lack.name, lack.needs, || lacking(lack.shell, lack.differ, lack.words))
    };
    let mut trials: Vec<Trial> = LACKS.iter().map(of).collect();
    trials.extend(TRACEPOINTS.map(|event| {
        let name = event.rsplit('/').next().unwrap_or(event);
        trial(format!("lacking_{name}"), MOUNTING, move || {
            let shell = format!("mount -t tmpfs none $events/{event}");
            let [load, exact, registers, uprobes] = UNLOADED;
            let differ = [(name, "missing"), load, exact, registers, uprobes];
            lacking(&shell, &differ, &["not in this kernel"])
        })
    }));
    trials.extend(OF_EXACT.map(|event| {
        let name = event.rsplit('/').next().unwrap_or(event);
        trial(format!("lacking_{name}"), MOUNTING, move || {
            let shell = format!("mount -t tmpfs none $events/{event}");
            let words = ["not in this kernel", "--exact does not work"];
            lacking(&shell, &[(name, "limited"), ("exact-load", "limited")], &words)
        })
    }));
    trials.push(trial("lacking_the_right_to_be_real_time", DROPPING, real_time));
    trials
}

/// Only where the kernel preempts its own code anything is lost.
fn real_time() -> Result<()> {
    let preempts = fs::read_to_string("/proc/sys/kernel/version")?.contains("PREEMPT");
    let shell = "wrap='setpriv --bounding-set=-sys_nice'";
    match preempts {
        true => {
            let words = ["CAP_SYS_NICE", "preempt", "counted"];
            lacking(shell, &[("capabilities", "limited")], &words)
        }
        false => lacking(shell, &[("capabilities", "ok")], &[]),
    }
}

/// The statuses by the names of the checks.
fn statuses(ended: &Ended) -> Result<BTreeMap<String, String>> {
    let of = |check: &serde_json::Value, field: &str| {
        check[field].as_str().unwrap_or_default().to_owned()
    };
    Ok(checks(ended)?.iter().map(|check| (of(check, "name"), of(check, "status"))).collect())
}

fn lacking(shell: &str, differ: &[(&str, &str)], words: &[&str]) -> Result<()> {
    let without_bpf = match shell.contains("{without_bpf}") {
        true => workload::command("without_bpf.c", &[])?.join(" "),
        false => String::new(),
    };
    let own = tempfile::NamedTempFile::new()?;
    let script = format!(
        "set -e; wrap=; own={}; events=/sys/kernel/tracing/events; mountpoint -q /sys/kernel/tracing || \
         mount -t tracefs tracefs /sys/kernel/tracing; {}; exec $wrap \"$@\"",
        own.path().display(),
        shell.replace("{without_bpf}", &without_bpf)
    );
    let there = |arguments: &str| -> Result<Ended> {
        let mut command = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
        command.push(forktrace_tests::forktrace()?.display().to_string());
        command.extend(arguments.split(' ').map(str::to_owned));
        Job::start(&command, &[])?.wait(LIMIT)
    };
    let usual = statuses(&run("exec {forktrace}", "doctor --json")?)?;
    let ended = there("doctor --json")?;
    let judge = || -> Result<()> {
        let found = statuses(&ended)?;
        let mut wanted = usual.clone();
        for (name, status) in differ {
            // Empty: it depends on the kernel.
            let status = if status.is_empty() { found.get(*name).cloned() } else { None }
                .unwrap_or_else(|| (*status).to_owned());
            wanted.insert((*name).to_owned(), status);
        }
        for (name, status) in &wanted {
            let other = found.get(name);
            ensure!(other == Some(status), "{name} is {other:?}, not {status}");
        }
        ensure!(found.len() == wanted.len(), "other checks than elsewhere");
        let (name, _) = differ.first().context("nothing differs")?;
        let check = named(&checks(&ended)?, name)?.to_string();
        let unsaid = words.iter().find(|word| !check.contains(**word));
        ensure!(unsaid.is_none(), "{unsaid:?} is not in {check}");
        let traceable = !found.values().any(|status| status == "missing");
        ended.expect_code(if traceable { 0 } else { 3 })?;
        // A kernel that only says that it is another one is not asked.
        if *name != "kernel" {
            there("-q -- true")?.expect_code(ended.code).context("tracing")?;
        }
        if found.get("uprobes").is_some_and(|status| status != "ok") {
            there("--locks -q -- true")?.expect_code(3).context("tracing with --locks")?;
        }
        if found.get("exact-load").is_some_and(|status| status != "ok") {
            there("--exact -q -- true")?.expect_code(3).context("tracing with --exact")?;
        }
        Ok(())
    };
    judge().with_context(|| ended.said())
}
