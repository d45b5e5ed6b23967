//! The flat table: one row for each event and each finding of a log, in their order.

use std::{borrow::Cow, io};

use jiff::Timestamp;

use crate::{
    pipeline::{At, Follow, Pipeline, Sink},
    report::{advice, logged, wait_op},
};
use forktrace_log::Identity;
use forktrace_model::{
    event::{Body, Event, Wait},
    finding::Finding,
};

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Not told, or of no meaning in this row.
    Null,
    /// Text of the log, unescaped.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// An instant: ns since 1970, UTC.
    Time(i64),
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// [`Value::Text`].
    Text,
    /// [`Value::Int`].
    Int,
    /// [`Value::Bool`].
    Bool,
    /// [`Value::Time`].
    Time,
}

/// A column: the same in every table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub kind: Type,
    cell: for<'a> fn(&'a Row) -> Value<'a>,
}

impl Column {
    /// The cell of a row.
    pub fn cell<'a>(&self, row: &'a Row) -> Value<'a> {
        (self.cell)(row)
    }
}

/// One row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    ts: i64,
    boot_ns: u64,
    kind: &'static str,
    pid: Option<u32>,
    tid: Option<u32>,
    comm: Option<String>,
    identity: Option<Identity>,
    child_pid: Option<u32>,
    clone_flags: Option<u64>,
    filename: Option<String>,
    wait: Option<Wait>,
    waited_ns: Option<u64>,
    result: Option<i64>,
    lost: Option<u64>,
    finding: Option<Box<Finding>>,
}

/// All columns, in their order. docs/export.md describes each.
pub const COLUMNS: &[Column] = &[
    Column { name: "ts", kind: Type::Time, cell: |row| Value::Time(row.ts) },
    Column { name: "boot_ns", kind: Type::Int, cell: |row| int(Some(row.boot_ns)) },
    Column { name: "type", kind: Type::Text, cell: |row| text(Some(row.kind)) },
    Column { name: "pid", kind: Type::Int, cell: |row| int(row.pid) },
    Column { name: "tid", kind: Type::Int, cell: |row| int(row.tid) },
    Column { name: "comm", kind: Type::Text, cell: |row| text(row.comm.as_deref()) },
    Column {
        name: "proc_uid",
        kind: Type::Text,
        cell: |row| text(row.identity.as_ref().map(|identity| identity.proc_uid.as_str())),
    },
    Column {
        name: "ppid",
        kind: Type::Int,
        cell: |row| {
            int(row.identity.as_ref().and_then(|identity| identity.ppid).filter(|pid| *pid > 0))
        },
    },
    Column {
        name: "parent_uid",
        kind: Type::Text,
        cell: |row| text(row.identity.as_ref().and_then(|identity| identity.parent_uid.as_deref())),
    },
    Column { name: "child_id", kind: Type::Int, cell: |row| int(row.child_pid) },
    Column { name: "clone_flags", kind: Type::Text, cell: |row| hex(row.clone_flags) },
    Column { name: "filename", kind: Type::Text, cell: |row| text(row.filename.as_deref()) },
    Column { name: "futex", kind: Type::Text, cell: |row| hex(row.wait.as_ref().map(|w| w.uaddr)) },
    Column {
        name: "op",
        kind: Type::Text,
        cell: |row| match &row.wait {
            Some(wait) => Value::Text(wait_op(wait.op).into()),
            None => Value::Null,
        },
    },
    Column {
        name: "enter_ns",
        kind: Type::Int,
        cell: |row| int(row.wait.as_ref().map(|wait| wait.enter_ns).filter(|ns| *ns > 0)),
    },
    Column {
        name: "timed",
        kind: Type::Bool,
        cell: |row| {
            row.wait
                .as_ref()
                .filter(|wait| wait.enter_ns > 0)
                .map_or(Value::Null, |wait| Value::Bool(wait.timed))
        },
    },
    Column { name: "waited_ns", kind: Type::Int, cell: |row| int(row.waited_ns) },
    Column {
        name: "result",
        kind: Type::Int,
        cell: |row| row.result.map_or(Value::Null, Value::Int),
    },
    Column { name: "lost", kind: Type::Int, cell: |row| int(row.lost) },
    Column { name: "finding", kind: Type::Text, cell: |row| finding(row, |f| word(&f.hazard)) },
    Column {
        name: "confidence",
        kind: Type::Text,
        cell: |row| finding(row, |f| word(&f.confidence)),
    },
    Column {
        name: "lock",
        kind: Type::Text,
        cell: |row| finding(row, |f| hex(f.lock().map(|lock| lock.address))),
    },
    Column {
        name: "lock_kind",
        kind: Type::Text,
        cell: |row| finding(row, |f| text(f.lock().map(|lock| lock.family.name))),
    },
    Column {
        name: "lock_mapping",
        kind: Type::Text,
        cell: |row| finding(row, |f| text(f.lock().map(|lock| logged::place(&lock.mapping)))),
    },
    Column {
        name: "holder_pid",
        kind: Type::Int,
        cell: |row| finding(row, |f| int(f.holder().map(|holder| holder.pid))),
    },
    Column {
        name: "holder_tid",
        kind: Type::Int,
        cell: |row| finding(row, |f| int(f.holder().map(|holder| holder.tid))),
    },
    Column {
        name: "holder_comm",
        kind: Type::Text,
        cell: |row| finding(row, |f| text(f.holder().and_then(|holder| holder.comm.as_deref()))),
    },
    Column {
        name: "forked_by_pid",
        kind: Type::Int,
        cell: |row| finding(row, |f| int(f.fork_site().map(|fork| fork.by_pid))),
    },
    Column {
        name: "forked_by_comm",
        kind: Type::Text,
        cell: |row| finding(row, |f| text(f.fork_site().map(|fork| fork.by_comm.as_str()))),
    },
    Column {
        name: "threads_lost",
        kind: Type::Int,
        cell: |row| finding(row, |f| int(f.fork_site().map(|fork| fork.threads_lost))),
    },
    Column {
        name: "advice",
        kind: Type::Text,
        cell: |row| finding(row, |f| text(f.remedy.map(advice::text))),
    },
];

fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Null, |text| Value::Text(text.into()))
}

/// A number beyond what the formats have is not told: only a damaged log has one.
fn int<'a>(number: Option<impl Into<u64>>) -> Value<'a> {
    number.and_then(|n| i64::try_from(n.into()).ok()).map_or(Value::Null, Value::Int)
}

fn hex<'a>(number: Option<u64>) -> Value<'a> {
    number.map_or(Value::Null, |number| Value::Text(format!("{number:#x}").into()))
}

/// A word as the event log has it.
fn word<'a>(value: &impl serde::Serialize) -> Value<'a> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Value::Text(word.into()),
        _ => Value::Null,
    }
}

fn finding<'a>(row: &'a Row, cell: impl Fn(&'a Finding) -> Value<'a>) -> Value<'a> {
    row.finding.as_deref().map_or(Value::Null, cell)
}

/// Makes rows of events and findings, and hands each to `W`.
#[derive(Debug)]
pub struct Table<W> {
    write: W,
    offset_ns: i64,
}

impl<W: FnMut(&Row) -> io::Result<()>> Table<W> {
    /// A pipeline that makes a table.
    pub fn pipeline(write: W) -> Pipeline<Self> {
        Pipeline::new(Follow::default(), Table { write, offset_ns: 0 })
    }
}

impl<W: FnMut(&Row) -> io::Result<()>> Sink for Table<W> {
    fn needs_identity(&self) -> bool {
        true
    }

    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        if let Body::TraceStart(start) = &at.event.body {
            self.offset_ns = start.clock_offset_ns;
        }
        let identity = at.step.identity.clone();
        (self.write)(&Row { identity, ..row(at.event, self.offset_ns) })
    }

    fn finding(&mut self, finding: &Finding, at: &At<'_>) -> io::Result<()> {
        let of_evidence = row(at.event, self.offset_ns);
        (self.write)(&Row {
            ts: of_evidence.ts,
            boot_ns: of_evidence.boot_ns,
            kind: "finding",
            pid: Some(finding.subject.pid),
            tid: Some(finding.subject.tid),
            comm: Some(finding.subject.comm.clone()),
            identity: at.step.identity.clone(),
            wait: of_evidence.wait,
            waited_ns: finding.wait().map(|wait| wait.waited_ns),
            finding: Some(Box::new(finding.clone())),
            ..Row::default()
        })
    }
}

fn row(event: &Event, offset_ns: i64) -> Row {
    let ns = i128::from(event.boot_ns) + i128::from(offset_ns);
    let inside = Timestamp::from_nanosecond(ns).ok().map(Timestamp::as_nanosecond);
    let mut row = Row {
        ts: inside.and_then(|ns| i64::try_from(ns).ok()).unwrap_or_default(),
        boot_ns: event.boot_ns,
        pid: event.task.as_ref().map(|task| task.pid),
        tid: event.task.as_ref().map(|task| task.tid),
        comm: event.task.as_ref().map(|task| task.comm.clone()),
        kind: event.body.type_name(),
        ..Row::default()
    };
    match &event.body {
        Body::ProcessSnapshot(seen) => row.filename.clone_from(&seen.exe),
        Body::ProcessFork(fork) => {
            row.child_pid = Some(fork.child_pid);
            row.clone_flags = Some(fork.clone_flags);
        }
        Body::ThreadStart(start) => {
            row.child_pid = Some(start.child_tid);
            row.clone_flags = Some(start.clone_flags);
        }
        Body::ProcessExec(exec) => row.filename = Some(exec.filename.clone()),
        Body::FutexWait(wait) => {
            row.wait = Some(wait.wait.clone());
            row.waited_ns = Some(event.boot_ns.saturating_sub(wait.wait.enter_ns));
            row.result = wait.result;
        }
        Body::FutexWake(wake) => {
            row.wait = Some(Wait { uaddr: wake.uaddr, op: wake.op, ..Wait::default() });
        }
        Body::Evidence(look) => row.wait = Some(look.wait.clone()),
        Body::EventsLost(lost) => row.lost = Some(lost.count),
        Body::TraceEnd(end) => row.lost = Some(end.lost),
        Body::TraceStart(_)
        | Body::Stall(_)
        | Body::Generators(_)
        | Body::Buffers(_)
        | Body::SocketUse(_)
        | Body::FileLock(_)
        | Body::BlockedSignals(_)
        | Body::FileUse(_)
        | Body::WaitUnjudged(_)
        | Body::LostThreads(_)
        | Body::Resync(_)
        | Body::Rotated(_)
        | Body::ProcessOwner(_)
        | Body::ProcessExit(_)
        | Body::ThreadExit(_) => {}
    }
    row
}
