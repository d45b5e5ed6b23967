//! Whether processes have their descriptors from one another by fork alone.

use crate::model::{Model, ProcId, Process};

/// Most generations that are followed.
const DEPTH: usize = 512;

/// The eldest process from which this one's memory and descriptors came by forks alone. Of a fork that
/// was not seen: the parent, where that runs the same program.
pub fn root(model: &Model, id: ProcId) -> ProcId {
    std::iter::successors(Some(id), |id| above(model, model.get(*id)?))
        .take(DEPTH)
        .last()
        .unwrap_or(id)
}

/// The process that forked this one, which has not exec'ed since.
fn above(model: &Model, process: &Process) -> Option<ProcId> {
    if process.exec.is_some() {
        return None;
    }
    match &process.fork {
        Some(_) => process.inherited()?.by,
        None => {
            let parent = model.get(process.parent?)?;
            let same = parent.exe.is_some() && parent.exe == process.exe;
            same.then_some(parent.id)
        }
    }
}

/// When the memory of two processes of one family parted for the last time, `CLOCK_BOOTTIME`, ns: the
/// younger one's fork. 0: before the trace.
pub(super) fn parted_ns(model: &Model, one: ProcId, other: ProcId) -> u64 {
    let forked = |id: ProcId| {
        let process = model.get(id);
        process.and_then(|process| process.inherited()).map_or(0, |fork| fork.boot_ns)
    };
    match (is_above(model, one, other), is_above(model, other, one)) {
        (true, _) => forked(other),
        (_, true) => forked(one),
        _ => forked(one).max(forked(other)),
    }
}

/// Whether a process is the other one, or one from which that has its memory by forks alone.
pub(super) fn is_above(model: &Model, one: ProcId, other: ProcId) -> bool {
    let mut line =
        std::iter::successors(Some(other), |id| above(model, model.get(*id)?)).take(DEPTH);
    line.any(|id| id == one)
}
