//! Does the child wait for a thread that it does not have?
//!
//! What is waited for is no lock: nobody holds a condition variable or a barrier. So nothing can
//! prove who was to wake the waiter. What can be shown is that the word is what it was at the fork,
//! that whoever waits for it is the only thread of its process, and that the fork left threads
//! behind. That is *likely* at best: a program may sleep like this on purpose. *suspect*: a handler
//! or timer could wake it, or nothing shows that the thing existed at the fork. A child with more
//! than one thread is never flagged: an idle pool looks like this.

use super::{WaitCase, grade, ordinary};
use crate::{
    event::Evidence,
    finding::{Confidence, Proof},
    locks::{State, word_words},
};

/// Grades a wait for an event; `None`: not even a suspect.
pub(super) fn grade(case: &WaitCase<'_>) -> Option<grade::Grade> {
    let mut proofs = Vec::new();
    let mut say = |rule: &str, detail: String| {
        proofs.push(Proof { rule: rule.to_owned(), detail });
    };
    let woken = match case.evidence.wakes_since_fork {
        // Wakes before the tracer came are not known. The word has stayed the same.
        _ if case.evidence.late.is_some() => false,
        Some(count) => count > 0,
        // A process that never had another thread had nobody to wake.
        None => case.process.had_threads,
    };
    if case.reading.at_fork != State::HeldUnproven || woken || case.evidence.threads.len() != 1 {
        return None;
    }
    say("unchanged-since-fork", word_words::detail(&case.reading.word));
    if !grade::nobody_left(case, &mut say) {
        return None;
    }
    let mut confidence = Confidence::Likely;
    if grade::could_be_released(case, &mut say) {
        confidence = Confidence::Suspect;
    }
    match case.fork.lost.len() {
        0 => {
            say("no-thread-lost", "the process that forked had no other thread to lose".into());
            confidence = Confidence::Suspect;
        }
        1 => say(
            "threads-lost",
            "the fork left 1 thread behind, which may have been to wake it".into(),
        ),
        lost => say(
            "threads-lost",
            format!("the fork left {lost} threads behind, one of which may have been to wake it"),
        ),
    }
    if !existed(case.evidence, case.reading.value) {
        say("may-be-new", "nothing proves that it existed at the fork".into());
        confidence = Confidence::Suspect;
    }
    let confidence = grade::after_losses(case, confidence, &mut say)?;
    Some(grade::Grade { confidence, proofs })
}

/// Grades a wait of Python's library for a signal, such as that of a queue, an event or a semaphore:
/// each waits for a lock of its own, that whoever wakes it releases. Nothing of this shows in the
/// bytes at the fork; a child with a single thread has nobody who could. *suspect* where it may mean
/// to sleep, as with an event that nobody is to set.
pub(super) fn grade_signal(case: &WaitCase<'_>) -> Option<grade::Grade> {
    let mut proofs = Vec::new();
    let mut say = |rule: &str, detail: String| {
        proofs.push(Proof { rule: rule.to_owned(), detail });
    };
    let alone = case.evidence.threads.len() == 1 && !case.fork.lost.is_empty();
    if !alone || !case.reading.family.anyone_may_release || !grade::nobody_left(case, &mut say) {
        return None;
    }
    let lost = case.fork.lost.len();
    let threads = if lost == 1 { "a thread" } else { "threads" };
    say(
        "signal-of-another-thread",
        format!(
            "Python waits here for another thread's signal; there is none, and the fork left \
             {threads} behind"
        ),
    );
    if grade::could_be_released(case, &mut say) {
        return None;
    }
    let sleeps = !ordinary::is_for_work(case.evidence);
    let confidence = if sleeps { Confidence::Suspect } else { Confidence::Likely };
    let confidence = grade::after_losses(case, confidence, &mut say)?;
    Some(grade::Grade { confidence, proofs })
}

/// Whether the word was part of the same thing at the fork: static data is what it is as long as
/// the program runs, and a word that is not zero is not unused memory.
fn existed(evidence: &Evidence, word: u32) -> bool {
    let mapping = evidence.mapping.as_ref();
    let stack = mapping.is_none_or(|mapping| mapping.path.starts_with("[stack"));
    evidence.module.is_some() || (word != 0 && !stack)
}
