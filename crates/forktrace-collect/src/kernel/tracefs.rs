//! Tracepoint layouts, read from tracefs.
//!
//! A tracepoint's record differs between kernels: `sched_process_fork` had a fixed `char[16]` up
//! to 6.12 and has a `__data_loc` from 6.16 on, `sched_process_exit` gained `group_dead`. Offsets
//! are therefore never assumed.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use forktrace_common::config::{NO_FIELD, Offsets};

use super::{Error, btf};

/// Where tracefs is usually mounted, best first.
const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// One tracepoint's `format` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    event: String,
    fields: BTreeMap<String, u32>,
}

/// What is missing in tracefs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The kernel has no such tracepoint.
    #[error("tracepoint {event} is missing ({cause})")]
    NoEvent {
        /// `category/name`.
        event: String,
        /// Why it could not be read.
        cause: String,
    },
    /// The tracepoint has no such field.
    #[error("tracepoint {event} has no field {field}")]
    NoField {
        /// `category/name`.
        event: String,
        /// The field.
        field: String,
    },
}

impl FormatError {
    /// The tracepoint, `category/name`.
    pub(crate) fn event(&self) -> &str {
        match self {
            FormatError::NoEvent { event, .. } | FormatError::NoField { event, .. } => event,
        }
    }
}

impl Format {
    /// Parses the text of a `format` file; lines that are no fields are passed over.
    ///
    /// A field line reads `field:TYPE NAME[DIM];  offset:N;  size:N;  signed:N;`
    /// (`f_show`, `kernel/trace/trace_events.c`, Linux 6.18).
    pub fn parse(event: &str, text: &str) -> Self {
        let fields = text.lines().filter_map(field).collect();
        Format { event: event.to_owned(), fields }
    }

    /// Its fields, without those that all tracepoints have, by `category/tracepoint.field`.
    fn own_fields(&self) -> impl Iterator<Item = (String, u32)> {
        let own = self.fields.iter().filter(|(field, _)| !field.starts_with("common_"));
        own.map(|(field, offset)| (format!("{}.{field}", self.event), *offset))
    }

    /// Byte offset of a field in the tracepoint's record.
    pub fn offset(&self, field: &str) -> Result<u32, FormatError> {
        self.fields.get(field).copied().ok_or_else(|| FormatError::NoField {
            event: self.event.clone(),
            field: field.to_owned(),
        })
    }
}

fn field(line: &str) -> Option<(String, u32)> {
    let mut parts = line.trim().split(';').map(str::trim);
    let declaration = parts.next()?.strip_prefix("field:")?;
    let offset = parts.find_map(|part| part.strip_prefix("offset:"))?.parse().ok()?;
    let name = declaration.split_whitespace().next_back()?;
    let name = name.split('[').next()?.trim_start_matches('*');
    (!name.is_empty()).then(|| (name.to_owned(), offset))
}

/// What the kernel's tracepoints are like.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    /// The offsets that the programs need.
    pub(crate) offsets: Offsets,
    /// The same, by `category/tracepoint.field`.
    pub(crate) named: BTreeMap<String, u32>,
    /// What is needed and missing.
    pub(crate) missing: Vec<FormatError>,
    /// What the programs on futex calls alone need (`--exact`), and is missing.
    pub(crate) missing_of_exact: Vec<FormatError>,
}

impl Survey {
    /// With all that is `missing`: the default hooks no system call.
    pub(crate) fn of(
        offsets: Offsets,
        named: BTreeMap<String, u32>,
        missing: Vec<FormatError>,
    ) -> Self {
        let (missing_of_exact, missing) =
            missing.into_iter().partition(|error| error.event().starts_with("syscalls/"));
        Survey { offsets, named, missing, missing_of_exact }
    }
}

/// A mounted tracefs.
#[derive(Clone, Debug)]
pub(crate) struct Tracefs(PathBuf);

impl Tracefs {
    /// The mounted tracefs, if any.
    pub(crate) fn find() -> Option<Self> {
        MOUNTS
            .iter()
            .map(Path::new)
            .find(|mount| mount.join("events").is_dir())
            .map(|mount| Tracefs(mount.to_owned()))
    }

    /// Where it is mounted.
    pub(crate) fn place(&self) -> &Path {
        &self.0
    }

    /// Whether a tracepoint exists.
    pub(crate) fn has(&self, event: &str) -> bool {
        self.0.join("events").join(event).join("id").exists()
    }

    fn format(&self, event: &str) -> Result<Format, FormatError> {
        let path = self.0.join("events").join(event).join("format");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Format::parse(event, &text)),
            Err(error) => {
                Err(FormatError::NoEvent { event: event.to_owned(), cause: cause(&error) })
            }
        }
    }

    fn optional(&self, event: &str) -> Option<Format> {
        self.format(event).ok()
    }

    /// The offsets that the programs need, and the same by name for the log's first line. `exact`: with
    /// those on futex calls.
    ///
    /// # Errors
    /// The first that is missing.
    pub(crate) fn offsets(&self, exact: bool) -> Result<(Offsets, BTreeMap<String, u32>), Error> {
        let Survey { offsets, named, missing, missing_of_exact } = self.survey();
        if let Some(missing) = missing.into_iter().next() {
            return Err(Error::Tracepoint(missing));
        }
        match missing_of_exact.into_iter().next().filter(|_| exact) {
            Some(missing) => Err(Error::ExactTracepoint(missing)),
            None => Ok((offsets, named)),
        }
    }

    /// Looks at every tracepoint that the programs know. What is missing is named, and its offset
    /// is none.
    pub(crate) fn survey(&self) -> Survey {
        let mut missing = Vec::new();
        let mut needed = |event: &str| self.format(event).map_err(|error| missing.push(error)).ok();
        let newtask = needed("task/task_newtask");
        let fork = needed("sched/sched_process_fork");
        let exec = needed("sched/sched_process_exec");
        let exit = needed("sched/sched_process_exit");
        let futex = needed("syscalls/sys_enter_futex");
        let ret = needed("syscalls/sys_exit_futex");
        let fault = self.optional("exceptions/page_fault_user");
        let wait = self.optional("syscalls/sys_enter_futex_wait");
        let waitv = self.optional("syscalls/sys_enter_futex_waitv");
        let wake = self.optional("syscalls/sys_enter_futex_wake");
        let requeue = self.optional("syscalls/sys_enter_futex_requeue");

        let mut named = BTreeMap::new();
        // A tracepoint that is missing as a whole is named already, or may be missing.
        let mut need = |format: &Option<Format>, field: &str| {
            let Some(format) = format else { return NO_FIELD };
            let offset = format.offset(field).map_err(|error| missing.push(error));
            offset.map_or(NO_FIELD, |offset| {
                named.insert(format!("{}.{field}", format.event), offset);
                offset
            })
        };
        let described = btf::Described::open();
        let types = described.as_ref().and_then(btf::Described::types);
        let offset = |structure: &str, field: &str| {
            types.as_ref().and_then(|types| types.offset(structure, field)).unwrap_or(NO_FIELD)
        };
        let offsets = Offsets {
            newtask_pid: need(&newtask, "pid"),
            newtask_flags: need(&newtask, "clone_flags"),
            fork_child_pid: need(&fork, "child_pid"),
            exec_filename: need(&exec, "filename"),
            exec_old_pid: need(&exec, "old_pid"),
            exit_group_dead: match &exit {
                Some(exit) if exit.offset("group_dead").is_err() => NO_FIELD,
                exit => need(exit, "group_dead"),
            },
            futex_uaddr: need(&futex, "uaddr"),
            futex_op: need(&futex, "op"),
            futex_val: need(&futex, "val"),
            futex_utime: need(&futex, "utime"),
            exit_ret: need(&ret, "ret"),
            wait_uaddr: need(&wait, "uaddr"),
            wait_val: need(&wait, "val"),
            wait_timeout: need(&wait, "timeout"),
            waitv_waiters: need(&waitv, "waiters"),
            waitv_nr: need(&waitv, "nr_futexes"),
            waitv_timeout: need(&waitv, "timeout"),
            wake_uaddr: need(&wake, "uaddr"),
            requeue_waiters: need(&requeue, "waiters"),
            task_switches: offset("task_struct", "nvcsw"),
            task_pid: offset("task_struct", "pid"),
            binprm_filename: offset("linux_binprm", "filename"),
            task_exit_code: offset("task_struct", "exit_code"),
            task_blocked: offset("task_struct", "blocked"),
        };
        for format in [fault, wait, waitv, wake, requeue].into_iter().flatten() {
            named.extend(format.own_fields());
        }
        Survey::of(offsets, named, missing)
    }
}

fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "not in this kernel".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Linux 6.1 (Debian 12).
    const FORK_6_1: &str = "\
name: sched_process_fork
ID: 312
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char parent_comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t parent_pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:char child_comm[16];\toffset:28;\tsize:16;\tsigned:0;
\tfield:pid_t child_pid;\toffset:44;\tsize:4;\tsigned:1;

print fmt: \"comm=%s pid=%d child_comm=%s child_pid=%d\", REC->parent_comm, REC->parent_pid
";

    /// Linux 6.18.
    const FORK_6_18: &str = "\
format:
\tfield:__data_loc char[] parent_comm;\toffset:8;\tsize:4;\tsigned:0;
\tfield:pid_t parent_pid;\toffset:12;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] child_comm;\toffset:16;\tsize:4;\tsigned:0;
\tfield:pid_t child_pid;\toffset:20;\tsize:4;\tsigned:1;
";

    /// Linux 5.10: no group_dead.
    const EXIT_5_10: &str = "\
\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:1;
\tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:int prio;\toffset:28;\tsize:4;\tsigned:1;
";

    /// Linux 6.18: a pointer, and an `unsigned long` argument of two words.
    const FUTEX_6_18: &str = "\
\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;
\tfield:u32 * uaddr;\toffset:16;\tsize:8;\tsigned:0;
\tfield:const struct __kernel_timespec * utime;\toffset:40;\tsize:8;\tsigned:0;
\tfield:u32 *uaddr2;\toffset:48;\tsize:8;\tsigned:0;
";

    #[test]
    fn offsets_follow_the_kernel() {
        let old = Format::parse("sched/sched_process_fork", FORK_6_1);
        let new = Format::parse("sched/sched_process_fork", FORK_6_18);
        assert_eq!(old.offset("child_pid"), Ok(44));
        assert_eq!(new.offset("child_pid"), Ok(20));
        assert_eq!(old.offset("parent_comm"), Ok(8));
        assert_eq!(old.offset("common_pid"), Ok(4));
    }

    #[test]
    fn pointers_and_qualified_types_have_plain_names() {
        let format = Format::parse("syscalls/sys_enter_futex", FUTEX_6_18);
        assert_eq!(format.offset("uaddr"), Ok(16));
        assert_eq!(format.offset("utime"), Ok(40));
        assert_eq!(format.offset("uaddr2"), Ok(48));
    }

    #[test]
    fn a_missing_field_is_named() {
        let format = Format::parse("sched/sched_process_exit", EXIT_5_10);
        let error = format.offset("group_dead").unwrap_err();
        let text = "tracepoint sched/sched_process_exit has no field group_dead";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn lines_that_are_no_fields_are_passed_over() {
        for text in ["", "field:", "field:int;", "field:int x;", "field:int x; offset:y;", "\0;;;"]
        {
            assert_eq!(Format::parse("a/b", text).fields.len(), 0, "{text:?}");
        }
    }
}
