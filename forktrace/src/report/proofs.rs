//! The rules of the judge in sentences.

use forktrace_model::{
    event::Missing,
    finding::{Confidence, Fact, Finding, Origin, OwnerName, PageEvidence},
    text::plural,
};
use nix::sys::signal::Signal;

use super::lock_words;

/// Each proof of a finding in words, in the order of its proofs.
pub fn of(finding: &Finding) -> impl Iterator<Item = String> {
    finding.proofs.iter().map(|fact| text(fact, finding.confidence))
}

/// A fact in words, in a finding of this confidence.
pub fn text(fact: &Fact, confidence: Confidence) -> String {
    match fact {
        Fact::HeldAtFork { word, page } => {
            format!("{}{}", lock_words::detail(word), known_by(*page))
        }
        Fact::UnchangedSinceFork { word }
        | Fact::ForkStateUnproven { word }
        | Fact::HeldAtForkUnknown { word } => lock_words::detail(word),
        Fact::ForkStateUnknown { missing } => {
            format!("the word at the fork is not known: {}", why(*missing))
        }
        Fact::HolderSeen { .. } | Fact::ProbesLate { .. } | Fact::ProbesLateHere {} => probes(fact),
        Fact::OwnerNotHere { .. }
        | Fact::OwnerOfParent { .. }
        | Fact::OwnerOlder { .. }
        | Fact::OwnerIsWaiter { .. }
        | Fact::OwnerMayEnd {} => owner(fact),
        Fact::Handlers { signals } => handlers(signals.as_deref(), confidence),
        Fact::Timers { timers } => format!("{timers} timers could run code that releases it"),
        Fact::ForkNotSeen { origin, word_unknown } => not_seen(*origin, *word_unknown),
        Fact::EventsLost {} => "events were lost, so something may have been missed".into(),
        Fact::ThreadsUnknown {} => "forktrace was still attaching at the fork: which threads the \
             forking process had besides is not fully known"
            .into(),
        _ => threads(fact).unwrap_or_else(|| use_of_lock(fact)),
    }
}

/// How the inherited bytes are known, as the end of a sentence.
fn known_by(page: PageEvidence) -> String {
    match page {
        PageEvidence::Kept => String::new(),
        PageEvidence::KeptUnobserved => "; the page was kept as it was inherited".into(),
        PageEvidence::LatestFork => {
            "; the parent has not written that page since its latest fork, \
             which made this process"
                .into()
        }
        PageEvidence::SharedWith(pid) => format!(
            "; the parent has not written that page since: it still shares it with process {pid}, \
             which is older than this one"
        ),
    }
}

fn why(missing: Missing) -> &'static str {
    match missing {
        Missing::NotObserved => "the fork was not observed",
        Missing::Off => "snapshots are off",
        Missing::LimitReached => "the snapshot limit was reached (--snapshot-limit)",
        Missing::ForkedItself => "the child itself forked before it touched the lock",
        Missing::NoFault => "no write fault was seen on its page",
    }
}

/// What probes on lock functions saw.
fn probes(fact: &Fact) -> String {
    match fact {
        Fact::HolderSeen { tid, before_ns, after_ns, released_by, call, place } => {
            let site = call.as_ref().map(|frame| frame.short()).or_else(|| place.clone());
            let site = site.map_or(String::new(), |site| format!(" in {site}"));
            let taken = format!("thread {tid} take it {} before the fork{site}", ms(*before_ns));
            let Some(after) = after_ns else {
                return format!("probes saw {taken}, and nobody release it by now");
            };
            let by = match released_by {
                Some(other) => format!("thread {other} release it"),
                None => "release it".to_owned(),
            };
            format!("probes saw {taken} and {by} {} after the fork", ms(*after))
        }
        Fact::ProbesLate { pid, before_ns: Some(before) } => format!(
            "probes on process {pid} began {} before the fork and saw nobody take it: it was taken \
             earlier, or without a call of the functions that are probed",
            ms(*before)
        ),
        Fact::ProbesLate { pid, before_ns: None } => {
            format!("probes on process {pid} began after the fork")
        }
        _ => "this process wrote to the lock's page before its own probes began: that nobody here \
              took or released it meanwhile is not proven"
            .into(),
    }
}

/// Whose the lock is.
fn owner(fact: &Fact) -> String {
    match fact {
        Fact::OwnerNotHere { owner: OwnerName::Task(tid) } => {
            format!("its owner {tid} is unchanged and is no thread of this process")
        }
        Fact::OwnerNotHere { owner: OwnerName::PythonThread(ident) } => {
            format!("its owner, Python thread {ident:#x}, is unchanged and is none of this process")
        }
        Fact::OwnerNotHere { owner: OwnerName::SomePythonThread } => "the Python thread that owns \
             it is none of this process, and nobody else can release it"
            .into(),
        Fact::OwnerOfParent { owner, comm } => format!(
            "its owner {owner} is the living thread \"{}\" of the parent, which is older than this \
             process, and no thread of this process can ever have had that number",
            comm.escape_debug()
        ),
        Fact::OwnerOlder { owner } => format!(
            "its owner {owner} was a task before this process was made: task numbers have not been \
             used twice since this system started"
        ),
        Fact::OwnerIsWaiter { owner } => {
            format!("the lock's owner is {owner}, the waiting thread itself")
        }
        _ => "the kernel passes it on when its owner, a thread of another process, ends".into(),
    }
}

/// What a handler could do: where the finding is certain, the lock stays held in any case.
fn handlers(signals: Option<&[i32]>, confidence: Confidence) -> String {
    let could = match confidence {
        Confidence::Certain => {
            "could take the thread out of its wait, by an exception or a jump, but not release the \
             lock"
        }
        Confidence::Likely | Confidence::Suspect => "could release it",
    };
    let name = |signal: &i32| match Signal::try_from(*signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    };
    match signals {
        Some(signals) => {
            let names: Vec<_> = signals.iter().map(name).collect();
            format!("a handler {could}: {}", names.join(", "))
        }
        None => format!("whether there is a signal handler is not known, which {could}"),
    }
}

/// What is known of a fork that was not observed.
fn not_seen(origin: Origin, word_unknown: bool) -> String {
    let origin = match origin {
        Origin::Parent => "it runs its parent's program and has not exec'ed".to_owned(),
        Origin::Process(pid) => format!("it runs the program of process {pid} and has not exec'ed"),
        Origin::NotExeced => {
            "it has not exec'ed, and its parent is gone or runs another program".to_owned()
        }
        Origin::Unknown => "who forked it is not known".to_owned(),
    };
    let word = if word_unknown { "; what the word was at the fork is not known" } else { "" };
    format!("the fork was not seen: {origin}{word}")
}

/// Who is left in the process, and whom the fork lost.
fn threads(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::SingleThread {} => "single thread; untimed wait on private memory".into(),
        Fact::AllThreadsBlocked { threads } => {
            format!("all {threads} threads are in untimed waits on private memory")
        }
        Fact::OthersAlive { others: 1 } => "another thread of this process is alive".into(),
        Fact::OthersAlive { others } => {
            format!("{others} other threads of this process are alive")
        }
        Fact::SignalOfAnotherThread { threads_lost } => {
            let threads = if *threads_lost == 1 { "a thread" } else { "threads" };
            format!(
                "Python waits here for another thread's signal; there is none, and the fork left \
                 {threads} behind"
            )
        }
        Fact::ThreadsLost { threads_lost: 1 } => {
            "the fork left 1 thread behind, which may have been to wake it".into()
        }
        Fact::ThreadsLost { threads_lost } => format!(
            "the fork left {} behind, one of which may have been to wake it",
            plural(*threads_lost, "thread", "threads")
        ),
        Fact::NoThreadLost {} => "the process that forked had no other thread to lose".into(),
        Fact::HeirWaits {} => "the heir of the thread that forked waits for it itself".into(),
        _ => return None,
    })
}

/// What is known of the use of a lock that names no owner.
fn use_of_lock(fact: &Fact) -> String {
    match fact {
        Fact::UntouchedSinceFork {} => "the attempt that waits was the first write to its page in \
             this process, so no thread here has taken or released it since the fork"
            .into(),
        Fact::NeverUsedHere {} => {
            "probes saw no thread of this process take or release it since the fork".into()
        }
        Fact::ReleasedByHolder { tid, pid } => {
            format!("thread {tid} of process {pid} released it after the fork")
        }
        Fact::WithAtFork { about_to_enter: false } => {
            "a thread that was lost at the fork was in a with block of it".into()
        }
        Fact::WithAtFork { about_to_enter: true } => "a thread that is not here was in a with \
             block of it, or about to enter one, when this process was forked"
            .into(),
        Fact::PythonLock { type_name, by_hand } => {
            let by_hand = if *by_hand { ", taken by hand" } else { "" };
            format!("it belongs to a {type_name} object{by_hand}")
        }
        Fact::NobodyInside {} => "no other thread here is in a with block of it".into(),
        Fact::TakenByHand {} => "the waiter takes it by hand, not in a with block".into(),
        Fact::ReleasesByHand {} => "another thread here takes or releases locks by hand".into(),
        Fact::MayBeNew {} => "nothing proves that it existed at the fork".into(),
        Fact::WakesUnknown {} => "whether this process has released it since the fork is not \
             known: wakes are not seen"
            .into(),
        _ => String::new(),
    }
}

fn ms(ns: u64) -> String {
    format!("{:.1} ms", ns as f64 / 1e6)
}
