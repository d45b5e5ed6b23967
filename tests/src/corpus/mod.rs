//! The corpus: programs that fork, what is really wrong with each, and what must be said of it.
//!
//! One table a language; the end-to-end tests and the scoreboard read the same rows. A row is
//! `case(NAME, PROGRAM, ARGS, JUDGEMENT)`, with what differs from the usual after it: `.least(…)`,
//! `.limit(…)`, `.flags(…)`.

mod c;
mod cxx;
mod file_locks;
mod limits;
mod lost_work;
mod musl;
mod python;
mod pythons;
mod reports;
mod rust;
mod shared;
mod stalls;
mod trace;

pub use trace::{Said, Traced, attach, begins_a_page, trace};

use std::fmt;

use crate::{Need, pythons::Rooted, workload};

/// One program and the truth about it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Unique; what the test and the row of the scoreboard are called.
    pub name: &'static str,
    /// Path in `tests/workloads`.
    pub program: &'static str,
    /// The Python that runs it, if not this machine's.
    pub python: Option<Rooted>,
    /// Its arguments.
    pub args: &'static [&'static str],
    /// What is really wrong.
    pub truth: Truth,
    /// Another name of a finding that is as right as the truth's.
    pub or: Option<&'static str>,
    /// Less than this is a miss. `None`: nothing need be said.
    pub least: Option<Confidence>,
    /// More than this is an error. `None`: nothing may be said.
    pub most: Option<Confidence>,
    /// Why it cannot be judged better, for a limit that is stated to users.
    pub limit: Option<&'static str>,
    /// Further arguments of forktrace.
    pub flags: &'static [&'static str],
    /// The package of PyPI that it imports.
    pub package: Option<&'static str>,
    /// The server that it starts.
    pub server: Option<Need>,
    /// What must be said when forktrace is attached to the hang. `None`: no test tries that.
    pub late: Option<Late>,
}

/// What must be said when forktrace is attached to what hangs, after the fact.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    /// Less than this is a miss. `None`: nothing need be said.
    pub least: Option<Confidence>,
    /// How long the tracer stays, as `-d` takes it.
    pub stays: &'static str,
}

/// What is really wrong.
#[derive(Clone, Copy, Debug)]
pub enum Truth {
    /// A child waits for a lock that was held at its fork, and that nobody will release.
    Inherited(Hang),
    /// A child waits to be woken by somebody whom it does not have.
    LostWaker(Hang),
    /// A thread waits for a lock that it has itself.
    SelfDeadlock(Hang),
    /// Tasks wait for each other, perhaps across processes.
    Deadlock(Hang),
    /// A child waits for something in shared memory, whose holder or waker is gone.
    OrphanedLock(Hang),
    /// A process waits for the end of a pipe or socket that only forked children have open, and that they
    /// do not use.
    HeldOpen(Hang),
    /// A child hands work to a thread that it does not have. Nothing hangs; `stuck` names the child.
    LostWork(Hang),
    /// Processes of one fork family use one connection, and harm each other by it.
    Shared(Hang),
    /// A process goes on without a lock on a file, or keeps one that it does not know of. `stuck` names it.
    LostLock(Hang),
    /// A child has signals blocked since its fork that are there for it. `stuck` names it.
    Blocked(Hang),
    /// A child hangs for what it did itself since the fork, whatever that is called.
    OwnFault,
    /// Nothing: every wait ends.
    Nothing,
}

/// How sure a finding is; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Hidden by default.
    Suspect,
    /// Not fully proven.
    Likely,
    /// Proven.
    Certain,
}

/// What must be said of the lock, or of what else is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Hang {
    /// The lock's kind, as a finding calls it.
    pub lock: &'static str,
    /// Whether a finding names its holder.
    pub holder: Holder,
    /// Whether the stuck task's Python frames are given.
    pub python: bool,
}

/// Whether the holder of a lock can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The lock has its holder's name.
    Known,
    /// The lock has it, but perhaps not at the fork: that depends on what else is in the same page.
    PerhapsKnown,
    /// The lock does not have it.
    Unknown,
}

impl Hang {
    /// A lock that does not know its holder.
    pub const fn ownerless(lock: &'static str) -> Self {
        Hang { lock, holder: Holder::Unknown, python: false }
    }

    /// A lock that knows its holder.
    pub const fn owned(lock: &'static str) -> Self {
        Hang { lock, holder: Holder::Known, python: false }
    }

    /// Something that has no name of its own, or is no lock.
    pub const UNNAMED: Hang = Hang::ownerless("");

    /// A normal mutex of glibc, also as `std::mutex`.
    pub const MUTEX: Hang = Hang::owned("glibc mutex");
    /// A lock of `threading` up to Python 3.12, a semaphore underneath.
    pub const PYTHON: Hang = Hang::python("Python threading lock (sem_t)");

    /// A lock of Python, which does not know its holder.
    const fn python(lock: &'static str) -> Self {
        Hang { python: true, ..Hang::ownerless(lock) }
    }
}

/// The truth of a row and what must be said of it at least and at most.
#[derive(Clone, Copy, Debug)]
struct Judgement {
    truth: Truth,
    least: Option<Confidence>,
    most: Option<Confidence>,
}

/// An inherited lock that must be proven.
const fn inherited(hang: Hang) -> Judgement {
    let certain = Some(Confidence::Certain);
    Judgement { truth: Truth::Inherited(hang), least: certain, most: certain }
}

/// The same of a lock that knows its holder.
const fn owned(lock: &'static str) -> Judgement {
    inherited(Hang::owned(lock))
}

/// The same of a lock that does not.
const fn ownerless(lock: &'static str) -> Judgement {
    inherited(Hang::ownerless(lock))
}

/// An inherited lock that the kernel passes on when its owner ends.
const fn passed_on(lock: &'static str) -> Judgement {
    let likely = Some(Confidence::Likely);
    Judgement { truth: Truth::Inherited(Hang::owned(lock)), least: likely, most: likely }
}

/// A wait for a thread that the child does not have.
const fn lost_waker(lock: &'static str) -> Judgement {
    nobody(Truth::LostWaker(Hang::ownerless(lock)))
}

/// A lock that the waiting thread has taken itself since the fork.
const fn self_deadlock(lock: &'static str) -> Judgement {
    let certain = Some(Confidence::Certain);
    Judgement { truth: Truth::SelfDeadlock(Hang::owned(lock)), least: certain, most: certain }
}

/// A hang whose proof is that nobody who could end it can run.
const fn nobody(truth: Truth) -> Judgement {
    let certain = Some(Confidence::Certain);
    Judgement { truth, least: certain, most: certain }
}

/// Every wait ends by itself; so much may be said at most.
const fn harmless(most: Option<Confidence>) -> Judgement {
    Judgement { truth: Truth::Nothing, least: None, most }
}

const MUTEX: Judgement = inherited(Hang::MUTEX);
const RECURSIVE: Judgement = owned("glibc mutex (recursive)");
const ERRORCHECK: Judgement = owned("glibc mutex (error-checking)");
const ADAPTIVE: Judgement = owned("glibc mutex (adaptive)");
const ROBUST: Judgement = owned("glibc mutex (robust)");
const ROBUST_RECURSIVE: Judgement = owned("glibc mutex (robust, recursive)");
const ROBUST_ERRORCHECK: Judgement = owned("glibc mutex (robust, error-checking)");
const ROBUST_ADAPTIVE: Judgement = owned("glibc mutex (robust, adaptive)");
const PASSED_ON: Judgement = passed_on("glibc mutex (robust, priority inheriting)");
const WRITER: Judgement = owned("glibc rwlock (held for writing)");
/// Readers are only counted.
const READERS: Judgement = ownerless("glibc rwlock (held for reading)");
const SEMAPHORE: Judgement = ownerless("glibc semaphore");
const INTERNAL: Judgement = ownerless("glibc internal lock");
const GUARD: Judgement = ownerless("C++ static initialisation guard");
const MUSL: Judgement = ownerless("musl mutex");
const MUSL_RECURSIVE: Judgement = owned("musl mutex (recursive)");
const MUSL_ERRORCHECK: Judgement = owned("musl mutex (error-checking)");
const MUSL_ROBUST: Judgement = owned("musl mutex (robust)");
const MUSL_FILE: Judgement = owned("musl FILE lock");
const MUSL_WRITER: Judgement = ownerless("musl rwlock (held for writing)");
const MUSL_READER: Judgement = ownerless("musl rwlock (held for reading)");
const MUSL_ONCE: Judgement = ownerless("musl pthread_once");
const PYTHON: Judgement = inherited(Hang::PYTHON);
/// An `RLock` knows its owner.
const PYTHON_RLOCK: Judgement = inherited(Hang { holder: Holder::Known, ..Hang::PYTHON });
/// A `Condition` calls its `RLock` through a method object. So the child does not write to the `RLock`,
/// and its page is kept only if the child writes to something else in it.
const PYTHON_CONDITION: Judgement =
    inherited(Hang { holder: Holder::PerhapsKnown, ..Hang::PYTHON });
const PY_LOCK: Judgement = inherited(Hang::python("Python threading.Lock (PyMutex)"));
/// This one names its owner's descriptor, which names the owner.
const PY_RLOCK: Judgement =
    inherited(Hang { holder: Holder::Known, ..Hang::python("Python threading.RLock (PyMutex)") });
const RUST_MUTEX: Judgement = ownerless("Rust std Mutex");
const RUST_WRITER: Judgement = ownerless("Rust std RwLock (held for writing)");
const RUST_READER: Judgement = ownerless("Rust std RwLock (held for reading)");
const RUST_ONCE: Judgement = ownerless("Rust std Once");
const LOT_MUTEX: Judgement = ownerless("parking_lot Mutex");
const LOT_WRITER: Judgement = ownerless("parking_lot RwLock (held for writing)");
const LOT_READER: Judgement = ownerless("parking_lot RwLock (held for reading)");
const V313: Rooted = Rooted::V313;
const V314: Rooted = Rooted::V314;
/// It hangs, but not for what it inherited; nothing need be said.
const OWN_FAULT: Judgement =
    Judgement { truth: Truth::OwnFault, least: None, most: Some(Confidence::Certain) };
const LOST_CONDITION: Judgement = lost_waker("glibc condition variable");
const LOST_BARRIER: Judgement = lost_waker("glibc barrier");
/// What the word is called depends on what the compiler inlined.
const LOST_WORD: Judgement = Judgement { truth: Truth::LostWaker(Hang::UNNAMED), ..lost_waker("") };
const LOST_PYTHON: Judgement =
    Judgement { truth: Truth::LostWaker(Hang::PYTHON), ..lost_waker("") };
const SELF: Judgement = self_deadlock("glibc mutex");
const SELF_ADAPTIVE: Judgement = self_deadlock("glibc mutex (adaptive)");
const SELF_ROBUST: Judgement = self_deadlock("glibc mutex (robust)");
const LIKELY: Option<Confidence> = Some(Confidence::Likely);

/// A suspect, which is hidden.
const SUSPECT: Option<Confidence> = Some(Confidence::Suspect);
const DEADLOCK: Judgement = nobody(Truth::Deadlock(Hang::UNNAMED));
const ORPHANED: Judgement = nobody(Truth::OrphanedLock(Hang::UNNAMED));
const SHARED: Judgement = nobody(Truth::Shared(Hang::UNNAMED));
const LOST_LOCK: Judgement = Judgement {
    truth: Truth::LostLock(Hang::UNNAMED),
    least: LIKELY,
    most: Some(Confidence::Certain),
};
const BLOCKED: Judgement =
    Judgement { truth: Truth::Blocked(Hang::UNNAMED), least: LIKELY, most: LIKELY };
const HELD_OPEN: Judgement = nobody(Truth::HeldOpen(Hang::UNNAMED));
/// Nobody is left who could wake it, and so it is proven.
const LOST: Judgement = nobody(Truth::LostWaker(Hang::UNNAMED));
/// A lock at which its library gives up, and waits on a word of its own.
const GIVEN_UP: Judgement =
    nobody(Truth::Inherited(Hang { holder: Holder::PerhapsKnown, ..Hang::UNNAMED }));
/// No finding, no suspicion.
const NOTHING: Judgement = harmless(None);
/// No finding; a suspicion is allowed, as the memory looks like an inherited lock.
const MAYBE: Judgement = harmless(Some(Confidence::Suspect));

const fn case(
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    judgement: Judgement,
) -> Case {
    let Judgement { truth, least, most } = judgement;
    Case {
        name,
        program,
        python: None,
        args,
        truth,
        or: None,
        least,
        most,
        limit: None,
        flags: &[],
        package: None,
        server: None,
        late: None,
    }
}

/// The same, run by another Python.
const fn rooted(
    python: Rooted,
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    judgement: Judgement,
) -> Case {
    Case { python: Some(python), ..case(name, program, args, judgement) }
}

impl Case {
    /// So much must be said at least; `None`: it may be missed.
    const fn least(self, least: Option<Confidence>) -> Self {
        Case { least, ..self }
    }

    /// A limit that is stated to users: exactly so much is said, because of this.
    const fn limit(self, exactly: Option<Confidence>, why: &'static str) -> Self {
        Case { least: exactly, most: exactly, limit: Some(why), ..self }
    }

    /// Another name is as right.
    const fn or(self, kind: &'static str) -> Self {
        Case { or: Some(kind), ..self }
    }

    /// Traced with these flags too.
    const fn flags(self, flags: &'static [&'static str]) -> Self {
        Case { flags, ..self }
    }

    /// It imports this package of PyPI.
    const fn package(self, package: &'static str) -> Self {
        Case { package: Some(package), ..self }
    }

    /// It starts this server.
    const fn server(self, server: Need) -> Self {
        Case { server: Some(server), ..self }
    }

    /// So much must be said after the fact.
    const fn late(self, least: Option<Confidence>) -> Self {
        Case { late: Some(Late { least, stays: "4s" }), ..self }
    }

    /// The same of a child that polls: it takes longer to see that it does so in vain.
    const fn late_poll(self, least: Option<Confidence>) -> Self {
        Case { late: Some(Late { least, stays: "14s" }), ..self }
    }

    /// What is needed to trace it.
    pub fn needed(&self) -> [Need; 4] {
        let python_lock = self.truth.hang().is_some_and(|hang| hang.python);
        let own = match (self.python, self.package) {
            (Some(python), _) => Need::Rooted(python),
            (None, Some(package)) => Need::Reader(package),
            (None, None) if python_lock => Need::SemaphorePython,
            (None, None) => workload::need(self.program),
        };
        let last = match self.truth {
            // Since Linux 6.3.
            Truth::LostLock(_) => Need::Tracepoint("filelock/flock_lock_inode"),
            Truth::Shared(_) if self.program != "open_files.py" => {
                Need::Tracepoint("sock/sock_send_length")
            }
            _ => Need::Setpriv,
        };
        [Need::Tracing, own, last, self.server.unwrap_or(Need::Tracing)]
    }

    /// Why it cannot be traced here, or `None` if it can.
    pub fn missing(&self) -> Option<String> {
        self.needed().into_iter().find_map(Need::missing).map(|missing| missing.why)
    }
}

impl Truth {
    /// What a right finding is called; `None`: no finding is right.
    pub fn kind(self) -> Option<&'static str> {
        match self {
            Truth::Inherited(_) => Some("inherited-lock"),
            Truth::LostWaker(_) => Some("lost-waker"),
            Truth::SelfDeadlock(_) => Some("self-deadlock"),
            Truth::Deadlock(_) => Some("deadlock"),
            Truth::OrphanedLock(_) => Some("orphaned-lock"),
            Truth::HeldOpen(_) => Some("held-open"),
            Truth::LostWork(_) => Some("threads-lost"),
            Truth::Shared(_) => Some("shared-descriptor"),
            Truth::LostLock(_) => Some("file-lock-lost"),
            Truth::Blocked(_) => Some("blocked-signals"),
            Truth::OwnFault | Truth::Nothing => None,
        }
    }

    /// Whether anything hangs.
    pub fn hangs(self) -> bool {
        !matches!(
            self,
            Truth::Nothing
                | Truth::LostWork(_)
                | Truth::Shared(_)
                | Truth::LostLock(_)
                | Truth::Blocked(_)
        )
    }

    /// What must be said of the lock.
    pub fn hang(self) -> Option<Hang> {
        match self {
            Truth::Inherited(hang)
            | Truth::LostWaker(hang)
            | Truth::SelfDeadlock(hang)
            | Truth::Deadlock(hang)
            | Truth::OrphanedLock(hang)
            | Truth::HeldOpen(hang)
            | Truth::LostWork(hang)
            | Truth::Shared(hang)
            | Truth::LostLock(hang)
            | Truth::Blocked(hang) => Some(hang),
            Truth::OwnFault | Truth::Nothing => None,
        }
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind(), self.hang()) {
            (Some(kind), Some(hang)) if !hang.lock.is_empty() => write!(f, "{kind}: {}", hang.lock),
            (Some(kind), _) => f.write_str(kind),
            _ if self.hangs() => f.write_str("the child's own fault"),
            _ => f.write_str("nothing"),
        }
    }
}

impl Confidence {
    /// As findings say it.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "suspect" => Some(Confidence::Suspect),
            "likely" => Some(Confidence::Likely),
            "certain" => Some(Confidence::Certain),
            _ => None,
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Confidence::Suspect => "suspect",
            Confidence::Likely => "likely",
            Confidence::Certain => "certain",
        })
    }
}

/// All cases.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    let hangs = [
        c::HANGS,
        cxx::HANGS,
        musl::HANGS,
        rust::HANGS,
        python::HANGS,
        pythons::HANGS,
        stalls::HANGS,
    ];
    let quiet = [
        c::QUIET,
        cxx::QUIET,
        musl::QUIET,
        rust::QUIET,
        python::QUIET,
        pythons::QUIET,
        stalls::QUIET,
        reports::QUIET,
    ];
    hangs
        .into_iter()
        .chain(quiet)
        .chain([lost_work::LOST, lost_work::QUIET, file_locks::LOST, file_locks::QUIET])
        .chain(shared::ALL)
        .chain([reports::REPORTS, limits::LIMITS])
        .flatten()
}
