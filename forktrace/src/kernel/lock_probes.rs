//! Probes on the C library's lock functions in the traced processes (`--locks`).
//!
//! Each call of a probed function traps into the kernel, which costs far more than the lock itself,
//! so the probes are asked for, kept to the traced processes, and their price is measured and told.
//! A probe sits at an offset of a file. One function may be exported in several versions
//! (`sem_wait@GLIBC_2.2.5`, `sem_wait@@GLIBC_2.34`), at one address or several: every address is
//! probed, once.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::CString,
    io,
    num::NonZeroU32,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    programs::{
        UProbe,
        uprobe::{UProbeAttachLocation, UProbeLinkId, UProbeScope},
    },
};
use rustc_hash::FxHashMap;

use super::{
    Error, boot_ns,
    loader::{OBJECT, refused},
    lock_functions::{FileId, Functions, functions, libraries},
    uprobe_multi::{self, Programs},
};

/// Programs by what they are attached to.
const ENTER: &str = "lock_enter";
const RETURN: &str = "lock_return";
const LEAVE: &str = "lock_release";

/// Most threads that end probes while others are traced.
const ENDERS: usize = 16;

/// How long the measurement waits for its probes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pairs of calls in a measurement of the price.
const PAIRS: u32 = 2_000;

/// The probes. They are attached and ended by a thread of their own: the kernel waits for a grace
/// period, up to a tenth of a second, at the end of each, and records must not wait for that.
pub struct LockProbes {
    orders: Sender<Order>,
    worker: Option<JoinHandle<()>>,
    since: Arc<Mutex<FxHashMap<u32, u64>>>,
    ends: Ends,
}

/// How probes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Those of one process with one another. A forked child of a probed process has its parent's
    /// breakpoints, and pays for them whether it is probed or not.
    Together,
    /// Each by itself, a tenth of a second for each. A forked child has none.
    OneByOne,
}

enum Order {
    Attach(u32),
    Detach(u32),
}

impl LockProbes {
    /// Loads the programs and takes the object over, whose other programs stay attached with it.
    pub(super) fn start(mut ebpf: Ebpf, everywhere: bool) -> Result<Self, Error> {
        for name in [ENTER, RETURN, LEAVE] {
            program(&mut ebpf, name)
                .and_then(|program| program.load().map_err(|error| error.to_string()))
                .map_err(|error| refused(&format!("the probe {name}"), &error))?;
        }
        let many = Programs::load(OBJECT, &ebpf, &[ENTER, RETURN, LEAVE]);
        let many =
            many.inspect_err(|error| tracing::debug!("one link for each probe: {error}")).ok();
        let (orders, received) = channel();
        let since = Arc::default();
        let ends = if many.is_some() { Ends::Together } else { Ends::OneByOne };
        let (processes, functions, libraries, ending, enders) = Default::default();
        let shared = Arc::clone(&since);
        let worker = Worker {
            ebpf,
            everywhere,
            processes,
            many,
            functions,
            libraries,
            ending,
            enders,
            since: shared,
        };
        let worker = Some(std::thread::spawn(move || worker.run(&received)));
        Ok(LockProbes { orders, worker, since, ends })
    }

    /// Since when the lock functions of a process are probed, `CLOCK_BOOTTIME`, ns.
    pub fn since_ns(&self, pid: u32) -> Option<u64> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).get(&pid).copied()
    }

    /// How the probes end.
    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// Probes what a process has mapped, soon.
    pub fn attach(&self, pid: u32) {
        self.order(Order::Attach(pid));
    }

    /// Ends a process's probes, soon.
    pub fn detach(&self, pid: u32) {
        self.order(Order::Detach(pid));
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::debug!("the thread of the lock probes has ended");
        }
    }
}

impl Drop for LockProbes {
    /// Ends every probe and waits for that.
    fn drop(&mut self) {
        (self.orders, _) = channel();
        if let Some(worker) = self.worker.take() {
            // It has nothing to tell.
            let _ = worker.join();
        }
    }
}

struct Worker {
    ebpf: Ebpf,
    /// Every process of the host is traced: a library is probed once, for all.
    everywhere: bool,
    processes: FxHashMap<u32, Probed>,
    /// For links of many probes, where the kernel has them.
    many: Option<Programs>,
    /// What was found in files.
    functions: FxHashMap<FileId, Option<Functions>>,
    /// The libraries probed for all, and since when, `CLOCK_BOOTTIME`, ns.
    libraries: BTreeMap<FileId, u64>,
    /// Probes of ended processes.
    ending: Vec<(&'static str, UProbeLinkId)>,
    /// Threads that end links of many probes.
    enders: VecDeque<JoinHandle<()>>,
    since: Arc<Mutex<FxHashMap<u32, u64>>>,
}

/// One process's probes.
#[derive(Default)]
struct Probed {
    files: BTreeSet<FileId>,
    links: Vec<Link>,
}

/// What ends probes.
enum Link {
    /// One probe of a program.
    One(&'static str, UProbeLinkId),
    /// All probes of a program on one library.
    Many(OwnedFd),
}

impl Worker {
    /// Attaches before it ends anything: a process that begins must not wait for those that ended.
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let order = match self.ending.pop() {
                None => orders.recv().ok(),
                Some(link) => match orders.try_recv() {
                    Err(TryRecvError::Empty) => {
                        self.end(link);
                        continue;
                    }
                    order => {
                        self.ending.push(link);
                        order.ok()
                    }
                },
            };
            match order {
                Some(Order::Attach(pid)) => self.attach(pid),
                Some(Order::Detach(pid)) => self.detach(pid),
                None => return self.end_all(),
            }
        }
    }

    /// Ends every probe. Those that are links of their own end with their programs.
    fn end_all(mut self) {
        let links = self.processes.drain().flat_map(|(_, probed)| probed.links);
        uprobe_multi::end(links.filter_map(Link::many).collect());
        for ender in self.enders {
            // It has nothing to tell.
            let _ = ender.join();
        }
    }

    /// Ends links of many probes on a thread of their own.
    fn end_apart(&mut self, links: Vec<OwnedFd>) {
        if links.is_empty() {
            return;
        }
        self.enders.retain(|ender| !ender.is_finished());
        if self.enders.len() >= ENDERS
            && let Some(oldest) = self.enders.pop_front()
        {
            let _ = oldest.join();
        }
        self.enders.push_back(std::thread::spawn(move || uprobe_multi::end(links)));
    }

    fn since(&self) -> MutexGuard<'_, FxHashMap<u32, u64>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Probes what a process has mapped and is not probed yet.
    fn attach(&mut self, pid: u32) {
        if self.since().contains_key(&pid) {
            return;
        }
        let known = self.processes.entry(pid).or_default();
        let scope = match NonZeroU32::new(pid) {
            Some(pid) if !self.everywhere => UProbeScope::OneProcess(pid),
            _ => UProbeScope::AllProcesses,
        };
        let mut since_ns = 0;
        for (id, path) in libraries(pid) {
            let functions = self.functions.entry(id).or_insert_with(|| functions(&path));
            let new = match self.everywhere {
                true => !self.libraries.contains_key(&id),
                false => known.files.insert(id),
            };
            if new {
                match functions {
                    Some(functions) => known.links.extend(probe(
                        &mut self.ebpf,
                        self.many.as_ref(),
                        &path,
                        functions,
                        scope,
                    )),
                    None => tracing::debug!("{}: no lock functions", path.display()),
                }
            }
            let probed_ns = match self.everywhere {
                true => *self.libraries.entry(id).or_insert_with(boot_ns),
                false => boot_ns(),
            };
            since_ns = since_ns.max(probed_ns);
        }
        if since_ns != 0 {
            self.since().insert(pid, since_ns);
        }
    }

    /// Ends a process's probes; those for all processes stay.
    fn detach(&mut self, pid: u32) {
        self.since().remove(&pid);
        if let Some(probed) = self.processes.remove(&pid)
            && !self.everywhere
        {
            let mut many = Vec::new();
            for link in probed.links {
                match link {
                    Link::One(name, id) => self.ending.push((name, id)),
                    Link::Many(link) => many.push(link),
                }
            }
            self.end_apart(many);
        }
    }

    fn end(&mut self, (name, link): (&'static str, UProbeLinkId)) {
        let ended = program(&mut self.ebpf, name)
            .and_then(|program| program.detach(link).map_err(|error| error.to_string()));
        if let Err(error) = ended {
            tracing::debug!("ending a probe of {name}: {error}");
        }
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut UProbe, String> {
    ebpf.program_mut(name)
        .ok_or_else(|| "the object has no such program".to_owned())?
        .try_into()
        .map_err(|error: aya::programs::ProgramError| error.to_string())
}

impl Link {
    fn many(self) -> Option<OwnedFd> {
        match self {
            Link::One(..) => None,
            Link::Many(link) => Some(link),
        }
    }
}

/// Attaches to every lock function of a library.
fn probe(
    ebpf: &mut Ebpf,
    many: Option<&Programs>,
    path: &Path,
    functions: &Functions,
    scope: UProbeScope,
) -> Vec<Link> {
    let together = many.map(|many| probe_together(many, path, functions, scope));
    match together {
        Some(Ok(links)) => return links,
        Some(Err(error)) => tracing::debug!("{}: {error}", path.display()),
        None => {}
    }
    probe_each(ebpf, path, functions, scope)
}

/// The same by few links.
fn probe_together(
    many: &Programs,
    path: &Path,
    functions: &Functions,
    scope: UProbeScope,
) -> io::Result<Vec<Link>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let pid = match scope {
        UProbeScope::OneProcess(pid) => pid.get(),
        UProbeScope::AllProcesses | UProbeScope::CallingProcess => 0,
    };
    let take: Vec<u64> = functions.take.iter().copied().collect();
    let release: Vec<u64> = functions.release.iter().copied().collect();
    // The return first: an attempt that is noted is then certain to be concluded.
    let all = [(RETURN, &take, true), (ENTER, &take, false), (LEAVE, &release, false)];
    let wanted = all.into_iter().filter(|(_, offsets, _)| !offsets.is_empty());
    let links = wanted.map(|(name, offsets, at_return)| {
        many.attach(name, &path, offsets, pid, at_return).map(Link::Many)
    });
    links.collect()
}

/// The same by a link for each. A function that cannot be probed is left out.
fn probe_each(
    ebpf: &mut Ebpf,
    path: &Path,
    functions: &Functions,
    scope: UProbeScope,
) -> Vec<Link> {
    let mut links = Vec::new();
    let mut attach = |name: &'static str, offset: u64| {
        let attached = program(ebpf, name).and_then(|program| {
            let place = UProbeAttachLocation::AbsoluteOffset(offset);
            program.attach(place, path, scope).map_err(|error| error.to_string())
        });
        match attached {
            Ok(link) => links.push(Link::One(name, link)),
            Err(error) => tracing::debug!("{}+{offset:#x}: {error}", path.display()),
        }
    };
    // The return first: an attempt that is noted is then certain to be concluded.
    for &offset in &functions.take {
        attach(RETURN, offset);
        attach(ENTER, offset);
    }
    for &offset in &functions.release {
        attach(LEAVE, offset);
    }
    links
}

/// What a pair of taking and releasing a lock costs under the probes, measured on this process:
/// ns without and with. `None` where it cannot be measured.
pub fn price(probes: &LockProbes) -> Option<(u64, u64)> {
    let own = std::process::id();
    let without = pair_ns();
    probes.attach(own);
    let end = Instant::now() + PATIENCE;
    while probes.since_ns(own).is_none() {
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let with = pair_ns();
    // They stay to the end: ending them would take longer than what is to be traced may live.
    Some((without?, with?))
}

/// The time of one pair, ns, on a lock of libc's: the standard library's own make no calls.
fn pair_ns() -> Option<u64> {
    let lock = super::libc_lock::Lock::new();
    let start = Instant::now();
    for _ in 0..PAIRS {
        lock.take_and_release();
    }
    u64::try_from(start.elapsed().as_nanos()).ok().map(|all| all / u64::from(PAIRS))
}
