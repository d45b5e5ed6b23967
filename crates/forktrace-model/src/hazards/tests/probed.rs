//! What is said of a lock that probes on lock functions saw taken, and where they came too late.

use super::*;
use crate::{
    event::{Hold, Probed},
    locks::Identity,
};

const CALLER: u64 = 0x7001;
const MILLISECOND: u64 = 1_000_000;

/// Held from before the fork until after it.
fn hold() -> Hold {
    Hold {
        address: UADDR,
        tid: POLLER,
        since_ns: 5 * SECOND - 20 * MILLISECOND,
        until_ns: Some(5 * SECOND + 3 * MILLISECOND),
        until_tid: Some(POLLER),
        caller: CALLER,
        place: Some("app+0x1".into()),
    }
}

fn saw(holds: Vec<Hold>) -> Probed {
    Probed { holds, child_since_ns: None, parent_since_ns: Some(SECOND), child_used: false }
}

fn scene(probed: Probed) -> Scene {
    let mut scene = Scene::semaphore();
    scene.evidence.probed = Some(probed);
    scene
}

/// What a rule found, if it was applied.
fn fact(scene: &Scene, rule: Rule) -> Option<Fact> {
    scene.finding().proofs.into_iter().find(|fact| fact.rule() == rule)
}

/// The same with a call whose function is known.
fn with_call(scene: &mut Scene) {
    let call = Frame {
        address: CALLER,
        symbol: Some("hold".into()),
        module: Some("/srv/app".into()),
        file: Some("/src/cache.c".into()),
        line: Some(7),
        ..Frame::default()
    };
    let native = NativeStacks { takers: vec![call], ..NativeStacks::default() };
    scene.evidence.native = Some(Box::new(native));
}

#[test]
fn who_took_it_where_and_when() {
    let mut scene = scene(saw(vec![hold()]));
    let seen = Fact::HolderSeen {
        tid: POLLER,
        before_ns: 20 * MILLISECOND,
        after_ns: Some(3 * MILLISECOND),
        released_by: None,
        call: None,
        place: Some("app+0x1".into()),
    };
    assert_eq!(fact(&scene, Rule::HolderSeen), Some(seen));
    with_call(&mut scene);
    let Some(Fact::HolderSeen { call, place, .. }) = fact(&scene, Rule::HolderSeen) else {
        panic!("probes saw it")
    };
    assert_eq!((call.unwrap().symbol.as_deref(), place), (Some("hold"), None));
    assert_eq!(scene.finding().holder().unwrap().tid, POLLER);
    let mut ended = |until_ns, until_tid| {
        scene.evidence.probed = Some(saw(vec![Hold { until_ns, until_tid, ..hold() }]));
        match fact(&scene, Rule::HolderSeen) {
            Some(Fact::HolderSeen { after_ns, released_by, .. }) => (after_ns, released_by),
            other => panic!("{other:?}"),
        }
    };
    let until = hold().until_ns;
    assert_eq!(ended(until, Some(PARENT)), (Some(3 * MILLISECOND), Some(PARENT)));
    assert_eq!(ended(None, None), (None, None));
}

#[test]
fn a_hold_over_the_fork_proves_that_it_was_a_semaphore_then() {
    let unproven = |hold: Hold| {
        let mut scene = scene(saw(vec![hold]));
        scene.evidence.mapping.as_mut().unwrap().path = "/srv/app".into();
        scene
    };
    let proven = unproven(hold());
    let Some(Fact::HeldAtFork { word, .. }) = fact(&proven, Rule::HeldAtFork) else {
        panic!("it was held")
    };
    assert_eq!(word.identity, Some(Identity::HeldAcrossFork));
    assert_eq!(proven.confidence(), Confidence::Certain);
    // Its memory may have been used again since, if it was not given back.
    let still = unproven(Hold { until_ns: None, until_tid: None, ..hold() });
    assert_eq!(still.confidence(), Confidence::Likely);
    let by_other = unproven(Hold { until_tid: Some(PARENT), ..hold() });
    assert_eq!(by_other.confidence(), Confidence::Likely);
}

#[test]
fn probes_that_came_too_late_are_no_witness() {
    let mut scene = scene(saw(vec![]));
    let late = |before_ns| Some(Fact::ProbesLate { pid: PARENT, before_ns });
    assert_eq!(fact(&scene, Rule::ProbesLate), late(Some(4 * SECOND)), "they saw nobody take it");
    scene.evidence.probed = Some(Probed { parent_since_ns: Some(6 * SECOND), ..saw(vec![]) });
    assert_eq!(fact(&scene, Rule::ProbesLate), late(None), "they began after the fork");
    scene.evidence.probed = None;
    assert_eq!(fact(&scene, Rule::ProbesLate), None);
    let mut owned = Scene::mutex();
    owned.evidence.probed = Some(saw(vec![]));
    assert_eq!(fact(&owned, Rule::ProbesLate), None, "the lock names its owner itself");
}
