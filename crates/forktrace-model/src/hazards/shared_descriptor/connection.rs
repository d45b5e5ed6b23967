//! A connection that several processes of one fork family use.
//!
//! The kernel tells every send and receive by the socket itself, so that it is one connection is a fact.
//! What is wrong with it is the question. *Certain*: while one process waited for its reply, another used
//! the connection, and both of them send and receive (nothing decides who reads which reply); or both
//! sent records of TLS, whose numbers each counts for itself; or one shut it down, or had it ended by its
//! last message, and the other's call failed. *Likely*: both ask and read replies in turns while both live: it has
//! gone well so far. *Suspect*: a few turns, or one of them only sends.
//!
//! Silent: one process uses it after the fork (a server that hands a client to its child); it changed hands
//! once; one sends and the other receives, on purpose (a relay with a process for each direction); nobody
//! waits for replies (lines of a log); a child that has ended before the other goes on; standard input and
//! output.

use super::{advice, envelope, envelope::Weighed};
use crate::{
    event::{PeerEnd, SocketFamily, SocketUser},
    finding::{Confidence, DescriptorClass, DescriptorDetail, DescriptorUser, Fact, Finding},
    hazards::family,
    model::{KnownUser, Model, Process, SharedSocket},
};

/// `EPIPE`, `include/uapi/asm-generic/errno-base.h`.
const BROKEN_PIPE: u32 = 32;
/// How soon the peer ends a connection because of a message, ns.
const AT_ONCE_NS: u64 = 1_000_000_000;
/// Changes of hands that no handover has, and those that need no time.
const TURNS: u64 = 3;
const MANY_TURNS: u64 = 8;
/// For how long it has changed hands, ns, to be sure that no request meets another's.
const LONG_NS: u64 = 1_000_000_000;

/// What is wrong with a connection; `None`: nothing.
pub(super) fn judge(model: &Model, inode: u64) -> Option<Finding> {
    let socket = model.shared_socket(inode)?;
    let case = Case { model, socket, users: users(model, socket) };
    let (confidence, facts) = case.weigh()?;
    case.finding(confidence, facts)
}

struct Case<'a> {
    model: &'a Model,
    socket: &'a SharedSocket,
    users: Vec<&'a KnownUser>,
}

/// Those who have the connection by fork from one another: the family of the latest user.
fn users<'a>(model: &Model, socket: &'a SharedSocket) -> Vec<&'a KnownUser> {
    let latest = socket.latest.users.first().map(|user| user.pid);
    let root_of = |user: &KnownUser| family::root(model, user.id);
    let root = socket.users.iter().rev().find(|user| Some(user.usage.pid) == latest).map(root_of);
    socket.users.iter().filter(|user| Some(root_of(user)) == root).collect()
}

impl Case<'_> {
    fn weigh(&self) -> Option<Weighed> {
        let standard = |user: &&&KnownUser| user.usage.fd.is_some_and(|fd| fd <= 2);
        if self.users.len() < 2 || self.users.iter().filter(standard).count() > 0 {
            return None;
        }
        self.of_tls()
            .or_else(|| self.of_crossing())
            .or_else(|| self.of_shutdown())
            .or_else(|| self.of_end())
            .or_else(|| self.of_turns())
    }

    fn pairs(&self) -> impl Iterator<Item = (&KnownUser, &KnownUser)> {
        self.users.iter().flat_map(|one| {
            let others = self.users.iter().filter(|other| other.id != one.id);
            others.map(|other| (*one, *other))
        })
    }

    /// Both sent records of TLS: each counts them for itself, and so does the peer (RFC 8446, 5.3).
    fn of_tls(&self) -> Option<Weighed> {
        let senders = self.users.iter().filter(|user| user.usage.sends > 0).count();
        (self.socket.latest.tls && senders > 1)
            .then(|| (Confidence::Certain, vec![Fact::TlsOfBoth {}, self.crossings()]))
    }

    /// Another used it between a request and its reply.
    fn of_crossing(&self) -> Option<Weighed> {
        let talks = |user: &SocketUser| user.sends > 0 && user.receives > 0;
        let crossed = self.pairs().any(|(one, other)| {
            talks(&one.usage) && talks(&other.usage) && one.usage.crossings > 0
        });
        crossed.then(|| (Confidence::Certain, vec![self.crossings()]))
    }

    fn crossings(&self) -> Fact {
        let count = |of: fn(&SocketUser) -> u64| {
            self.users.iter().fold(0u64, |sum, user| sum.saturating_add(of(&user.usage)))
        };
        Fact::RequestsCrossed {
            times: count(|user| user.crossings),
            after_others: count(|user| user.after_others),
            turns: self.socket.latest.turns,
        }
    }

    /// One shut it down, and a call of another failed.
    fn of_shutdown(&self) -> Option<Weighed> {
        let by = self.socket.latest.shut_by?;
        let failed = self.users.iter().find(|user| {
            let usage = &user.usage;
            let sent = usage.error == BROKEN_PIPE;
            // To receive the end of the stream is no failure for who only watches.
            let cut = usage.sends > 0 && self.socket.latest.receives_no_more;
            usage.pid != by && usage.failures > 0 && (sent || cut)
        })?;
        self.users.iter().find(|user| user.usage.pid == by)?;
        let fact = Fact::ShutDown { by, pid: failed.usage.pid, error: failed.usage.error };
        Some((Confidence::Certain, vec![fact]))
    }

    /// The peer ended it after the message of one, and a call of another failed.
    fn of_end(&self) -> Option<Weighed> {
        let PeerEnd { after: by, sent, after_ns } = self.socket.latest.ended?;
        let failed = self.users.iter().find(|user| {
            let usage = &user.usage;
            let used = usage.sends > 0 || usage.error == BROKEN_PIPE;
            usage.pid != by && usage.failures > 0 && used
        })?;
        let last = self.users.iter().find(|user| user.usage.pid == by)?;
        let fact =
            Fact::EndedAfter { by, after_ns, pid: failed.usage.pid, error: failed.usage.error };
        let at_once = after_ns < AT_ONCE_NS && last.usage.sends > 0;
        // When a Unix socket was ended is not known.
        let unix = self.socket.latest.family == SocketFamily::Unix;
        let confidence = match (at_once || unix, sent && !unix) {
            (true, true) => Confidence::Certain,
            (true, false) => Confidence::Likely,
            (false, _) => Confidence::Suspect,
        };
        Some((confidence, vec![fact]))
    }

    /// Both use it, one after the other.
    fn of_turns(&self) -> Option<Weighed> {
        let turns = self.socket.latest.turns;
        let best = self.pairs().filter(|(one, other)| self.use_it_now(one, other)).filter_map(
            |(one, other)| {
                let talks = |user: &SocketUser| user.sends > 0 && user.receives > 0;
                let (one, other) = (&one.usage, &other.usage);
                // Who only receives takes what the other asks for.
                let takes = talks(one) && other.after_others > 0;
                let both_send = talks(one) && other.sends > 0;
                match () {
                    () if (talks(one) && talks(other) || takes) && self.is_habit() => {
                        Some(Confidence::Likely)
                    }
                    () if takes || both_send => Some(Confidence::Suspect),
                    () => None,
                }
            },
        );
        // What has changed hands once is handed over.
        let confidence = best.max().filter(|_| turns > 1)?;
        Some((confidence, vec![Fact::UsedInTurns { turns }]))
    }

    /// Whether it has gone from hand to hand for long: what crosses does so before.
    fn is_habit(&self) -> bool {
        let turns = self.socket.latest.turns;
        let second_ns = self.users.iter().map(|user| user.usage.first_ns).max().unwrap_or(0);
        let latest_ns = self.users.iter().map(|user| user.usage.last_ns).max().unwrap_or(0);
        let long = latest_ns.saturating_sub(second_ns) > LONG_NS;
        turns >= MANY_TURNS || long && turns >= TURNS
    }

    /// Whether both live, and have used it since their memory parted.
    fn use_it_now(&self, one: &KnownUser, other: &KnownUser) -> bool {
        let parted_ns = family::parted_ns(self.model, one.id, other.id);
        let uses = |user: &KnownUser| {
            let is_alive = self.process(user).is_some_and(Process::is_alive);
            is_alive && user.usage.last_ns >= parted_ns
        };
        uses(one) && uses(other)
    }

    fn process(&self, user: &KnownUser) -> Option<&Process> {
        self.model.get(user.id)
    }

    fn finding(&self, confidence: Confidence, mut proofs: Vec<Fact>) -> Option<Finding> {
        let first = self.users.iter().min_by_key(|user| user.id)?;
        let latest = &self.socket.latest;
        proofs.insert(0, Fact::SameConnection { inode: latest.inode });
        let uses = self.users.iter().map(|user| (user.id, self.told(user))).collect();
        let detail = DescriptorDetail {
            class: DescriptorClass::Connection,
            id: latest.inode,
            inode: latest.inode,
            name: latest.peer.clone(),
            local: latest.local.clone(),
            tls: latest.tls,
            since_ns: self.users.iter().map(|user| user.usage.first_ns).max().unwrap_or(0),
            users: Vec::new(),
        };
        let remedy = advice::of(&latest.peer, self.process(first)?);
        envelope::finding(self.model, (confidence, proofs), detail, uses, remedy)
    }

    fn told(&self, user: &KnownUser) -> DescriptorUser {
        DescriptorUser {
            pid: user.usage.pid,
            comm: user.comm.clone(),
            ended: self.process(user).is_none_or(|process| !process.is_alive()),
            fd: user.usage.fd,
            sends: user.usage.sends,
            receives: user.usage.receives,
        }
    }
}
