//! Loading and attaching the programs.

use std::{collections::BTreeMap, sync::Arc};

use aya::{
    Ebpf, EbpfLoader,
    programs::{
        PerfEvent, Program, ProgramError, ProgramType, RawTracePoint, TracePoint,
        perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
    sys::{BpfHelper, is_helper_supported},
    util::online_cpus,
};
use aya_log::EbpfLogger;
use forktrace_common::{
    config::{CONFIG_GLOBAL, Config, NO_FIELD, Offsets},
    file_lock::LockOffsets,
    maps::{
        AREA, AREA_PAGES, CHUNKS, EVENTS, FREE, FREE_BEYOND, HINT_CHUNK, OWNERS, PAGE_SIZE, PLACES,
        RISK_HINTS, SNAPSHOTS, TAILS, TRACED_HINTS, WAIT_HINTS,
    },
    socket::{FORK_FAMILY, SocketOffsets},
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use zerocopy::IntoBytes as _;

use super::{
    Error, allocator,
    btf::Described,
    cleaner::Leavings,
    error::{causes, refused},
    file_locks::{self, FILE_LOCKS},
    fork_records::ForkRecords,
    lock_probes::{self, LockProbes},
    maps::Maps,
    privilege::{self, Later},
    registers::Visitor,
    ring::Ring,
    sockets::{self, SOCKETS},
    tracefs::Tracefs,
};
use crate::arch::page_size;

/// The programs, built from `forktrace-ebpf` by `cargo xtask ebpf`: they know the registers of one
/// processor. On one that has none of its own nothing is loaded, see [`crate::arch::check_host`].
#[cfg(target_arch = "aarch64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("forktrace-aarch64.bpf.o");
#[cfg(not(target_arch = "aarch64"))]
static OBJECT: &[u8] = aya::include_bytes_aligned!("forktrace-x86_64.bpf.o");

/// Program and tracepoint. These must exist. Each has another program, for the raw tracepoint of the same
/// name, see `forktrace-ebpf/src/task.rs`.
pub(crate) const REQUIRED: [(&str, &str); 4] = [
    ("task_newtask", "task/task_newtask"),
    ("sched_process_fork", "sched/sched_process_fork"),
    ("sched_process_exec", "sched/sched_process_exec"),
    ("sched_process_exit", "sched/sched_process_exit"),
];

/// These see each wait and wake. With the first of them attached every system call of every process
/// becomes slower: the kernel then enters all of them the slow way (`syscall_enter_from_user_mode`,
/// `include/linux/entry-common.h`, Linux 6.18).
pub(crate) const FUTEX: [(&str, &str); 2] = [
    ("sys_enter_futex", "syscalls/sys_enter_futex"),
    ("sys_exit_futex", "syscalls/sys_exit_futex"),
];

/// The same for system calls that not every kernel has.
pub(crate) const NEWER_FUTEX: [(&str, &str); 6] = [
    ("sys_enter_futex_wait", "syscalls/sys_enter_futex_wait"),
    ("sys_exit_futex", "syscalls/sys_exit_futex_wait"),
    ("sys_enter_futex_waitv", "syscalls/sys_enter_futex_waitv"),
    ("sys_exit_futex", "syscalls/sys_exit_futex_waitv"),
    ("sys_enter_futex_wake", "syscalls/sys_enter_futex_wake"),
    ("sys_enter_futex_requeue", "syscalls/sys_enter_futex_requeue"),
];

/// The times of forks, which probes on lock functions are compared with. Not every architecture has
/// every one.
pub(crate) const FORKS: [(&str, &str); 3] = [
    ("sys_enter_clone", "syscalls/sys_enter_clone"),
    ("sys_enter_clone", "syscalls/sys_enter_clone3"),
    ("sys_enter_clone", "syscalls/sys_enter_fork"),
];

/// The fork-time snapshot uses both, if the kernel has them (`crate::arch`); its programs are on the raw
/// tracepoints of these names.
pub(crate) const FAULTS: [(&str, &str); 2] = [
    ("page_fault_user", "exceptions/page_fault_user"),
    ("page_fault_kernel", "exceptions/page_fault_kernel"),
];

/// What it uses elsewhere: a program that runs at every page fault that the kernel counts.
const FAULT_EVENT: &str = "page_fault_event";

/// Bytes of the ring buffer: forks, execs and ends of some seconds of a storm. It counts twice as resident
/// memory, for it is mapped twice, so that each record is in one piece (`bpf_ringbuf_area_alloc`,
/// `kernel/bpf/ringbuf.c`, Linux 6.18).
const RING: u32 = 4 << 20;
/// The same, where waits and wakes are seen, too.
const RING_OF_CALLS: u32 = 16 << 20;

/// The most pages of the total limit that one child may take, as a fraction.
const CHILD_SHARE: u64 = 8;

/// What to trace and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Trace every process of the host.
    pub trace_all: bool,
    /// Trace the children of traced processes.
    pub follow: bool,
    /// Waits shorter than this many ns cost no event.
    pub min_wait_ns: u64,
    /// Make an event of every wait and wake.
    pub stream: bool,
    /// Keep pages as children inherit them.
    pub snapshots: bool,
    /// Use the kernel's count of page faults even where there are tracepoints for them.
    pub fault_events: bool,
    /// Probe the lock functions of traced processes.
    pub locks: bool,
    /// Attach nothing to system calls: no wait and no wake is seen.
    pub lean: bool,
    /// The most bytes of pages kept in all.
    pub snapshot_limit: u64,
    /// Bytes of the ring buffer, rounded up to a power of two; `None`: enough for what is seen.
    pub ring_bytes: Option<u32>,
    /// Other numbers of entries for some of the tables, by name ([`forktrace_common::maps`]).
    pub table_sizes: Vec<(String, u32)>,
    /// Have the programs tell about themselves (through the `log` crate).
    pub diagnostics: bool,
    /// Hangs that are older than the trace are to be judged too.
    pub late: bool,
    /// Files are to be made while the trace goes on, perhaps in folders of others.
    pub new_files: bool,
}

impl Options {
    fn later(&self) -> Later {
        Later { late: self.late, locks: self.locks, new_files: self.new_files }
    }
}

/// The loaded and attached programs. Dropping it detaches everything: nothing is pinned.
pub struct Kernel {
    /// Access to the maps.
    pub maps: Maps,
    /// What the programs keep of forked children.
    pub records: Arc<ForkRecords>,
    /// The programs' own diagnostics, if asked for.
    pub diagnostics: Option<EbpfLogger<&'static dyn log::Log>>,
    /// Reads registers of tasks that are inside the kernel.
    pub registers: Visitor,
    /// Offsets in use, by `category/tracepoint.field`.
    pub offsets: BTreeMap<String, u32>,
    /// Whether pages are kept: wanted, and possible on this kernel.
    pub snapshots: bool,
    /// Whether it is seen who uses a connection.
    pub connections: bool,
    /// Whether it is seen who acts on a lock on a file.
    pub file_locks: bool,
    /// Whether the exit tracepoint tells a process's last thread (from 6.16). Otherwise ended
    /// processes are to be forgotten by [`Maps::forget`].
    pub exit_tells_last_thread: bool,
    /// Whether no wait and no wake is seen ([`Options::lean`]).
    pub lean: bool,
    /// The probes on lock functions, if asked for.
    pub locks: Option<LockProbes>,
    /// Keeps the programs attached, unless the probes have taken it over.
    _ebpf: Option<Ebpf>,
}

impl Kernel {
    /// Ends the probes of a process that has ended. Without `--locks`, nothing happens.
    pub fn forget_locks(&mut self, pid: u32) {
        if let Some(locks) = &self.locks {
            locks.detach(pid);
            self.maps.forget_locks(pid);
        }
    }
}

/// Loads and attaches the programs, and gives up the privilege that this took: in this thread and
/// those that are made from here on.
///
/// # Errors
/// Every failure is an [`Error`] whose message names the cause and the remedy.
pub(crate) fn load(options: &Options) -> Result<(Kernel, Ring), Error> {
    privilege::check()?;
    allocator::tame_heaps();
    // Privilege is given up on the way.
    let memory = privilege::Limit::now();
    let (options, later) = (options.clone(), options.later());
    let loaded = with_tracefs(move |tracefs| load_here(&options, tracefs))
        .flatten()
        .map_err(|error| privilege::explained(error, memory))?;
    // The loading may have been done by another thread.
    later.settle();
    allocator::give_back();
    Ok(loaded)
}

/// Does something that needs tracefs.
pub(crate) fn with_tracefs<T: Send + 'static>(
    work: impl FnOnce(&Tracefs) -> T + Send + 'static,
) -> Result<T, Error> {
    if let Some(tracefs) = Tracefs::find() {
        return Ok(work(&tracefs));
    }
    // Mounting tracefs for everybody is not ours to do. A thread with a mount namespace of its own
    // can have it mounted just while it loads; the attached programs do not need it any more.
    let thread = std::thread::spawn(move || {
        mount_privately().map_err(|cause| Error::Tracefs { cause: cause.to_string() })?;
        let tracefs = Tracefs::find()
            .ok_or_else(|| Error::Tracefs { cause: "/sys/kernel/tracing is empty".into() })?;
        Ok(work(&tracefs))
    });
    thread.join().unwrap_or_else(|_| Err(Error::Tracefs { cause: "the loader failed".into() }))
}

fn mount_privately() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    mount(Some("tracefs"), "/sys/kernel/tracing", Some("tracefs"), MsFlags::empty(), nothing)
}

/// Where this kernel's structures have what optional programs read; `None`: it does not say.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) sockets: Option<SocketOffsets>,
    pub(crate) file_locks: Option<LockOffsets>,
}

impl Fields {
    /// As the running kernel describes itself, which is read once for all of them.
    pub(crate) fn of_this_kernel() -> Self {
        let described = Described::open();
        let Some(types) = described.as_ref().and_then(Described::types) else {
            return Fields::default();
        };
        Fields { sockets: sockets::offsets(&types), file_locks: file_locks::offsets(&types) }
    }
}

fn load_here(options: &Options, tracefs: &Tracefs) -> Result<(Kernel, Ring), Error> {
    let _lifted = privilege::MemoryLock::lift();
    let (offsets, named) = tracefs.offsets(!options.lean)?;
    let tracepoints = FAULTS.iter().all(|(_, event)| tracefs.has(event)) && !options.fault_events;
    let registers = shows_registers();
    let fields = Fields::of_this_kernel();
    let (sockets, locks_on_files) = (fields.sockets.filter(|_| registers), fields.file_locks);
    let shown = Shown { registers, sockets, file_locks: locks_on_files };
    let mut ebpf = load_object(options, offsets, options.snapshots, shown)?;
    // There are places for pages before a program looks for one.
    let leavings = Leavings::open(&ebpf)?;
    let newer = NEWER_FUTEX.iter().filter(|(_, event)| tracefs.has(event));
    let futex = FUTEX.iter().chain(newer).filter(|_| !options.lean);
    let forks = FORKS.iter().filter(|(_, event)| options.locks && tracefs.has(event));
    let raw = offsets.task_pid != NO_FIELD && offsets.binprm_filename != NO_FIELD;
    for (program, event) in REQUIRED {
        match raw {
            true => attach_raw(&mut ebpf, &format!("raw_{program}"), event)?,
            false => attach(&mut ebpf, program, event)?,
        }
    }
    for (program, event) in futex.chain(forks) {
        attach(&mut ebpf, program, event)?;
    }
    let snapshots = options.snapshots && attach_faults(&mut ebpf, tracepoints)?;
    let mut follows = |programs, what| attach_optional(&mut ebpf, tracefs, programs, what);
    let connections = follows(&SOCKETS, (sockets.is_some(), "uses of sockets"));
    let file_locks = follows(&FILE_LOCKS, (locks_on_files.is_some(), "locks on files"));
    let diagnostics = match options.diagnostics {
        true => EbpfLogger::init(&mut ebpf).ok(),
        false => None,
    };
    let registers = Visitor::load(&mut ebpf, registers);
    if options.locks {
        lock_probes::load(&mut ebpf)?;
        lock_probes::check(&mut ebpf)?;
    }
    // Before threads are made, each of which would have to do it for itself.
    options.later().settle();
    let ring = Ring::take(&mut ebpf)?;
    let records = Arc::new(ForkRecords::open(&ebpf, (snapshots, !tracepoints), !options.lean)?);
    let maps = Maps::take(&mut ebpf, leavings, !options.lean)?;
    let exit_tells_last_thread = offsets.exit_group_dead != NO_FIELD;
    let (locks, ebpf) = match options.locks {
        true => (Some(LockProbes::start(ebpf, options.trace_all)), None),
        false => (None, Some(ebpf)),
    };
    let kernel = Kernel {
        maps,
        records,
        diagnostics,
        registers,
        offsets: named,
        snapshots,
        connections,
        file_locks,
        exit_tells_last_thread,
        lean: options.lean,
        locks,
        _ebpf: ebpf,
    };
    Ok((kernel, ring))
}

/// Loads the programs of `--locks` and probes a function of this process, for as long as it takes.
///
/// # Errors
/// Why that cannot be done, in a few words.
pub(crate) fn try_lock_probes(options: &Options) -> Result<(), String> {
    let _lifted = privilege::MemoryLock::lift();
    let survey = with_tracefs(|tracefs| tracefs.survey()).map_err(|error| error.to_string())?;
    let shown = Shown { registers: shows_registers(), sockets: None, file_locks: None };
    let mut ebpf =
        load_object(options, survey.offsets, false, shown).map_err(|error| error.to_string())?;
    lock_probes::load(&mut ebpf).map_err(|error| error.to_string())?;
    lock_probes::attempt(&mut ebpf)
}

/// Whether programs may see the registers of a task (from 5.15).
fn shows_registers() -> bool {
    let helper = BpfHelper::BPF_FUNC_task_pt_regs;
    is_helper_supported(ProgramType::TracePoint, helper).unwrap_or(false)
}

/// What the kernel shows to programs.
#[derive(Clone, Copy)]
struct Shown {
    /// The registers of a task.
    registers: bool,
    /// The fields of a socket.
    sockets: Option<SocketOffsets>,
    /// The fields of a lock on a file.
    file_locks: Option<LockOffsets>,
}

fn load_object(
    options: &Options,
    offsets: Offsets,
    snapshots: bool,
    shown: Shown,
) -> Result<Ebpf, Error> {
    let pages = (options.snapshot_limit / PAGE_SIZE as u64).clamp(1, 1 << 24) as u32;
    let config = Config {
        min_wait_ns: options.min_wait_ns,
        self_tgid: std::process::id(),
        trace_all: options.trace_all.into(),
        follow: options.follow.into(),
        stream: options.stream.into(),
        snapshots: snapshots.into(),
        child_page_cap: (u64::from(pages) / CHILD_SHARE).max(1) as u32,
        registers: shown.registers.into(),
        locks: options.locks.into(),
        offsets,
        sockets: shown.sockets.unwrap_or_default(),
        file_locks: shown.file_locks.unwrap_or_default(),
    };
    let usual = if options.lean { RING } else { RING_OF_CALLS };
    let ring_bytes = options.ring_bytes.unwrap_or(usual);
    let log_level = if options.diagnostics { u8::MAX } else { 0 };
    let mut loader = EbpfLoader::new();
    // The programs know the kernel's structures by their configuration; to read its whole description
    // takes some 30 ms and 18 MiB.
    loader.btf(None);
    for hints in [TRACED_HINTS, WAIT_HINTS, RISK_HINTS, FORK_FAMILY] {
        loader.map_max_entries(hints, hint_chunks());
    }
    loader
        .override_global(CONFIG_GLOBAL, config.as_bytes(), true)
        .override_global(aya_log::LEVEL, &log_level, true)
        .map_max_entries(EVENTS, ring_bytes.max(page_size() as u32).next_power_of_two())
        .map_max_entries(AREA, pages.min(AREA_PAGES).next_multiple_of(PLACES))
        .map_max_entries(FREE, pages.min(AREA_PAGES).div_ceil(PLACES))
        .map_max_entries(SNAPSHOTS, pages.saturating_sub(AREA_PAGES).max(1))
        .map_max_entries(TAILS, pages.saturating_sub(AREA_PAGES).max(1));
    // As many for the writes of those who fork.
    let chunks = pages.div_ceil(PLACES).saturating_mul(2);
    for table in [OWNERS, FREE_BEYOND] {
        loader.map_max_entries(table, chunks);
    }
    loader.map_max_entries(CHUNKS, chunks.saturating_mul(PLACES));
    for (table, entries) in &options.table_sizes {
        loader.map_max_entries(table, *entries);
    }
    loader.load(OBJECT).map_err(|error| refused("its maps", &causes(&error)))
}

/// Entries of the arrays of hints: enough for every number that a task can have now.
fn hint_chunks() -> u32 {
    // What the largest is, if it cannot be read: `PID_MAX_LIMIT`, include/linux/threads.h, Linux 6.18.
    let most = procfs::sys::kernel::pid_max().ok().and_then(|most| u32::try_from(most).ok());
    most.unwrap_or(1 << 22).clamp(1, 1 << 22).div_ceil(HINT_CHUNK as u32)
}

fn attach(ebpf: &mut Ebpf, program: &str, event: &str) -> Result<(), Error> {
    let what = format!("the program for {event}");
    let (category, name) = event.split_once('/').unwrap_or(("", event));
    let program: &mut TracePoint = find(ebpf, program, &what)?;
    match program.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
        Err(error) => return Err(refused(&what, &error)),
    }
    program.attach(category, name).map(|_| ()).map_err(|error| refused(&what, &error))
}

/// Attaches what keeps pages; whether that can be done on this kernel.
fn attach_faults(ebpf: &mut Ebpf, tracepoints: bool) -> Result<bool, Error> {
    if tracepoints {
        for (program, event) in FAULTS {
            attach_raw(ebpf, program, event)?;
        }
        return Ok(true);
    }
    let program: &mut PerfEvent = find(ebpf, FAULT_EVENT, "the program for page faults")?;
    // Before 6.1 such programs may not use tables that grow (`check_map_prog_compatibility`,
    // kernel/bpf/verifier.c).
    if let Err(error) = program.load() {
        tracing::debug!("the program for page faults: {error}");
        return Ok(false);
    }
    let refuse = |error: &dyn std::fmt::Display| refused("a count of page faults", error);
    for cpu in online_cpus().map_err(|(what, error)| refuse(&format!("{what}: {error}")))? {
        let event = PerfEventConfig::Software(SoftwareEvent::PageFaults);
        let scope = PerfEventScope::AllProcessesOneCpu { cpu };
        program
            .attach(event, scope, SamplePolicy::Period(1), false)
            .map_err(|error| refuse(&error))?;
    }
    Ok(true)
}

fn attach_raw(ebpf: &mut Ebpf, program: &str, event: &str) -> Result<(), Error> {
    let what = format!("the program for {event}");
    let (_, name) = event.split_once('/').unwrap_or(("", event));
    let program: &mut RawTracePoint = find(ebpf, program, &what)?;
    program.load().map_err(|error| refused(&what, &error))?;
    program.attach(name).map(|_| ()).map_err(|error| refused(&what, &error))
}

/// Attaches programs that the rest does without; false: this kernel lacks something that they need, or refuses
/// them. `possible`: it says where its structures have their fields. `what`: what is missed then.
fn attach_optional(
    ebpf: &mut Ebpf,
    tracefs: &Tracefs,
    programs: &[(&str, &str)],
    (possible, what): (bool, &str),
) -> bool {
    if !possible || !programs.iter().all(|(_, event)| tracefs.has(event)) {
        return false;
    }
    programs.iter().all(|(program, event)| {
        let attached = attach_raw(ebpf, program, event);
        if let Err(error) = &attached {
            tracing::debug!("{what} are not followed: {error}");
        }
        attached.is_ok()
    })
}

/// A program of the object, as what it must be.
fn find<'a, P>(ebpf: &'a mut Ebpf, name: &str, what: &str) -> Result<&'a mut P, Error>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name);
    let program = program.ok_or_else(|| refused(what, &"the object has no such program"))?;
    program.try_into().map_err(|error| refused(what, &error))
}
