//! A regular file, or an epoll instance, that several processes of one fork family have as one.
//!
//! **A file.** It has one offset. Who reads moves it for the others, so that each gets a part of what it
//! meant to read. *Likely*: several processes read it and take turns, or read at once. *Suspect*: they
//! write it, each behind the other's, which mixes lines but loses none; or a process that ran another program
//! has it too. Silent: one process moves the offset; it changed hands once or twice (who reads a header
//! and leaves the rest to a child; who waits for a child, then goes on); what is opened for appending; who
//! reads and writes at places that it names (`pread`); standard input and output.
//!
//! **An epoll instance.** It watches files, not numbers of descriptors, and whoever waits gets its events. *Certain*:
//! several processes wait on it and it watches a file that one of them does not have; or one process took a
//! file out of it while another that has the file slept in a wait on it. *Likely*: several wait on it, and
//! can all serve what it watches: whoever comes first takes an event that another meant to handle. *Suspect*: it watches
//! listening sockets alone, which any of them can serve. Silent: one process waits on it.

use super::{advice, envelope, envelope::Weighed};
use crate::{
    event::{FileClass, FileHolder, FileUse},
    finding::{Confidence, DescriptorClass, DescriptorDetail, DescriptorUser, Fact, Finding},
    model::{Model, ProcId},
};

/// Changes of hands that no handover has, and pairs of looks between which several read it.
const TURNS: u32 = 3;
const BOTH: u32 = 2;
/// In how many looks a process must have waited on an epoll instance: one that waits for its child to start, and then
/// ends, waits once.
const WAITS: u32 = 2;

/// What is wrong with it; `None`: nothing.
pub(super) fn judge(model: &Model, seen: &FileUse) -> Option<Finding> {
    if seen.holders.iter().any(|holder| holder.fd <= 2) {
        return None;
    }
    let (weighed, users) = match seen.class {
        FileClass::File => of_offset(seen)?,
        FileClass::Epoll => of_epoll(seen)?,
    };
    let uses: Vec<(ProcId, DescriptorUser)> =
        users.into_iter().filter_map(|holder| told(model, holder)).collect();
    let first = model.get(uses.iter().map(|(id, _)| *id).min()?)?;
    let (class, remedy) = match seen.class {
        FileClass::File => (DescriptorClass::File, advice::of_file()),
        FileClass::Epoll => (DescriptorClass::Epoll, advice::of_epoll(first)),
    };
    let (confidence, mut facts) = weighed;
    facts.push(Fact::SameOpenFile {});
    let detail = DescriptorDetail {
        class,
        id: seen.id,
        inode: seen.inode,
        name: seen.name.clone(),
        since_ns: seen.since_ns,
        ..DescriptorDetail::default()
    };
    envelope::finding(model, (confidence, facts), detail, uses, remedy)
}

type Found<'a> = Option<(Weighed, Vec<&'a FileHolder>)>;

fn of_offset(seen: &FileUse) -> Found<'_> {
    let moved = |holder: &&FileHolder| holder.read > 0 || holder.written > 0;
    let users: Vec<&FileHolder> = seen.holders.iter().filter(moved).collect();
    if users.len() < 2 || seen.both < BOTH && seen.turns < TURNS {
        return None;
    }
    let mut facts = vec![Fact::OffsetMovedByBoth { both: seen.both, turns: seen.turns }];
    let readers = users.iter().filter(|holder| holder.read > 0).count();
    if readers < 2 {
        facts.push(Fact::OnlyWritten {});
    }
    if seen.elsewhere {
        facts.push(Fact::HeldElsewhere {});
    }
    let confidence = match readers < 2 || seen.elsewhere {
        true => Confidence::Suspect,
        false => Confidence::Likely,
    };
    Some(((confidence, facts), users))
}

fn of_epoll(seen: &FileUse) -> Found<'_> {
    let waits = |holder: &&FileHolder| holder.waits >= WAITS;
    let waiters: Vec<&FileHolder> = seen.holders.iter().filter(waits).collect();
    let removed = seen.watched.iter().find_map(|file| {
        let (by, pid) = (file.removed_by?, file.removed_from?);
        let users: Vec<&FileHolder> =
            seen.holders.iter().filter(|one| [by, pid].contains(&one.pid)).collect();
        let fact = Fact::EpollChanged { fd: file.fd, by, pid };
        (users.len() == 2).then_some((fact, users))
    });
    if let Some((fact, users)) = removed {
        return Some(((Confidence::Certain, vec![fact]), users));
    }
    if waiters.len() < 2 {
        return None;
    }
    let waiting = u32::try_from(waiters.len()).unwrap_or(u32::MAX);
    let mut facts = vec![Fact::WaitOnOneEpoll { waiters: waiting }];
    let foreign = seen.watched.iter().find_map(|file| {
        let lacks = |holder: &&&FileHolder| file.missing_in.contains(&holder.pid);
        let missing = waiters.iter().find(lacks)?;
        let has = waiters.iter().find(|holder| !lacks(holder))?;
        Some(Fact::EpollOfOne { fd: file.fd, pid: has.pid, missing: missing.pid })
    });
    let confidence = match foreign {
        Some(fact) => {
            facts.push(fact);
            Confidence::Certain
        }
        None if seen.watched.iter().all(|file| file.listens) => {
            facts.push(Fact::OnlyListening {});
            Confidence::Suspect
        }
        None => Confidence::Likely,
    };
    Some(((confidence, facts), waiters))
}

fn told(model: &Model, holder: &FileHolder) -> Option<(ProcId, DescriptorUser)> {
    let process = model.latest(holder.pid)?;
    let user = DescriptorUser {
        pid: holder.pid,
        comm: holder.comm.clone(),
        ended: !process.is_alive(),
        fd: Some(holder.fd),
        sends: holder.written,
        receives: if holder.waits > 0 { holder.waits.into() } else { holder.read },
    };
    Some((process.id, user))
}
