//! Locks that belong to a process: a child does not have those of its parent, and they end with it.
//!
//! *Likely*: the process ended with its lock, and a child goes on with the inherited file, on which nobody
//! has a lock now, where the file tells that the child relies on it: a pid file that names the child, or a
//! database of SQLite that the child has locked by the inherited descriptor. *Suspect*: a file of another
//! sort that the child may write.
//!
//! Silent: the child has taken a lock of its own; it does not have the file open; the lock was given back
//! before.

use super::{Case, STANDS_NS, Weighed, family};
use crate::{
    event::{LockAct, LockLook, LockOpener},
    finding::{Confidence, Fact, Finding, LockLoss, Remedy},
    model::Process,
};

pub(super) fn judge(case: &Case<'_>) -> Option<Finding> {
    let taker = case.lock.taker.as_ref().filter(|taker| taker.held)?;
    let closed = case.lock.acts.iter().rev().find(|act| act.act == LockAct::Closed)?;
    if closed.id != taker.id || case.process(taker.id)?.is_alive() {
        return None;
    }
    let (_, look) = case.lock.look.as_ref()?;
    if !look.locked_by.is_empty() {
        return None;
    }
    let lost = |opener: &LockOpener| {
        let child = case.model.live(opener.pid)?;
        let (confidence, mut facts, remedy) = relies(case, look, opener, child)?;
        let pid = opener.pid;
        facts.push(Fact::EndedWithLock { pid: case.pid(taker.id) });
        facts.push(Fact::OpenWithoutLock { pid, fd: opener.fd, after_ns: look.after_ns });
        Some(Weighed {
            loss: LockLoss::EndedWithTaker,
            confidence,
            facts,
            taker: taker.id,
            taken_ns: taker.at_ns,
            other: child.id,
            lost_ns: closed.at_ns,
            third: None,
            remedy,
        })
    };
    let best = look.openers.iter().filter_map(lost).max_by_key(|weighed| weighed.confidence);
    case.finding(best?)
}

/// How sure it is that a child relies on the lock, and why; `None`: it is not known to.
fn relies(
    case: &Case<'_>,
    look: &LockLook,
    opener: &LockOpener,
    child: &Process,
) -> Option<(Confidence, Vec<Fact>, Remedy)> {
    let taker = case.lock.taker.as_ref()?;
    let forked = child.inherited().filter(|fork| fork.boot_ns > taker.at_ns)?;
    if child.id == taker.id || !family::is_above(case.model, taker.id, child.id) {
        return None;
    }
    // The number is that of the inherited descriptor: the child has not opened the file itself.
    let is_copy = taker.fd.is_none_or(|fd| fd == opener.fd) && forked.by.is_some();
    let pid = opener.pid;
    let names = look.names_pid.is_some_and(|named| named == pid || Some(named) == child.ns_pid);
    let uses = |lock: &crate::model::KnownLock| {
        let mut acts = lock.acts.iter();
        acts.any(|act| act.id == child.id && act.act == LockAct::Used)
    };
    let (mut confidence, fact, remedy) = match () {
        () if look.sqlite => {
            let used = case.model.locks_on(case.lock.inode).any(uses);
            let fact = used.then_some(Fact::UsesDatabase { pid })?;
            (Confidence::Likely, fact, Remedy::ConnectionSqlite)
        }
        () if names => {
            (Confidence::Likely, Fact::NamesProcess { pid }, Remedy::FileLockNotInherited)
        }
        // Sooner than that, a child may be about to take its own, or to close the file.
        () if opener.writes && taker.exclusive && look.after_ns >= STANDS_NS => {
            (Confidence::Suspect, Fact::NeedUnknown {}, Remedy::FileLockNotInherited)
        }
        () => return None,
    };
    if look.after_ns < STANDS_NS || !is_copy {
        confidence = Confidence::Suspect;
    }
    Some((confidence, vec![fact], remedy))
}
