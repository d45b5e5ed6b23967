//! Errors of the tracer that depend on the host.

use forktrace_collect::kernel::{Error, FormatError};

use super::assert_is;

#[test]
fn why_tracing_cannot_begin() {
    let errors = [
        Error::Privilege {
            missing: "CAP_BPF, CAP_PERFMON".into(),
            purpose: "to load eBPF programs and to read other processes",
            otherwise: "",
        },
        Error::Privilege {
            missing: "CAP_SYS_ADMIN".into(),
            purpose: "for the probes of --locks",
            otherwise: ", or leave out --locks",
        },
        Error::Installed { path: "/usr/bin/forktrace".into() },
        Error::PidNamespace { found: "forktrace runs in a container" },
        Error::PidNamespace { found: "/proc is missing or belongs to a container" },
        Error::OpenFiles { limit: 40, needed: 128 },
        Error::MemoryClosed,
        Error::Tracefs { cause: "EPERM: Operation not permitted".into() },
        Error::ExactTracepoint(FormatError::NoEvent {
            event: "syscalls/sys_enter_futex".into(),
            cause: "not in this kernel".into(),
        }),
        Error::Tracepoint(FormatError::NoField {
            event: "sched/sched_process_fork".into(),
            field: "child_pid".into(),
        }),
        Error::Command { command: "gunicorn".into(), cause: "no such command in PATH".into() },
    ];
    let lines: Vec<String> = errors.iter().map(|error| format!("forktrace: {error}")).collect();
    assert!(lines.iter().all(|line| line.lines().count() == 1), "more than one line");
    assert_is("errors-of-the-kernel", &lines.join("\n\n"));
}
