//! Locks in the memory of one process that name their owners, beside threads that run.

use forktrace_common::futex::{FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG, FUTEX_WAIT_BITSET};

use super::*;
use crate::event::{Mapping, Window};

/// Two threads of [`CHILD`], and where their locks are.
const ONE: u32 = 82;
const TWO: u32 = 83;
const WORD: u64 = 0x5000;

impl Made {
    /// A normal mutex of glibc with waiters that `owner` has.
    fn mutex(self, owner: u32) -> Self {
        let words = [2, 0, owner, 1, 0, 0, 0, 0, 0, 0];
        self.word(FUTEX_PRIVATE_FLAG, &words)
    }

    /// The end of the thread `tid`, as `pthread_join` waits for it.
    fn thread_end(self, tid: u32) -> Self {
        let words = [tid, 0, 0x7000, 0, 0x7000, 0, (-32_i32).cast_unsigned(), u32::MAX];
        self.word(FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, &words)
    }

    fn word(self, op: u32, words: &[u32]) -> Self {
        let mut made = self.thing(ThingKind::PrivateWord, &[(CHILD, "w")]);
        let thing = made.0.things.last_mut().expect("there is one");
        let bytes = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        (thing.word, thing.op) = (Some(WORD), Some(op));
        thing.now = Some(Window { address: WORD, bytes });
        thing.mapping = Some(Mapping::default());
        made
    }

    fn runs(self, tid: u32) -> Self {
        self.state(CHILD, tid, TaskState::Moves)
    }
}

/// Each of two threads has the lock that the other one waits for, and the first thread runs.
fn abba() -> Made {
    let made = Made::default().process(CHILD, 0).runs(CHILD);
    made.mutex(TWO).waits(CHILD, ONE, Way::Wake).mutex(ONE).waits(CHILD, TWO, Way::Wake)
}

#[test]
fn who_wait_for_each_others_locks_are_stuck_beside_a_thread_that_runs() {
    let finding = abba().finding();
    assert_eq!(said(&finding), (HazardId::Deadlock, Confidence::Certain));
    assert!(finding.has(Rule::OwnersWait) && !finding.has(Rule::NoThreadLost));
    let chain = &finding.stall().unwrap().chain;
    assert_eq!(chain.iter().map(|link| link.task.tid).collect::<Vec<_>>(), [ONE, TWO]);
    let Verdict::Finding(of_one_thread) = abba().judged(&model(1)) else { unreachable!() };
    assert_eq!(said(&of_one_thread), (HazardId::Deadlock, Confidence::Certain), "nothing was lost");
    let mut handled = abba();
    handled.0.processes[0].handlers = Some(TERM);
    assert_eq!(said(&handled.finding()), (HazardId::Deadlock, Confidence::Likely));
}

#[test]
fn an_owner_who_goes_on_ends_the_wait() {
    let runs =
        Made::default().process(CHILD, 0).runs(TWO).mutex(TWO).waits(CHILD, CHILD, Way::Wake);
    assert!(runs.ends_by_itself());
    let mut sleeps = abba();
    sleeps.wait(2).timed = true;
    assert!(sleeps.ends_by_itself());
    let mut asks = abba();
    asks.wait(2).outside = true;
    assert!(asks.ends_by_itself());
}

#[test]
fn a_thread_that_is_joined_alone_ends_the_wait() {
    let made = Made::default().process(CHILD, 0).runs(ONE);
    let made = made.thread_end(TWO).waits(CHILD, CHILD, Way::Wake);
    let finding = made.mutex(CHILD).waits(CHILD, TWO, Way::Wake).finding();
    assert_eq!(said(&finding), (HazardId::Deadlock, Confidence::Certain));
    let living = Made::default().process(CHILD, 0).runs(TWO);
    assert!(living.thread_end(TWO).waits(CHILD, CHILD, Way::Wake).ends_by_itself());
}

#[test]
fn a_number_that_is_no_other_thread_here_leaves_the_lock_to_all() {
    for owner in [PARENT, ONE] {
        let made = Made::default().process(CHILD, 0).runs(CHILD);
        let made = made.mutex(owner).waits(CHILD, ONE, Way::Wake);
        assert!(made.ends_by_itself(), "of the forking process, or itself: {owner}");
    }
    let mut named_otherwise = abba();
    named_otherwise.0.tasks[2].ns_tid = Some(3);
    assert!(named_otherwise.ends_by_itself(), "the number is another one in its pid namespace");
}

#[test]
fn a_condition_names_nobody() {
    let condition = abba().word(FUTEX_PRIVATE_FLAG, &[0; 12]).waits(CHILD, 84, Way::Wake);
    let finding = condition.finding();
    assert_eq!(finding.subject.tid, ONE, "and that one waits for whoever runs");
    let made = Made::default().process(CHILD, 0).runs(CHILD);
    let made = made.mutex(TWO).waits(CHILD, ONE, Way::Wake);
    let rests = made.word(FUTEX_PRIVATE_FLAG, &[0; 12]).waits(CHILD, TWO, Way::Wake);
    assert!(rests.ends_by_itself(), "its owner rests, and whoever runs may wake it");
}

#[test]
fn an_rlock_of_python_names_its_owner() {
    let rlock = |made: Made, owner| {
        let mut made = made.word(FUTEX_PRIVATE_FLAG, &[0; 12]);
        made.0.things.last_mut().unwrap().owner = owner;
        made
    };
    let circle = |owner| {
        let made = Made::default().process(CHILD, 0).runs(CHILD);
        let made = rlock(made, Some(TWO)).waits(CHILD, ONE, Way::Wake);
        rlock(made, owner).waits(CHILD, TWO, Way::Wake)
    };
    assert_eq!(said(&circle(Some(ONE)).finding()), (HazardId::Deadlock, Confidence::Certain));
    assert!(circle(None).ends_by_itself() && circle(Some(CHILD)).ends_by_itself());
}
