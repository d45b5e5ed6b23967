//! Waits in a process whose fork was not seen: forktrace attached after it, maybe to a hang that is
//! minutes old.
//!
//! Nothing here is more than *likely*. That the lock was held at the fork is concluded from its
//! owner, who was a task before the waiter's process was one, from the parent's memory, where that
//! has stayed as it was (`inspect/pages.rs`), or from what a Python thread left behind that is not
//! here (`python.rs`). Without any it is a deadlock of unknown origin: a suspect, and only where the
//! lock is known to be older than the fork.

mod python;

use super::{
    Reason, Verdict, WaitCase, finding, gates,
    grade::{Grade, could_be_released, nobody_left},
    self_deadlock, waker,
};
use crate::{
    arch::Machine,
    event::{
        AtFork, Event, Evidence, Learnt, Relative, RelativeThread, Task, ThreadName,
        UnobservedFork, is_older,
    },
    finding::{Confidence, Finding, Holder, Kind, Proof, UnseenFork},
    locks::{self, Reading, State, word_words},
    model::{Fork, Model},
};

/// Judges one look at a wait of a process whose fork was not seen.
pub(super) fn judge(
    event: &Event,
    task: &Task,
    evidence: &Evidence,
    late: &UnobservedFork,
    model: &Model,
) -> Verdict {
    if let Some(verdict) = gates::wait(evidence) {
        return verdict;
    }
    let Some(process) = model.live(task.pid) else { return Verdict::Open(Reason::NotForked) };
    // One that was seen to fork is judged by that; after an exec nothing inherited is left.
    if process.fork.is_some() || process.exec.is_some() {
        return Verdict::Innocent(Reason::NotForked);
    }
    let (reading, is_event) = match read(evidence, model.machine()) {
        Ok(read) => read,
        Err(reason) => return Verdict::Open(reason),
    };
    let fork = assumed_fork(late, task.pid);
    let waited_ns = event.boot_ns.saturating_sub(evidence.wait.enter_ns);
    let line = vec![&fork];
    let case = WaitCase {
        task,
        machine: model.machine(),
        evidence,
        process,
        fork: &fork,
        line,
        reading,
        is_event,
        waited_ns,
    };
    let owner = Owner::of(&case, late);
    match graded(&case, late, &owner) {
        Ok((kind, grade)) => {
            let finding = finding(&case, kind, grade);
            let mut finding = completed(finding, &case, late, &owner);
            let born_ns = late.thread_start_ns.unwrap_or(late.start_ns).max(late.start_ns);
            let age_ns = event.boot_ns.saturating_sub(born_ns);
            finding.at_most_ns = Some(age_ns).filter(|_| finding.since_before);
            if let Some(fork) = &mut finding.unseen_fork {
                fork.lost = model.counts().lost > 0 && late.start_ns > model.span_ns().0;
            }
            Verdict::Finding(Box::new(finding))
        }
        Err(verdict) => verdict,
    }
}

/// What is wrong, and how sure that is: never certain.
fn graded(
    case: &WaitCase<'_>,
    late: &UnobservedFork,
    owner: &Owner<'_>,
) -> Result<(Kind, Grade), Verdict> {
    let is_forked = late.not_execed || late.kin.is_some();
    if !is_forked && (case.is_event || !matches!(owner, Owner::Older)) {
        return Err(Verdict::Innocent(Reason::NotForked));
    }
    if python::is_at_rest(case) {
        return Err(Verdict::Open(Reason::OrdinaryWait));
    }
    let limited = |mut grade: Grade| {
        let detail = missing(case, late);
        grade.proofs.push(Proof { rule: "fork-not-seen".into(), detail });
        Grade { confidence: grade.confidence.min(Confidence::Likely), ..grade }
    };
    if case.is_event {
        let grade = waker::grade(case).ok_or(Verdict::Open(Reason::TooLate))?;
        return Ok((Kind::LostWaker, limited(grade)));
    }
    if let Some(grade) = self_deadlock::grade(case) {
        return Ok((Kind::SelfDeadlock, limited(grade)));
    }
    if let Some(reason) = gates::lock(case) {
        return Err(Verdict::Innocent(reason));
    }
    if let Owner::Younger = owner {
        return Err(Verdict::Innocent(Reason::OwnedByChild));
    }
    if python::is_in_use(case) {
        return Err(Verdict::Open(Reason::OwnedByChild));
    }
    let (confidence, proofs) = grade(case, late, owner).ok_or(Verdict::Open(Reason::TooLate))?;
    Ok((Kind::InheritedLock, Grade { confidence, proofs }))
}

/// Whether the frames of Python's threads may tell more of this look than it has. Where a finding is
/// made of it they are read in any case.
pub fn wants_python(evidence: &Evidence, machine: Machine) -> bool {
    let of_python = evidence.target.as_ref().is_some_and(|place| place.python_type.is_some());
    evidence.late.is_some()
        && gates::wait(evidence).is_none()
        && read(evidence, machine)
            .is_ok_and(|(reading, _)| reading.family.anyone_may_release || of_python)
}

/// What is waited for, and whether that is something which nobody holds.
fn read(evidence: &Evidence, machine: Machine) -> Result<(Reading, bool), Reason> {
    let now = evidence.now.as_ref().ok_or(Reason::Unreadable)?;
    let scene = super::scene(machine, evidence, now, evidence.at_fork.known());
    if let Some(reading) = locks::read(&scene) {
        return Ok((reading, false));
    }
    let reading = locks::read_event(&scene).ok_or(Reason::UnknownLock)?;
    Ok((reading, true))
}

/// What the rules for a fork that was seen need to know of it, as far as it can be known.
fn assumed_fork(late: &UnobservedFork, pid: u32) -> Fork {
    let older =
        |thread: &RelativeThread| is_older((thread.start_ns, thread.tid), (late.start_ns, pid));
    let kin = late.kin.as_ref();
    let forker = kin.and_then(|kin| kin.forker).unwrap_or(0);
    let others = kin.map(|kin| kin.threads.as_slice()).unwrap_or_default().iter();
    let others = others.filter(|thread| thread.tid != forker && older(thread));
    Fork {
        boot_ns: late.start_ns,
        by: None,
        by_pid: kin.filter(|kin| kin.parent).map_or(0, |kin| kin.pid),
        by_tid: forker,
        by_comm: String::new(),
        clone_flags: 0,
        lost: others
            .map(|thread| ThreadName { tid: thread.tid, comm: thread.comm.clone() })
            .collect(),
        lost_known: false,
        ..Fork::default()
    }
}

/// Where the task comes from whose number the lock has as its owner now.
enum Owner<'a> {
    /// The lock has none, or nothing is known of it.
    Unknown,
    /// A living thread of the parent, older than the child: its number was never the child's.
    OfParent(&'a RelativeThread),
    /// Older than the child, by its number.
    Older,
    /// Younger than the child, by its number: whoever it was, it did not hold the lock at the fork.
    Younger,
}

impl<'a> Owner<'a> {
    fn of(case: &WaitCase<'_>, late: &'a UnobservedFork) -> Self {
        let State::Held { owner: Some(owner) } = case.reading.now else { return Owner::Unknown };
        let parent = late.kin.as_ref().filter(|kin| kin.parent && kin.same_pid_ns);
        let thread = parent.and_then(|parent| {
            let mut threads = parent.threads.iter();
            threads.find(|thread| thread.ns_tid.unwrap_or(thread.tid) == owner)
        });
        let own = (late.start_ns, case.task.pid);
        match thread {
            Some(thread) if is_older((thread.start_ns, thread.tid), own) => Owner::OfParent(thread),
            Some(_) => Owner::Unknown,
            None if !late.tids_in_order || case.evidence.ns_pid.is_some() => Owner::Unknown,
            None if owner < case.task.pid => Owner::Older,
            None if owner > case.task.pid => Owner::Younger,
            None => Owner::Unknown,
        }
    }
}

fn grade(
    case: &WaitCase<'_>,
    late: &UnobservedFork,
    owner: &Owner<'_>,
) -> Option<(Confidence, Vec<Proof>)> {
    let mut proofs = Vec::new();
    let mut say = |rule: &str, detail: String| {
        proofs.push(Proof { rule: rule.to_owned(), detail });
    };
    let inherited_owner = say_owner(case, late, owner, &mut say);
    if inherited_owner.is_none() && !matches!(case.reading.at_fork, State::Held { .. }) {
        say("held-at-fork-unknown", word_words::detail(&case.reading.word));
    }
    let nobody_left = nobody_left(case, &mut say);
    let could_be_released = could_be_released(case, &mut say);
    let python_says = python::grade(case, nobody_left, &mut say);
    let stuck = nobody_left && !could_be_released;
    let mut confidence = match (inherited_owner, case.reading.at_fork) {
        (Some(_), _) if nobody_left => Confidence::Likely,
        (Some(owner), _) if !heir_may_release(case, late, owner) => Confidence::Likely,
        (Some(_), _) => Confidence::Suspect,
        (None, State::Held { .. }) if stuck => Confidence::Likely,
        (None, State::Held { .. }) => Confidence::Suspect,
        (None, State::HeldUnproven) if stuck => Confidence::Suspect,
        (None, State::Unknown) if stuck && was_there_before(case, late) => Confidence::Suspect,
        (None, State::Unknown) if stuck && late.not_execed && is_held_by_nobody_here(case) => {
            Confidence::Suspect
        }
        (None, State::HeldUnproven | State::Unknown | State::Free) => python_says?,
    };
    confidence = confidence.max(python_says.unwrap_or(confidence));
    say("fork-not-seen", missing(case, late));
    if case.process.incomplete {
        say("events-lost", "events were lost, so something may have been missed".into());
        confidence = confidence.lowered()?;
    }
    Some((confidence, proofs))
}

/// Says what is known of the lock at the fork. Returns the owner, by its number in the lock, if it
/// is known to have had the lock then.
fn say_owner(
    case: &WaitCase<'_>,
    late: &UnobservedFork,
    owner: &Owner<'_>,
    say: &mut impl FnMut(&str, String),
) -> Option<u32> {
    let how = match late.learnt {
        Some(Learnt::LatestFork) => {
            "the parent has not written that page since its latest fork, which made this process"
                .to_owned()
        }
        Some(Learnt::SharedWith(pid)) => format!(
            "the parent has not written that page since: it still shares it with process {pid}, \
             which is older than this one"
        ),
        None => "the page was kept as it was inherited".to_owned(),
    };
    if let State::Held { owner: then } = case.reading.at_fork {
        say("held-at-fork", format!("{}; {how}", word_words::detail(&case.reading.word)));
        if let (Some(then), State::Held { owner: now }) = (then, case.reading.now)
            && now == Some(then)
        {
            return Some(then);
        }
    }
    let State::Held { owner: Some(now) } = case.reading.now else { return None };
    match owner {
        Owner::OfParent(thread) => {
            let name = thread.comm.escape_debug();
            let detail = format!(
                "its owner {now} is the living thread \"{name}\" of the parent, which is older than \
                 this process, and no thread of this process can ever have had that number"
            );
            say("owner-of-parent", detail);
            Some(now)
        }
        Owner::Older => {
            let detail = format!(
                "its owner {now} was a task before this process was made: task numbers have not \
                 been used twice since this system started"
            );
            say("owner-older", detail);
            Some(now)
        }
        Owner::Unknown | Owner::Younger => None,
    }
}

/// Whether the thread of the child that carries on the forking one may still release the lock: that
/// can be said unless it waits itself, or another thread than the forking one had the lock.
fn heir_may_release(case: &WaitCase<'_>, late: &UnobservedFork, owner: u32) -> bool {
    let kin = late.kin.as_ref().filter(|kin| kin.same_pid_ns);
    let forker = kin.and_then(|kin| {
        let mut threads = kin.threads.iter();
        let thread = threads.find(|thread| Some(thread.tid) == kin.forker)?;
        Some(thread.ns_tid.unwrap_or(thread.tid))
    });
    // A number that is none of the parent's may be that of an ancestor's thread, whose heir forked.
    let is_parents = kin.is_some_and(|kin| !kin.forked || has_thread(kin, owner));
    if forker.is_some_and(|forker| forker != owner) && is_parents {
        return false;
    }
    // A forked process begins with the heir alone, which has the process's own number.
    let heir = case.evidence.threads.iter().find(|thread| thread.tid == case.task.pid);
    // Whatever else it waits for, a living thread may end that.
    let waits = |tid: u32| case.evidence.waiters.iter().any(|waiter| waiter.tid == tid);
    heir.is_none_or(|heir| heir.tid != case.task.tid && !waits(heir.tid))
}

fn has_thread(kin: &Relative, number: u32) -> bool {
    kin.threads.iter().any(|thread| thread.ns_tid.unwrap_or(thread.tid) == number)
}

/// Whether it is a lock, and no signal, that no other thread of a process whose threads all wait can
/// have: it names an owner, which is no thread of the process, as the gates have made sure, or is of a
/// kind that only who took it releases.
fn is_held_by_nobody_here(case: &WaitCase<'_>) -> bool {
    let owned = matches!(case.reading.now, State::Held { owner: Some(_) });
    let by_its_kind = !case.reading.family.anyone_may_release && !case.reading.family.may_be_event;
    owned || by_its_kind
}

/// Whether the lock seems to be older than the fork: another process of the same origin has
/// something of the same kind in the same place. In memory of the heap that is the same size of the
/// block there (`malloc`'s field 8 bytes before a block); variables of the program always do.
fn was_there_before(case: &WaitCase<'_>, late: &UnobservedFork) -> bool {
    let kin = late.kin.as_ref().and_then(|kin| kin.now.as_ref());
    let ours = case.target().map_or(&case.evidence.now, |place| &place.now);
    let (Some(theirs), Some(ours)) = (kin, ours.as_ref()) else { return false };
    let Some(mapping) = case.mapping() else { return false };
    if !mapping.is_heap() {
        return !mapping.path.starts_with("[stack") && theirs.word(case.reading.address).is_some();
    }
    let size = |window: &crate::event::Window| {
        window.long(case.reading.address.checked_sub(8)?).filter(|size| *size != 0)
    };
    size(theirs).is_some() && size(theirs) == size(ours)
}

fn missing(case: &WaitCase<'_>, late: &UnobservedFork) -> String {
    let origin = match &late.kin {
        Some(kin) if kin.parent => "it runs its parent's program and has not exec'ed".to_owned(),
        Some(kin) => format!("it runs the program of process {} and has not exec'ed", kin.pid),
        None if late.not_execed => {
            "it has not exec'ed, and its parent is gone or runs another program".to_owned()
        }
        None => "who forked it is not known".to_owned(),
    };
    let lock = match (late.learnt, case.at_fork()) {
        (Some(_), _) | (None, AtFork::Known(_)) => "",
        (None, AtFork::Unknown(_)) => "; what the word was at the fork is not known",
    };
    format!("the fork was not seen: {origin}{lock}")
}

/// Puts what is known of the unseen fork in the place of what was assumed.
fn completed(
    finding: Finding,
    case: &WaitCase<'_>,
    late: &UnobservedFork,
    owner: &Owner<'_>,
) -> Finding {
    let parent = late.kin.as_ref().filter(|kin| kin.parent);
    let at_fork = match case.reading.at_fork {
        State::Held { owner } => owner,
        _ => None,
    };
    let same_numbers = case.evidence.ns_pid.is_none();
    let holder = match (owner, parent, at_fork) {
        (Owner::OfParent(thread), Some(parent), _) => Some((parent, thread.tid, Some(thread))),
        // By its number alone, out of the memory as inherited.
        (_, Some(parent), Some(tid)) if same_numbers && parent.same_pid_ns && !parent.forked => {
            Some((parent, tid, None))
        }
        _ => None,
    };
    let holder = holder.map(|(parent, tid, thread)| {
        Holder::new(parent.pid, tid, thread.map(|thread| thread.comm.clone()))
    });
    let owner_tid = match case.reading.now {
        State::Held { owner } if holder.is_none() && finding.kind == Kind::InheritedLock => owner,
        _ => None,
    };
    let forker = parent.and_then(|parent| parent.forker);
    let thread =
        parent.and_then(|parent| parent.threads.iter().find(|thread| Some(thread.tid) == forker));
    Finding {
        holder,
        fork: None,
        unseen_fork: Some(UnseenFork {
            boot_ns: late.start_ns,
            by_pid: parent.map(|parent| parent.pid),
            by_comm: parent.map(|parent| parent.comm.clone()),
            by_tid: forker,
            by_thread: thread.map(|thread| thread.comm.clone()),
            lost: false,
            owner_tid,
        }),
        ..finding
    }
}

#[cfg(test)]
mod tests;
