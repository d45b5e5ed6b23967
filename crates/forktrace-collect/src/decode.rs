//! Bytes of the ring buffer into events. Total: any bytes give a record or an error, never a panic.

mod file_lock;
mod socket;

use forktrace_common::{
    clone_flags,
    maps::WaitState,
    record::{self, Header, KINDS, Kind, Leftover},
};
use zerocopy::FromBytes;

use forktrace_model::event::{
    Body, Ended, Event, FutexWait, FutexWake, ProcessExec, ProcessExit, ProcessFork, Task,
    ThreadExit, ThreadStart, Wait,
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
    const FILE_LOCK: u32 = Kind::FileLock as u32;
    const SOCKET_USE: u32 = Kind::SocketUse as u32;
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
            let ended = (exit.status != record::Exit::NO_STATUS).then(|| Ended::of(exit.status));
            let thread = |group_dead| Body::ThreadExit(ThreadExit { group_dead, ended });
            let body = match exit.group {
                record::Exit::GROUP_DEAD => Body::ProcessExit(ProcessExit { ended }),
                record::Exit::ALIVE => thread(Some(false)),
                _ => thread(None),
            };
            (body, Some(exit.leftover))
        }),
        WAIT_END => read::<record::WaitEnd>(payload).map(|end| {
            (
                Body::FutexWait(FutexWait {
                    wait: wait(&end.wait),
                    result: Some(end.ret),
                    over: false,
                }),
                None,
            )
        }),
        WAIT_BEGIN => read::<record::WaitBegin>(payload).map(|begin| {
            (
                Body::FutexWait(FutexWait { wait: wait(&begin.wait), result: None, over: false }),
                None,
            )
        }),
        WAKE => read::<record::Wake>(payload)
            .map(|wake| (Body::FutexWake(FutexWake { uaddr: wake.uaddr, op: wake.op }), None)),
        SOCKET_USE => read::<forktrace_common::socket::SocketShared>(payload)
            .map(|shared| (Body::SocketUse(Box::new(socket::socket_use(&shared))), None)),
        FILE_LOCK => read::<forktrace_common::file_lock::LockAct>(payload)
            .map(|seen| (Body::FileLock(Box::new(file_lock::file_lock(&seen))), None)),
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
        since_before: state.found != 0,
        not_before_ns: None,
    }
}

/// A NUL-terminated string of the kernel's; what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use zerocopy::IntoBytes as _;

    use super::*;

    fn header(kind: Kind) -> Header {
        let mut comm = [0; record::COMM_LEN];
        comm[..3].copy_from_slice(b"a\xffb");
        Header { kind: kind as u32, cpu: 1, seq: 7, boot_ns: 99, tgid: 10, tid: 11, comm }
    }

    fn bytes(kind: Kind, payload: &[u8]) -> Vec<u8> {
        [header(kind).as_bytes(), payload].concat()
    }

    #[test]
    fn a_clone_is_a_process_or_a_thread_by_its_flags() {
        let fork = |flags| record::Fork { clone_flags: flags, child_tid: 12, reserved: 0 };
        let process = decode(&bytes(Kind::Fork, fork(0x0120_0011).as_bytes())).unwrap();
        assert_eq!((process.cpu, process.seq, process.event.boot_ns), (1, 7, 99));
        let task = process.event.task.unwrap();
        assert_eq!((task.pid, task.tid, task.comm.as_str()), (10, 11, "a\u{fffd}b"));
        let expected = ProcessFork { child_pid: 12, clone_flags: 0x0120_0011 };
        assert_eq!(process.event.body, Body::ProcessFork(expected));
        let thread = decode(&bytes(Kind::Fork, fork(0x003d_0f00).as_bytes())).unwrap();
        assert!(matches!(thread.event.body, Body::ThreadStart(start) if start.child_tid == 12));
    }

    #[test]
    fn an_exit_says_as_much_as_the_kernel_does() {
        let exit = |group, fork_ns| {
            let leftover = Leftover { fork_ns, pages: 3, ..Leftover::default() };
            let exit = record::Exit { leftover, group, status: record::Exit::NO_STATUS };
            decode(&bytes(Kind::Exit, exit.as_bytes())).unwrap()
        };
        let dead = exit(record::Exit::GROUP_DEAD, 5);
        assert_eq!(dead.event.body, Body::ProcessExit(ProcessExit::default()));
        assert_eq!(dead.leftover.unwrap().pages, 3);
        let alive = exit(record::Exit::ALIVE, 0);
        assert_eq!(
            alive.event.body,
            Body::ThreadExit(ThreadExit { group_dead: Some(false), ended: None })
        );
        assert_eq!(alive.leftover, None, "it was not at risk");
        let unknown = exit(record::Exit::UNKNOWN, 0);
        assert_eq!(
            unknown.event.body,
            Body::ThreadExit(ThreadExit { group_dead: None, ended: None })
        );
    }

    #[test]
    fn an_executable_path_that_could_not_be_read_is_empty() {
        let mut exec = record::Exec {
            leftover: Leftover::default(),
            old_tid: 11,
            filename_len: 5,
            filename: [b'x'; record::FILENAME_LEN],
        };
        let name = |exec: &record::Exec| match decode(&bytes(Kind::Exec, exec.as_bytes()))
            .unwrap()
            .event
            .body
        {
            Body::ProcessExec(exec) => exec.filename,
            _ => String::new(),
        };
        assert_eq!(name(&exec).len(), record::FILENAME_LEN, "no NUL: all of it");
        exec.filename_len = -1;
        assert_eq!(name(&exec), "");
    }

    #[test]
    fn short_and_unknown_records_are_named() {
        assert_eq!(decode(&[]), Err(DecodeError::Short { len: 0, kind: KINDS }));
        let cut = bytes(Kind::Wake, &[0; 8]);
        let kind = Kind::Wake as u32;
        assert_eq!(decode(&cut), Err(DecodeError::Short { len: cut.len(), kind }));
        let mut unknown = header(Kind::Fork);
        unknown.kind = 77;
        assert_eq!(decode(unknown.as_bytes()), Err(DecodeError::Kind(77)));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_record_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..512),
            kind in 0..KINDS + 1,
        ) {
            let mut bytes = bytes;
            if let Some(start) = bytes.get_mut(..4) {
                start.copy_from_slice(&kind.to_le_bytes());
            }
            let _ = decode(&bytes);
        }
    }
}
