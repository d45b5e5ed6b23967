//! One family: its members, what they share, and when to look again.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use forktrace_model::{
    event::{FileClass, FileHolder, FileUse},
    model::ProcId,
};
use nix::time::{ClockId, clock_gettime};

use super::{INVENTORIES_NS, epoll::Polled, offset::Moved};
use crate::{
    clock,
    inspect::open_files::{self, Kind, Open},
};

/// Most descriptors of a process that are looked at, and things of a family.
const MOST_FDS: usize = 1024;
const MOST_THINGS: usize = 64;
/// Least and longest time between two looks, ns. In between it is a part of the thing's age.
const SOONEST_NS: u64 = 20_000_000;
const LATEST_NS: u64 = 1_000_000_000;
const PART: u64 = 16;
/// After this long, ns, the longest time is this.
const OLD_NS: u64 = 60_000_000_000;
const LATEST_OF_OLD_NS: u64 = 5_000_000_000;
/// Between two looks, and two searches, is at least so many times what the earlier one took on a CPU.
const REST: u64 = 99;

/// A process of a family.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: ProcId,
    pub(super) pid: u32,
    pub(super) comm: String,
    /// It was forked by one of the others, and has run another program since.
    pub(super) is_outside: bool,
}

/// A member that has the thing, and by which descriptor.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) member: Member,
    pub(super) fd: i32,
}

impl Holder {
    pub(super) fn place(&self) -> (u32, i32) {
        (self.member.pid, self.fd)
    }
}

/// An open description that several members have.
#[derive(Debug)]
struct Thing {
    id: u64,
    path: String,
    inode: u64,
    holders: Vec<Holder>,
    usage: Usage,
}

#[derive(Debug)]
enum Usage {
    Moved(Moved),
    Polled(Polled),
}

/// A family, between two looks.
#[derive(Debug)]
pub(super) struct Family {
    root: ProcId,
    members: Vec<Member>,
    /// When it is searched, `CLOCK_BOOTTIME`, ns, the soonest first.
    inventories: Vec<u64>,
    things: Vec<Thing>,
    /// Since when it is looked at, `CLOCK_BOOTTIME`, ns: the latest time that a member came.
    since_ns: u64,
    next_ns: u64,
    searched_ns: u64,
}

/// A family that was looked at.
#[derive(Debug)]
pub(in crate::engine) struct Looked {
    pub(super) family: Family,
    pub(super) news: Vec<FileUse>,
}

impl Family {
    pub(super) fn new(root: ProcId, members: Vec<Member>, now_ns: u64) -> Self {
        let mut family = Family {
            root,
            members: Vec::new(),
            inventories: Vec::new(),
            things: Vec::new(),
            since_ns: now_ns,
            next_ns: 0,
            searched_ns: 0,
        };
        family.update(members, now_ns);
        family
    }

    pub(super) fn root(&self) -> ProcId {
        self.root
    }

    /// Takes its members of now.
    pub(super) fn update(&mut self, members: Vec<Member>, now_ns: u64) {
        let is_new = |member: &Member| !self.members.iter().any(|known| known.id == member.id);
        if members.iter().any(|member| !member.is_outside && is_new(member)) {
            self.since_ns = now_ns;
            let due = INVENTORIES_NS.map(|after| now_ns.saturating_add(after));
            // One that is due anyway comes soon enough, or too soon: the last one counts.
            self.inventories.truncate(1);
            self.inventories.extend(due);
            self.inventories.sort_unstable();
        }
        self.members = members;
        let members = &self.members;
        for thing in &mut self.things {
            thing.holders.retain(|holder| members.iter().any(|one| one.id == holder.member.id));
        }
        self.things.retain(|thing| thing.holders.len() > 1);
    }

    /// When it is due, `CLOCK_BOOTTIME`, ns; `None`: never, unless a member comes.
    pub(super) fn due_ns(&self) -> Option<u64> {
        let look = (!self.things.is_empty()).then_some(self.next_ns);
        let soonest = self.searched_ns.saturating_add(SOONEST_NS);
        look.into_iter().chain(self.inventories.first().map(|due| (*due).max(soonest))).min()
    }

    /// Does what is due. Blocks.
    pub(super) fn look(mut self, ids: &AtomicU64) -> Looked {
        let (began_ns, began_cpu_ns) = (clock::boot_ns(), cpu_ns());
        if self.inventories.first().is_some_and(|due_ns| *due_ns <= began_ns) {
            self.inventories.retain(|due_ns| *due_ns > began_ns);
            self.search(ids);
            let took_ns = cpu_ns().saturating_sub(began_cpu_ns);
            self.searched_ns = began_ns.saturating_add(took_ns.saturating_mul(REST));
        }
        let mut news = Vec::new();
        for thing in &mut self.things {
            thing.look();
            news.extend(thing.news());
        }
        self.things.retain(|thing| thing.holders.len() > 1);
        let now_ns = clock::boot_ns();
        let age = now_ns.saturating_sub(self.since_ns);
        let latest = if age > OLD_NS { LATEST_OF_OLD_NS } else { LATEST_NS };
        let rest = cpu_ns().saturating_sub(began_cpu_ns).saturating_mul(REST);
        let wait = (age / PART).clamp(SOONEST_NS, latest).max(rest);
        self.next_ns = now_ns.saturating_add(wait);
        Looked { family: self, news }
    }

    /// Finds what its members share.
    fn search(&mut self, ids: &AtomicU64) {
        let mut seen: Vec<(Holder, Open)> = Vec::new();
        for member in &self.members {
            for open in open_files::all(member.pid, MOST_FDS) {
                seen.push((Holder { member: member.clone(), fd: open.fd }, open));
            }
        }
        seen.sort_by(|(one, a), (other, b)| {
            (one.fd, &a.path, one.member.id).cmp(&(other.fd, &b.path, other.member.id))
        });
        for alike in seen.chunk_by(|(_, one), (_, other)| {
            (one.fd, one.kind, &one.path) == (other.fd, other.kind, &other.path)
        }) {
            if alike.iter().filter(|(holder, _)| !holder.member.is_outside).count() > 1 {
                self.add(alike, ids);
            }
        }
    }

    /// Adds what holders of one number have as one; there may be several such things.
    fn add(&mut self, alike: &[(Holder, Open)], ids: &AtomicU64) {
        let mut left: Vec<&(Holder, Open)> = alike.iter().collect();
        while let Some((first, open)) = left.first().copied() {
            let is_one = |other: &Holder| {
                other.member.id == first.member.id
                    || open_files::are_one(first.place(), other.place())
            };
            let (same, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(one, _)| is_one(one));
            left = others;
            let holders: Vec<Holder> = same.iter().map(|(holder, _)| holder.clone()).collect();
            if holders.iter().filter(|holder| !holder.member.is_outside).count() > 1 {
                self.keep(open, holders, ids);
            }
        }
    }

    fn keep(&mut self, open: &Open, holders: Vec<Holder>, ids: &AtomicU64) {
        let is_it = |thing: &&mut Thing| {
            let known = thing.holders.first();
            known.is_some_and(|known| open_files::are_one(known.place(), holders[0].place()))
        };
        if let Some(thing) = self.things.iter_mut().find(is_it) {
            thing.holders = holders;
            return;
        }
        if open_files::is_standard(holders[0].place()) {
            return;
        }
        let inode = match open.kind {
            Kind::Epoll => 0,
            Kind::File => match open_files::offset(holders[0].member.pid, open.fd) {
                Some(offset) if !offset.unmoved => offset.inode,
                _ => return,
            },
        };
        if self.things.len() >= MOST_THINGS {
            return;
        }
        let usage = match open.kind {
            Kind::File => Usage::Moved(Moved::default()),
            Kind::Epoll => Usage::Polled(Polled::default()),
        };
        let id = ids.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.things.push(Thing { id, path: open.path.clone(), inode, holders, usage });
    }
}

/// CPU time of this thread, ns: on a busy machine a look takes longer without costing more.
fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

impl Thing {
    fn look(&mut self) {
        match &mut self.usage {
            Usage::Moved(moved) => moved.look(&mut self.holders),
            Usage::Polled(polled) => polled.look(&mut self.holders),
        }
    }

    /// What is known of it, if there is something new.
    fn news(&mut self) -> Option<FileUse> {
        let is_new = match &mut self.usage {
            Usage::Moved(moved) => moved.is_new(),
            Usage::Polled(polled) => polled.is_new(),
        };
        if !is_new {
            return None;
        }
        let own = self.holders.iter().filter(|holder| !holder.member.is_outside);
        let mut seen = FileUse {
            id: self.id,
            inode: self.inode,
            name: self.path.clone(),
            holders: own.map(told).collect(),
            elsewhere: self.holders.iter().any(|holder| holder.member.is_outside),
            ..FileUse::default()
        };
        match &self.usage {
            Usage::Moved(moved) => moved.tell(&mut seen),
            Usage::Polled(polled) => {
                seen.class = FileClass::Epoll;
                polled.tell(&mut seen);
            }
        }
        Some(seen)
    }
}

fn told(holder: &Holder) -> FileHolder {
    FileHolder {
        pid: holder.member.pid,
        comm: holder.member.comm.clone(),
        fd: holder.fd,
        ..FileHolder::default()
    }
}
