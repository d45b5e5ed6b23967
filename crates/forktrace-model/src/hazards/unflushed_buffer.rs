//! Text that several processes write: it was in a buffer, not written yet, when fork copied the buffer.
//!
//! That a process wrote it is proven by its first write to the buffer's object, which was made by the function
//! of the C library that takes note of what `write(2)` took; or by code that only `exit()` runs, since that
//! writes every buffer. A process that still has the bytes writes them when it ends by `exit()` or flushes the
//! buffer; `_exit()`, exec and signals do not. So bytes that are merely there are a risk at most. If a process
//! has added to them, its own text is lost unless it writes both.
//!
//! What `exit()` does: `_IO_cleanup` (`libio/genops.c`, glibc 2.36), `__stdio_exit` (`src/stdio/__stdio_exit.c`,
//! musl 1.2.3), `flush_std_files` and the ends of file objects (`Python/pylifecycle.c`, CPython 3.11).

use super::{
    Context, Hazard, HazardId, Verdict,
    copied::{self, Weighed},
};
use crate::{
    event::{Body, Buffer, BufferState, Buffers, Event, Task},
    finding::{BuffersDetail, Confidence, Detail, Fact, Finding},
    model::{Model, Process},
};

/// See the module.
pub(super) struct UnflushedBuffer;

impl Hazard for UnflushedBuffer {
    fn id(&self) -> HazardId {
        HazardId::UnflushedBuffer
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        let (Body::Buffers(found), Some(task)) = (&cx.event.body, &cx.event.task) else {
            return Verdict::Unrelated;
        };
        let Some(process) = cx.model.live(task.pid) else { return Verdict::Unrelated };
        match finding(cx.event, cx.model, found, task, process) {
            Some(finding) => Verdict::Finding(Box::new(finding)),
            None => Verdict::Unrelated,
        }
    }
}

fn finding(
    event: &Event,
    model: &Model,
    found: &Buffers,
    task: &Task,
    process: &Process,
) -> Option<Finding> {
    let fork = process.inherited()?;
    // One that goes on with another program does not write what was in its buffers.
    let parent = fork.by.and_then(|by| model.get(by));
    let parent = parent.filter(|parent| {
        let exec = parent.exec.as_ref();
        exec.is_none_or(|exec| exec.boot_ns < fork.boot_ns)
    });
    let outlived = parent.is_some_and(|parent| {
        parent.end_ns.is_none_or(|end| end > event.boot_ns) && parent.pid == fork.by_pid
    });
    let weigh = |buffer: &Buffer| weigh(buffer, task.pid, found, outlived);
    let detail = |all| Detail::Buffers(Box::new(BuffersDetail { found: all, ended: found.ended }));
    copied::finding(HazardId::UnflushedBuffer, (task, process), &found.found, weigh, detail)
}

/// How sure it is that process `pid` and another one write the bytes of a buffer; `None`: nothing says so.
/// `outlived`: the process that forked is there, or was when `pid` ended.
fn weigh(buffer: &Buffer, pid: u32, found: &Buffers, outlived: bool) -> Option<Weighed> {
    let own = buffer.sides.iter().find(|side| side.pid == pid)?.state;
    let others = || buffer.sides.iter().filter(|side| side.pid != pid).map(|side| side.state);
    let other = others().max_by_key(|state| rank(*state)).unwrap_or(BufferState::Unknown);
    let wrote = buffer.sides.iter().filter(|side| side.state == BufferState::Written).count();
    let mut facts = vec![Fact::UnwrittenAtFork { bytes: buffer.bytes }];
    if wrote > 0 {
        facts.push(Fact::WroteInherited { processes: wrote as u64 });
    }
    if found.exits {
        facts.push(Fact::LeftByExit {});
    }
    let others_will = match other {
        BufferState::Same | BufferState::Added | BufferState::Emptied | BufferState::Written => {
            true
        }
        // It had them when this process ended, or was ending itself.
        BufferState::Touched => outlived,
        BufferState::Unknown => outlived && found.ended,
    };
    let confidence = match (own, other) {
        (BufferState::Written, BufferState::Written) => Confidence::Certain,
        (BufferState::Written, _) if others_will => Confidence::Likely,
        (BufferState::Added | BufferState::Emptied, _) if others_will && !found.ended => {
            Confidence::Likely
        }
        (BufferState::Written | BufferState::Added | BufferState::Emptied, _) => {
            Confidence::Suspect
        }
        (BufferState::Same, _) if others_will && !found.ended => Confidence::Suspect,
        (BufferState::Same | BufferState::Touched | BufferState::Unknown, _) => return None,
    };
    match own {
        BufferState::Added => facts.push(Fact::AddedToInherited {}),
        BufferState::Emptied => facts.push(Fact::NoLongerInBuffer {}),
        BufferState::Same => facts.push(Fact::MayLeaveWithout {}),
        _ => {}
    }
    if confidence < Confidence::Certain && own == BufferState::Written {
        facts.push(Fact::OtherMayNotWrite {});
    }
    Some(Weighed { confidence, facts })
}

/// Of what several others did, that counts which says most.
fn rank(state: BufferState) -> u8 {
    match state {
        BufferState::Unknown => 0,
        BufferState::Touched => 1,
        BufferState::Same => 2,
        BufferState::Added => 3,
        BufferState::Emptied => 4,
        BufferState::Written => 5,
    }
}
