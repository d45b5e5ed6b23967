//! Looking closer at a wait, off the main loop: reading another process's memory and symbols may
//! take a tenth of a second, and records must not wait for it.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use tokio::{sync::mpsc::UnboundedSender, task::spawn_blocking};

use forktrace_model::{
    event::{
        AtFork, Body, Doing, Event, Evidence, FirstWrite, Missing, Probed, PythonLock, Task,
        ThreadSample, Wait, Waiter, Window, stacks::Fate,
    },
    locks,
};

use forktrace_collect::{
    inspect::{
        self,
        evidence::{DESCRIPTOR_LEN, DESCRIPTOR_TID, Inherited, descriptor_tid},
        sample::{self, Blocked},
        stacks::Ask,
    },
    kernel::{Maps, Visitor},
};
use forktrace_common::maps::{PAGE_SIZE, SIDE_CHILD, SIDE_FORKER, Touch, WaitState};

/// How far around the futex word a lock may reach, bytes.
const REACH: u64 = 256;

/// What comes back from the background.
pub(super) enum Answer {
    /// It is known where the lock is: what the maps know of it is to be added.
    Placed(Box<Job>),
    /// A look was made.
    Sample(Box<Sample>),
}

/// A look to be made.
pub(super) struct Job {
    task: Task,
    wait: Wait,
    shared_with: Vec<u32>,
    /// Where the lock is, if elsewhere than the futex word, and its owner's descriptor.
    target: Option<u64>,
    owner: Option<u64>,
    waiters: Waiters,
    late: bool,
    probed: Option<(u32, Probed)>,
    /// How the waiter was found, where no futex call is watched.
    blocked: Option<Blocked>,
}

/// A look that was made.
pub(super) struct Sample {
    pub(super) task: Task,
    pub(super) evidence: Evidence,
    /// The stacks were read, and nothing more is to be.
    pub(super) complete: bool,
    /// Python's side was read.
    pub(super) python_read: bool,
}

impl Job {
    /// `waits` are all waits a moment ago.
    pub(super) fn new(task: Task, wait: Wait, shared_with: Vec<u32>, waits: &[WaitState]) -> Self {
        let same = |other: &&WaitState| other.tgid == task.pid && other.uaddr == wait.uaddr;
        let waits = waits.iter().filter(same).filter(|wait| wait.restarting == 0);
        let waiter =
            |wait: &WaitState| Waiter { tid: wait.tid, enter_ns: wait.enter_ns, times: None };
        let waiters = Waiters::Seen(waits.map(waiter).collect());
        let (target, owner, probed, blocked) = (None, None, None, None);
        Job { task, wait, shared_with, target, owner, waiters, late: false, probed, blocked }
    }

    /// The same for a process whose fork was not seen: what can be told of it is looked for too.
    pub(super) fn late(self) -> Self {
        Job { late: true, ..self }
    }

    /// The same of a wait that was found by looking (`--lean`). `since`: the threads that wait for the
    /// word as far as they are known, and since when at most.
    pub(super) fn sampled(mut self, blocked: Blocked, since: FxHashMap<u32, Waiter>) -> Self {
        self.waiters = Waiters::Sampled(since);
        Job { blocked: Some(blocked), ..self }
    }

    /// Adds what probes saw of the lock, in the waiter's process and in `parent`.
    pub(super) fn with_probes(mut self, parent: u32, probed: Probed) -> Self {
        self.probed = Some((parent, probed));
        self
    }

    /// Reads in the background where the lock is: the few bytes around the futex word tell, and the
    /// pages around the lock are to be taken from the maps too.
    pub(super) fn place(mut self, sender: UnboundedSender<Answer>) {
        spawn_blocking(move || {
            let pid = self.task.pid;
            self.target = inspect::evidence::around(pid, self.wait.uaddr)
                .and_then(|window| locks::target(&self.wait, &window));
            self.owner = self.target.and_then(|lock| inspect::evidence::owner_of(pid, lock));
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(Answer::Placed(Box::new(self)));
        });
    }

    /// Takes what the maps know, now, makes the look in the background and sends it.
    pub(super) fn start(self, maps: &Maps, sender: UnboundedSender<Answer>) {
        let captured = Captured::take(maps, &self);
        let Job { mut task, wait, shared_with, late, probed, blocked, .. } = self;
        spawn_blocking(move || {
            let mut evidence = inspect::evidence::collect(&task, &wait, &captured, shared_with);
            if let Some(blocked) = blocked {
                evidence.still_waiting &= sample::is_still(task.pid, &blocked);
            }
            // It may have taken another name since its last event.
            if let Some(thread) = evidence.threads.iter().find(|thread| thread.tid == task.tid)
                && !thread.comm.is_empty()
            {
                task.comm.clone_from(&thread.comm);
            }
            if late && evidence.still_waiting && !evidence.denied {
                inspect::unobserved_fork::add(&mut evidence, &task);
            }
            evidence.probed = probed.map(|(parent, mut probed)| {
                for hold in &mut probed.holds {
                    hold.place = place(parent, hold.caller);
                }
                probed
            });
            let look = Sample { task, evidence, complete: false, python_read: false };
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(Answer::Sample(Box::new(look)));
        });
    }
}

/// An address of code as `file+offset`, the offset being that in the file.
fn place(pid: u32, address: u64) -> Option<String> {
    let mapping = inspect::memory::mapping(pid, address)?;
    let name = mapping.path.rsplit('/').next().filter(|name| !name.is_empty())?;
    let offset = (address - mapping.start).saturating_add(mapping.offset);
    Some(format!("{name}+{offset:#x}"))
}

impl Sample {
    /// The look as an event.
    pub(super) fn event(&self, boot_ns: u64) -> Event {
        let body = Body::Evidence(Box::new(self.evidence.clone()));
        Event { boot_ns, task: Some(self.task.clone()), body }
    }

    /// Adds what the maps know of the Python object that was found.
    pub(super) fn add_inherited(&mut self, maps: &Maps) {
        let Some(lock) = &mut self.evidence.python_lock else { return };
        let pid = self.task.pid;
        let inherited = |now: &Window| {
            let pages = Pages::take(now.address, |start| maps.inherited_page(pid, start));
            pages.window(now.address, now.address.saturating_add(now.bytes.len() as u64))
        };
        lock.at_fork = inherited(&lock.now);
        for method in &mut lock.exits {
            method.at_fork = inherited(&method.now);
        }
        let owner = lock.at_fork.known().and_then(|then| lock.rlock(then));
        lock.owner_tid = owner.and_then(|(owner, _)| tid_at_fork(maps, pid, owner));
    }

    /// Adds the Python side and, with `ask`, the stacks in the background, and sends the look again.
    /// Whatever was to be learnt of inherited pages is in `ask` already: reading Python frames makes
    /// the kernel copy pages.
    pub(super) fn read_more(
        mut self,
        ask: Option<Ask>,
        registers: Visitor,
        sender: UnboundedSender<Answer>,
    ) {
        spawn_blocking(move || {
            let Task { pid, tid, .. } = self.task;
            let thread = self.evidence.threads.iter().find(|thread| thread.tid == tid);
            let ns_tid = thread.and_then(|thread| thread.ns_tid).unwrap_or(tid);
            let uaddr = self.evidence.wait.uaddr;
            self.complete = ask.is_some();
            let (parent, named) =
                ask.as_ref().map_or((None, false), |ask| (ask.parent, ask.holder_is_named));
            std::thread::scope(|scope| {
                let look = || inspect::python::look(pid, tid, ns_tid, uaddr);
                let python = (!self.python_read).then(|| scope.spawn(look));
                if let Some(ask) = ask {
                    self.evidence.native = Some(Box::new(inspect::stacks::read(ask, registers)));
                }
                if let Some(python) = python {
                    let look = python.join().unwrap_or_default();
                    self.evidence.python = look.python;
                    self.evidence.python_lock = look.lock;
                    self.evidence.python_threads = look.threads;
                }
            });
            let rlock = self.evidence.python_lock.as_ref().is_some_and(PythonLock::is_rlock);
            // Who else had the lock is told by whose first write released it, which must stay seen.
            if let (Some(parent), true) = (parent, named || rlock) {
                self.add_holders_python(parent);
            }
            self.python_read = true;
            // The look may have waited for its turn.
            self.evidence.still_waiting &=
                inspect::evidence::is_in(&self.task, &self.evidence.wait);
            let _ = sender.send(Answer::Sample(Box::new(self)));
        });
    }
}

impl Sample {
    /// Adds the Python frames of the threads that may hold the lock.
    fn add_holders_python(&mut self, parent: u32) {
        let Some(native) = &mut self.evidence.native else { return };
        let alive: Vec<_> =
            native.holders.iter_mut().filter(|holder| holder.fate == Fate::Alive).collect();
        if alive.is_empty() {
            return;
        }
        let tids = alive.iter().map(|holder| holder.tid).collect();
        let mut frames: BTreeMap<_, _> =
            inspect::python::frames(parent, tids).into_iter().collect();
        for holder in alive {
            holder.python = frames.remove(&holder.tid).unwrap_or_default();
        }
    }
}

/// The tid of the thread with this descriptor, as a child inherited it. glibc's fork writes to the
/// descriptors of the threads that the child does not have, so that their pages are kept.
fn tid_at_fork(maps: &Maps, pid: u32, descriptor: u64) -> Option<u32> {
    let pages = Pages::take(descriptor.checked_add(DESCRIPTOR_TID)?, |start| {
        maps.inherited_page(pid, start)
    });
    let end = descriptor.checked_add(DESCRIPTOR_LEN as u64)?;
    descriptor_tid(descriptor, pages.window(descriptor, end).known()?)
}

/// What the maps knew of a wait.
struct Captured {
    around_futex: Pages,
    around_target: Option<Pages>,
    /// Around the tid of the owner's descriptor, and that descriptor's address.
    around_owner: Option<(Pages, u64)>,
    wakes: Option<u64>,
    /// First writes by the child and by the process that forked.
    writes: [Option<Touch>; 2],
    waiters: Waiters,
}

/// The threads that wait for the word.
#[derive(Clone)]
enum Waiters {
    /// All of them, as the programs saw them begin to wait.
    Seen(Vec<Waiter>),
    /// Those that were found by looking, by tid.
    Sampled(FxHashMap<u32, Waiter>),
}

/// The pages around a word.
struct Pages {
    word: u64,
    /// Each page's first address and bytes, in the order of addresses.
    pages: Vec<(u64, Result<[u8; PAGE_SIZE], Missing>)>,
}

impl Captured {
    fn take(maps: &Maps, job: &Job) -> Self {
        let Job { target, owner, .. } = *job;
        let (pid, uaddr) = (job.task.pid, job.wait.uaddr);
        let around = |word| Pages::take(word, |start| maps.inherited_page(pid, start));
        let writes = [SIDE_CHILD, SIDE_FORKER].map(|side| maps.first_write(pid, page(uaddr), side));
        Captured {
            around_futex: around(uaddr),
            around_target: target.map(around),
            around_owner: owner.map(|at| (around(at.saturating_add(DESCRIPTOR_TID)), at)),
            writes,
            waiters: job.waiters.clone(),
            // After the waiters, so that no wake since one of them began to wait is missed.
            wakes: maps.wakes_since_fork(pid, uaddr),
        }
    }
}

fn page(address: u64) -> u64 {
    address & !(PAGE_SIZE as u64 - 1)
}

impl Inherited for Captured {
    fn bytes(&self, _pid: u32, address: u64, len: usize) -> AtFork {
        let end = address.saturating_add(len as u64);
        let owner = self.around_owner.iter().map(|(pages, _)| pages);
        let mut known = owner.chain(&self.around_target).chain([&self.around_futex]);
        let asked = known.find(|pages| (address..end).contains(&pages.word));
        asked.map_or_else(AtFork::default, |pages| pages.window(address, end))
    }

    fn wakes(&self, _pid: u32, _uaddr: u64) -> Option<u64> {
        self.wakes
    }

    fn target(&self) -> Option<u64> {
        self.around_target.as_ref().map(|pages| pages.word)
    }

    fn owner(&self) -> Option<u64> {
        self.around_owner.as_ref().map(|(_, address)| *address)
    }

    fn first_writes(&self) -> [Option<(FirstWrite, u64)>; 2] {
        let write = |touch: Touch| {
            let Touch { boot_ns, address, ip, other_ns, tid, switches } = touch;
            let times = switches.checked_sub(1);
            let (module, function) = (None, None);
            (FirstWrite { boot_ns, tid, address, other_ns, times, module, function }, ip)
        };
        self.writes.map(|touch| touch.map(write))
    }

    fn waiters(&self, wait: &Wait, threads: &[ThreadSample]) -> Vec<Waiter> {
        let since = match &self.waiters {
            Waiters::Seen(waiters) => return waiters.clone(),
            Waiters::Sampled(since) => since,
        };
        // Who waits now, not who did at the latest look; nothing is known of one that has run since.
        let now = forktrace_collect::clock::boot_ns();
        let waits = |thread: &&ThreadSample| matches!(thread.doing, Doing::Futex { uaddr, .. } if uaddr == wait.uaddr);
        let waiter = |thread: &ThreadSample| {
            let known = since.get(&thread.tid).filter(|_| thread.ran == Some(false));
            let unknown = Waiter { tid: thread.tid, enter_ns: now, times: None };
            known.cloned().unwrap_or(unknown)
        };
        threads.iter().filter(waits).map(waiter).collect()
    }
}

impl Pages {
    fn take(word: u64, read: impl Fn(u64) -> Result<[u8; PAGE_SIZE], Missing>) -> Self {
        let around = [word.saturating_sub(REACH), word, word.saturating_add(REACH)];
        let mut starts = around.map(page).to_vec();
        starts.dedup();
        Pages { word, pages: starts.into_iter().map(|start| (start, read(start))).collect() }
    }

    /// What is known from `address` to `end`. The word's own page decides; its neighbours are
    /// joined to it where they are known.
    fn window(&self, address: u64, end: u64) -> AtFork {
        let mut window: Option<Window> = None;
        let mut why = Missing::NoFault;
        for (start, page_bytes) in &self.pages {
            let own = *start == page(self.word);
            match page_bytes {
                Ok(bytes) => {
                    let page_end = start.saturating_add(PAGE_SIZE as u64);
                    let from = address.clamp(*start, page_end);
                    let to = end.clamp(*start, page_end);
                    // A page near the word that the window does not reach says nothing of where
                    // the window begins.
                    if from == to {
                        continue;
                    }
                    let range = (from - start) as usize..(to - start) as usize;
                    let bytes = bytes.get(range).unwrap_or_default();
                    let window =
                        window.get_or_insert_with(|| Window { address: from, bytes: vec![] });
                    window.bytes.extend_from_slice(bytes);
                }
                Err(missing) if own => {
                    why = *missing;
                    window = None;
                    break;
                }
                Err(_) if *start < page(self.word) => window = None,
                Err(_) => break,
            }
        }
        window.filter(|window| !window.bytes.is_empty()).map_or(AtFork::Unknown(why), AtFork::Known)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]

    use super::*;

    /// Pages 1 and 2 hold their numbers, page 3 is not known.
    fn pages(word: u64) -> Pages {
        Pages::take(word, |start| match start >> 12 {
            number @ (1 | 2) => Ok([number as u8; PAGE_SIZE]),
            _ => Err(Missing::NoFault),
        })
    }

    fn captured(uaddr: u64) -> AtFork {
        let captured = Captured {
            around_futex: pages(uaddr),
            around_target: None,
            around_owner: None,
            wakes: None,
            writes: [None; 2],
            waiters: Waiters::Seen(Vec::new()),
        };
        captured.bytes(1, uaddr - 128, 256)
    }

    fn known(uaddr: u64) -> (u64, usize, u8, u8) {
        match captured(uaddr) {
            AtFork::Known(Window { address, bytes }) => {
                let ends = (bytes.first().copied(), bytes.last().copied());
                (address, bytes.len(), ends.0.unwrap_or(0), ends.1.unwrap_or(0))
            }
            AtFork::Unknown(missing) => panic!("{missing:?}"),
        }
    }

    #[test]
    fn a_window_is_joined_across_known_pages_and_cut_at_unknown_ones() {
        assert_eq!(known(0x1800), (0x1780, 256, 1, 1));
        assert_eq!(known(0x1ff0), (0x1f70, 256, 1, 2), "the word's page and the next");
        assert_eq!(known(0x2010), (0x1f90, 256, 1, 2), "the page before and the word's");
        assert_eq!(
            known(0x20ac),
            (0x202c, 256, 2, 2),
            "the page before is known but not asked for"
        );
        assert_eq!(known(0x1f40), (0x1ec0, 256, 1, 1), "the same of the page after");
        assert_eq!(known(0x1010), (0x1000, 144, 1, 1), "the page before is not known");
        assert_eq!(known(0x2ff0), (0x2f70, 144, 2, 2), "the page after is not known");
        let unknown = AtFork::Unknown(Missing::NoFault);
        assert_eq!(captured(0x3010), unknown, "the word's own page decides");
    }

    #[test]
    fn a_target_has_pages_of_its_own() {
        let around_target = Some(pages(0x2800));
        let captured = Captured {
            around_futex: pages(0x1800),
            around_target,
            around_owner: None,
            wakes: None,
            writes: [None; 2],
            waiters: Waiters::Seen(Vec::new()),
        };
        assert_eq!((captured.target(), captured.owner()), (Some(0x2800), None));
        let of = |address| Window { address, bytes: vec![(address >> 12) as u8; 16] };
        for word in [0x1800, 0x2800] {
            assert_eq!(captured.bytes(1, word - 8, 16), AtFork::Known(of(word - 8)));
        }
        assert_eq!(captured.bytes(1, 0x1100, 16), AtFork::default(), "not asked for");
    }
}
