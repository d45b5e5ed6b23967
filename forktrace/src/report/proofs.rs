//! The rules of the judge in sentences.

use forktrace_model::{
    event::Missing,
    finding::{Confidence, Fact, Finding, Origin, OwnerName, PageEvidence},
    text::plural,
};
use nix::sys::signal::Signal;

use super::{buffers, duration, file_lock, lock_words, lost_work, shared, shared_files};

/// Most processes that a proof names.
const PIDS: usize = 8;

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
            format!("the word at the fork is unknown: {}", why(*missing))
        }
        Fact::HolderSeen { .. } | Fact::ProbesLate { .. } | Fact::ProbesLateHere {} => probes(fact),
        Fact::OwnerNotHere { .. }
        | Fact::OwnerOfParent { .. }
        | Fact::OwnerOlder { .. }
        | Fact::OwnerIsWaiter { .. }
        | Fact::OwnerMayEnd {} => owner(fact),
        Fact::Handlers { signals } => handlers(signals.as_deref(), confidence),
        Fact::RuntimeHandlers { signals } => format!(
            "it has only signal handlers that its language's runtime may have installed by itself: {}",
            names(signals)
        ),
        Fact::MaySleep {} => "a program may also sleep like this, until a signal ends it".into(),
        Fact::Timers { timers } => {
            format!("{} could run code that releases it", plural((*timers).into(), "timer", "timers"))
        }
        Fact::ForkNotSeen { origin, word_unknown } => not_seen(*origin, *word_unknown),
        Fact::EventsLost {} => "events were lost, so forktrace may have missed something".into(),
        Fact::ThreadsUnknown {} => "forktrace was still attaching at the fork: its list of the parent's threads may be incomplete"
            .into(),
        Fact::SameConnection { .. }
        | Fact::TlsOfBoth {}
        | Fact::RequestsCrossed { .. }
        | Fact::ShutDown { .. }
        | Fact::EndedAfter { .. }
        | Fact::UsedInTurns { .. } => shared::proof(fact),
        Fact::SameOpenFile {}
        | Fact::OffsetMovedByBoth { .. }
        | Fact::WaitOnOneEpoll { .. }
        | Fact::EpollOfOne { .. }
        | Fact::EpollChanged { .. }
        | Fact::OnlyListening {}
        | Fact::OnlyWritten {}
        | Fact::HeldElsewhere {} => shared_files::proof(fact),
        _ => threads(fact)
            .or_else(|| of_generator(fact))
            .or_else(|| buffers::proof(fact))
            .or_else(|| of_stall(fact))
            .or_else(|| of_lost_work(fact))
            .or_else(|| file_lock::proof(fact))
            .unwrap_or_else(|| use_of_lock(fact)),
    }
}

/// What was found of a random number generator.
fn of_generator(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::StepsOfOneState { processes, bits: 0 } => format!(
            "in {} the position in the generator's state is further on than at the fork",
            plural(*processes, "process", "processes"),
        ),
        Fact::StepsOfOneState { processes, bits } => format!(
            "the generator's own step leads from the state at the fork to the state now, in {}; {bits} \
             bits agree beyond chance",
            plural(*processes, "process", "processes"),
        ),
        Fact::OnlyPositionMoved { owner_known: true } => {
            "the state was not refilled since the fork: only its position moved".into()
        }
        Fact::OnlyPositionMoved { owner_known: false } => {
            "only a position moved beside bytes that look like a generator's state".into()
        }
        Fact::SmallState { bits } => {
            format!("the state is small: only {bits} bits say that it is a generator's")
        }
        Fact::MaySkipAhead { least, most } => format!(
            "one process is {least} steps on, another {most}: it may have skipped ahead on purpose \
             (advance, discard, jump)"
        ),
        _ => return None,
    })
}

/// How the inherited bytes are known, as the end of a sentence.
fn known_by(page: PageEvidence) -> String {
    match page {
        PageEvidence::Kept => String::new(),
        PageEvidence::KeptUnobserved => "; forktrace kept the page as inherited".into(),
        PageEvidence::LatestFork => {
            "; the parent has not written to this page since it forked this process".into()
        }
        PageEvidence::SharedWith(pid) => format!(
            "; the parent has not written to this page since the fork: it still shares the page with process {pid}, which is older"
        ),
    }
}

fn why(missing: Missing) -> &'static str {
    match missing {
        Missing::NotObserved => "the fork was not observed",
        Missing::Off => "snapshots are off",
        Missing::LimitReached => "the snapshot limit was reached (--snapshot-limit)",
        Missing::ForkedItself => "the child forked before it wrote to the lock",
        Missing::NoFault => "no write to its page was observed",
    }
}

/// What probes on lock functions saw.
fn probes(fact: &Fact) -> String {
    match fact {
        Fact::HolderSeen { tid, before_ns, after_ns, released_by, call, place } => {
            let site = call.as_ref().map(|frame| frame.short()).or_else(|| place.clone());
            let site = site.map_or(String::new(), |site| format!(" in {site}"));
            let taken = format!("thread {tid} took it {} before the fork{site}", ms(*before_ns));
            match (after_ns, released_by) {
                (None, _) => format!("--locks: {taken}, and nobody has released it"),
                (Some(after), None) => {
                    format!("--locks: {taken} and released it {} after the fork", ms(*after))
                }
                (Some(after), Some(other)) => format!(
                    "--locks: {taken}, and thread {other} released it {} after the fork",
                    ms(*after)
                ),
            }
        }
        Fact::ProbesLate { pid, before_ns: Some(before) } => format!(
            "--locks watched process {pid} from {} before the fork and saw nobody take it: it was taken earlier, or not by a function that is probed",
            ms(*before)
        ),
        Fact::ProbesLate { pid, before_ns: None } => {
            format!("--locks watched process {pid} only after the fork")
        }
        _ => "this process wrote to the lock's page before --locks watched it: a thread here may have used the lock"
            .into(),
    }
}

/// Whose the lock is.
fn owner(fact: &Fact) -> String {
    match fact {
        Fact::OwnerNotHere { owner: OwnerName::Task(tid) } => {
            format!("its owner is still thread {tid}, which this process does not have")
        }
        Fact::OwnerNotHere { owner: OwnerName::PythonThread(ident) } => {
            format!("its owner is still Python thread {ident:#x}, which this process does not have")
        }
        Fact::OwnerNotHere { owner: OwnerName::SomePythonThread } => "its owner is a Python thread that this process does not have, and only the owner can release it"
            .into(),
        Fact::OwnerOfParent { owner, comm } => format!(
            "its owner {owner} is the living thread \"{}\" of the parent; that thread is older than this process, so no thread here ever had this number",
            comm.escape_debug()
        ),
        Fact::OwnerOlder { owner } => format!(
            "its owner {owner} existed before this process; no task number has been used twice since boot"
        ),
        Fact::OwnerIsWaiter { owner } => {
            format!("its owner is {owner}, the waiting thread itself")
        }
        _ => "the kernel passes it on when its owner, a thread of another process, ends".into(),
    }
}

/// What a handler could do: where the finding is certain, the lock stays held in any case.
fn handlers(signals: Option<&[i32]>, confidence: Confidence) -> String {
    let could = match confidence {
        Confidence::Certain => {
            "could end the wait by an exception or a jump, but cannot release the lock"
        }
        Confidence::Likely | Confidence::Suspect => "could release it",
    };
    match signals {
        Some(signals) => format!("a signal handler {could}: {}", names(signals)),
        None => format!("whether the process has signal handlers is unknown; one {could}"),
    }
}

fn names(signals: &[i32]) -> String {
    signals.iter().map(|signal| signal_name(*signal)).collect::<Vec<_>>().join(", ")
}

/// The name of the signal with a number.
pub(super) fn signal_name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

/// What is known of a fork that was not observed.
fn not_seen(origin: Origin, word_unknown: bool) -> String {
    let origin = match origin {
        Origin::Parent => "this process runs its parent's program and has not exec'ed".to_owned(),
        Origin::Process(pid) => {
            format!("this process runs the program of process {pid} and has not exec'ed")
        }
        Origin::NotExeced => {
            "this process has not exec'ed, and its parent has ended or runs another program"
                .to_owned()
        }
        Origin::Unknown => "the process that forked this one is unknown".to_owned(),
    };
    let word = if word_unknown { "; the word at the fork is unknown" } else { "" };
    format!("the fork was not observed; {origin}{word}")
}

/// What is known of the threads that a fork lost which was not observed.
fn of_parent(threads: u64) -> String {
    match threads {
        1 => "a thread of the parent is older than this process and not in it; it may have been \
              meant to wake this one"
            .into(),
        _ => format!(
            "{threads} threads of the parent are older than this process and not in it; one of them may \
             have been meant to wake this one"
        ),
    }
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
            let threads = plural(*threads_lost, "thread", "threads");
            format!("Python waits for a signal of another thread, and the fork lost {threads}")
        }
        Fact::ThreadsLost { threads_lost: 1 } => {
            "the fork lost 1 thread, which may have been meant to wake it".into()
        }
        Fact::ThreadsLost { threads_lost } => format!(
            "the fork lost {}; one of them may have been meant to wake it",
            plural(*threads_lost, "thread", "threads")
        ),
        Fact::ThreadsOfParent { threads } => of_parent(*threads),
        Fact::NoThreadLost {} => "the parent had no other thread at the fork".into(),
        Fact::HeirWaits {} => {
            "the thread that continues the forking thread waits for it too".into()
        }
        _ => return None,
    })
}

/// Work for threads that are not there.
fn of_lost_work(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::WorkForLostThread { tid, comm, sort, signals, for_ns, since_fork } => {
            let seen = match since_fork {
                true => "waited for it at the fork",
                false => "waited for it at the fork, as the inherited memory says",
            };
            let (signals, times) = match signals {
                1 => ("it was signalled once".to_owned(), "that"),
                more => (format!("it was signalled {more} times"), "these signals"),
            };
            format!(
                "thread \"{comm}\"[{tid}], which this process does not have, {seen} ({}); since then {signals}, \
                 and nobody took {times} for {}",
                lost_work::sort(*sort),
                duration(*for_ns)
            )
        }
        Fact::ThreadOfLibrary { library } => {
            format!("it is a thread of {}", lost_work::library(*library))
        }
        Fact::NoOtherThread {} => "this process has one thread".into(),
        Fact::ForkedBesideThreads { threads } => format!(
            "the forking process had {}, and this process has not exec'ed since",
            plural(*threads, "other thread", "other threads")
        ),
        Fact::HooksBypassed { how } => lost_work::bypass(*how).into(),
        Fact::MadeAgain { comm } => {
            format!("this process has made a thread \"{comm}\" since, which may do later work")
        }
        Fact::MayBeLock {} => {
            "the lost thread may have waited for a lock: its Python frames are not known".into()
        }
        _ => return None,
    })
}

/// What is told of a task that polls.
fn polls(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::PollsInVain { times, for_ns } => {
            format!("it has gone back to the same wait {times} times in {}", duration(*for_ns))
        }
        Fact::PollsInLibrary { library, tid: Some(tid) } => format!(
            "it polls inside of {}, as whose thread {tid} runs, which the fork did not copy",
            library.escape_debug()
        ),
        Fact::PollsInLibrary { library, tid: None } => {
            format!("it polls inside of {}, and the fork lost threads", library.escape_debug())
        }
        Fact::MayLookElsewhere {} => {
            "what it looks at between two waits is not seen: it may be a clock, a \
             file, or memory that another process writes"
                .into()
        }
        _ => return None,
    })
}

/// Who could end a wait of any kind.
fn of_stall(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::HolderGone { owner } => {
            format!("task {owner}, which the lock names as its owner, has ended")
        }
        Fact::LastOperatorKilled { pid, signal } => format!(
            "process {pid} changed the semaphore last, and was then killed by signal {signal}: the kernel \
             gives back only what was taken with SEM_UNDO"
        ),
        Fact::HeldByNobody {} => {
            "none of the processes that have the lock has taken it, by its own record".into()
        }
        Fact::OwnersWait {} => {
            "each lock names its owner, or is the end of one thread, and all of these wait for each other".into()
        }
        Fact::NobodyCanEnd { tasks: 0 | 1, .. } => "no other task could end this wait".into(),
        Fact::NobodyCanEnd { tasks, processes: 1 } => format!(
            "none of the {} that could end this wait can run",
            plural(*tasks, "thread of the process", "threads of the process")
        ),
        Fact::NobodyCanEnd { tasks, processes } => format!(
            "none of the {} of {} that could end this wait, or the waits of those that could, can run",
            plural(*tasks, "thread", "threads"),
            plural(*processes, "process", "processes")
        ),
        Fact::WaitsInLibrary { module } => format!(
            "it waits inside of {module}, and the fork lost threads; other processes have what it waits for \
             only because they were forked, or forked"
        ),
        Fact::NotUsed { pids } => format!(
            "{} has the other end only because it was started with it: it runs another program, and has it \
             beyond its standard streams",
            some(pids)
        ),
        Fact::MayBeOpened { name } => {
            format!(
                "a process that is yet to start could open {}, and wake it",
                name.escape_debug()
            )
        }
        Fact::MayBeRaised {} => {
            "any process that has the right to could raise a System V semaphore".into()
        }
        Fact::MayBeShutDown { pids } => {
            format!("{} also has this end of the socket, and could shut it down", some(pids))
        }
        _ => return polls(fact),
    })
}

/// What is known of the use of a lock that names no owner.
fn use_of_lock(fact: &Fact) -> String {
    match fact {
        Fact::UntouchedSinceFork {} => "the attempt that waits was the first write to this page in this process, so no thread here has taken or released the lock since the fork"
            .into(),
        Fact::NeverUsedHere {} => {
            "--locks saw no thread of this process take or release it since the fork".into()
        }
        Fact::NobodyInLibrary { library, others: 0 } => format!(
            "the waiter is not inside of another call of {}, which keeps this lock for itself",
            file(library)
        ),
        Fact::NobodyInLibrary { library, others } => {
            let nobody = match others {
                1 => "the other thread here is not inside of it".to_owned(),
                others => format!("none of the {others} other threads here is inside of it"),
            };
            format!(
                "{} keeps this lock for itself, and {nobody} (assumed: none of its functions returns with the lock held)",
                file(library)
            )
        }
        Fact::HolderInLibrary { tid, pid, function } => format!(
            "thread {tid} of process {pid}, which this process does not have, is inside of {} with the lock",
            function.escape_debug()
        ),
        Fact::ReleasedByHolder { tid, pid } => {
            format!("thread {tid} of process {pid} released it after the fork")
        }
        Fact::WithAtFork { about_to_enter: false } => {
            "a thread that the fork lost was in a `with` block of it".into()
        }
        Fact::WithAtFork { about_to_enter: true } => "at the fork, a thread that this process does not have was in a `with` block of it, or about to enter one"
            .into(),
        Fact::PythonLock { type_name, by_hand } => {
            let by_hand = if *by_hand { ", taken with acquire()" } else { "" };
            format!("it belongs to a {type_name} object{by_hand}")
        }
        Fact::NobodyInside {} => "no other thread here is in a `with` block of it".into(),
        Fact::TakenByHand {} => "the waiter takes it with acquire(), not in a `with` block".into(),
        Fact::ReleasesByHand {} => "another thread here calls acquire() or release() of a lock".into(),
        Fact::MayBeNew {} => "nothing proves that it existed at the fork".into(),
        Fact::WakesUnknown {} => "whether this process has released it since the fork is unknown: wakes are not observed"
            .into(),
        _ => String::new(),
    }
}

/// The first of many processes.
fn some(pids: &[u32]) -> String {
    let pids: Vec<String> = pids.iter().take(PIDS).map(u32::to_string).collect();
    pids.join(", ")
}

fn ms(ns: u64) -> String {
    format!("{:.1} ms", ns as f64 / 1e6)
}

/// The last part of a path, sanitised.
fn file(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().escape_debug().to_string()
}
