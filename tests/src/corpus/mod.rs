//! The corpus: programs that fork, what is really wrong with each, and what must be said of it.
//!
//! One table a language; the end-to-end tests and the scoreboard read the same rows. A row is
//! `case(NAME, PROGRAM, ARGS, JUDGEMENT)`, with what differs from the usual after it: `.least(…)`,
//! `.limit(…)`, `.flags(…)`.

mod c;
mod limits;
mod python;
mod trace;

pub use trace::{Said, Traced, trace};

use std::fmt;

use crate::{Need, workload};

/// One program and the truth about it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Unique; what the test and the row of the scoreboard are called.
    pub name: &'static str,
    /// File name in `tests/workloads`.
    pub program: &'static str,
    /// Its arguments.
    pub args: &'static [&'static str],
    /// What is really wrong.
    pub truth: Truth,
    /// Less than this is a miss. `None`: nothing need be said.
    pub least: Option<Confidence>,
    /// More than this is an error. `None`: nothing may be said.
    pub most: Option<Confidence>,
    /// Why it cannot be judged better, for a limit that is stated to users.
    pub limit: Option<&'static str>,
    /// Further arguments of forktrace.
    pub flags: &'static [&'static str],
}

/// What is really wrong.
#[derive(Clone, Copy, Debug)]
pub enum Truth {
    /// A child waits for a lock that was held at its fork, and that nobody will release.
    Inherited(Hang),
    /// A child waits to be woken by somebody whom it does not have.
    LostWaker,
    /// A thread waits for a lock that it has itself.
    SelfDeadlock,
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

/// What must be said of a lock that was inherited held.
#[derive(Clone, Copy, Debug)]
pub struct Hang {
    /// The lock's kind, as a finding calls it.
    pub lock: &'static str,
    /// Whether the lock knows its holder.
    pub holder: bool,
    /// Whether the stuck task's Python frames are given.
    pub python: bool,
}

impl Hang {
    /// A lock that does not know its holder.
    pub const fn ownerless(lock: &'static str) -> Self {
        Hang { lock, holder: false, python: false }
    }

    /// A lock that knows its holder.
    pub const fn owned(lock: &'static str) -> Self {
        Hang { lock, holder: true, python: false }
    }

    /// A normal mutex of glibc, also as `std::mutex`.
    pub const MUTEX: Hang = Hang::owned("glibc mutex");
    /// A lock of `threading` up to Python 3.12, a semaphore underneath.
    pub const PYTHON: Hang =
        Hang { python: true, ..Hang::ownerless("Python threading lock (sem_t)") };
}

/// The truth of a row and what must be said of it at least and at most.
#[derive(Clone, Copy, Debug)]
struct Judgement {
    truth: Truth,
    least: Option<Confidence>,
    most: Option<Confidence>,
}

impl Judgement {
    /// It must be proven.
    const fn certain(hang: Hang) -> Self {
        let certain = Some(Confidence::Certain);
        Judgement { truth: Truth::Inherited(hang), least: certain, most: certain }
    }

    /// It must be found.
    const fn likely(truth: Truth) -> Self {
        let (least, most) = (Some(Confidence::Likely), Some(Confidence::Certain));
        Judgement { truth, least, most }
    }

    /// It ends by itself; so much may be said at most.
    const fn harmless(most: Option<Confidence>) -> Self {
        Judgement { truth: Truth::Nothing, least: None, most }
    }
}

const MUTEX: Judgement = Judgement::certain(Hang::MUTEX);
const RECURSIVE: Judgement = Judgement::certain(Hang::owned("glibc mutex (recursive)"));
const ERRORCHECK: Judgement = Judgement::certain(Hang::owned("glibc mutex (error-checking)"));
const ADAPTIVE: Judgement = Judgement::certain(Hang::owned("glibc mutex (adaptive)"));
const WRITER: Judgement = Judgement::certain(Hang::owned("glibc rwlock (held for writing)"));
/// Readers are only counted.
const READERS: Judgement = Judgement::certain(Hang::ownerless("glibc rwlock (held for reading)"));
const SEMAPHORE: Judgement = Judgement::certain(Hang::ownerless("glibc semaphore"));
const PYTHON: Judgement = Judgement::certain(Hang::PYTHON);
/// A wait for somebody who was lost at the fork. Nothing was held, so that it is not proven.
const LOST_WAKER: Judgement = Judgement::likely(Truth::LostWaker);
/// A lock that the waiting thread itself has taken since the fork.
const SELF_DEADLOCK: Judgement = Judgement::likely(Truth::SelfDeadlock);
/// No finding, no suspicion.
const NOTHING: Judgement = Judgement::harmless(None);
/// No finding; a suspicion is allowed, as the memory looks like an inherited lock.
const MAYBE: Judgement = Judgement::harmless(Some(Confidence::Suspect));

const fn case(
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    judgement: Judgement,
) -> Case {
    let Judgement { truth, least, most } = judgement;
    Case { name, program, args, truth, least, most, limit: None, flags: &[] }
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

    /// Traced with these flags too.
    const fn flags(self, flags: &'static [&'static str]) -> Self {
        Case { flags, ..self }
    }

    /// What is needed to trace it.
    pub fn needed(&self) -> [Need; 3] {
        let python_lock = matches!(self.truth, Truth::Inherited(hang) if hang.python);
        let own = if python_lock { Need::SemaphorePython } else { workload::need(self.program) };
        [Need::Tracing, own, Need::Setpriv]
    }

    /// Why it cannot be traced here, or `None` if it can.
    pub fn missing(&self) -> Option<String> {
        self.needed().into_iter().find_map(Need::missing)
    }
}

impl Truth {
    /// What a right finding is called; `None`: no finding is right.
    pub fn kind(self) -> Option<&'static str> {
        match self {
            Truth::Inherited(_) => Some("inherited-lock"),
            Truth::LostWaker => Some("lost-waker"),
            Truth::SelfDeadlock => Some("self-deadlock"),
            Truth::Nothing => None,
        }
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Truth::Inherited(hang) => write!(f, "inherited: {}", hang.lock),
            other => f.write_str(other.kind().unwrap_or("nothing")),
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
    [c::HANGS, c::QUIET, python::HANGS, python::QUIET, limits::LIMITS].into_iter().flatten()
}
