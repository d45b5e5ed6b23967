//! Native stacks without stopping anything: where a thread waits, where its process was forked, who
//! holds the lock and what the lock is called.
//!
//! A blocked thread does not change its stack or its registers. Both are read while it is blocked;
//! that it was at the same place before and after says that they belong together. What is asked for
//! is read once, when a wait is about to become a finding.

pub(super) mod image;
mod kept;
mod space;
pub(super) mod symbols;
mod unwind;

use std::collections::BTreeMap;

use blazesym::symbolize::Symbolizer;
use forktrace_common::maps::{PAGE_SIZE, Registers};
use procfs::{FromRead as _, process::Syscall};

use self::{space::Space, symbols::Depth, unwind::Walk};
use super::{memory, proc_text, threads, timeout::Readers};
use forktrace_model::event::{
    Missing, Task, ThreadName, ThreadSample, Window,
    stacks::{Fate, NativeStacks, Place, Stack, TaskNow, ThreadBeside},
};

/// What the kernel side tells of a task's registers.
pub trait TaskRegisters {
    /// Registers of tasks that are inside the kernel, that of `tid` among them.
    ///
    /// # Errors
    /// Why there are none, in a few words.
    fn candidates(&self, tid: u32) -> Result<Vec<Registers>, String>;
}

/// What is known of the thread that forked a process, at the fork.
#[derive(Clone, Debug)]
pub struct ForkMoment {
    /// Its registers.
    pub registers: Registers,
    /// Pages of its stack as the child inherited them, by their first address.
    pub pages: BTreeMap<u64, Result<[u8; PAGE_SIZE], Missing>>,
}

/// What is to be read.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The waiting task.
    pub task: Task,
    /// The waiting process's threads.
    pub threads: Vec<u32>,
    /// Address of the futex word.
    pub uaddr: u64,
    /// Address of the lock.
    pub lock: u64,
    /// Where the calls that took the lock return to.
    pub takers: Vec<u64>,
    /// Where the probed calls that threads are in return to, by tid: on their stacks is an address of
    /// the kernel's instead.
    pub returns: BTreeMap<u32, u64>,
    /// Address and length of the memory to be read in the forking process too.
    pub around: Option<(u64, usize)>,
    /// The fork that made the process, or why it is not known.
    pub fork: Result<ForkMoment, String>,
    /// The forking process, where it still runs the program that it forked with.
    pub parent: Option<u32>,
    /// Whether it is known who had the lock at the fork.
    pub holder_is_named: bool,
    /// Its threads that may hold the lock, with their fates as far as they were told.
    pub holders: Vec<TaskNow>,
    /// Its threads whose names are to be read.
    pub lost: Vec<u32>,
    /// Other threads of the waiting process that may have the lock.
    pub beside: Vec<u32>,
}

impl Ask {
    /// Numbers of the threads of a sample.
    pub fn tids(threads: &[ThreadSample]) -> Vec<u32> {
        threads.iter().map(|thread| thread.tid).collect()
    }
}

static READERS: Readers = Readers::new();

/// Gives up the programs and libraries that are kept from one reading to the next.
pub fn forget_images() {
    kept::forget();
}

/// Reads it. Blocks its caller for up to some seconds: not for an async task.
pub fn read(ask: Ask, registers: impl TaskRegisters + Send + 'static) -> NativeStacks {
    let reader = move |tell: &mut dyn FnMut(Result<NativeStacks, String>)| {
        let mut look = StackRead::take(ask, &registers);
        // Names come from `symbols.rs`.
        let symbolizer = Symbolizer::builder().enable_demangling(false).build();
        // Debug information may be large: if it takes too long, the rest is already handed on.
        tell(Ok(look.named(&symbolizer, Depth::Symbols)));
        tell(Ok(look.named(&symbolizer, Depth::Lines)));
    };
    let answer = READERS.read("native-stacks", "its files could not be understood", reader);
    answer.unwrap_or_else(|why| NativeStacks {
        stack: Stack::missing(why.clone()),
        fork: Stack::missing(why),
        ..NativeStacks::default()
    })
}

/// Reads the stack of one blocked thread. Blocks its caller as [`read`] does.
pub fn of_thread(task: Task, registers: impl TaskRegisters + Send + 'static) -> Stack {
    let ask = Ask {
        threads: vec![task.tid],
        task,
        uaddr: 0,
        lock: 0,
        takers: Vec::new(),
        returns: BTreeMap::new(),
        around: None,
        fork: Err("it was not asked for".into()),
        parent: None,
        holder_is_named: false,
        lost: Vec::new(),
        beside: Vec::new(),
        holders: Vec::new(),
    };
    read(ask, registers).stack
}

/// Everything read, without names.
struct StackRead {
    space: Result<Space, String>,
    stack: Walk,
    fork: Walk,
    word: Option<Place>,
    lock: Option<Place>,
    takers: Walk,
    parent: Option<Space>,
    in_parent: Option<Window>,
    holders: Vec<(TaskNow, Walk)>,
    names: Vec<ThreadName>,
    beside: Vec<(u32, Walk)>,
}

impl StackRead {
    fn take(ask: Ask, registers: &dyn TaskRegisters) -> Self {
        let pid = ask.task.pid;
        let images = space::Images::default();
        let mut space = Space::of(pid, &images);
        let mut beside = Vec::new();
        let (stack, fork, [word, lock]) = match &mut space {
            Ok(space) => {
                let returns = |tid| ask.returns.get(&tid).copied();
                let walk = |space: &mut _, tid| stack(space, pid, tid, returns(tid), registers);
                let stack = walk(space, ask.task.tid);
                beside.extend(ask.beside.iter().map(|tid| (*tid, walk(space, *tid))));
                let fork = fork_stack(space, pid, ask.fork);
                let sp = |tid: &u32| Some((*tid, position(pid, *tid)?.1));
                let stacks: Vec<_> = ask.threads.iter().filter_map(sp).collect();
                (stack, fork, [ask.uaddr, ask.lock].map(|at| space.place(at, &stacks)))
            }
            Err(why) => (Walk::missing(why.clone()), Walk::missing(why.clone()), [None, None]),
        };
        let around = ask.parent.zip(ask.around);
        let in_parent = around.and_then(|(parent, (address, len))| {
            Some(Window { address, bytes: memory::read(parent, address, len).ok()? })
        });
        let mut parent = ask.parent.and_then(|parent| Space::of(parent, &images).ok());
        let holder = |mut now: TaskNow| match &mut parent {
            // Of an ancestor further up the code is not known to be where the parent has it.
            Some(parent) if now.fate == Fate::Alive && ask.parent == Some(now.pid) => {
                now.comm = proc_text::comm(now.pid, now.tid).ok().or(now.comm);
                now.doing = threads::doing(now.pid, now.tid);
                let returns = ask.returns.get(&now.tid).copied();
                let walk = self::stack(parent, now.pid, now.tid, returns, registers);
                (now, walk)
            }
            _ => (now, Walk::default()),
        };
        let holders = ask.holders.into_iter().map(holder).collect();
        let takers = Walk::calls(ask.takers);
        let name =
            |tid: u32| Some(ThreadName { tid, comm: proc_text::comm(ask.parent?, tid).ok()? });
        let names = ask.lost.into_iter().filter_map(name).collect();
        StackRead {
            space,
            stack,
            fork,
            word,
            lock,
            takers,
            parent,
            in_parent,
            holders,
            names,
            beside,
        }
    }

    fn named(&mut self, symbolizer: &Symbolizer, depth: Depth) -> NativeStacks {
        let name_of = |space: Option<&mut Space>, walk: &Walk, depth| match space {
            Some(space) => symbols::name(space, walk, symbolizer, depth),
            None => Stack { frames: Vec::new(), cut: walk.cut.clone() },
        };
        let name = |space: Option<&mut Space>, walk: &Walk| name_of(space, walk, depth);
        let holders = self.holders.iter().map(|(now, walk)| {
            let stack = name(self.parent.as_mut(), walk);
            TaskNow { stack, ..now.clone() }
        });
        // Names of functions suffice, and are read quickly.
        let beside = self.beside.iter().map(|(tid, walk)| {
            ThreadBeside::new(*tid, name_of(self.space.as_mut().ok(), walk, Depth::Symbols))
        });
        NativeStacks {
            holders: holders.collect(),
            names: self.names.clone(),
            beside: beside.collect(),
            stack: name(self.space.as_mut().ok(), &self.stack),
            fork: name(self.space.as_mut().ok(), &self.fork),
            // The child has inherited the code as well.
            takers: name(self.space.as_mut().ok(), &self.takers).frames,
            word: self.word.clone(),
            lock: self.lock.clone(),
            in_parent: self.in_parent.clone(),
        }
    }
}

/// Where a blocked thread is: its instruction and its stack pointer.
fn position(pid: u32, tid: u32) -> Option<(u64, u64)> {
    match Syscall::from_file(format!("/proc/{pid}/task/{tid}/syscall")).ok()? {
        Syscall::Blocked { stack_pointer, program_counter, .. } => {
            Some((program_counter, stack_pointer))
        }
        _ => None,
    }
}

/// The stack of a living thread, if it is blocked. `returns`: where the probed call that it is in
/// returns to.
fn stack(
    space: &mut Space,
    pid: u32,
    tid: u32,
    returns: Option<u64>,
    source: &dyn TaskRegisters,
) -> Walk {
    let Some((ip, sp)) = position(pid, tid) else {
        return Walk::missing("the thread runs or is gone");
    };
    let (start, poor) = match choose(source.candidates(tid), ip, sp) {
        Ok(registers) => (registers, None),
        Err(why) => (Registers { ip, sp, ..Registers::default() }, Some(why)),
    };
    let mut pages = Pages::live(pid);
    let probes = space.probes();
    let mut long = |address| match (pages.long(address)?, returns) {
        (word, Some(returns)) if probes.contains(&word) => Some(returns),
        (word, _) => Some(word),
    };
    let mut walk = unwind::walk(space, &start, &mut long);
    if position(pid, tid) != Some((ip, sp)) {
        return Walk::missing("the thread moved while it was looked at");
    }
    walk.cut = walk.cut.or(poor);
    walk
}

/// Those of the thread that is at this place. Two threads of forked processes may well be at one
/// place; then they must agree.
fn choose(
    candidates: Result<Vec<Registers>, String>,
    ip: u64,
    sp: u64,
) -> Result<Registers, String> {
    let candidates = candidates?;
    let mut here = candidates.iter().filter(|one| one.ip == ip && one.sp == sp);
    let first = here.next().ok_or("its registers were not seen")?;
    match here.all(|other| other == first) {
        true => Ok(*first),
        false => Err("its registers could not be told from another thread's".into()),
    }
}

/// The stack of the thread that forked, over the memory that the child inherited.
fn fork_stack(space: &mut Space, pid: u32, fork: Result<ForkMoment, String>) -> Walk {
    let fork = match fork {
        Ok(fork) => fork,
        Err(why) => return Walk::missing(why),
    };
    let mut pages = Pages::inherited(pid, fork.pages);
    unwind::walk(space, &fork.registers, &mut |address| pages.long(address))
}

/// A process's memory by pages, each read once.
struct Pages {
    pid: u32,
    pages: BTreeMap<u64, Option<Vec<u8>>>,
    /// Where anything is known.
    range: std::ops::Range<u64>,
}

impl Pages {
    /// Memory as it is now.
    fn live(pid: u32) -> Self {
        Pages { pid, pages: BTreeMap::new(), range: 0..u64::MAX }
    }

    /// Memory as inherited, where pages that the process has not written since are as they were, and
    /// of others only what was kept is known. Beyond the `kept` pages nothing is known.
    fn inherited(pid: u32, kept: BTreeMap<u64, Result<[u8; PAGE_SIZE], Missing>>) -> Self {
        let known = |(page, bytes): (u64, Result<[u8; PAGE_SIZE], Missing>)| match bytes {
            Ok(bytes) => Some((page, Some(bytes.to_vec()))),
            Err(Missing::NoFault) => None,
            Err(_) => Some((page, None)),
        };
        let first = kept.first_key_value().map_or(0, |(page, _)| *page);
        let end =
            kept.last_key_value().map_or(0, |(page, _)| page.saturating_add(PAGE_SIZE as u64));
        Pages { pid, pages: kept.into_iter().filter_map(known).collect(), range: first..end }
    }

    /// The eight bytes at an address.
    fn long(&mut self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        for (at, byte) in (0..).zip(&mut bytes) {
            *byte = self.byte(address.checked_add(at)?)?;
        }
        Some(u64::from_le_bytes(bytes))
    }

    fn byte(&mut self, address: u64) -> Option<u8> {
        if !self.range.contains(&address) {
            return None;
        }
        let size = PAGE_SIZE as u64;
        let page = address & !(size - 1);
        let pid = self.pid;
        let bytes =
            self.pages.entry(page).or_insert_with(|| memory::read(pid, page, PAGE_SIZE).ok());
        bytes.as_ref()?.get(usize::try_from(address % size).ok()?).copied()
    }
}

#[cfg(test)]
mod tests;
