//! Snapshots of the text of every check. After a change of a text, run
//! `INSTA_UPDATE=always cargo test -p forktrace-collect words` and read the difference in `snapshots`.

use super::*;
use crate::{
    arch::HostMachine,
    doctor::{
        facts::{open_files, pid_namespace},
        processor::processor,
    },
};

/// The checks as text: name, status, detail and remedy.
fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let status = format!("{:?}", check.status).to_lowercase();
        text.push_str(&format!("{status:8} {}: {}\n", check.name, check.detail));
        if !check.remedy.is_empty() {
            text.push_str(&format!("         what to do: {}\n", check.remedy));
        }
    }
    text
}

#[test]
fn words_of_the_host() {
    let limit = |soft, hard, lifts| privilege::Limit { soft, hard, lifts };
    let known = HostMachine {
        arch: "x86_64".into(),
        built_for: "x86_64",
        page_size: 4096,
        big_endian: false,
    };
    let checks = [
        processor(&known),
        processor(&HostMachine { arch: "riscv64".into(), ..known.clone() }),
        processor(&HostMachine { page_size: 16384, ..known }),
        kernel("6.18.44"),
        kernel("4.19.0"),
        kernel(""),
        pid_namespace(Ok(())),
        pid_namespace(Err(Error::PidNamespace { found: "forktrace runs in a container" })),
        open_files(Ok(()), 1024),
        open_files(Err(Error::OpenFiles { limit: 40, needed: 128 }), 40),
        memory_lock("6.18.0", limit(65536, 65536, false)),
        memory_lock("5.10.0", limit(u64::MAX, u64::MAX, false)),
        memory_lock("5.10.0", limit(65536, u64::MAX, false)),
        memory_lock("5.10.0", limit(65536, 65536, false)),
        lockdown(None),
        lockdown(Some("none [integrity] confidentiality")),
        lockdown(Some("none integrity [confidentiality]")),
        ptrace_scope(None, true),
        ptrace_scope(Some("0"), true),
        ptrace_scope(Some("1"), true),
        ptrace_scope(Some("1"), false),
        ptrace_scope(Some("3"), true),
        page_frames(Sight::Full),
        page_frames(Sight::Frames),
        page_frames(Sight::None),
        python(true),
        python(false),
    ];
    insta::assert_snapshot!(text(&checks));
}

#[test]
fn words_of_privilege() {
    let initial = Some("user:[4026531837]");
    let needed = |capability| privilege::NEEDED.contains(&capability);
    let mut checks = vec![
        capabilities(&|_| true, initial, true),
        capabilities(&|_| false, initial, true),
        capabilities(&needed, initial, true),
        capabilities(&|_| true, Some("user:[4026532000]"), true),
    ];
    let reach = Reach { tried: 9, memory: 9, denied: 0, first_denied: None, files: 9 };
    let denied = Reach { memory: 5, denied: 4, first_denied: Some(1), ..reach };
    checks.extend(processes(Reach::default(), &[], false));
    checks.extend(processes(reach, &[], false));
    checks.extend(processes(denied, &[], false));
    let none = Reach { memory: 0, files: 0, ..reach };
    checks.extend(processes(none, &[Capability::CAP_SYS_PTRACE], false));
    checks.extend(processes(none, &[], true));
    let some = Reach { memory: 5, ..reach };
    checks.extend(processes(some, &[Capability::CAP_SYS_PTRACE], false));
    insta::assert_snapshot!(text(&checks));
}

#[test]
fn words_of_tracepoints() {
    let mounts = "tracefs /sys/kernel/tracing tracefs rw 0 0\n";
    let closed = || Err(Error::Tracefs { cause: "EPERM: Operation not permitted".into() });
    let missing = vec![
        FormatError::NoField {
            event: "sched/sched_process_fork".into(),
            field: "child_pid".into(),
        },
        FormatError::NoEvent {
            event: "syscalls/sys_enter_futex".into(),
            cause: "not in this kernel".into(),
        },
    ];
    let faults = FAULTS.map(|(_, event)| event);
    let all = ["syscalls/sys_enter_futex_waitv", "syscalls/sys_enter_clone3"];
    let sockets = SOCKETS.map(|(_, event)| event);
    let locks = FILE_LOCKS.map(|(_, event)| event);
    let good = layouts(Vec::new(), &[&all[..], &faults, &sockets, &locks].concat());
    let mut checks = tracepoints(Some(&good));
    checks.insert(0, tracefs(&Ok(good), mounts));
    checks.push(tracefs(&Ok(layouts(Vec::new(), &[])), ""));
    checks.push(tracefs(&closed(), mounts));
    checks.push(tracefs(&closed(), ""));
    checks.extend(tracepoints(Some(&layouts(missing, &[]))));
    let described = layouts(Vec::new(), &[&sockets[..], &locks].concat());
    let undescribed = Layouts { socket_fields: false, lock_fields: false, ..described };
    checks.extend(tracepoints(Some(&undescribed)).into_iter().rev().take(2));
    checks.extend(tracepoints(None));
    insta::assert_snapshot!(text(&checks));
}

#[test]
fn words_of_trials() {
    let done = |loaded, probes: Result<(), String>, has_uprobes| Trial::Done {
        ring: Ok(true),
        loaded,
        exact: Ok(()),
        probes,
        has_uprobes,
    };
    let mut checks = done(Ok(Ok(())), Ok(()), true).checks(true);
    let without = may_try(true, &privilege::NEEDED, || unreachable!("it was tried"));
    checks.extend(without.checks(false));
    let unknown = may_try(false, &[], || unreachable!("it was tried"));
    checks.extend(unknown.checks(true));
    let refused = || refused("its maps", &"EPERM: Operation not permitted");
    let trial = |ring, loaded, exact| Trial::Done {
        ring: Ok(ring),
        loaded,
        exact,
        probes: Ok(()),
        has_uprobes: true,
    };
    checks.extend(trial(false, Err(refused()), Ok(())).checks(true));
    let event = FormatError::NoEvent {
        event: "syscalls/sys_enter_futex".into(),
        cause: "not in this kernel".into(),
    };
    checks.extend(trial(true, Ok(Ok(())), Err(Error::ExactTracepoint(event))).checks(true));
    checks.extend(trial(true, Ok(Ok(())), Err(refused())).checks(true));
    let old = Ok(Err("Linux 5.14 does not show registers of blocked threads".into()));
    checks.extend(done(old, Err("EINVAL".into()), false).checks(true));
    checks.extend(done(Ok(Ok(())), Err("EACCES".into()), true).checks(true));
    let open_files = Err(Error::OpenFiles { limit: 40, needed: 128 });
    checks.extend(done(open_files, Ok(()), true).checks(true));
    insta::assert_snapshot!(text(&checks));
}
