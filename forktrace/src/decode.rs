//! Bytes of the ring buffer into events. Total: any bytes give a record or an error, never a panic.

use forktrace_common::{
    clone_flags,
    maps::WaitState,
    record::{self, Header, KINDS, Kind, Leftover},
};
use zerocopy::FromBytes;

use crate::event::{
    Body, Event, FutexWait, FutexWake, ProcessExec, ProcessExit, ProcessFork, Task, ThreadExit,
    ThreadStart, Wait,
};

/// One decoded record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The CPU that wrote it.
    pub cpu: u32,
    /// That CPU's count of records.
    pub seq: u64,
    /// What it tells.
    pub event: Event,
    /// What its process left in the maps, if anything.
    pub leftover: Option<Leftover>,
}

/// Bytes that are no record: the collector and the programs do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than its kind demands.
    #[error("a record of {len} bytes is too short for its kind {kind}")]
    Short {
        /// Bytes received.
        len: usize,
        /// The kind, or [`KINDS`] where not even the header was whole.
        kind: u32,
    },
    /// A kind that is not known.
    #[error("a record of the unknown kind {0}")]
    Kind(u32),
}

/// Decodes one record.
///
/// # Errors
/// When the bytes are not a whole record of a known kind.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let short = |kind| DecodeError::Short { len: bytes.len(), kind };
    let (header, payload) = Header::read_from_prefix(bytes).map_err(|_| short(KINDS))?;
    let (body, leftover) =
        body(&header, payload).ok_or(DecodeError::Kind(header.kind))?.ok_or(short(header.kind))?;
    let task = Task { pid: header.tgid, tid: header.tid, comm: text(&header.comm) };
    let event = Event { boot_ns: header.boot_ns, task: Some(task), body };
    let leftover = leftover.filter(|leftover| leftover.fork_ns != 0);
    Ok(Record { cpu: header.cpu, seq: header.seq, event, leftover })
}

/// `None`: unknown kind. `Some(None)`: too short.
#[expect(clippy::option_option, reason = "two failures that `decode` names")]
fn body(header: &Header, payload: &[u8]) -> Option<Option<(Body, Option<Leftover>)>> {
    const FORK: u32 = Kind::Fork as u32;
    const EXEC: u32 = Kind::Exec as u32;
    const EXIT: u32 = Kind::Exit as u32;
    const WAIT_END: u32 = Kind::WaitEnd as u32;
    const WAIT_BEGIN: u32 = Kind::WaitBegin as u32;
    const WAKE: u32 = Kind::Wake as u32;
    Some(match header.kind {
        FORK => read::<record::Fork>(payload).map(|fork| (fork_body(&fork), None)),
        EXEC => read::<record::Exec>(payload).map(|exec| {
            let filename = match exec.filename_len {
                1.. => text(&exec.filename),
                _ => String::new(),
            };
            let body = Body::ProcessExec(ProcessExec { old_tid: exec.old_tid, filename });
            (body, Some(exec.leftover))
        }),
        EXIT => read::<record::Exit>(payload).map(|exit| {
            let body = match exit.group {
                record::Exit::GROUP_DEAD => Body::ProcessExit(ProcessExit {}),
                record::Exit::ALIVE => Body::ThreadExit(ThreadExit { group_dead: Some(false) }),
                _ => Body::ThreadExit(ThreadExit { group_dead: None }),
            };
            (body, Some(exit.leftover))
        }),
        WAIT_END => read::<record::WaitEnd>(payload).map(|end| {
            (Body::FutexWait(FutexWait { wait: wait(&end.wait), result: Some(end.ret) }), None)
        }),
        WAIT_BEGIN => read::<record::WaitBegin>(payload).map(|begin| {
            (Body::FutexWait(FutexWait { wait: wait(&begin.wait), result: None }), None)
        }),
        WAKE => read::<record::Wake>(payload)
            .map(|wake| (Body::FutexWake(FutexWake { uaddr: wake.uaddr, op: wake.op }), None)),
        _ => return None,
    })
}

fn read<P: FromBytes>(payload: &[u8]) -> Option<P> {
    P::read_from_prefix(payload).ok().map(|(payload, _)| payload)
}

fn fork_body(fork: &record::Fork) -> Body {
    let (child, clone_flags) = (fork.child_tid, fork.clone_flags);
    if clone_flags::is_thread(clone_flags) {
        Body::ThreadStart(ThreadStart { child_tid: child, clone_flags })
    } else {
        Body::ProcessFork(ProcessFork { child_pid: child, clone_flags })
    }
}

/// A wait as the maps hold it.
pub fn wait(state: &WaitState) -> Wait {
    Wait {
        enter_ns: state.enter_ns,
        uaddr: state.uaddr,
        op: state.op,
        val: state.val,
        timed: state.timed != 0,
    }
}

/// A NUL-terminated string of the kernel's; what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}
