//! The sentence about a lock's word, for a proof.

use forktrace_model::locks::{Base, Identity, Meaning, Part, Thing, Word, WordFact};

/// What the word was as inherited, or, if that is not known, what it is now.
pub fn detail(fact: &WordFact) -> String {
    let part = match fact.part {
        Part::Word => "word",
        Part::Byte => "byte",
        Part::State => "state",
    };
    let Some(inherited) = &fact.inherited else {
        return format!("{part} is {} now", value(fact.base, &fact.now));
    };
    let then = value(fact.base, inherited);
    let since = match (fact.identity, fact.now.meaning) {
        (Some(it), _) => identity(it),
        (None, Some(_)) => String::new(),
        (None, None) => event(fact, inherited),
    };
    format!("{part} was {then} in the page as inherited{since}")
}

fn value(base: Base, word: &Word) -> String {
    let value = match base {
        Base::Decimal => word.value.to_string(),
        Base::Hex => format!("{:#x}", word.value),
    };
    let meaning = word.meaning.map(|it| format!(" ({})", meaning(it))).unwrap_or_default();
    let owner = word.owner.map(|tid| format!(" and owner {tid}")).unwrap_or_default();
    format!("{value}{meaning}{owner}")
}

/// An event means nothing by itself, only by what became of it.
fn event(fact: &WordFact, inherited: &Word) -> String {
    match inherited.value == fact.now.value {
        true => " and still is".to_owned(),
        false => format!(", and is {}", value(fact.base, &fact.now)),
    }
}

fn meaning(meaning: Meaning) -> String {
    let text = match meaning {
        Meaning::Free => "free",
        Meaning::Held => "held",
        Meaning::HeldOrUnused => "held or unused",
        Meaning::Locked => "locked",
        Meaning::LockedWithWaiters => "locked, with waiters",
        Meaning::LockedBy(tid) => return format!("locked by {tid}"),
        Meaning::HeldForWriting { by: None } => "held for writing",
        Meaning::HeldForWriting { by: Some(tid) } => return format!("held for writing by {tid}"),
        Meaning::HeldByReaders(1) => "held by 1 reader",
        Meaning::HeldByReaders(count) => return format!("held by {count} readers"),
        Meaning::UsedByWaiters(1) => "used by 1 waiter",
        Meaning::UsedByWaiters(count) => return format!("used by {count} waiters"),
        Meaning::BeingInitialised => "being initialised",
        Meaning::NotBeingInitialised => "not being initialised",
        Meaning::NotInitialised => "not initialised",
        Meaning::Complete => "complete",
        Meaning::Poisoned => "poisoned",
        Meaning::Running => "running",
        Meaning::NotRunning => "not running",
        Meaning::BeingRun => "being run",
        Meaning::NotOf(Thing::Mutex) => "not a mutex",
        Meaning::NotOf(Thing::Once) => "not an initialisation",
        Meaning::NotOf(Thing::Semaphore) => "not a semaphore",
        Meaning::NotOf(Thing::RwLock | Thing::Lock | Thing::ThisLock) => "not a lock",
    };
    text.to_owned()
}

fn identity(identity: Identity) -> String {
    let text = match identity {
        Identity::GlibcData => ", in glibc's own data",
        Identity::SameBlock { bytes } => {
            return format!(", in a heap block of {bytes} bytes that has not changed since");
        }
        Identity::BlockGone => ", in a heap block that no longer exists",
        Identity::SameObject { owner: None } => ", in a living object of the same type as now",
        Identity::SameObject { owner: Some(tid) } => {
            return format!(", in a living object of the same type as now, with owner {tid}");
        }
        Identity::SameNeighbours => ", with the same bytes beside it as now",
        Identity::PostedByForker => ", and the parent posted it after the fork",
        Identity::HeldAcrossFork => "",
        Identity::Unproven(thing) => {
            let what = match thing {
                Thing::Mutex => "a mutex",
                Thing::RwLock => "a read-write lock",
                Thing::Once => "an initialisation",
                Thing::Semaphore => "a semaphore",
                Thing::Lock => "a lock",
                Thing::ThisLock => "a word of this lock",
            };
            return format!(", but nothing proves that it was {what} at the fork");
        }
    };
    text.to_owned()
}

#[cfg(test)]
mod tests;
