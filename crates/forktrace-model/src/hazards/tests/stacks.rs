//! What native stacks add to a finding: where the holder is, and whether it has the lock still.

use super::*;
use crate::event::stacks::{self, Fate, TaskNow};

/// What native stacks may add: a waiter in `lock`, and the parent's thread with the parent's lock.
fn native(in_parent: Window, fate: Fate) -> Option<Box<NativeStacks>> {
    let stack = |name: &str| Stack {
        frames: vec![Frame { symbol: Some(name.into()), ..Frame::default() }],
        cut: None,
    };
    let holder = TaskNow {
        pid: PARENT,
        tid: POLLER,
        fate,
        doing: Doing::Syscall(0),
        stack: stack("poll"),
        ..TaskNow::default()
    };
    Some(Box::new(NativeStacks {
        stack: stack("lock"),
        fork: Stack::missing("not kept"),
        word: Some(stacks::Place::Stack { tid: CHILD }),
        lock: None,
        takers: Vec::new(),
        in_parent: Some(in_parent),
        holders: vec![holder],
        names: Vec::new(),
        beside: Vec::new(),
    }))
}

#[test]
fn a_thread_has_its_present_name_everywhere() {
    let mut scene = Scene::mutex();
    let named = |tid, comm: &str| ThreadName { tid, comm: comm.into() };
    scene.evidence.native = native(mutex(2, POLLER), Fate::Alive);
    if let Some(native) = &mut scene.evidence.native {
        native.names = vec![named(POLLER, "pool-3"), named(POLLER + 1000, "of another")];
    }
    let finding = scene.finding();
    assert_eq!(finding.holder().unwrap().comm.as_deref(), Some("pool-3"));
    let lost = &finding.fork_site().unwrap().lost;
    let is_poller = |thread: &&ThreadName| thread.tid == POLLER;
    assert_eq!(lost.iter().find(is_poller).unwrap().comm, "pool-3");
    assert!(lost.iter().all(|thread| thread.comm != "of another"));
}

#[test]
fn a_holder_that_still_has_the_lock_is_shown_where_it_is() {
    let mut scene = Scene::mutex();
    let finding = scene.finding();
    scene.evidence.native = native(mutex(2, POLLER), Fate::Alive);
    let with_stacks = scene.finding();
    assert_eq!(with_stacks.proofs, finding.proofs, "stacks prove nothing");
    assert_eq!(with_stacks.stack()[0].symbol.as_deref(), Some("lock"));
    assert_eq!(with_stacks.fork_site().unwrap().stack_cut.as_deref(), Some("not kept"));
    assert_eq!(with_stacks.lock().unwrap().place, Some(stacks::Place::Stack { tid: CHILD }));
    let holder = with_stacks.holder().cloned().unwrap();
    assert_eq!((holder.fate, holder.holding), (Some(Fate::Alive), Some(true)));
    assert_eq!(holder.stack[0].symbol.as_deref(), Some("poll"));
    assert!(with_stacks.wait().unwrap().candidates.is_empty());
}

#[test]
fn a_holder_that_has_released_the_lock_or_ended_is_not_said_to_have_it() {
    let mut scene = Scene::mutex();
    for (in_parent, fate, holding) in [
        (mutex(0, 0), Fate::Alive, Some(false)),
        (mutex(1, PARENT), Fate::Alive, Some(false)),
        (mutex(1, POLLER), Fate::Exited, None),
        (Window::default(), Fate::Alive, None),
    ] {
        scene.evidence.native = native(in_parent, fate);
        let holder = scene.finding().holder().cloned().unwrap();
        assert_eq!((holder.fate, holder.holding), (Some(fate), holding));
        let may_have_it = fate == Fate::Alive && holding.is_none();
        assert_eq!(holder.stack.is_empty(), !may_have_it);
    }
}

#[test]
fn threads_that_may_have_held_an_ownerless_lock_are_candidates() {
    let mut scene = Scene::semaphore();
    scene.evidence.native = native(sem(0, 0), Fate::Alive);
    let finding = scene.finding();
    assert_eq!(finding.holder().cloned(), None);
    assert_eq!(finding.wait().unwrap().candidates.len(), 1);
    assert_eq!(finding.wait().unwrap().candidates[0].tid, POLLER);
}
