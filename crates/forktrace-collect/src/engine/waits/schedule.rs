//! When to sample the process of a wait: at once when the wait crosses the threshold, then each time
//! its age has doubled, until it is proven, ends, or turns out to be none of ours.
//!
//! A sample reads every thread of the process, and the log has a line for each sample that names them
//! all. Where each of thousands of threads waits, a sample for each would cost the square of their
//! number. In such a crowd the samples are spread over time, and a thread that waits for a word which
//! a sample has just shown to be nothing to report waits its turn.

use forktrace_common::maps::WaitState;
use rustc_hash::{FxHashMap, FxHashSet};

/// A wait's identity: (tid, enter_ns).
type WaitId = (u32, u64);

/// Up to so many threads a process is no crowd.
const FEW: usize = 64;

/// The least time from one sample of a crowd to the next, ns a thread. A sample takes some 30 µs of
/// CPU time a thread.
const PAUSE_NS: u64 = 500_000;

/// How long the samples of a process's waits are waited for before anything else is told of it, ns.
pub(super) const PATIENCE_NS: u64 = 5_000_000_000;

/// How long a thread that is being ended may take from the end of its wait to where `/proc` shows it, ns.
const LEAVING_NS: u64 = 200_000_000;

/// The waits over the threshold.
#[derive(Debug, Default)]
pub(super) struct SamplingSchedule {
    waits: FxHashMap<WaitId, Sample>,
    /// Those that had begun before tracing did and are not over the threshold yet, with their tgid.
    old: FxHashMap<WaitId, u32>,
    /// Those that ended before a sample that was wanted could begin, as (tgid, tid).
    gone: Vec<(u32, u32)>,
    /// Those of them that may be about to end, and when to know it, `CLOCK_BOOTTIME`, ns.
    leaving: Vec<(u64, (u32, u32))>,
    /// By process.
    crowds: FxHashMap<u32, Crowd>,
}

/// A process with many threads.
#[derive(Debug, Default)]
struct Crowd {
    /// When the next sample may begin, `CLOCK_BOOTTIME`, ns.
    next_ns: u64,
    /// The futex words that were sampled, by address.
    words: FxHashMap<u64, Word>,
}

/// A word that threads of a crowd wait for.
#[derive(Debug, Default)]
struct Word {
    /// When another sample for it may begin, `CLOCK_BOOTTIME`, ns.
    next_ns: u64,
    /// When the latest sample for it that found nothing came to its end, ns; zero: none has.
    ended_ns: u64,
}

#[derive(Debug)]
struct Sample {
    /// Whose wait it is (tgid), and for which word.
    word: (u32, u64),
    /// When to sample next, `CLOCK_BOOTTIME`, ns.
    due_ns: u64,
    /// A sample is under way.
    busy: bool,
    /// A sample has come to its end.
    ended: bool,
    /// It is to be sampled, since this moment, `CLOCK_BOOTTIME`, ns.
    wanted_ns: Option<u64>,
    seen: bool,
}

impl SamplingSchedule {
    /// Takes the long waits of this moment. Returns those that are new.
    pub(super) fn update<'a>(&mut self, waits: &'a [WaitState]) -> Vec<&'a WaitState> {
        for sample in self.waits.values_mut() {
            sample.seen = false;
        }
        let mut new = Vec::new();
        for wait in waits {
            let sample = self.waits.entry((wait.tid, wait.enter_ns)).or_insert_with(|| {
                new.push(wait);
                let word = (wait.tgid, wait.uaddr);
                Sample { word, due_ns: 0, busy: false, ended: false, wanted_ns: None, seen: true }
            });
            sample.seen = true;
        }
        self.waits.retain(|(tid, _), sample| {
            let stays = sample.seen || sample.busy;
            if !stays && sample.wanted_ns.is_some() && !sample.ended {
                self.gone.push((sample.word.0, *tid));
            }
            stays
        });
        self.forget_words(waits);
        new
    }

    /// Takes those waits of this moment that are to be sampled once they are over the threshold, and
    /// had begun before tracing did. To be called after [`SamplingSchedule::update`].
    pub(super) fn keep_old<'a>(&mut self, old: impl Iterator<Item = &'a WaitState>) {
        let now = old.map(|wait| ((wait.tid, wait.enter_ns), wait.tgid)).collect();
        for (id, tgid) in std::mem::replace(&mut self.old, now) {
            if !self.old.contains_key(&id) && !self.waits.contains_key(&id) {
                self.gone.push((tgid, id.0));
            }
        }
    }

    /// A wait is to be sampled, as soon as there is room.
    pub(super) fn want(&mut self, wait: &WaitState, now_ns: u64) {
        if let Some(sample) = self.waits.get_mut(&(wait.tid, wait.enter_ns)) {
            sample.wanted_ns.get_or_insert(now_ns);
        }
    }

    /// No sample that is under way is waited for: a wait that ended meanwhile was not sampled to the end.
    pub(super) fn give_up(&mut self) {
        let waits = self.waits.iter();
        let over = waits.filter(|(_, sample)| sample.busy && !sample.seen && !sample.ended);
        self.gone.extend(over.map(|((tid, _), sample)| (sample.word.0, *tid)));
        self.waits.retain(|_, sample| sample.seen);
    }

    /// How many waits ended with their thread since the last time, and without the sample that was wanted.
    /// Those that came to an end of their own were none for ever. `has_ended`: of (tgid, tid). A thread
    /// that is being ended has to be given a CPU before that can be seen: it is asked twice, the second
    /// time at once where `now_ns` is [`u64::MAX`].
    pub(super) fn count_gone(&mut self, now_ns: u64, has_ended: impl Fn(u32, u32) -> bool) -> u64 {
        let ended = |(tgid, tid): (u32, u32)| has_ended(tgid, tid);
        let leaving = std::mem::take(&mut self.leaving);
        let (due, rest): (Vec<_>, Vec<_>) =
            leaving.into_iter().partition(|(due_ns, _)| *due_ns <= now_ns);
        self.leaving = rest;
        let late = due.into_iter().filter(|(_, thread)| ended(*thread)).count();
        let (gone, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.gone).into_iter().partition(|thread| ended(*thread));
        let due_ns = now_ns.saturating_add(LEAVING_NS);
        self.leaving.extend(left.into_iter().map(|thread| (due_ns, thread)));
        (late + gone.len()) as u64
    }

    /// Forgets the words of crowds that nobody waits for any more.
    fn forget_words(&mut self, waits: &[WaitState]) {
        if self.crowds.is_empty() {
            return;
        }
        let words: FxHashSet<_> = waits.iter().map(|wait| (wait.tgid, wait.uaddr)).collect();
        self.crowds.retain(|pid, crowd| {
            crowd.words.retain(|uaddr, _| words.contains(&(*pid, *uaddr)));
            waits.iter().any(|wait| wait.tgid == *pid)
        });
    }

    /// Whether a wait is due for a sample; if so, the sample counts as begun. `threads`: of its process.
    pub(super) fn begin(&mut self, wait: &WaitState, now_ns: u64, threads: usize) -> bool {
        let sample = self.waits.get_mut(&(wait.tid, wait.enter_ns));
        let Some(sample) = sample.filter(|sample| !sample.busy && sample.due_ns <= now_ns) else {
            return false;
        };
        if threads > FEW {
            let crowd = self.crowds.entry(wait.tgid).or_default();
            let word_ns = crowd.words.get(&wait.uaddr).map_or(0, |word| word.next_ns);
            if crowd.next_ns.max(word_ns) > now_ns {
                return false;
            }
            crowd.next_ns = now_ns.saturating_add(PAUSE_NS.saturating_mul(threads as u64));
            let age = now_ns.saturating_sub(wait.enter_ns);
            crowd.words.entry(wait.uaddr).or_default().next_ns = now_ns.saturating_add(age);
        }
        sample.busy = true;
        true
    }

    /// When the next sample is due, `CLOCK_BOOTTIME`, ns.
    pub(super) fn next_ns(&self, now_ns: u64) -> Option<u64> {
        let waiting = self.waits.values().filter(|one| one.wanted_ns.is_some() && !one.busy);
        waiting.map(|one| one.due_ns.max(now_ns)).min().filter(|due_ns| *due_ns != u64::MAX)
    }

    /// Whether a process has waits that are to be sampled, were not yet, and have not been put off for
    /// longer than [`PATIENCE_NS`].
    pub(super) fn is_pending(&self, pid: u32, now_ns: u64) -> bool {
        let patient = |wanted_ns: u64| now_ns.saturating_sub(wanted_ns) < PATIENCE_NS;
        let pending = |sample: &Sample| {
            sample.word.0 == pid && !sample.ended && sample.wanted_ns.is_some_and(patient)
        };
        self.waits.values().any(pending)
    }

    /// Whether a sample for this wait has come to its end. In a crowd the others that waited for the
    /// same word then are sampled with it.
    pub(super) fn has_ended(&self, wait: &WaitState) -> bool {
        let crowd = self.crowds.get(&wait.tgid);
        let word = crowd.and_then(|crowd| crowd.words.get(&wait.uaddr));
        self.waits.get(&(wait.tid, wait.enter_ns)).is_some_and(|sample| sample.ended)
            || word.is_some_and(|word| word.ended_ns > wait.enter_ns)
    }

    /// A sample is over; the next is due when the wait is twice as old, or never.
    pub(super) fn end(&mut self, tid: u32, enter_ns: u64, now_ns: u64, settled: bool) {
        if let Some(sample) = self.waits.get_mut(&(tid, enter_ns)) {
            (sample.busy, sample.ended) = (false, true);
            sample.due_ns = if settled { u64::MAX } else { twice_as_old(enter_ns, now_ns) };
            let (pid, uaddr) = sample.word;
            let crowd = self.crowds.get_mut(&pid);
            if let Some(word) = crowd.and_then(|crowd| crowd.words.get_mut(&uaddr)) {
                word.ended_ns = now_ns;
            }
        }
    }

    /// A sample has come to nothing: the wait ended, or the thread ran, meanwhile. If it goes on,
    /// another sample is due when it is twice as old.
    pub(super) fn disturbed(&mut self, tid: u32, enter_ns: u64, now_ns: u64) {
        if let Some(sample) = self.waits.get_mut(&(tid, enter_ns)) {
            sample.busy = false;
            sample.due_ns = twice_as_old(enter_ns, now_ns);
        }
    }

    /// A sample has made a finding: whoever else waits for that word is sampled as soon as may be.
    pub(super) fn found(&mut self, pid: u32, uaddr: u64) {
        if let Some(crowd) = self.crowds.get_mut(&pid) {
            crowd.words.remove(&uaddr);
        }
    }
}

/// When a wait is twice as old as now, ns.
fn twice_as_old(enter_ns: u64, now_ns: u64) -> u64 {
    now_ns.saturating_add(now_ns.saturating_sub(enter_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The threads of which it would be asked whether they have ended.
    fn ended(schedule: &mut SamplingSchedule) -> Vec<(u32, u32)> {
        let asked = std::cell::RefCell::default();
        schedule.count_gone(0, |tgid, tid| {
            Vec::push(&mut *asked.borrow_mut(), (tgid, tid));
            true
        });
        asked.into_inner()
    }

    fn wait(tid: u32, enter_ns: u64) -> WaitState {
        WaitState { tid, enter_ns, ..WaitState::default() }
    }

    #[test]
    fn is_sampled_again_when_the_age_has_doubled_and_not_once_settled() {
        let mut schedule = SamplingSchedule::default();
        let waits = [wait(1, 100)];
        assert_eq!(schedule.update(&waits).len(), 1);
        assert!(schedule.update(&waits).is_empty(), "a wait is new once");
        assert!(schedule.begin(&waits[0], 200, 1));
        assert!(!schedule.begin(&waits[0], 200, 1), "one sample at a time");
        assert!(!schedule.has_ended(&waits[0]));
        schedule.end(1, 100, 200, false);
        assert!(schedule.has_ended(&waits[0]));
        assert!(!schedule.begin(&waits[0], 299, 1));
        assert!(schedule.begin(&waits[0], 300, 1));
        schedule.end(1, 100, 300, true);
        assert!(!schedule.begin(&waits[0], u64::MAX - 1, FEW));
    }

    #[test]
    fn a_wait_that_is_gone_is_forgotten_and_the_next_one_is_new() {
        let mut schedule = SamplingSchedule::default();
        schedule.update(&[wait(1, 100)]);
        schedule.update(&[]);
        assert!(schedule.waits.is_empty());
        assert_eq!(schedule.update(&[wait(1, 500)]).len(), 1);
    }

    #[test]
    fn a_wait_that_ends_before_its_sample_is_counted_if_one_was_wanted() {
        let mut schedule = SamplingSchedule::default();
        let of = |tid| WaitState { tgid: 9, ..wait(tid, 100) };
        let waits = [of(1), of(2), of(3)];
        schedule.update(&waits);
        schedule.want(&waits[0], 0);
        schedule.want(&waits[1], 0);
        assert!(schedule.begin(&waits[1], 200, 1));
        schedule.update(&[]);
        schedule.end(2, 100, 300, false);
        schedule.update(&[]);
        assert_eq!(ended(&mut schedule), [(9, 1)]);
        assert_eq!(ended(&mut schedule), []);
    }

    #[test]
    fn other_readings_wait_for_a_sample_that_is_wanted_but_not_for_long() {
        let mut schedule = SamplingSchedule::default();
        let waits = [WaitState { tgid: 9, ..wait(1, 100) }];
        schedule.update(&waits);
        assert!(!schedule.is_pending(9, 200), "it is not wanted");
        schedule.want(&waits[0], 200);
        schedule.want(&waits[0], PATIENCE_NS);
        assert!(schedule.is_pending(9, 199 + PATIENCE_NS) && !schedule.is_pending(8, 300));
        assert!(!schedule.is_pending(9, 200 + PATIENCE_NS));
        assert!(schedule.begin(&waits[0], 300, 1));
        schedule.end(1, 100, 400, false);
        assert!(!schedule.is_pending(9, 500));
    }

    #[test]
    fn an_old_wait_that_ends_before_it_is_over_the_threshold_is_counted() {
        let mut schedule = SamplingSchedule::default();
        let old = [wait(1, 100), wait(2, 100)];
        schedule.update(&[]);
        schedule.keep_old(old.iter());
        schedule.update(&old[..1]);
        schedule.keep_old(old[1..].iter());
        assert_eq!(ended(&mut schedule), [], "one is over the threshold, one goes on");
        schedule.update(&[]);
        schedule.keep_old([].iter());
        assert_eq!(ended(&mut schedule), [(0, 2)]);
    }

    #[test]
    fn a_wait_that_ends_in_its_first_sample_is_counted_if_that_is_given_up() {
        let mut schedule = SamplingSchedule::default();
        let waits = [wait(1, 100), wait(2, 100), wait(3, 100)];
        schedule.update(&waits);
        waits.iter().for_each(|wait| schedule.want(wait, 0));
        assert!(waits.iter().all(|wait| schedule.begin(wait, 200, 1)));
        schedule.end(3, 100, 300, false);
        schedule.update(&waits[1..2]);
        schedule.give_up();
        assert_eq!(ended(&mut schedule), [(0, 1)], "2 goes on, 3 was sampled");
    }

    #[test]
    fn a_wait_that_was_disturbed_is_sampled_again_and_counted_if_it_ends() {
        let mut schedule = SamplingSchedule::default();
        let waits = [wait(1, 100)];
        schedule.update(&waits);
        schedule.want(&waits[0], 0);
        assert!(schedule.begin(&waits[0], 200, 1));
        schedule.disturbed(1, 100, 200);
        assert!(!schedule.has_ended(&waits[0]));
        assert!(!schedule.begin(&waits[0], 299, 1));
        assert!(schedule.begin(&waits[0], 300, 1));
        schedule.disturbed(1, 100, 300);
        schedule.update(&[]);
        assert_eq!(ended(&mut schedule), [(0, 1)]);
    }

    #[test]
    fn a_thread_that_is_about_to_end_is_counted_once_it_has() {
        let mut schedule = SamplingSchedule::default();
        let waits = [wait(1, 100), wait(2, 100), wait(3, 100)];
        schedule.update(&waits);
        waits.iter().for_each(|wait| schedule.want(wait, 0));
        schedule.update(&[]);
        let soon = 1_000 + LEAVING_NS;
        assert_eq!(schedule.count_gone(1_000, |_, tid| tid == 3), 1);
        assert_eq!(schedule.count_gone(soon - 1, |_, _| true), 0, "it is given time");
        assert_eq!(schedule.count_gone(soon, |_, tid| tid == 2), 1, "1 goes on");
        assert_eq!(schedule.count_gone(u64::MAX, |_, _| true), 0, "each is counted once");
        schedule.update(&waits[..1]);
        schedule.want(&waits[0], 0);
        schedule.update(&[]);
        assert_eq!(schedule.count_gone(soon, |_, _| false), 0);
        assert_eq!(schedule.count_gone(u64::MAX, |_, _| true), 1, "there is no later time");
    }

    /// Threads 1 to 4 of one process; the first two wait for one word.
    fn crowd() -> Vec<WaitState> {
        let of = |(tid, uaddr)| WaitState { uaddr, tgid: 1, ..wait(tid, 100) };
        [(1, 8), (2, 8), (3, 16), (4, 24)].map(of).to_vec()
    }

    #[test]
    fn few_threads_are_sampled_all_at_once() {
        let (mut schedule, waits) = (SamplingSchedule::default(), crowd());
        schedule.update(&waits);
        assert!(waits.iter().all(|wait| schedule.begin(wait, 200, FEW)));
    }

    #[test]
    fn samples_of_a_crowd_are_spread_and_a_word_is_sampled_again_at_twice_its_age() {
        let (mut schedule, waits) = (SamplingSchedule::default(), crowd());
        let pause = PAUSE_NS * 1000;
        let at = |turn: u64| 2 * pause + turn * pause;
        schedule.update(&waits);
        assert!(schedule.begin(&waits[0], at(0), 1000));
        assert!(!schedule.begin(&waits[2], at(1) - 1, 1000), "too soon after the first");
        assert!(!schedule.begin(&waits[1], at(1), 1000), "the same word");
        assert!(schedule.begin(&waits[2], at(1), 1000));
        schedule.update(&waits);
        assert!(!schedule.begin(&waits[1], at(2) - 101, 1000), "not twice as old yet");
        assert!(schedule.begin(&waits[1], at(2), 1000));
    }

    #[test]
    fn one_of_a_crowd_stands_for_those_that_waited_for_its_word_unless_it_was_a_finding() {
        let (mut schedule, waits) = (SamplingSchedule::default(), crowd());
        let later = WaitState { uaddr: 8, tgid: 1, ..wait(5, 5000) };
        schedule.update(&waits);
        assert!(schedule.begin(&waits[0], 200, 1000));
        schedule.end(1, 100, 300, false);
        assert!(schedule.has_ended(&waits[0]) && schedule.has_ended(&waits[1]));
        assert!(!schedule.has_ended(&waits[2]), "another word");
        assert!(!schedule.has_ended(&later), "it did not wait yet");
        schedule.found(1, 8);
        assert!(schedule.has_ended(&waits[0]) && !schedule.has_ended(&waits[1]));
    }

    #[test]
    fn words_that_nobody_waits_for_are_forgotten() {
        let (mut schedule, waits) = (SamplingSchedule::default(), crowd());
        schedule.update(&waits);
        assert!(schedule.begin(&waits[0], 200, 1000));
        schedule.update(&waits[2..]);
        assert!(schedule.crowds[&1].words.is_empty());
    }

    #[test]
    fn who_waits_for_a_word_with_a_finding_is_next() {
        let (mut schedule, waits) = (SamplingSchedule::default(), crowd());
        let pause = PAUSE_NS * 1000;
        schedule.update(&waits);
        assert!(schedule.begin(&waits[0], 5 * pause, 1000));
        schedule.found(1, 8);
        assert!(schedule.begin(&waits[1], 6 * pause, 1000));
        schedule.update(&[]);
        assert!(schedule.crowds.is_empty(), "nobody of the crowd waits any more");
    }
}
