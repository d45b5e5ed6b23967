//! Probes on the C library's lock functions in the traced processes (`--locks`).
//!
//! Each call of a probed function traps into the kernel, which costs far more than the lock itself,
//! so the probes are asked for, kept to the traced processes, and their price is measured and told.
//! A probe sits at an offset of a file. One function may be exported in several versions
//! (`sem_wait@GLIBC_2.2.5`, `sem_wait@@GLIBC_2.34`), at one address or several: every address is
//! probed, once.
//!
//! Each probe is a perf event, whose end waits for a grace period under one mutex (`perf_uprobe_destroy`,
//! `kernel/trace/trace_event_perf.c`, Linux 6.18), so that ending them on many threads saves nothing. A
//! link of many probes (Linux 6.6) waits once, but leaves its breakpoints in forked children: their lock
//! calls trap too, and the return addresses on their stacks are the kernel's, where stacks end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read as _,
    num::NonZeroU32,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
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
use caps::Capability;
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};
use rustc_hash::FxHashMap;

use super::{
    Error,
    error::{causes, refused},
    privilege,
};
use crate::{
    clock::boot_ns,
    inspect::{memory, open_mapped},
};
use forktrace_model::event::Mapping;

/// Functions that take the lock of their first argument and return 0 for success. Those of
/// semaphores are complete. Of the others, which say themselves who owns them or are seldom timed,
/// the timed ones are left out: a hold that is not seen is unknown, and every probe costs time when
/// a process begins and ends.
const TAKE: [&str; 8] = [
    "sem_wait",
    "sem_trywait",
    "sem_timedwait",
    "sem_clockwait",
    "pthread_mutex_lock",
    "pthread_mutex_trylock",
    "pthread_rwlock_rdlock",
    "pthread_rwlock_wrlock",
];

/// Functions after which nobody has the lock of their first argument.
const RELEASE: [&str; 4] =
    ["sem_post", "sem_init", "pthread_mutex_unlock", "pthread_rwlock_unlock"];

/// Programs by what they are attached to.
const ENTER: &str = "lock_enter";
const RETURN: &str = "lock_return";
const LEAVE: &str = "lock_release";

/// The largest library that is read for its symbols, bytes.
const MAX_LIBRARY: u64 = 64 << 20;

/// How long the measurement waits for its probes.
const PATIENCE: Duration = Duration::from_secs(5);

/// The functions that a measurement calls. Others are not probed for it: each probe takes time to end.
const MEASURED: [&str; 2] = ["pthread_mutex_lock", "pthread_mutex_unlock"];

/// Pairs of calls in a measurement of the price.
const PAIRS: u32 = 2_000;

/// A file as the kernel tells it from others: device and inode.
type FileId = (u64, u64);

/// The probes. They are attached and ended by a thread of their own: the kernel waits for a grace
/// period, up to a tenth of a second, at the end of each, and records must not wait for that.
pub struct LockProbes {
    orders: Sender<Order>,
    worker: Option<JoinHandle<()>>,
    since: Arc<Mutex<FxHashMap<u32, u64>>>,
}

enum Order {
    Attach(u32),
    /// Probes the functions that the measurement calls, in this process.
    Measure,
    Detach(u32),
}

impl LockProbes {
    /// Takes the object over, with its programs [loaded](load); the others stay attached with it.
    pub(crate) fn start(ebpf: Ebpf, everywhere: bool) -> Self {
        let (orders, received) = channel();
        let since = Arc::default();
        let (processes, libraries, ending) = Default::default();
        let shared = Arc::clone(&since);
        let worker = Worker { ebpf, everywhere, processes, libraries, ending, since: shared };
        let worker = Some(std::thread::spawn(move || worker.run(&received)));
        LockProbes { orders, worker, since }
    }

    /// Since when the lock functions of a process are probed, `CLOCK_BOOTTIME`, ns.
    pub fn since_ns(&self, pid: u32) -> Option<u64> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).get(&pid).copied()
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
    /// The libraries probed for all, and since when, `CLOCK_BOOTTIME`, ns; `None`: not every function is.
    libraries: BTreeMap<FileId, Option<u64>>,
    /// Probes of ended processes.
    ending: Vec<(&'static str, UProbeLinkId)>,
    since: Arc<Mutex<FxHashMap<u32, u64>>>,
}

/// One process's probes.
#[derive(Default)]
struct Probed {
    files: BTreeSet<FileId>,
    links: Vec<(&'static str, UProbeLinkId)>,
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
                Some(Order::Attach(pid)) => self.attach(pid, &|_| true),
                Some(Order::Measure) => {
                    self.attach(std::process::id(), &|name| MEASURED.contains(&name));
                }
                Some(Order::Detach(pid)) => self.detach(pid),
                None => return,
            }
        }
    }

    fn since(&self) -> MutexGuard<'_, FxHashMap<u32, u64>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Probes what a process has mapped and is not probed yet, as far as it is wanted, by name.
    fn attach(&mut self, pid: u32, wanted: &dyn Fn(&str) -> bool) {
        if self.since().contains_key(&pid) {
            return;
        }
        let known = self.processes.entry(pid).or_default();
        let scope = match NonZeroU32::new(pid) {
            Some(pid) if !self.everywhere => UProbeScope::OneProcess(pid),
            _ => UProbeScope::AllProcesses,
        };
        // What is not seen of a process must not be taken for what it did not do.
        let mut since_ns = Some(0);
        for (id, library) in libraries(pid) {
            let probed_ns = if self.everywhere {
                *self.libraries.entry(id).or_insert_with(|| {
                    let whole = probe(&mut self.ebpf, &library, &|_| true, scope, &mut known.links);
                    whole.then(boot_ns)
                })
            } else {
                let whole = !known.files.insert(id)
                    || probe(&mut self.ebpf, &library, wanted, scope, &mut known.links);
                whole.then(boot_ns)
            };
            since_ns = since_ns.zip(probed_ns).map(|(since, probed)| since.max(probed));
        }
        if let Some(since_ns) = since_ns.filter(|since| *since != 0) {
            self.since().insert(pid, since_ns);
        }
    }

    /// Ends a process's probes; those for all processes stay.
    fn detach(&mut self, pid: u32) {
        self.since().remove(&pid);
        if let Some(probed) = self.processes.remove(&pid)
            && !self.everywhere
        {
            self.ending.extend(probed.links);
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

/// Loads the programs that probes run.
pub(crate) fn load(ebpf: &mut Ebpf) -> Result<(), Error> {
    for name in [ENTER, RETURN, LEAVE] {
        program(ebpf, name)
            .and_then(|program| program.load().map_err(|error| causes(&error)))
            .map_err(|error| refused(&format!("the probe {name}"), &error))?;
    }
    Ok(())
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut UProbe, String> {
    ebpf.program_mut(name)
        .ok_or_else(|| "the object has no such program".to_owned())?
        .try_into()
        .map_err(|error: aya::programs::ProgramError| error.to_string())
}

/// Attaches to every wanted lock function of a library, and says whether it could. One that cannot be
/// probed is left out.
fn probe(
    ebpf: &mut Ebpf,
    library: &File,
    wanted: &dyn Fn(&str) -> bool,
    scope: UProbeScope,
    links: &mut Vec<(&'static str, UProbeLinkId)>,
) -> bool {
    let Some(functions) = functions(library, wanted) else {
        tracing::debug!("{library:?}: no lock functions");
        return true;
    };
    let path = path(library);
    let mut whole = true;
    let mut attach = |name: &'static str, offset: u64| {
        let attached = program(ebpf, name).and_then(|program| {
            let place = UProbeAttachLocation::AbsoluteOffset(offset);
            program.attach(place, &path, scope).map_err(|error| error.to_string())
        });
        match attached {
            Ok(link) => links.push((name, link)),
            Err(error) => {
                whole = false;
                tracing::debug!("{}+{offset:#x}: {error}", path.display());
            }
        }
    };
    // The return first: an attempt that is noted is then certain to be concluded.
    for offset in functions.take {
        attach(RETURN, offset);
        attach(ENTER, offset);
    }
    for offset in functions.release {
        attach(LEAVE, offset);
    }
    whole
}

/// The lock functions of a library, as offsets in its file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Functions {
    take: BTreeSet<u64>,
    release: BTreeSet<u64>,
}

fn functions(library: &File, wanted: &dyn Fn(&str) -> bool) -> Option<Functions> {
    if library.metadata().ok()?.len() > MAX_LIBRARY {
        return None;
    }
    let mut bytes = Vec::new();
    library.take(MAX_LIBRARY).read_to_end(&mut bytes).ok()?;
    let file = object::File::parse(bytes.as_slice()).ok()?;
    let mut found = Functions::default();
    for symbol in file.dynamic_symbols().chain(file.symbols()) {
        let Ok(name) = symbol.name() else { continue };
        // Static symbol tables carry the version in the name.
        let name = name.split('@').next().unwrap_or(name);
        if !wanted(name) || !symbol.is_definition() || symbol.kind() != object::SymbolKind::Text {
            continue;
        }
        let set = match name {
            name if TAKE.contains(&name) => &mut found.take,
            name if RELEASE.contains(&name) => &mut found.release,
            _ => continue,
        };
        let offset = file.segments().find_map(|segment| {
            let (start, length) = segment.file_range();
            let inside = symbol.address().checked_sub(segment.address())?;
            (inside < length).then(|| start.saturating_add(inside))
        });
        set.extend(offset);
    }
    (!found.take.is_empty()).then_some(found)
}

/// The files mapped by a process that can hold lock functions: the C library, or a program linked
/// statically.
fn libraries(pid: u32) -> Vec<(FileId, File)> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let (mut libraries, mut programs) = (BTreeMap::new(), BTreeMap::new());
    // The answer "none" makes the search go through every mapping.
    let _ = memory::any_mapping(pid, |mapping| {
        if is_library(mapping) {
            libraries.insert(mapping.path.clone(), mapping.start);
        } else if mapping.perms.contains('x') && Path::new(&mapping.path) == program {
            programs.insert(mapping.path.clone(), mapping.start);
        }
        false
    });
    let found = if libraries.is_empty() { programs } else { libraries };
    let open = |start| {
        let opened = open_mapped(pid, start).map_err(|error| error.to_string());
        let file = opened.inspect_err(|error| tracing::debug!("{pid}: {error}")).ok()?;
        let metadata = file.metadata().ok()?;
        Some(((metadata.dev(), metadata.ino()), file))
    };
    found.into_values().filter_map(open).collect()
}

/// A path that leads to an open file, wherever it lies.
fn path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn is_library(mapping: &Mapping) -> bool {
    let name = mapping.path.rsplit('/').next().unwrap_or_default();
    let starts =
        ["libc.so.", "libc-2.", "libpthread.so.", "libpthread-2.", "ld-musl-", "libc.musl"];
    mapping.perms.contains('x') && starts.iter().any(|start| name.starts_with(start))
}

/// Where a kernel with probes says so, below `/` (`perf_uprobe`, `kernel/events/core.c`, Linux 6.18).
pub(crate) const PROBE_TYPE: &str = "sys/bus/event_source/devices/uprobe/type";

/// Fails where there are no probes, or where they are refused for want of privilege: a trace that was
/// asked for them is not to go on without. Root needs no trial, which takes a tenth of a second.
///
/// # Errors
/// [`Error::Refused`] and [`Error::Privilege`].
pub(crate) fn check(ebpf: &mut Ebpf) -> Result<(), Error> {
    if !Path::new("/").join(PROBE_TYPE).exists() {
        return Err(Error::Refused {
            what: "the probes of --locks".into(),
            cause: "it has none (no CONFIG_UPROBE_EVENTS, or /sys is not mounted)".into(),
            remedy: "leave --locks out",
        });
    }
    if privilege::has(Capability::CAP_SYS_ADMIN) {
        return Ok(());
    }
    attempt(ebpf).map_err(|error| {
        tracing::debug!("probing this process: {error}");
        let missing = Capability::CAP_SYS_ADMIN.to_string();
        privilege::lacking(missing, "for the probes of --locks", ", or leave out --locks")
    })
}

/// Probes the end of a lock in this process and ends that at once. The programs must be
/// [loaded](load).
///
/// # Errors
/// Why it cannot be done.
pub(crate) fn attempt(ebpf: &mut Ebpf) -> Result<(), String> {
    let own = std::process::id();
    let mut found = libraries(own).into_iter().filter_map(|(_, library)| {
        let functions = functions(&library, &|name| MEASURED.contains(&name))?;
        Some((library, *functions.release.first()?))
    });
    let (library, offset) = found.next().ok_or("this program has no lock function to try it on")?;
    let scope = NonZeroU32::new(own).map_or(UProbeScope::CallingProcess, UProbeScope::OneProcess);
    let program = program(ebpf, LEAVE)?;
    let place = UProbeAttachLocation::AbsoluteOffset(offset);
    let link = program.attach(place, path(&library), scope).map_err(|error| causes(&error))?;
    program.detach(link).map_err(|error| causes(&error))
}

/// What a pair of taking and releasing a lock costs under the probes, measured on this process:
/// ns without and with. `None` where it cannot be measured.
pub fn price(probes: &LockProbes) -> Option<(u64, u64)> {
    let own = std::process::id();
    let without = pair_ns();
    probes.order(Order::Measure);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn this_process_has_a_library_with_lock_functions() {
        let found = libraries(std::process::id());
        let functions: Vec<_> =
            found.iter().filter_map(|(_, file)| functions(file, &|_| true)).collect();
        assert!(
            functions
                .iter()
                .any(|f| f.take.len() == TAKE.len() && f.release.len() == RELEASE.len())
        );
    }

    #[test]
    fn files_that_are_no_libraries_have_none() {
        let status = File::open("/proc/self/status").unwrap();
        assert_eq!(functions(&status, &|_| true), None);
        assert!(libraries(u32::MAX).is_empty());
    }

    #[test]
    fn libraries_are_told_by_name() {
        let mapping = |path: &str, perms: &str| Mapping {
            path: path.into(),
            perms: perms.into(),
            ..Mapping::default()
        };
        for path in ["/usr/lib/libc.so.6", "/lib/ld-musl-x86_64.so.1", "/lib/libpthread-2.31.so"] {
            assert!(is_library(&mapping(path, "r-xp")), "{path}");
        }
        assert!(!is_library(&mapping("/usr/lib/libc.so.6", "r--p")));
        assert!(!is_library(&mapping("/usr/lib/libcap.so.2", "r-xp")));
        assert!(!is_library(&mapping("/tmp/libc.so.6/x", "r-xp")));
    }
}
