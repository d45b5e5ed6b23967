use super::{Case, LOCK, survives_truncation};
use crate::locks::State;

/// `pthread_join` of a thread that lives, as captured: list, tid, `robust_prev`, `robust_head`.
fn join() -> Case {
    let bytes = "c8000c71627f00004173000000000000b002000156550000b002000156550000e0ffffffffffffff0000000000000000";
    Case::new(0, 0x109, 0x7341, bytes, bytes)
}

#[test]
fn a_join_waits_for_the_thread_itself() {
    let reading = join().read().unwrap();
    assert_eq!((reading.family.id, reading.address), ("glibc-thread", LOCK));
    assert_eq!(reading.now, State::Held { owner: Some(0x7341) });
    assert_eq!(reading.at_fork, State::Held { owner: Some(0x7341) });
    assert_eq!(join().with_inherited(0, 0).read().unwrap().at_fork, State::Free);
    assert_eq!(join().with_inherited(24, 0).read().unwrap().at_fork, State::Unknown);
    survives_truncation(&join());
}

#[test]
fn what_only_looks_like_a_join() {
    assert_eq!(join().with(24, 0).read(), None, "no robust list");
    assert_eq!(join().with(16, 0).with(20, 0).read(), None, "no robust list");
    let mut case = join().with(0, 0);
    case.wait.val = 0;
    assert_eq!(case.read(), None, "no thread");
    for op in [0x189, 9, 0] {
        let mut case = join();
        case.wait.op = op;
        assert_eq!(case.read(), None, "op {op:#x}");
    }
}
