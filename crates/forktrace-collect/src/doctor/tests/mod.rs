#![allow(clippy::unwrap_used, reason = "tests")]

mod words;

use std::{fs, path::PathBuf};

use caps::Capability;
use forktrace_common::config::Offsets;

use super::{
    facts::{
        capabilities, kernel, lockdown, memory_lock, page_frames, processes, ptrace_scope, python,
    },
    processor::processor,
    tracepoints::{Layouts, tracefs, tracepoints},
    trial::{Trial, may_try},
    *,
};
use crate::{
    doctor::Status::{self, Limited, Missing, Ok as Good},
    inspect::{Reach, Sight},
    kernel::{FormatError, tracefs::Survey},
    kernel::{file_locks::FILE_LOCKS, sockets::SOCKETS},
};

/// The status of a check. A check that is not `ok` must have a remedy.
fn status(check: &Check) -> Status {
    assert_eq!(check.remedy.is_empty(), check.status == Good, "{check:?}");
    check.status
}

#[test]
fn kernels_are_known_by_their_release() {
    for (release, expected) in [
        ("6.18.44-fc\n", Good),
        ("5.8.0", Good),
        ("5.10.0-35-cloud-amd64", Good),
        ("10.0-rc1", Good),
        ("5.7.19", Missing),
        ("4.19", Missing),
        ("", Limited),
        ("\x1b[31m", Limited),
        ("99999999999.1", Limited),
    ] {
        assert_eq!(status(&kernel(release)), expected, "{release:?}");
    }
}

#[test]
fn maps_are_locked_memory_before_5_11() {
    let lock = |release, soft, hard, lifts| {
        status(&memory_lock(release, privilege::Limit { soft, hard, lifts }))
    };
    assert_eq!(lock("5.10.0", 8 << 20, 8 << 20, false), Limited);
    assert_eq!(lock("5.10.0", 8 << 20, 8 << 20, true), Good);
    assert_eq!(lock("5.10.0", 8 << 20, u64::MAX, false), Good, "anyone may lift it so far");
    assert_eq!(lock("5.10.0", u64::MAX, u64::MAX, false), Good);
    assert_eq!(lock("5.11.0", 64 << 10, 64 << 10, false), Good);
}

#[test]
fn files_of_the_kernel_are_read_below_a_root() {
    let root = tempfile::tempdir().unwrap();
    let host = Host(root.path().to_owned());
    let lockdown_file = "sys/kernel/security/lockdown";
    let scope = "proc/sys/kernel/yama/ptrace_scope";
    for file in [lockdown_file, scope] {
        fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
    }
    assert_eq!(status(&lockdown(host.text(lockdown_file).as_deref())), Good);
    assert_eq!(status(&ptrace_scope(host.text(scope).as_deref(), false)), Good);
    for (text, expected) in [
        ("[none] integrity confidentiality\n", Good),
        ("none [integrity] confidentiality\n", Good),
        ("none integrity [confidentiality]\n", Missing),
        ("", Good),
    ] {
        fs::write(root.path().join(lockdown_file), text).unwrap();
        assert_eq!(status(&lockdown(host.text(lockdown_file).as_deref())), expected, "{text}");
    }
    for (text, privileged, expected) in
        [("0\n", false, Good), ("1\n", false, Limited), ("2\n", true, Good), ("3\n", true, Missing)]
    {
        fs::write(root.path().join(scope), text).unwrap();
        let check = ptrace_scope(host.text(scope).as_deref(), privileged);
        assert_eq!(status(&check), expected, "{text}");
    }
    assert!(!host.has("sys/kernel/btf/vmlinux"));
    fs::write(root.path().join(scope), [0xff, 0xfe]).unwrap();
    assert_eq!(host.text(scope), None);
}

#[test]
fn capabilities_are_named_with_what_is_lost() {
    let of = |held: &[Capability]| {
        let held = held.to_vec();
        capabilities(&|capability| held.contains(&capability), Some("user:[4026531837]"), true)
    };
    let [bpf, perfmon, ptrace, search] = privilege::NEEDED;
    let none = of(&[]);
    assert_eq!(status(&none), Missing);
    let all = "CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH";
    assert!(none.detail.contains(all), "{none:?}");
    let closed = of(&[bpf, perfmon, ptrace]);
    assert_eq!(status(&closed), Missing);
    assert!(closed.detail.contains("CAP_DAC_READ_SEARCH"), "{closed:?}");
    let least = of(&[bpf, perfmon, ptrace, search]);
    assert_eq!(status(&least), Limited);
    for name in ["CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE", "CAP_SYS_NICE"] {
        assert!(least.detail.contains(name), "{least:?}");
    }
    let admin = [Capability::CAP_SYS_ADMIN, ptrace, Capability::CAP_DAC_OVERRIDE];
    assert_eq!(status(&of(&admin)), Limited);
    // A kernel that does not preempt itself asks for no more.
    let unpreempted = capabilities(&|capability| admin.contains(&capability), None, false);
    assert_eq!(status(&unpreempted), Good);
    assert_eq!(status(&of(&[&admin[..], &[Capability::CAP_SYS_NICE]].concat())), Good);
    let container = capabilities(&|_| true, Some("user:[4026532000]"), true);
    assert_eq!(status(&container), Missing);
    assert_eq!(status(&capabilities(&|_| true, None, true)), Good);
}

fn layouts(missing: Vec<FormatError>, present: &[&'static str]) -> Layouts {
    let named = [
        ("task/task_newtask.pid", 8),
        ("task/task_newtask.clone_flags", 32),
        ("task/task_newtask_more.other", 1),
    ];
    let named = named.into_iter().map(|(name, offset)| (name.to_owned(), offset)).collect();
    Layouts {
        place: PathBuf::from("/sys/kernel/tracing"),
        survey: Survey::of(Offsets::default(), named, missing),
        present: present.to_vec(),
        socket_fields: true,
        lock_fields: true,
    }
}

fn find<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap()
}

#[test]
fn tracepoints_show_their_offsets_or_what_is_missing() {
    let event = "sched/sched_process_fork".to_owned();
    let missing = vec![
        FormatError::NoField { event, field: "child_pid".into() },
        FormatError::NoEvent {
            event: "syscalls/sys_enter_futex".into(),
            cause: "not in this kernel".into(),
        },
        FormatError::NoField {
            event: "syscalls/sys_enter_futex_wait".into(),
            field: "uaddr".into(),
        },
    ];
    let checks = tracepoints(Some(&layouts(missing, &["syscalls/sys_enter_futex_wait"])));
    assert_eq!(find(&checks, "task_newtask").detail, "pid at 8, clone_flags at 32");
    let fork = find(&checks, "sched_process_fork");
    assert_eq!(status(fork), Missing);
    assert!(fork.detail.contains("no field child_pid"), "{fork:?}");
    assert_eq!(status(find(&checks, "sys_enter_futex")), Limited, "the default does without");
    assert_eq!(status(find(&checks, "sys_exit_futex")), Good);
    assert_eq!(status(find(&checks, "newer-futex-calls")), Limited);
    assert_eq!(status(find(&checks, "page-faults")), Limited);
    assert_eq!(status(find(&checks, "fork-calls")), Limited);
}

#[test]
fn tracepoints_that_need_not_be_there_are_named_if_they_are() {
    let all = ["syscalls/sys_enter_futex_waitv", "syscalls/sys_enter_clone3"];
    let faults = FAULTS.map(|(_, event)| event);
    let checks = tracepoints(Some(&layouts(Vec::new(), &[&all[..], &faults].concat())));
    assert_eq!(find(&checks, "newer-futex-calls").detail, "futex_waitv");
    assert!(find(&checks, "fork-calls").detail.starts_with("clone3"));
    assert_eq!(status(find(&checks, "page-faults")), Good);
    let sockets = SOCKETS.map(|(_, event)| event);
    let newer = tracepoints(Some(&layouts(Vec::new(), &sockets)));
    assert_eq!(status(find(&newer, "socket-uses")), Good);
    assert_eq!(status(find(&checks, "socket-uses")), Limited);
    let locks = tracepoints(Some(&layouts(Vec::new(), &FILE_LOCKS.map(|(_, event)| event))));
    assert_eq!(status(find(&locks, "file-locks")), Good);
    assert_eq!(status(find(&newer, "file-locks")), Limited);
    let old = tracepoints(Some(&layouts(Vec::new(), &[])));
    assert_eq!(status(find(&old, "newer-futex-calls")), Good);
    // The same checks whether or not they could be read.
    let names = |checks: &[Check]| checks.iter().map(|check| check.name).collect::<Vec<_>>();
    let unread = tracepoints(None);
    assert_eq!(names(&unread), names(&checks));
    assert!(unread.iter().all(|check| status(check) != Good));
}

#[test]
fn tracefs_is_mounted_or_mounted_privately_or_closed() {
    let mounts = "proc /proc proc rw 0 0\ntracefs /sys/kernel/tracing tracefs rw 0 0\n";
    let closed = || Err(Error::Tracefs { cause: "EPERM".into() });
    assert_eq!(tracefs(&Ok(layouts(Vec::new(), &[])), mounts).detail, "at /sys/kernel/tracing");
    let private = tracefs(&Ok(layouts(Vec::new(), &[])), "proc /proc proc rw 0 0\n");
    assert_eq!(status(&private), Good);
    assert!(private.detail.contains("not mounted"), "{private:?}");
    let unreadable = tracefs(&closed(), mounts);
    assert_eq!(status(&unreadable), Missing);
    assert!(unreadable.detail.contains("not readable"), "{unreadable:?}");
    let none = tracefs(&closed(), "tracefs\n\n/dev/sda / ext4 rw 0 0\n");
    assert_eq!(status(&none), Missing);
    assert!(none.remedy.contains("mount -t tracefs"), "{none:?}");
}

#[test]
fn without_privilege_nothing_is_tried() {
    let lacking = [Capability::CAP_BPF];
    let trial = may_try(true, &lacking, || unreachable!("it was tried"));
    let checks = trial.checks(false);
    for check in &checks {
        assert_ne!(status(check), Good, "{check:?}");
        assert!(check.detail.contains("CAP_BPF") || check.name == "btf", "{check:?}");
    }
    assert_eq!(status(find(&checks, "program-load")), Missing);
    assert_eq!(status(find(&checks, "uprobes")), Limited);
}

#[test]
fn what_was_refused_is_shown() {
    let done = |loaded, probes, has_uprobes| {
        Trial::Done { ring: Ok(true), loaded, exact: Ok(()), probes, has_uprobes }.checks(true)
    };
    let refused = done(Err(refused("its maps", &"EPERM\nmore")), Ok(()), true);
    assert_eq!(status(find(&refused, "program-load")), Missing);
    assert!(find(&refused, "program-load").detail.ends_with("refused its maps: EPERM"));
    assert_eq!(status(find(&refused, "uprobes")), Limited);
    let old = done(Ok(Err("Linux 5.15 does".into())), Err("EINVAL\nmore".into()), false);
    assert_eq!(status(find(&old, "program-load")), Good);
    assert_eq!(status(find(&old, "registers")), Limited);
    assert!(find(&old, "uprobes").detail.contains("not in this kernel"));
    let no_files = Err(Error::OpenFiles { limit: 40, needed: 128 });
    assert!(find(&done(no_files, Ok(()), true), "program-load").remedy.contains("ulimit -n 128"));
}

#[test]
fn what_exact_alone_lacks_is_no_reason_not_to_trace() {
    let tracepoint = || {
        let (event, cause) =
            ("syscalls/sys_exit_futex".to_owned(), "not in this kernel".to_owned());
        Error::ExactTracepoint(FormatError::NoEvent { event, cause })
    };
    for error in [tracepoint(), refused("a program", &"EINVAL"), Error::MemoryClosed] {
        let loaded = Ok(Ok(()));
        let (ring, probes, exact) = (Ok(true), Ok(()), Err(error));
        let trial = Trial::Done { ring, loaded, exact, probes, has_uprobes: true };
        let checks = trial.checks(true);
        let exact = find(&checks, "exact-load");
        assert_eq!(status(exact), Limited);
        assert!(exact.detail.contains("--exact does not work"), "{exact:?}");
        assert!(checks.iter().all(|check| check.status != Missing), "{checks:?}");
    }
}

#[test]
fn python_is_a_matter_of_the_build() {
    assert_eq!(status(&python(true)), Good);
    let without = python(false);
    assert_eq!(status(&without), Limited);
    assert!(without.detail.contains("not in this build"), "{without:?}");
    assert!(without.remedy.contains("--features python"), "{without:?}");
}

#[test]
fn the_reach_into_processes_is_counted() {
    let both = |memory, files, lacking: &[Capability]| {
        let checks = processes(
            Reach { tried: 5, memory, denied: 0, first_denied: None, files },
            lacking,
            false,
        );
        (status(&checks[0]), status(&checks[1]))
    };
    assert_eq!(both(4, 5, &[]), (Good, Good));
    assert_eq!(both(0, 0, &[]), (Missing, Limited));
    assert_eq!(both(1, 1, &[Capability::CAP_SYS_PTRACE]), (Limited, Good));
    let denied = |closed| {
        let reach = Reach { tried: 5, memory: 0, denied: 5, first_denied: Some(1), files: 0 };
        processes(reach, &[], closed).remove(0)
    };
    assert_eq!((status(&denied(false)), status(&denied(true))), (Limited, Missing));
    assert!(denied(false).detail.contains("security module"));
    assert!(denied(false).detail.contains("access to 5 is denied (first: pid 1)"));
    assert!(processes(Reach::default(), &[], false).iter().all(|check| status(check) == Good));
    let frames = [Sight::Full, Sight::Frames, Sight::None].map(|sight| status(&page_frames(sight)));
    assert_eq!(frames, [Good, Limited, Limited]);
}

#[test]
fn another_machine_is_named_and_nothing_is_tried_on_it() {
    let known = HostMachine {
        arch: "x86_64".into(),
        built_for: "x86_64",
        page_size: 4096,
        big_endian: false,
    };
    let found = processor(&known);
    assert_eq!((status(&found), found.detail.as_str()), (Good, "x86_64, pages of 4096 bytes"));
    let other = HostMachine { arch: "riscv64".into(), built_for: "riscv64", ..known };
    let refused = processor(&other);
    assert_eq!(status(&refused), Missing);
    assert!(refused.detail.contains("riscv64") && !refused.remedy.is_empty(), "{refused:?}");
    let checks = may_try(false, &[], || unreachable!("it was tried")).checks(true);
    let load = find(&checks, "program-load");
    assert_eq!(status(load), Missing);
    assert!(load.detail.contains("not tested"), "{load:?}");
}
