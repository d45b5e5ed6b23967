//! What the programs keep of forked children and of locks, for readers on any thread.
//!
//! These handles are apart from those of [`super::Maps`], which change the tables: reading what was
//! kept takes a system call a page, and the thread that takes records must not wait for it.

use aya::Ebpf;
use forktrace_common::maps::{
    AT_RISK, ATTEMPTS, Attempt, HOLDS, Hold, LockKey, PAGE_SIZE, PAST_HOLDS, PastKey, Registers,
    Risk, Touch, WAKES, WakeState, WordKey,
};

use super::{
    Error,
    handles::{Map, again, key, value},
    places::{Notes, Places, WrittenPage},
    realtime::Unpreempted,
};
use forktrace_model::event::Missing;

/// Read access to what the programs keep. Keys and values are bytes here; see [`forktrace_common::maps`]
/// for their types.
pub struct ForkRecords {
    at_risk: Map<u32, [u8; size_of::<Risk>()]>,
    places: Places,
    wakes: Map<[u8; size_of::<WordKey>()], [u8; size_of::<WakeState>()]>,
    attempts: Map<u32, [u8; size_of::<Attempt>()]>,
    holds: Map<[u8; size_of::<LockKey>()], [u8; size_of::<Hold>()]>,
    past_holds: Map<[u8; size_of::<PastKey>()], [u8; size_of::<Hold>()]>,
    snapshots_on: bool,
    futex_on: bool,
}

impl ForkRecords {
    /// Opens handles of maps that stay where they are. `snapshots_on`: pages are kept;
    /// `faults_are_counted`: by the kernel's count of page faults; `futex_on`: wakes are seen.
    pub(super) fn open(
        ebpf: &Ebpf,
        (snapshots_on, faults_are_counted): (bool, bool),
        futex_on: bool,
    ) -> Result<Self, Error> {
        Ok(ForkRecords {
            at_risk: again(ebpf, AT_RISK)?,
            places: Places::open(ebpf, faults_are_counted)?,
            wakes: again(ebpf, WAKES)?,
            attempts: again(ebpf, ATTEMPTS)?,
            holds: again(ebpf, HOLDS)?,
            past_holds: again(ebpf, PAST_HOLDS)?,
            snapshots_on,
            futex_on,
        })
    }

    fn risk(&self, pid: u32) -> Option<Risk> {
        self.at_risk.get(&pid, 0).ok().map(|bytes| value(&bytes))
    }
}

/// What was kept of one child's memory until a moment. To find what is a child's, everything that is kept is
/// gone through, once for each of these. What the child writes later is not in it.
pub struct ChildRecords<'a> {
    records: &'a ForkRecords,
    risk: Option<Risk>,
    notes: Notes,
}

impl ChildRecords<'_> {
    /// The page that begins at `page` as the child inherited it, or why it is not known.
    ///
    /// # Errors
    /// The reason.
    pub fn inherited_page(&self, page: u64) -> Result<[u8; PAGE_SIZE], Missing> {
        if !self.records.snapshots_on {
            return Err(Missing::Off);
        }
        let risk = self.risk.ok_or(Missing::NotObserved)?;
        let written = self.notes.written_page(page);
        let bytes = written.and_then(|page| self.records.written_page(&page));
        bytes.ok_or(if risk.table_full != 0 {
            Missing::LimitReached
        } else if risk.forked != 0 {
            Missing::ForkedItself
        } else {
            Missing::NoFault
        })
    }

    /// The first write to a page since the fork, by the child or by the process that forked (see
    /// [`forktrace_common::maps::Owner::side`]); `None`: not known.
    pub fn first_write(&self, page: u64, side: u32) -> Option<Touch> {
        self.notes.first_write(page, side)
    }
}

/// What is known of a child's memory as it inherited it.
impl ForkRecords {
    /// All of it, as it is known now.
    pub fn of_child(&self, pid: u32) -> ChildRecords<'_> {
        let _unpreempted = Unpreempted::here();
        let before = self.risk(pid);
        let notes = before.map(|risk| self.places.notes_of(risk.fork_ns, pid)).unwrap_or_default();
        // Afterwards: a page that found no room meanwhile must not pass for one that was not written. By
        // then the number may be another child's.
        let risk = self.risk(pid);
        let risk = risk.filter(|risk| before.is_some_and(|before| before.fork_ns == risk.fork_ns));
        ChildRecords { records: self, risk, notes }
    }

    /// Whether pages are kept at all.
    pub fn keeps_pages(&self) -> bool {
        self.snapshots_on
    }

    /// The pages that a child has written since its fork, in ascending order, and whether these are all. At
    /// most `most`.
    pub fn written_pages(&self, pid: u32, most: usize) -> (Vec<WrittenPage>, bool) {
        let _unpreempted = Unpreempted::here();
        let Some(risk) = self.risk(pid) else { return (Vec::new(), false) };
        let mut pages = self.places.notes_of(risk.fork_ns, pid).written();
        let all = risk.table_full == 0 && risk.forked == 0 && pages.len() <= most;
        pages.truncate(most);
        (pages, all)
    }

    /// One of these pages as the child inherited it; `None`: the child has ended.
    pub fn written_page(&self, page: &WrittenPage) -> Option<[u8; PAGE_SIZE]> {
        let _unpreempted = Unpreempted::here();
        self.places.written_page(page)
    }

    /// The registers of the thread that forked a child, at the fork; `None`: not known.
    pub fn registers_at_fork(&self, pid: u32) -> Option<Registers> {
        let _unpreempted = Unpreempted::here();
        self.risk(pid)
            .map(|risk| risk.at_fork)
            .filter(|registers| *registers != Registers::default())
    }

    /// The signals that the thread that forked a child had blocked at the fork, a bit for each from 1 on;
    /// `None`: not known, or none.
    pub fn blocked_at_fork(&self, pid: u32) -> Option<u64> {
        let _unpreempted = Unpreempted::here();
        self.risk(pid).map(|risk| risk.blocked).filter(|blocked| *blocked != 0)
    }

    /// How often the child has woken a futex word since it was forked; `None`: not known.
    pub fn wakes_since_fork(&self, pid: u32, uaddr: u64) -> Option<u64> {
        let _unpreempted = Unpreempted::here();
        let risk = self.risk(pid).filter(|_| self.futex_on)?;
        let word = WordKey { fork_ns: risk.fork_ns, uaddr, tgid: pid, reserved: 0 };
        match self.wakes.get(&key(&word), 0) {
            Ok(bytes) => Some(value::<WakeState>(&bytes).count),
            Err(_) if risk.wakes_lost != 0 => None,
            Err(_) => Some(0),
        }
    }
}

/// What probes on lock functions saw (`--locks`).
impl ForkRecords {
    /// Who had the locks at `places` of process `parent` while the memory of its child `pid` was
    /// copied, each with the lock's address. None for a lock: nobody was seen with it; more than
    /// one: it changed hands meanwhile. All past holds are gone through, once.
    pub fn holds_at_fork(&self, pid: u32, parent: u32, places: &[u64]) -> Vec<(u64, Hold)> {
        let _unpreempted = Unpreempted::here();
        let Some(risk) = self.risk(pid).filter(|risk| risk.enter_ns != 0) else {
            return Vec::new();
        };
        let covers = |hold: &Hold| is_held_at(hold, &risk);
        let past = self.past_holds.iter().filter_map(Result::ok).filter_map(|(place, bytes)| {
            let place: PastKey = value(&place);
            let wanted = place.tgid == parent && places.contains(&place.addr);
            wanted.then(|| (place.addr, value::<Hold>(&bytes)))
        });
        let present = places.iter().filter_map(|addr| Some((*addr, self.hold(parent, *addr)?)));
        let mut holds: Vec<_> = past.chain(present).filter(|(_, hold)| covers(hold)).collect();
        holds.sort_by_key(|(addr, hold)| (*addr, hold.tid, hold.since_ns));
        holds.dedup_by_key(|(addr, hold)| (*addr, hold.tid, hold.since_ns));
        holds
    }

    /// Every lock that threads of process `parent` had while the memory of its child `pid` was copied, by
    /// address. All holds are gone through, once.
    pub fn all_holds_at_fork(&self, pid: u32, parent: u32) -> Vec<(u64, Hold)> {
        let _unpreempted = Unpreempted::here();
        let Some(risk) = self.risk(pid).filter(|risk| risk.enter_ns != 0) else {
            return Vec::new();
        };
        let past = self.past_holds.iter().filter_map(Result::ok).map(|(place, bytes)| {
            let place: PastKey = value(&place);
            (place.tgid, place.addr, value::<Hold>(&bytes))
        });
        let present = self.holds.iter().filter_map(Result::ok).map(|(place, bytes)| {
            let place: LockKey = value(&place);
            (place.tgid, place.addr, value::<Hold>(&bytes))
        });
        let its = past
            .chain(present)
            .filter(|(tgid, _, hold)| *tgid == parent && is_held_at(hold, &risk));
        let mut holds: Vec<(u64, Hold)> = its.map(|(_, addr, hold)| (addr, hold)).collect();
        holds.sort_by_key(|(addr, hold)| (*addr, hold.tid, hold.since_ns));
        holds.dedup_by_key(|(addr, hold)| (*addr, hold.tid));
        holds
    }

    /// The last that was seen of the lock at `addr` in process `pid` itself.
    pub fn hold(&self, pid: u32, addr: u64) -> Option<Hold> {
        let _unpreempted = Unpreempted::here();
        let place = LockKey { addr, tgid: pid, reserved: 0 };
        self.holds.get(&key(&place), 0).ok().map(|bytes| value(&bytes))
    }

    /// Where the probed call that a thread is in returns to.
    pub fn return_of(&self, tid: u32) -> Option<u64> {
        let _unpreempted = Unpreempted::here();
        let attempt = self.attempts.get(&tid, 0).ok()?;
        Some(value::<Attempt>(&attempt).caller)
    }
}

/// Whether a lock was held while the memory of a child was copied.
fn is_held_at(hold: &Hold, risk: &Risk) -> bool {
    hold.tid != 0
        && hold.since_ns <= risk.fork_ns
        && (hold.until_ns == 0 || hold.until_ns >= risk.enter_ns)
}
