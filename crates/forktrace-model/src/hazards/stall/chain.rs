//! Who waits for whom, from the stuck task on.

use super::case::{self, View};
use crate::{
    event::{
        Task,
        stall::{On, Stall, StallTask, TaskState, TaskWait, Thing},
    },
    finding::Link,
};

/// The waits from one task on, until they come back to a task that they have been at, or to nobody.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) links: Vec<Link>,
    /// The last of them waits for a task that is among them.
    pub(super) is_circle: bool,
    /// Each of them waits for a lock that names its owner, or for the end of one thread.
    by_owners: bool,
}

impl Chain {
    /// Whether each task of a circle waits for what the next one alone can end, by the words of the locks.
    pub(super) fn is_by_owners(&self) -> bool {
        self.is_circle && self.by_owners
    }

    /// Whether it stays in one process.
    pub(super) fn is_alone(&self) -> bool {
        self.links
            .windows(2)
            .all(|pair| matches!(pair, [one, next] if one.task.pid == next.task.pid))
    }
}

/// Follows the waits from the task at `from` on. Of several that could end a wait one of another
/// process is followed: it says more.
pub(super) fn follow(stall: &Stall, pid: u32, from: usize, view: View) -> Chain {
    // Who could shut down a socket says nothing of who is waited for.
    let view = view.max(View::NoShutdown);
    let mut chain = Chain { by_owners: true, ..Chain::default() };
    let mut visited = Vec::new();
    let mut next = Some(from);
    while let Some(at) = next {
        if visited.contains(&at) {
            chain.is_circle = true;
            break;
        }
        visited.push(at);
        let Some((task, link)) =
            stall.tasks.get(at).and_then(|task| Some((task, link(stall, task, view)?)))
        else {
            break;
        };
        chain.links.push(link);
        chain.by_owners &= names_owner(stall, task);
        let others = match case::ends(stall, pid, at, view) {
            case::Ends::Tasks(others) => others,
            case::Ends::Anything => break,
        };
        next = best(stall, task, &others, &visited);
    }
    chain
}

/// The task that is followed: one that was not met yet and belongs to another process before others, and
/// one that waits for a child after them: that is what closes most circles.
fn best(stall: &Stall, task: &StallTask, others: &[usize], visited: &[usize]) -> Option<usize> {
    let not_itself = |at: &&usize| stall.tasks.get(**at).is_some_and(|other| other.tid != task.tid);
    let order = |at: &&usize| {
        let other = stall.tasks.get(**at);
        let inside = case::waits_inside(stall, **at);
        let for_child = case::waits_for_child(stall, **at);
        let same = other.is_some_and(|other| other.pid == task.pid);
        (visited.contains(*at), inside, for_child, same, **at)
    };
    others.iter().filter(not_itself).min_by_key(order).copied()
}

fn link(stall: &Stall, task: &StallTask, view: View) -> Option<Link> {
    let TaskState::Waits(wait) = &task.state else { return None };
    let (on, thing) = told(stall, wait)?;
    let owner = case::owner(stall, task, thing);
    let gone = owner.filter(|owner| !stall.tasks.iter().any(|task| case::is(task, *owner)));
    let left =
        || thing.semaphore.filter(|semaphore| semaphore.gone).map(|semaphore| semaphore.last);
    let gone = gone.or_else(left);
    Some(Link {
        task: Task { pid: task.pid, tid: task.tid, comm: task.comm.clone() },
        call: wait.call,
        since_ns: wait.since_ns,
        thing: thing.kind,
        name: thing.name.clone(),
        fd: on.fd,
        way: on.way,
        // Who has an end is told, also where it is taken for granted that it is not used.
        by: case::pids(thing, on.way, view.min(View::NoHandlers)).collect(),
        gone,
    })
}

/// Whether a task waits for nothing but a lock that names its owner.
fn names_owner(stall: &Stall, task: &StallTask) -> bool {
    let TaskState::Waits(wait) = &task.state else { return false };
    let owner = |on: &On| case::owner(stall, task, case::thing(stall, on)?);
    matches!(wait.on.as_slice(), [on] if owner(on).is_some())
}

/// The thing that says most about a wait: what the process has in common with others.
fn told<'a>(stall: &'a Stall, wait: &'a TaskWait) -> Option<(&'a On, &'a Thing)> {
    let with_thing = |on: &'a On| Some((on, case::thing(stall, on)?));
    wait.on.iter().filter_map(with_thing).min_by_key(|(_, thing)| case::rank(thing.kind))
}
