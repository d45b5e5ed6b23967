//! Which processes there are.
//!
//! Processes come and go while `/proc` is read: one that is gone is left out, and one that was made
//! meanwhile may be missing. Whoever must miss none watches forks first and scans then.

use std::collections::{BTreeSet, HashMap};

use procfs::{FromRead, process::Stat};

use super::{
    Error, Result,
    proc_text::{self, Status},
};
use forktrace_model::event::{Body, Event, ProcessOwner, ProcessSnapshot, Task, ThreadName};

/// A task of the kernel itself: `PF_KTHREAD`, `include/linux/sched.h`, Linux 6.18.
const PF_KTHREAD: u32 = 0x0020_0000;
/// A task on its way out: `PF_EXITING`, `include/linux/sched.h`. Set before the exit tracepoint
/// (`do_exit`, `kernel/exit.c`, Linux 6.18), so that a task whose end was told never looks alive.
const PF_EXITING: u32 = 0x4;
/// A process that was forked and has not run another program: `PF_FORKNOEXEC`, `include/linux/sched.h`.
const PF_FORKNOEXEC: u32 = 0x40;
/// Most bytes of a `stat`, which is one line.
const MAX_STAT: u64 = 4096;
const NS_PER_S: u64 = 1_000_000_000;

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A living process.
    Process,
    /// A thread of a process, other than its first.
    Thread,
    /// A task of the kernel itself.
    Kernel,
    /// Nothing, or a process that has ended.
    Gone,
}

/// What `pid` stands for.
pub fn kind(pid: u32) -> Kind {
    let Ok(stat) = stat(pid) else { return Kind::Gone };
    // `/proc` lists processes only, but opens threads' numbers too.
    let listed = proc_text::numbers(0, "").is_ok_and(|pids| pids.binary_search(&pid).is_ok());
    match listed {
        _ if stat.flags & PF_KTHREAD != 0 => Kind::Kernel,
        false => Kind::Thread,
        true if has_ended(pid, &stat) => Kind::Gone,
        true => Kind::Process,
    }
}

/// A leader that has ended shows as a zombie, but its process lives on with its other threads.
pub(super) fn has_ended(pid: u32, stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X')
        && proc_text::numbers(pid, &format!("{pid}/task")).is_ok_and(|tids| tids.len() < 2)
}

/// Whether a process was forked and runs what its parent ran, as far as is known.
pub(super) fn is_forked(pid: u32) -> bool {
    stat(pid).is_ok_and(|stat| stat.flags & PF_FORKNOEXEC != 0)
}

/// The number of a process's parent; `None`: it is gone.
pub fn parent(pid: u32) -> Option<u32> {
    u32::try_from(stat(pid).ok()?.ppid).ok()
}

/// Whether a process has this number and is not about to end: after the end of another, the number was
/// given away again.
pub fn lives(pid: u32) -> bool {
    goes_on(pid, &format!("{pid}/stat"))
}

/// The same of a thread. One that has ended stays listed for as long as its parent takes no notice.
pub fn thread_lives(pid: u32, tid: u32) -> bool {
    goes_on(pid, &format!("{pid}/task/{tid}/stat"))
}

/// Whether a task is not about to end, by its `stat`.
fn goes_on(pid: u32, stat: &str) -> bool {
    let flags = proc_text::small(pid, stat).ok().and_then(|text| flags_in(&text));
    flags.is_some_and(|flags| flags & PF_EXITING == 0)
}

/// A thread and its name, unless it has ended or is about to.
fn living_thread(pid: u32, tid: u32) -> Option<ThreadName> {
    let lives = thread_lives(pid, tid);
    let comm = proc_text::comm(pid, tid).ok()?;
    lives.then_some(ThreadName { tid, comm })
}

/// A task's flags, from its `stat`. The name is in brackets and may hold any character; the numbers
/// begin after its end. The seventh is `flags` (proc(5)).
pub(super) fn flags_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(6)?.parse().ok()
}

/// What `/proc` shows of a process now, as an event at `boot_ns` (`CLOCK_BOOTTIME`, ns). `resync`:
/// it is looked at again because events were lost.
pub fn snapshot(pid: u32, boot_ns: u64, resync: bool) -> Result<Event> {
    let stat = stat(pid)?;
    if has_ended(pid, &stat) {
        return Err(Error::Gone { pid });
    }
    let tids = proc_text::numbers(pid, &format!("{pid}/task"))?;
    let threads: Vec<_> = tids.into_iter().filter_map(|tid| living_thread(pid, tid)).collect();
    if threads.is_empty() {
        return Err(Error::Gone { pid });
    }
    let comm = proc_text::comm(pid, pid)?;
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let snapshot = ProcessSnapshot {
        ppid: u32::try_from(stat.ppid).unwrap_or_default(),
        start_ns: ticks_to_ns(stat.starttime, procfs::ticks_per_second()),
        exe: exe.map(|path| path.to_string_lossy().into_owned()),
        ns_pid: ns_pid(pid),
        threads,
        resync,
        read_ns: crate::clock::boot_ns(),
        command: false,
        uid: proc_text::uid(pid),
        cgroup: proc_text::cgroup(pid),
        known: None,
    };
    Ok(Event {
        boot_ns,
        task: Some(Task { pid, tid: pid, comm }),
        body: Body::ProcessSnapshot(snapshot),
    })
}

/// To whom a process belongs now; empty if it has ended.
pub fn owner(pid: u32) -> ProcessOwner {
    ProcessOwner { uid: proc_text::uid(pid), cgroup: proc_text::cgroup(pid) }
}

/// Whether a process runs a 32-bit program. In its auxiliary vector the second word of four bytes is
/// a value, and that of a 64-bit program the upper, empty half of a type (`create_elf_tables`,
/// `fs/binfmt_elf.c`, Linux 6.18).
pub fn runs_32_bit_program(pid: u32) -> bool {
    let vector = proc_text::bytes(pid, &format!("{pid}/auxv"), 8).unwrap_or_default();
    matches!(vector.as_slice(), [_, _, _, _, upper @ ..] if upper.len() == 4 && upper != [0; 4])
}

/// The pid inside the process's own pid namespace, where that differs.
pub fn ns_pid(pid: u32) -> Option<u32> {
    Status::of(pid, pid).ok()?.ns_id.filter(|ns_pid| *ns_pid != pid)
}

/// All processes, in the order of their pids. Threads of the kernel are left out.
pub fn all() -> Result<Vec<u32>> {
    Ok(processes()?.into_iter().map(|(pid, _)| pid).collect())
}

/// Those of `roots` that are alive, and all their descendants, each once: parents come before
/// their children.
pub fn tree(roots: &[u32]) -> Result<Vec<u32>> {
    let processes = processes()?;
    let alive: BTreeSet<u32> = processes.iter().map(|(pid, _)| *pid).collect();
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, parent) in processes {
        children.entry(parent).or_default().push(pid);
    }
    let roots = roots.iter().copied().filter(|root| alive.contains(root));
    Ok(closure(roots, &children))
}

/// `roots` and everything below them, breadth first.
fn closure(roots: impl Iterator<Item = u32>, children: &HashMap<u32, Vec<u32>>) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    let mut found: Vec<u32> = roots.filter(|root| seen.insert(*root)).collect();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        let below = children.get(&pid).map(Vec::as_slice).unwrap_or_default();
        found.extend(below.iter().copied().filter(|child| seen.insert(*child)));
    }
    found
}

/// The kernel's own tasks, each with its parent; none where `/proc` is of another pid namespace.
pub fn kernel_tasks() -> Result<Vec<(u32, u32)>> {
    with_parents(true)
}

/// Every process with its parent.
fn processes() -> Result<Vec<(u32, u32)>> {
    with_parents(false)
}

fn with_parents(kernel: bool) -> Result<Vec<(u32, u32)>> {
    let pids = proc_text::numbers(0, "")?;
    let parent = |pid| {
        let stat = stat(pid).ok().filter(|stat| (stat.flags & PF_KTHREAD != 0) == kernel)?;
        Some((pid, u32::try_from(stat.ppid).ok()?))
    };
    Ok(pids.into_iter().filter_map(parent).collect())
}

/// A process's `stat`.
pub(super) fn stat(pid: u32) -> Result<Stat> {
    stat_at(pid, &format!("{pid}/stat"))
}

/// The start of a process on `CLOCK_BOOTTIME`, ns, exact to one clock tick; `None`: it is gone.
pub fn start_ns(pid: u32) -> Option<u64> {
    thread_start_ns(pid, pid).ok()
}

/// The start of a thread on `CLOCK_BOOTTIME`, ns, exact to one clock tick.
pub(super) fn thread_start_ns(pid: u32, tid: u32) -> Result<u64> {
    let stat = stat_at(pid, &format!("{pid}/task/{tid}/stat"))?;
    Ok(ticks_to_ns(stat.starttime, procfs::ticks_per_second()))
}

fn stat_at(pid: u32, path: &str) -> Result<Stat> {
    let bytes = proc_text::bytes(pid, path, MAX_STAT)?;
    let source = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    stat_in(&bytes).ok_or_else(|| Error::Io { pid, what: "stat", source: source() })
}

/// What a `stat` tells. procfs takes for granted that it is a number and a name in brackets, with
/// blanks around, and then something.
pub(super) fn stat_in(bytes: &[u8]) -> Option<Stat> {
    let first = bytes.iter().position(|byte| *byte == b'(')?;
    let last = bytes.iter().rposition(|byte| *byte == b')').filter(|last| *last > first)?;
    let after = bytes.get(last + 1..last + 3)?;
    let (blank, number) = bytes.get(..first)?.split_last()?;
    let framed = *blank == b' '
        && number.first().is_some_and(u8::is_ascii_digit)
        && after.first() == Some(&b' ')
        && after.last().is_some_and(u8::is_ascii_graphic);
    if framed { Stat::from_read(bytes).ok() } else { None }
}

fn ticks_to_ns(ticks: u64, per_second: u64) -> u64 {
    let ns = u128::from(ticks) * u128::from(NS_PER_S) / u128::from(per_second.max(1));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::process::{Child, Command, Stdio};

    use super::*;

    fn sleeping() -> Child {
        let shell = "sleep 60 & wait";
        Command::new("sh").args(["-c", shell]).stdin(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_snapshot_of_this_process() {
        let me = std::process::id();
        let event = snapshot(me, 77, false).unwrap();
        assert_eq!(event.boot_ns, 77);
        let task = event.task.unwrap();
        assert_eq!((task.pid, task.tid), (me, me));
        let Body::ProcessSnapshot(seen) = event.body else { panic!("another body") };
        assert_eq!(seen.ppid, std::os::unix::process::parent_id());
        assert_eq!(seen.exe.as_deref(), std::env::current_exe().unwrap().to_str());
        assert!(seen.threads.iter().any(|thread| thread.tid == me && thread.comm == task.comm));
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap();
        let now = u64::try_from(now.tv_sec()).unwrap() * NS_PER_S;
        assert!(seen.start_ns > 0 && seen.start_ns < now + NS_PER_S);
    }

    #[test]
    fn the_tree_below_a_process() {
        let mut shell = sleeping();
        let pid = shell.id();
        let mut found = Vec::new();
        for _ in 0..1000 {
            found = tree(&[pid, pid]).unwrap();
            if found.len() == 2 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], pid);
        assert_eq!((kind(pid), kind(u32::MAX)), (Kind::Process, Kind::Gone));
        assert!(tree(&[std::process::id()]).unwrap().contains(&found[1]));
        let all = all().unwrap();
        assert!(all.contains(&pid) && all.contains(&found[1]));

        let sleeper = nix::unistd::Pid::from_raw(i32::try_from(found[1]).unwrap());
        nix::sys::signal::kill(sleeper, nix::sys::signal::Signal::SIGTERM).unwrap();
        shell.wait().unwrap();
        assert!(matches!(snapshot(pid, 0, false), Err(Error::Gone { .. })));
        assert_eq!(tree(&[pid]).unwrap(), Vec::<u32>::new());
        assert_eq!(kind(pid), Kind::Gone);
    }

    #[test]
    fn threads_of_the_kernel_are_left_out() {
        // Pid 2 is kthreadd in the initial pid namespace and somebody's process in another.
        let kernel = std::fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm == "kthreadd\n");
        assert!(!kernel || !all().unwrap().contains(&2));
        assert!(!kernel || kind(2) == Kind::Kernel);
        assert_eq!(kernel, kernel_tasks().unwrap().contains(&(2, 0)));
    }

    #[test]
    fn loops_end() {
        // A pid that was used again while `/proc` was read can close a loop.
        let children = HashMap::from([(1, vec![2, 3]), (2, vec![1]), (3, vec![3])]);
        assert_eq!(closure([1, 1, 9].into_iter(), &children), [1, 9, 2, 3]);
    }

    #[test]
    fn ticks() {
        assert_eq!(ticks_to_ns(123, 100), 1_230_000_000);
        assert_eq!(ticks_to_ns(u64::MAX, 100), u64::MAX);
        assert_eq!(ticks_to_ns(5, 0), 5 * NS_PER_S);
    }
}
