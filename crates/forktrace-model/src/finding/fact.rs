//! What a conclusion rests on: facts, each by one rule. Their sentences are made in the `report` room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    event::{Missing, stacks::Frame},
    finding::{Bypass, Library, SignalSort},
    locks::WordFact,
};

/// What a fact does to the conclusion.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It speaks for the finding.
    Supports,
    /// It speaks against it, or for less.
    Weakens,
    /// Something is not known that would matter.
    Missing,
}

/// Makes [`Rule`] and [`Fact`] from one table, so that a rule is one entry. Rules stand in the order in
/// which a finding lists them: what supports it first, the strongest before the others.
macro_rules! rules {
    ($($(#[doc = $doc:expr])+ $effect:ident $name:ident $kebab:literal { $($field:ident: $type:ty),* })+) => {
        /// A rule of the judge; its name in the log is in kebab case. Ordered as findings list them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum Rule {
            $($(#[doc = $doc])+ $name,)+
        }

        /// A rule that was applied, with what it found.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(tag = "rule", rename_all = "kebab-case", rename_all_fields = "snake_case")]
        #[allow(missing_docs, reason = "a field is what its rule's comment says")]
        pub enum Fact {
            $($(#[doc = $doc])+ $name { $($field: $type),* },)+
        }

        impl Rule {
            /// All rules.
            pub const ALL: &[Rule] = &[$(Rule::$name),+];

            /// Its name in the log.
            pub fn name(self) -> &'static str {
                match self { $(Rule::$name => $kebab,)+ }
            }

            /// What the rule does to a conclusion.
            pub fn effect(self) -> Effect {
                match self { $(Rule::$name => Effect::$effect,)+ }
            }
        }

        impl Fact {
            /// The rule.
            pub fn rule(&self) -> Rule {
                match self { $(Fact::$name { .. } => Rule::$name,)+ }
            }
        }
    };
}

rules! {
    /// The word said "held" at the instant of the fork; `page`: how the inherited bytes are known.
    Supports HeldAtFork "held-at-fork" { word: WordFact, page: PageEvidence }
    /// The lock's owner is unchanged and is no task of the process.
    Supports OwnerNotHere "owner-not-here" { owner: OwnerName }
    /// The lock's owner is a living thread of the parent, older than the process.
    Supports OwnerOfParent "owner-of-parent" { owner: u32, comm: String }
    /// The lock's owner, by its number, was a task before the process was made.
    Supports OwnerOlder "owner-older" { owner: u32 }
    /// The lock's owner is the waiting thread itself.
    Supports OwnerIsWaiter "owner-is-waiter" { owner: u32 }
    /// Probes saw who had the lock when the memory was copied: `before_ns` before the fork, until
    /// `after_ns` after it (`None`: still), by whom it was released if that was another, and where.
    Supports HolderSeen "holder-seen" {
        tid: u32, before_ns: u64, after_ns: Option<u64>, released_by: Option<u32>,
        call: Option<Box<Frame>>, place: Option<String>
    }
    /// The attempt that waits was the process's first write to the lock's page.
    Supports UntouchedSinceFork "untouched-since-fork" {}
    /// Probes saw no thread of the process take or release it since the fork.
    Supports NeverUsedHere "never-used-here" {}
    /// So many other threads of the process were looked at, and none of them is inside of the library
    /// at this path, which keeps the lock for itself.
    Supports NobodyInLibrary "nobody-in-library" { library: String, others: u64 }
    /// This thread, which the process does not have, is still inside of the function that takes the
    /// lock, and its process's copy of the lock is still held.
    Supports HolderInLibrary "holder-in-library" { tid: u32, pid: u32, function: String }
    /// This thread of the forking process released it after the fork, without having taken it since.
    Supports ReleasedByHolder "released-by-holder" { tid: u32, pid: u32 }
    /// A thread that the process does not have was in a `with` block of it; `about_to_enter`: or was
    /// about to enter one.
    Supports WithAtFork "with-at-fork" { about_to_enter: bool }
    /// The thread that carries on the forking one waits for it itself.
    Supports HeirWaits "heir-waits" {}
    /// The word belongs to a Python object of this type; `by_hand`: the waiter takes it by hand.
    Supports PythonLock "python-lock" { type_name: String, by_hand: bool }
    /// No other thread here is in a `with` block of it.
    Supports NobodyInside "nobody-inside" {}
    /// The word is what it was at the fork, and nobody holds it.
    Supports UnchangedSinceFork "unchanged-since-fork" { word: WordFact }
    /// Each of the tasks that wait for each other waits for a lock that names the next one as its owner, or
    /// for the end of that thread. Taken for granted: nobody else releases a lock that names an owner.
    Supports OwnersWait "owners-wait" {}
    /// The task that has the lock, by the number in it, has ended.
    Supports HolderGone "holder-gone" { owner: u32 }
    /// The process that changed the System V semaphore last has ended by this signal, in the middle of what
    /// it did.
    Supports LastOperatorKilled "last-operator-killed" { pid: u32, signal: u8 }
    /// None of the processes that have the lock has it, by its own record.
    Supports HeldByNobody "held-by-nobody" {}
    /// Of the tasks that could end the wait, and those that could end theirs, none can run: so many, of
    /// so many processes.
    Supports NobodyCanEnd "nobody-can-end" { tasks: u64, processes: u64 }
    /// The process has one thread, in an untimed wait on private memory.
    Supports SingleThread "single-thread" {}
    /// So many threads are all in untimed waits on private memory.
    Supports AllThreadsBlocked "all-threads-blocked" { threads: u64 }
    /// Python waits for another thread's signal, and the fork lost so many threads.
    Supports SignalOfAnotherThread "signal-of-another-thread" { threads_lost: u64 }
    /// The fork lost so many threads, one of which may have been to wake the waiter.
    Supports ThreadsLost "threads-lost" { threads_lost: u64 }
    /// The task has gone back to the same wait so many times, `for_ns` long.
    Supports PollsInVain "polls-in-vain" { times: u64, for_ns: u64 }
    /// It polls inside of this library. `tid`: a thread of it that the process does not have; `None`: which
    /// of the lost threads that is is not known.
    Supports PollsInLibrary "polls-in-library" { library: String, tid: Option<u32> }
    /// It waits inside of this library, and threads were lost; others have what it waits for only because
    /// they were forked, or forked.
    Supports WaitsInLibrary "waits-in-library" { module: String }
    /// These processes have the other end, and seem not to use it: they run another program, which was
    /// started with it beyond its standard streams.
    Supports NotUsed "not-used" { pids: Vec<u32> }
    /// So many processes have states of a generator that are steps of one inherited state; so many bits of
    /// each are as the steps make them, beyond what chance explains.
    Supports StepsOfOneState "steps-of-one-state" { processes: u64, bits: u32 }
    /// So many bytes of the buffer were not written at the fork.
    Supports UnwrittenAtFork "unwritten-at-fork" { bytes: u64 }
    /// So many processes have written them since.
    Supports WroteInherited "wrote-inherited" { processes: u64 }
    /// The process has run code that only `exit()` runs, which writes all buffers.
    Supports LeftByExit "left-by-exit" {}
    /// The process has added text behind them.
    Supports AddedToInherited "added-to-inherited" {}
    /// They are no longer in the process's buffer.
    Supports NoLongerInBuffer "no-longer-in-buffer" {}
    /// The parent has so many threads that are older than the process, which are not in it.
    Supports ThreadsOfParent "threads-of-parent" { threads: u64 }
    /// This thread, which the process does not have, waited to be signalled at the fork; since then so many
    /// signals came that nobody took, the first of them `for_ns` ago. `since_fork`: its wait was seen to have
    /// begun before the fork.
    Supports WorkForLostThread "work-for-lost-thread" {
        tid: u32, comm: String, sort: SignalSort, signals: u32, for_ns: u64, since_fork: bool
    }
    /// It is a thread of this library.
    Supports ThreadOfLibrary "thread-of-library" { library: Library }
    /// The process has no other thread that could do the work.
    Supports NoOtherThread "no-other-thread" {}
    /// The forking process had so many other threads, and the process has not exec'ed.
    Supports ForkedBesideThreads "forked-beside-threads" { threads: u64 }
    /// The fork passed by the hooks by which libraries make their threads again.
    Supports HooksBypassed "hooks-bypassed" { how: Bypass }
    /// It is one socket, of this inode, as the kernel tells at each call.
    Supports SameConnection "same-connection" { inode: u64 }
    /// More than one of the processes has sent records of TLS, whose numbers each counts for itself.
    Supports TlsOfBoth "tls-of-both" {}
    /// So many times another process used it between a send and the next receive; so many receives came
    /// after another's send; it has gone from hand to hand so many times.
    Supports RequestsCrossed "requests-crossed" { times: u64, after_others: u64, turns: u64 }
    /// Process `by` shut it down, and a call of process `pid` failed (`error`: 0, the end of the stream).
    Supports ShutDown "shut-down" { by: u32, pid: u32, error: u32 }
    /// The peer ended it `after_ns` after what process `by` had done, and a call of process `pid` failed.
    Supports EndedAfter "ended-after" { by: u32, after_ns: u64, pid: u32, error: u32 }
    /// Both use it, one after the other; it has gone from hand to hand so many times.
    Supports UsedInTurns "used-in-turns" { turns: u64 }
    /// Process `by` gave back a lock that process `pid` had taken, by a call and not by a close.
    Supports ReleasedByOther "released-by-other" { by: u32, pid: u32 }
    /// Process `pid` itself gave it back `after_ns` later: until then it relied on it.
    Supports ReliedOn "relied-on" { pid: u32, after_ns: u64 }
    /// Process `pid` still had the file open `after_ns` later, and had not taken the lock again.
    Supports StillOpen "still-open" { pid: u32, after_ns: u64 }
    /// Another process took the lock meanwhile.
    Supports TakenMeanwhile "taken-meanwhile" { by: u32 }
    /// So many times one process took the lock while another one had it, by one description.
    Supports LockOverlaps "lock-overlaps" { times: u64 }
    /// Process `pid` had a POSIX lock on the file until its end, which gave it back.
    Supports EndedWithLock "ended-with-lock" { pid: u32 }
    /// Process `pid` has the inherited file open `after_ns` later, and nobody has a lock on it.
    Supports OpenWithoutLock "open-without-lock" { pid: u32, fd: i32, after_ns: u64 }
    /// The file's text is the number of process `pid`.
    Supports NamesProcess "names-process" { pid: u32 }
    /// It belongs to a database of SQLite, and process `pid` locks it by the inherited descriptor.
    Supports UsesDatabase "uses-database" { pid: u32 }
    /// Process `pid` has the lock by its copy of the descriptor, and has not asked for it.
    Supports KeptByCopy "kept-by-copy" { pid: u32, fd: i32 }
    /// Process `pid`, which took it, has ended; `signal`: by this one.
    Supports TakerGone "taker-gone" { pid: u32, signal: Option<u8> }
    /// Process `pid` does not get it; `same`: it runs the same program as who took it.
    Supports NotGot "not-got" { pid: u32, same: bool }
    /// The thread that forked had these signals blocked, and the process has not unblocked them.
    Supports BlockedSinceFork "blocked-since-fork" { signals: Vec<i32> }
    /// These signals were there at each of so many looks, for so long.
    Supports SignalPending "signal-pending" { signals: Vec<i32>, looks: u32, for_ns: u64 }
    /// No thread waits for them, and no signalfd has them.
    Supports NobodyTakesSignals "nobody-takes-signals" {}
    /// Ended children have not been waited for.
    Supports Unreaped "unreaped" { pids: Vec<u32> }
    /// Process `pid`, which took the lock, waits for the end of a child: it may have lent it.
    Weakens MayBeLent "may-be-lent" { pid: u32 }
    /// Nothing tells that anybody still relies on the lock.
    Weakens NeedUnknown "need-unknown" {}
    /// It is one open description, as kcmp(2) tells.
    Supports SameOpenFile "same-open-file" {}
    /// More than one process moved the offset of the file: between so many pairs of looks; so often it was
    /// another one than before.
    Supports OffsetMovedByBoth "offset-moved-by-both" { both: u32, turns: u32 }
    /// So many processes were seen to wait on one epoll instance.
    Supports WaitOnOneEpoll "wait-on-one-epoll" { waiters: u32 }
    /// The epoll instance watches a file that process `pid` has as `fd`, and process `missing` does not.
    Supports EpollOfOne "epoll-of-one" { fd: i32, pid: u32, missing: u32 }
    /// Process `by` took `fd` out of the epoll instance on which process `pid` waits, which still has it.
    Supports EpollChanged "epoll-changed" { fd: i32, by: u32, pid: u32 }
    /// So many other threads of the process are alive.
    Weakens OthersAlive "others-alive" { others: u64 }
    /// Signals with a handler that may run, by number; `None`: not known.
    Weakens Handlers "handlers" { signals: Option<Vec<i32>> }
    /// Signals with a handler, by number, that the runtime of a language may have installed by itself.
    Weakens RuntimeHandlers "runtime-handlers" { signals: Vec<i32> }
    /// So many timers could run code that releases it.
    Weakens Timers "timers" { timers: u32 }
    /// The waiter takes it by hand, not in a `with` block.
    Weakens TakenByHand "taken-by-hand" {}
    /// Another thread here takes or releases locks by hand.
    Weakens ReleasesByHand "releases-by-hand" {}
    /// The kernel passes the lock on when its owner ends.
    Weakens OwnerMayEnd "owner-may-end" {}
    /// The forking process had no other thread to lose.
    Weakens NoThreadLost "no-thread-lost" {}
    /// Python waits for an event: a program may also sleep like this, until a signal ends it.
    Weakens MaySleep "may-sleep" {}
    /// Only the generator's position moved: its state was not refilled since the fork, and is not known to
    /// come from a seed. `owner_known`: a type or a file says that it is one.
    Weakens OnlyPositionMoved "only-position-moved" { owner_known: bool }
    /// Only so many bits of the state say that it is a generator's.
    Weakens SmallState "small-state" { bits: u32 }
    /// One process is so many steps on, another so many: it may have skipped ahead on purpose.
    Weakens MaySkipAhead "may-skip-ahead" { least: u64, most: u64 }
    /// The process may end by `_exit()`, exec or a signal, which do not write buffers.
    Weakens MayLeaveWithout "may-leave-without" {}
    /// No other process was seen to write them: it may end by `_exit()`, exec or a signal.
    Weakens OtherMayNotWrite "other-may-not-write" {}
    /// The file in whose memory the lock is still has its name: a process that is yet to come could open
    /// it, and wake the waiter.
    Weakens MayBeOpened "may-be-opened" { name: String }
    /// What it looks at between two waits is not seen: it may be a clock, a file, or memory that another process
    /// writes.
    Weakens MayLookElsewhere "may-look-elsewhere" {}
    /// The epoll instance watches only sockets that listen: any of the processes can serve them.
    Weakens OnlyListening "only-listening" {}
    /// The processes were only seen to write the file, each behind the other's.
    Weakens OnlyWritten "only-written" {}
    /// A process that ran another program since has the file open, too, and may have moved its offset.
    Weakens HeldElsewhere "held-elsewhere" {}
    /// These processes have the waiter's own end of the socket, and could shut it down.
    Weakens MayBeShutDown "may-be-shut-down" { pids: Vec<u32> }
    /// The process has made a thread of the same name since.
    Weakens MadeAgain "made-again" { comm: String }
    /// What the lost thread waited for may have been a lock: its Python frames are not known.
    Weakens MayBeLock "may-be-lock" {}
    /// Any process that has the right to could raise the System V semaphore.
    Weakens MayBeRaised "may-be-raised" {}
    /// Nothing proves that it existed at the fork.
    Missing MayBeNew "may-be-new" {}
    /// The inherited bytes do not prove that the lock was held.
    Missing ForkStateUnproven "fork-state-unproven" { word: WordFact }
    /// The inherited bytes are not known.
    Missing ForkStateUnknown "fork-state-unknown" { missing: Missing }
    /// Whether it was held at the fork is not known.
    Missing HeldAtForkUnknown "held-at-fork-unknown" { word: WordFact }
    /// Whether the process has released it since the fork is not known: its wakes are not seen.
    Missing WakesUnknown "wakes-unknown" {}
    /// Which threads the forking process had is not fully known: forktrace was still attaching.
    Missing ThreadsUnknown "threads-unknown" {}
    /// Probes on process `pid` came too late, or saw nobody take it though they began `before_ns`
    /// before the fork (`None`: after it).
    Missing ProbesLate "probes-late" { pid: u32, before_ns: Option<u64> }
    /// The process wrote to the lock's page before its own probes began.
    Missing ProbesLateHere "probes-late-here" {}
    /// The fork was not observed; `origin`: what is known of it, `word_unknown`: the inherited word is
    /// not known either.
    Missing ForkNotSeen "fork-not-seen" { origin: Origin, word_unknown: bool }
    /// Events were lost.
    Missing EventsLost "events-lost" {}
}

/// How the bytes at the fork are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PageEvidence {
    /// The page was kept before the process first wrote to it.
    Kept,
    /// The same, and the fork itself was not observed.
    KeptUnobserved,
    /// The parent has not written the page since its latest fork, which made the process.
    LatestFork,
    /// The parent still shares the page with this process, which is older.
    SharedWith(u32),
}

/// How a lock names its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnerName {
    /// By a tid.
    Task(u32),
    /// By `threading.get_ident()`.
    PythonThread(u64),
    /// By `threading.get_ident()`, in a process whose fork was not observed.
    SomePythonThread,
}

/// What is known of a fork that was not observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The process runs its parent's program and has not exec'ed.
    Parent,
    /// It runs the program of this process and has not exec'ed.
    Process(u32),
    /// It has not exec'ed, and its parent is gone or runs another program.
    NotExeced,
    /// Nothing.
    Unknown,
}
