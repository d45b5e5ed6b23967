//! Waits that were not judged, by name, when the trace ends.

use std::time::{Duration, Instant};

use forktrace_model::{
    event::{Body, Event, Task, UnjudgedWait},
    judge::Unaccounted,
};
use rustc_hash::FxHashSet;

use super::{Consumer, Known as _};
use crate::{
    inspect::whereabouts::{self, Whereabouts},
    kernel::Visitor,
};

/// Most waits that are named; the summary counts the others.
pub(super) const MOST: usize = 10;

/// Where the threads of these waits are is read for so long. The others are named without.
const READING: Duration = Duration::from_secs(3);

/// The waits that were read and led to nothing, then `unread`, each with the line of the program that it
/// is at. One whose thread does something else by now is left out. Blocks its caller for some seconds.
pub(super) fn events(
    consumer: &impl Consumer,
    unread: Vec<(Task, UnjudgedWait)>,
    registers: &Visitor,
    now_ns: u64,
) -> Vec<Event> {
    let began = Instant::now();
    let judged = consumer.known().unjudged().into_iter();
    let judged = judged.map(|Unaccounted { task, wait, until_ns, .. }| (task, wait, until_ns));
    let unread = unread.into_iter().map(|(task, wait)| (task, wait, None));
    let mut told: FxHashSet<(u32, u32)> = FxHashSet::default();
    let mut events = Vec::new();
    for (task, mut wait, until_ns) in judged.chain(unread) {
        if events.len() >= MOST {
            break;
        }
        if !told.insert((task.pid, task.tid)) {
            continue;
        }
        if until_ns.is_none() {
            let Some(doing) = whereabouts::is_still_in(&task, &wait.doing) else { continue };
            wait.doing = doing;
            if began.elapsed() < READING {
                let Whereabouts { frame, python } = whereabouts::of(&task, registers.clone());
                (wait.frame, wait.python) = (frame, python);
            }
        }
        let body = Body::WaitUnjudged(Box::new(wait));
        events.push(Event { boot_ns: now_ns, task: Some(task), body });
    }
    events
}
