//! What the word of a lock was and is, as facts. The report makes the sentence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json_number;

/// The word that says whether a lock is held: as inherited, if that is known, and now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct WordFact {
    /// What the word is called.
    pub part: Part,
    /// How its values are usually written.
    pub base: Base,
    /// The word in the page as inherited at the fork; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<Word>,
    /// The word while waiting.
    pub now: Word,
    /// What says whether the word as inherited was this lock's; `None`: nothing needs to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

/// What the word of a lock is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A word of 32 bits.
    Word,
    /// A byte.
    Byte,
    /// A number in which a lock keeps several things, such as its readers.
    State,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// In decimal digits.
    Decimal,
    /// In hexadecimal digits.
    Hex,
}

/// A lock's word at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Word {
    /// Its value.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub value: u64,
    /// What the value means; `None`: nothing by itself, as the word of an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<Meaning>,
    /// The thread id in an owner field beside the word, for locks that have one; 0: nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
}

/// What the value of a lock's word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Nobody holds the lock.
    Free,
    /// Somebody holds the semaphore, or Python's lock.
    Held,
    /// A semaphore that is held, or memory that is not used.
    HeldOrUnused,
    /// Somebody holds the lock.
    Locked,
    /// Somebody holds the lock, and somebody waits for it.
    LockedWithWaiters,
    /// The thread with this id holds the lock.
    LockedBy(u32),
    /// A writer holds the lock.
    HeldForWriting {
        /// The writer's thread id, where the lock has a field for it; 0: it is not written yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<u32>,
    },
    /// So many readers hold the lock.
    HeldByReaders(u32),
    /// So many waiters use the condition variable, or a part of it.
    UsedByWaiters(u32),
    /// A thread initialises a variable.
    BeingInitialised,
    /// No thread initialises the variable: either none has begun, or it is done.
    NotBeingInitialised,
    /// A variable that nobody has begun to initialise.
    NotInitialised,
    /// The variable is initialised.
    Complete,
    /// The thread that initialised the variable failed.
    Poisoned,
    /// The function of a `pthread_once` runs.
    Running,
    /// The function of a `pthread_once` does not run.
    NotRunning,
    /// The function of a `parking_lot` `Once` runs.
    BeingRun,
    /// No such thing has this value.
    NotOf(Thing),
}

/// A thing whose word has certain values only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// A mutex.
    Mutex,
    /// A read-write lock.
    RwLock,
    /// Something that is initialised once.
    Once,
    /// A semaphore.
    Semaphore,
    /// A lock of any sort.
    Lock,
    /// The very lock that is waited for.
    ThisLock,
}

/// What says whether the word as inherited belonged to the lock that is waited for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// It is in glibc's own data, which is never used for anything else.
    GlibcData,
    /// The `malloc` block that begins with it is the same since.
    SameBlock {
        /// The block's size, bytes.
        #[serde(with = "json_number")]
        #[schemars(with = "json_number::Number")]
        bytes: u64,
    },
    /// The `malloc` block that was there is gone.
    BlockGone,
    /// It was in a living object of Python, of the same type as now.
    SameObject {
        /// The thread that owned the lock at the fork, by its id then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<u32>,
    },
    /// The bytes beside it are the same as now.
    SameNeighbours,
    /// The process that forked posted the semaphore after the fork, and did not take it first.
    PostedByForker,
    /// Probes saw one thread take the lock before the fork and release it after.
    HeldAcrossFork,
    /// Nothing proves that this thing was there at the fork.
    Unproven(Thing),
}

impl WordFact {
    /// A word whose values are written in `base`, with nothing known of the fork.
    pub fn now(part: Part, base: Base, now: Word) -> Self {
        WordFact { part, base, inherited: None, now, identity: None }
    }

    /// The same with the word as inherited, where that is known.
    pub fn inherited(self, inherited: Option<Word>) -> Self {
        WordFact { inherited, ..self }
    }

    /// The same with what says whether the word as inherited was this lock's.
    pub fn identity(self, identity: Option<Identity>) -> Self {
        WordFact { identity, ..self }
    }

    /// The same once something else than the bytes has proven that the lock was held at the fork.
    pub fn proven_held(&self, identity: Identity) -> Self {
        let then = self.inherited.unwrap_or(self.now);
        let held = Word { meaning: Some(Meaning::Held), owner: None, ..then };
        WordFact {
            part: Part::Word,
            base: Base::Decimal,
            inherited: Some(held),
            now: self.now,
            identity: Some(identity),
        }
    }
}

impl Word {
    /// A word with a meaning.
    pub fn new(value: impl Into<u64>, meaning: Meaning) -> Self {
        Word { value: value.into(), meaning: Some(meaning), owner: None }
    }

    /// A word that means nothing by itself.
    pub fn bare(value: impl Into<u64>) -> Self {
        Word { value: value.into(), meaning: None, owner: None }
    }
}
