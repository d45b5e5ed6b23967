//! Work that is handed to threads which the child does not have, and forks beside other threads.
//!
//! A need makes a finding: a signal that only a lost thread would have taken, and that is still there. That
//! the child was forked beside threads is no finding of itself, but with `--audit`.

mod context;
mod libraries;
mod signals;
#[cfg(test)]
mod tests;

pub use context::is_ending;

use super::{Context, Hazard, Verdict, wait::fork::fork_site};
use crate::{
    event::{Body, Doing, Event, LostThread, LostThreads, OtherThread, Task, stall::Runtime},
    finding::{
        Confidence, Detail, Fact, Finding, ForkInfo, ForkSite, HazardId, Library, Remedy, Severity,
        Subject, ThreadLost, ThreadsDetail, Work,
    },
    model::{Fork, Model, Process},
};
use context::PythonWait;
use signals::Signals;

/// How long a signal must have been there, in a child that has one thread, ns: nobody will take it any more.
const LONG_NS: u64 = 5_000_000_000;
/// How long a signal must have been there at least, ns: one that is taken is there for a moment too.
pub const MOMENT_NS: u64 = 200_000_000;

/// Work for threads that are not there.
pub(super) struct ThreadsLost;

impl Hazard for ThreadsLost {
    fn id(&self) -> HazardId {
        HazardId::ThreadsLost
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        let Some(case) = Case::of(cx.event, cx.model) else { return Verdict::Unrelated };
        let works = works(case.lost, cx.event.boot_ns);
        let Some((confidence, proofs)) = weigh(case.lost, &works) else {
            return Verdict::Unrelated;
        };
        let library = works.iter().find_map(|work| work.library);
        let remedy = library.map_or_else(|| remedy(case.fork, case.lost), libraries::remedy);
        let mut detail = case.detail();
        for thread in &mut detail.threads {
            let work = works.iter().find(|work| work.thread.tid == thread.tid);
            thread.work = work.map(|work| work.told.clone());
        }
        detail.threads.sort_by_key(|thread| thread.work.is_none());
        let envelope = (self.id(), Severity::Corruption, confidence);
        Verdict::Finding(Box::new(case.finding(envelope, proofs, detail, remedy)))
    }
}

/// A fork beside other threads, whose child has not exec'ed. It is asked for (`--audit`), and has a name of
/// its own, so that who leaves it out leaves out no work that was lost.
pub fn audit(event: &Event, model: &Model) -> Option<Finding> {
    let case = Case::of(event, model)?;
    let confidence = match case.fork.lost_known {
        true => Confidence::Certain,
        false => Confidence::Likely,
    };
    let threads = case.fork.lost.len() as u64;
    let mut proofs = vec![Fact::ForkedBesideThreads { threads }];
    if !case.fork.lost_known {
        proofs.push(Fact::ThreadsUnknown {});
    }
    proofs.extend(context::bypass(case.lost).map(|how| Fact::HooksBypassed { how }));
    proofs.sort_by_key(Fact::rule);
    let detail = case.detail();
    let envelope = (HazardId::ForkWithThreads, Severity::Risk, confidence);
    Some(case.finding(envelope, proofs, detail, remedy(case.fork, case.lost)))
}

/// A child, and the threads that it does not have.
struct Case<'a> {
    task: &'a Task,
    process: &'a Process,
    fork: &'a Fork,
    lost: &'a LostThreads,
}

impl<'a> Case<'a> {
    fn of(event: &'a Event, model: &'a Model) -> Option<Self> {
        let (Body::LostThreads(lost), Some(task)) = (&event.body, &event.task) else {
            return None;
        };
        let process = model.live(task.pid)?;
        let fork = process.inherited().filter(|fork| fork.boot_ns == lost.fork_ns)?;
        (!fork.lost.is_empty()).then_some(Case { task, process, fork, lost })
    }

    fn detail(&self) -> ThreadsDetail {
        let seen = self.lost.seen_ns.checked_sub(self.fork.boot_ns);
        ThreadsDetail {
            seen_after_ns: seen.filter(|_| self.lost.seen_ns > 0),
            threads: self.lost.threads.iter().map(thread_lost).collect(),
            python: self.lost.python.clone(),
            python_after_ns: self
                .lost
                .python_ns
                .checked_sub(self.fork.boot_ns)
                .filter(|_| !self.lost.python.is_empty()),
            bypass: context::bypass(self.lost),
        }
    }

    fn finding(
        &self,
        (hazard, severity, confidence): (HazardId, Severity, Confidence),
        proofs: Vec<Fact>,
        detail: ThreadsDetail,
        remedy: Remedy,
    ) -> Finding {
        let mut fork: ForkSite = fork_site(self.fork);
        if let Some(stack) = self.lost.fork.as_deref() {
            fork.stack.clone_from(&stack.frames);
            fork.stack_cut.clone_from(&stack.cut);
        }
        Finding {
            hazard,
            severity,
            confidence,
            subject: Subject {
                pid: self.process.pid,
                tid: self.task.tid,
                comm: self.process.comm.clone(),
                ppid: self.process.ppid,
                ns_pid: self.process.ns_pid,
            },
            fork: ForkInfo::Observed(Box::new(fork)),
            proofs,
            same_fault_in: Vec::new(),
            waited_by: Vec::new(),
            detail: Detail::Threads(Box::new(detail)),
            remedy: Some(remedy),
        }
    }
}

fn thread_lost(thread: &LostThread) -> ThreadLost {
    ThreadLost {
        tid: thread.tid,
        comm: thread.comm.clone(),
        library: libraries::of(thread),
        doing: thread.doing.clone(),
        work: None,
        stack: thread.stack.iter().flat_map(|stack| stack.frames.clone()).collect(),
        python: thread.python.clone(),
        held: thread.held.clone(),
    }
}

/// What to do, by the server that forked or by the language.
fn remedy(fork: &Fork, lost: &LostThreads) -> Remedy {
    match (fork.by_comm.as_str(), lost.runtime) {
        ("gunicorn", _) => Remedy::Gunicorn,
        ("uwsgi", _) => Remedy::Uwsgi,
        ("celery", _) => Remedy::Celery,
        (_, Some(Runtime::Python)) => Remedy::PythonStartThreads,
        _ => Remedy::StartThreads,
    }
}

/// Work for one lost thread.
struct ForThread<'a> {
    thread: &'a LostThread,
    library: Option<Library>,
    told: Work,
    /// What the thread waited for is known to be a signal.
    is_signal: bool,
}

/// For how many lost threads there is work at `now_ns`, `CLOCK_BOOTTIME`, ns, and for how many of them it has
/// waited for long.
pub fn work_waiting(lost: &LostThreads, now_ns: u64) -> (usize, usize) {
    let works = works(lost, now_ns);
    let long = works.iter().filter(|work| work.told.for_ns >= LONG_NS).count();
    (works.len(), long)
}

/// Work for a lost thread that has waited for long at `now_ns`, `CLOCK_BOOTTIME`, ns, and that is at least
/// likely to be work.
pub(super) fn surely_waits(lost: &LostThreads, now_ns: u64) -> Option<Fact> {
    let works = works(lost, now_ns);
    let (confidence, facts) = weigh(lost, &works)?;
    let long =
        |fact: &Fact| matches!(fact, Fact::WorkForLostThread { for_ns, .. } if *for_ns >= LONG_NS);
    facts.into_iter().find(long).filter(|_| confidence >= Confidence::Likely)
}

/// The work for lost threads at `now_ns`, `CLOCK_BOOTTIME`, ns. None while the child ends: then pools wake
/// their threads to let them end too.
fn works(lost: &LostThreads, now_ns: u64) -> Vec<ForThread<'_>> {
    if lost.ending == Some(true) {
        return Vec::new();
    }
    lost.threads.iter().filter_map(|thread| work(lost, thread, now_ns)).collect()
}

fn work<'a>(lost: &LostThreads, thread: &'a LostThread, now_ns: u64) -> Option<ForThread<'a>> {
    let word = thread.word.as_deref()?;
    let for_ns = now_ns.saturating_sub(word.changed_ns?);
    let signals = signals::at(thread)?;
    let Doing::Futex { uaddr, .. } = thread.doing else { return None };
    let served = word.waiters > 0 || lost.others.iter().any(|other| waits_at(other, &signals));
    let waits = context::python_wait(lost, thread, signals.sort);
    if for_ns < MOMENT_NS || served || context::is_of_runtime(word) || waits == PythonWait::Lock {
        return None;
    }
    Some(ForThread {
        thread,
        library: libraries::of(thread),
        told: Work { word: uaddr, sort: signals.sort, signals: signals.count, for_ns },
        is_signal: waits != PythonWait::Unknown,
    })
}

/// Whether a thread of the child waits for the same object: then it may take the signal.
fn waits_at(other: &OtherThread, signals: &Signals) -> bool {
    let (first, size) = signals.object;
    matches!(other.doing, Doing::Futex { uaddr, .. } if (first..first + size).contains(&uaddr))
}

/// How sure it is, and by what; `None`: there is no work.
fn weigh(lost: &LostThreads, works: &[ForThread<'_>]) -> Option<(Confidence, Vec<Fact>)> {
    let fact = |work: &ForThread<'_>| Fact::WorkForLostThread {
        tid: work.thread.tid,
        comm: work.thread.comm.clone(),
        sort: work.told.sort,
        signals: work.told.signals,
        for_ns: work.told.for_ns,
        since_fork: work.thread.since_fork,
    };
    let mut proofs: Vec<Fact> = works.iter().map(fact).collect();
    let others = lost.others.len() as u64;
    let again = |work: &ForThread<'_>| {
        let comm = &work.thread.comm;
        // A thread that has no name of its own has that of the program.
        let plain = lost.threads.iter().filter(|other| other.comm == *comm).count() > 1;
        !plain && lost.others.iter().any(|other| other.comm == *comm)
    };
    let known = |work: &&ForThread<'_>| work.library.is_some() && work.is_signal && !again(work);
    let long = |work: &ForThread<'_>| work.told.for_ns >= LONG_NS && work.is_signal;
    let confidence = match () {
        () if works.is_empty() => return None,
        () if works.iter().any(|work| known(&work)) => Confidence::Likely,
        () if others == 0 && works.iter().any(long) => Confidence::Likely,
        () => Confidence::Suspect,
    };
    for library in works.iter().filter_map(|work| work.library) {
        proofs.push(Fact::ThreadOfLibrary { library });
    }
    match others {
        0 => proofs.push(Fact::NoOtherThread {}),
        others => proofs.push(Fact::OthersAlive { others }),
    }
    if let Some(again) = works.iter().find(|work| again(work)) {
        proofs.push(Fact::MadeAgain { comm: again.thread.comm.clone() });
    }
    if works.iter().any(|work| !work.is_signal) {
        proofs.push(Fact::MayBeLock {});
    }
    proofs.extend(context::bypass(lost).map(|how| Fact::HooksBypassed { how }));
    proofs.sort_by_key(Fact::rule);
    proofs.dedup();
    Some((confidence, proofs))
}
