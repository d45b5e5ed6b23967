//! What is said of a lock that probes on lock functions saw taken, and where they came too late.

use super::*;
use crate::event::{Hold, Probed};

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

/// What a rule says.
fn said(scene: &Scene, rule: &str) -> String {
    let evidence = scene.finding().evidence;
    let mut details = evidence.iter().filter(|proof| proof.rule == rule).map(|p| p.detail.as_str());
    details.next().unwrap_or_default().to_owned()
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
    assert_eq!(
        said(&scene, "holder-seen"),
        "probes saw thread 101 take it 20.0 ms before the fork in app+0x1 and release it 3.0 ms \
         after the fork"
    );
    with_call(&mut scene);
    let text = said(&scene, "holder-seen");
    assert!(text.contains("before the fork in hold (cache.c:7) and"), "{text}");
    assert_eq!(scene.finding().holder.unwrap().tid, POLLER);
    let other = Hold { until_tid: Some(PARENT), ..hold() };
    scene.evidence.probed = Some(saw(vec![other]));
    assert!(said(&scene, "holder-seen").contains("and thread 100 release it"));
    let still = Hold { until_ns: None, until_tid: None, ..hold() };
    scene.evidence.probed = Some(saw(vec![still]));
    assert!(said(&scene, "holder-seen").ends_with("and nobody release it by now"));
}

#[test]
fn a_hold_over_the_fork_proves_that_it_was_a_semaphore_then() {
    let unproven = |hold: Hold| {
        let mut scene = scene(saw(vec![hold]));
        scene.evidence.mapping.as_mut().unwrap().path = "/srv/app".into();
        scene
    };
    let proven = unproven(hold());
    assert_eq!(said(&proven, "held-at-fork"), "word was 0 (held) in the page as inherited");
    assert_eq!(proven.confidence(), Confidence::Certain);
    // Its memory may have been used again since, if it was not given back.
    let still = unproven(Hold { until_ns: None, until_tid: None, ..hold() });
    assert_eq!(still.confidence(), Confidence::Likely);
    let by_other = unproven(Hold { until_tid: Some(PARENT), ..hold() });
    assert_eq!(by_other.confidence(), Confidence::Likely);
}

#[test]
fn probes_that_came_too_late_are_said_to_have() {
    let mut scene = scene(saw(vec![]));
    let text = said(&scene, "probes-late");
    assert!(text.contains("began 4000.0 ms before the fork and saw nobody take it"), "{text}");
    let late = Probed { parent_since_ns: Some(6 * SECOND), ..saw(vec![]) };
    scene.evidence.probed = Some(late);
    assert_eq!(said(&scene, "probes-late"), "probes on process 100 began after the fork");
    scene.evidence.probed = None;
    assert_eq!(said(&scene, "probes-late"), "");
    let mut owned = Scene::mutex();
    owned.evidence.probed = Some(saw(vec![]));
    assert_eq!(said(&owned, "probes-late"), "", "the lock says itself who has it");
}
