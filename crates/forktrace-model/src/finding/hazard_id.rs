//! The names of hazards.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names a hazard; `kind` in the log, in kebab case.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum HazardId {
    /// A task waits for a lock that was held at the instant of the fork.
    InheritedLock,
    /// A task waits for something that nobody holds, a condition variable for example, and nobody is
    /// left who could wake it.
    LostWaker,
    /// A task waits for a lock that it has itself, taken after the fork.
    SelfDeadlock,
    /// Tasks wait for each other, perhaps across processes.
    Deadlock,
    /// A task waits for a lock in shared memory whose holder is gone.
    OrphanedLock,
    /// A task waits for the end of a pipe or socket whose other end is open only where nobody uses it.
    HeldOpen,
    /// The child hands work to threads that it does not have.
    ThreadsLost,
    /// A process forked beside other threads, and the child did not exec (`--audit`).
    ForkWithThreads,
    /// Several processes draw the same random numbers, from a generator that fork copied.
    DuplicatedPrng,
    /// Several processes write what was in a buffer, not written yet, when fork copied it.
    UnflushedBuffer,
    /// Processes of one fork family use one open description: a connection, for example.
    SharedDescriptor,
    /// A process goes on without the lock on a file that it has taken or relies on, or keeps one for a
    /// process that is gone.
    FileLockLost,
    /// Signals are there for a child that has had them blocked since its fork.
    BlockedSignals,
}
