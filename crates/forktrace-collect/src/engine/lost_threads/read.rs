//! Reading what lost threads wait for, and the words in the memory of the child. All of this blocks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use forktrace_common::futex;
use forktrace_model::{
    event::{
        AtFork, Doing, HeldLock, LostThread, LostThreads, LostWord, Missing, OtherThread, Python,
        PythonFrame, ThreadName, Window,
        stacks::{Fate, NativeStacks, Stack, TaskNow},
    },
    hazards,
};

use super::{Done, Subject};
use crate::{
    clock,
    engine::acquisition::{Pages, fork_moment, place_of},
    inspect::{self, memory, module, python, stacks, stall, threads},
    kernel::{ForkRecords, Visitor},
};

/// Bytes around the word that are read: what is the largest of known ones, a condition variable, has 48,
/// with the word at any place of it.
const AROUND: u64 = 64;
/// Most stacks of lost threads that are remembered.
const MOST_KNOWN: usize = 256;
/// Most lost threads whose stacks are read.
const MOST_STACKS: usize = 16;

/// What a thread was seen to do, and where.
#[derive(Clone, Debug)]
struct Where {
    doing: Doing,
    stack: Stack,
    python: Vec<PythonFrame>,
}

/// Stacks of lost threads that were read for one child, for the next one of the same process: by process
/// and thread.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<(u32, u32), Where>>);

impl Known {
    fn get(&self, pid: u32, thread: &LostThread) -> Option<Where> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(pid, thread.tid)).filter(|known| known.doing == thread.doing).cloned()
    }

    fn add(&self, pid: u32, tid: u32, place: Where) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert((pid, tid), place);
    }
}

/// Reads children and the processes that forked them.
pub(super) struct Reader {
    pub(super) records: Arc<ForkRecords>,
    pub(super) registers: Visitor,
    /// Stacks are read in any case.
    pub(super) audit: bool,
    pub(super) known: Known,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("audit", &self.audit).finish_non_exhaustive()
    }
}

impl Reader {
    /// Reads a child.
    pub(super) fn read(&self, mut subject: Subject) -> Done {
        let before = subject.before.take();
        let is_first = before.is_none();
        let (id, task) = (subject.id, subject.task.clone());
        let mut seen = match before {
            Some(before) => *before,
            None => self.first_look(&subject),
        };
        let (work_before, long_before) = hazards::work_waiting(&seen, subject.read_ns);
        self.look_at_words(&mut seen, task.pid);
        let (work, long) = hazards::work_waiting(&seen, clock::boot_ns());
        // Told once each: how long it has been there decides how sure it is.
        let news = is_first || work > work_before || long > long_before;
        if news {
            seen.others = others(task.pid);
            if (self.audit && is_first) || work > 0 {
                self.read_stacks(&mut seen, &subject);
            }
        }
        // A child that is gone has no threads.
        let lives = inspect::scan::lives(task.pid);
        Done { id, task, seen: lives.then(|| Box::new(seen)), news }
    }

    /// What the threads do in the process that forked.
    fn first_look(&self, subject: &Subject) -> LostThreads {
        let seen_ns = if subject.parent.is_some() { clock::boot_ns() } else { 0 };
        let pid = subject.task.pid;
        let thread = |lost: &ThreadName| {
            let comm = subject.parent.and_then(|parent| threads::name(parent, lost.tid));
            let doing = subject.parent.map(|parent| threads::doing(parent, lost.tid));
            let doing = doing.unwrap_or_default();
            let word = word_of(&doing);
            LostThread {
                tid: lost.tid,
                comm: comm.unwrap_or_else(|| lost.comm.clone()),
                since_fork: word.is_some() && subject.waits.get(&lost.tid).copied() == word,
                word: word.map(|word| Box::new(self.first_word(pid, word))),
                doing,
                ..LostThread::default()
            }
        };
        let mut threads: Vec<LostThread> = subject.lost.iter().map(thread).collect();
        if let Some(parent) = subject.parent {
            self.add_locks(&mut threads, pid, parent);
        }
        LostThreads {
            fork_ns: subject.fork_ns,
            seen_ns,
            threads,
            runtime: stall::runtime_of(pid),
            ..LostThreads::default()
        }
    }

    /// The locks that probes saw them hold at the fork.
    fn add_locks(&self, threads: &mut [LostThread], pid: u32, parent: u32) {
        for (address, hold) in self.records.all_holds_at_fork(pid, parent) {
            if let Some(thread) = threads.iter_mut().find(|thread| thread.tid == hold.tid) {
                let place = place_of(parent, hold.caller);
                thread.held.push(HeldLock { address, place });
            }
        }
    }

    fn first_word(&self, pid: u32, uaddr: u64) -> LostWord {
        let mut word = LostWord {
            mapping: memory::mapping(pid, uaddr),
            module: module::place(pid, uaddr).module,
            ..LostWord::default()
        };
        self.look_at_word(&mut word, pid, uaddr);
        word.first = word.now.clone().filter(|_| word.at_fork.known().is_none());
        word
    }

    /// Looks at the words in the child's memory.
    fn look_at_words(&self, seen: &mut LostThreads, pid: u32) {
        let doing = threads_of(pid).into_iter().map(|tid| threads::doing(pid, tid));
        let waits: Vec<u64> = doing.filter_map(|doing| word_of(&doing)).collect();
        for thread in &mut seen.threads {
            let (Some(uaddr), Some(word)) = (word_of(&thread.doing), &mut thread.word) else {
                continue;
            };
            self.look_at_word(word, pid, uaddr);
            let waiters = waits.iter().filter(|waits| **waits == uaddr).count();
            word.waiters = u32::try_from(waiters).unwrap_or(u32::MAX);
        }
    }

    fn look_at_word(&self, word: &mut LostWord, pid: u32, uaddr: u64) {
        let (start, len) = extent(uaddr, word);
        word.now = memory::read(pid, start, len).ok().map(|bytes| Window { address: start, bytes });
        // Afterwards: where the child has not written to the page until now, it was as it is.
        if word.at_fork.known().is_none() {
            let kept = self.records.of_child(pid);
            let pages = Pages::take(uaddr, |page| kept.inherited_page(page));
            word.at_fork = match pages.window(start, start.saturating_add(len as u64)) {
                AtFork::Known(window) if window.word(uaddr).is_none() => {
                    AtFork::Unknown(Missing::NoFault)
                }
                answer => answer,
            };
        }
        word.wakes = self.records.wakes_since_fork(pid, uaddr);
        let then = word.at_fork.known().or(word.first.as_ref());
        let then = then.and_then(|window| window.word(uaddr));
        let now = word.now.as_ref().and_then(|window| window.word(uaddr));
        match (then, now) {
            (Some(then), Some(now)) if then != now => {
                word.changed_ns.get_or_insert_with(clock::boot_ns);
            }
            (Some(_), _) => word.changed_ns = None,
            _ => {}
        }
    }

    /// Reads where the lost threads are, where the child is, and where it was forked.
    fn read_stacks(&self, seen: &mut LostThreads, subject: &Subject) {
        let pid = subject.task.pid;
        let native = self.native(seen, subject);
        let child = match python::look(pid, pid, pid, 0).python {
            Python::Frames(frames) => frames,
            Python::None(_) => Vec::new(),
        };
        seen.ending = Some(hazards::is_ending(&native.stack.frames, &child));
        // The earlier, the nearer to the fork.
        if seen.python.is_empty() {
            (seen.python, seen.python_ns) = (child, clock::boot_ns());
        }
        seen.fork = Some(Box::new(native.fork));
        let Some(parent) = subject.parent else { return };
        let wanted: Vec<u32> = native.holders.iter().map(|holder| holder.tid).collect();
        let mut frames: BTreeMap<u32, Vec<PythonFrame>> = match wanted.is_empty() {
            true => BTreeMap::new(),
            false => python::frames(parent, wanted).into_iter().collect(),
        };
        for TaskNow { tid, stack, doing, .. } in native.holders {
            let python = frames.remove(&tid).unwrap_or_default();
            self.known.add(parent, tid, Where { doing, stack, python });
        }
        for thread in &mut seen.threads {
            if let Some(known) = self.known.get(parent, thread) {
                thread.stack = Some(Box::new(known.stack));
                thread.python = known.python;
            }
        }
    }

    fn native(&self, seen: &LostThreads, subject: &Subject) -> NativeStacks {
        let pid = subject.task.pid;
        let is_new = |parent: u32, thread: &&LostThread| {
            let changed = thread.word.as_ref().is_some_and(|word| word.changed_ns.is_some());
            (changed || self.audit) && self.known.get(parent, thread).is_none()
        };
        let holders = subject.parent.iter().flat_map(|parent| {
            let new = seen.threads.iter().filter(|thread| is_new(*parent, thread));
            let task = |thread: &LostThread| TaskNow {
                pid: *parent,
                tid: thread.tid,
                fate: Fate::Alive,
                ..TaskNow::default()
            };
            new.take(MOST_STACKS).map(task)
        });
        let ask = stacks::Ask {
            task: subject.task.clone(),
            threads: vec![pid],
            uaddr: 0,
            lock: 0,
            takers: Vec::new(),
            returns: BTreeMap::new(),
            around: None,
            fork: fork_moment(&self.records, pid),
            parent: subject.parent,
            holder_is_named: true,
            holders: holders.collect(),
            lost: Vec::new(),
            beside: Vec::new(),
        };
        stacks::read(ask, self.registers.clone())
    }
}

/// The word of a futex wait for one word.
fn word_of(doing: &Doing) -> Option<u64> {
    match doing {
        Doing::Futex { uaddr, op, .. } if *op != futex::OP_WAITV => Some(*uaddr),
        _ => None,
    }
}

/// First address and length of what is read around a word, inside of its mapping.
fn extent(uaddr: u64, word: &LostWord) -> (u64, usize) {
    let (first, end) = match &word.mapping {
        Some(mapping) => (mapping.start, mapping.end),
        None => (uaddr, uaddr.saturating_add(4)),
    };
    let start = uaddr.saturating_sub(AROUND).max(first.min(uaddr));
    let end = uaddr.saturating_add(AROUND).min(end.max(uaddr));
    (start, usize::try_from(end.saturating_sub(start)).unwrap_or_default())
}

fn threads_of(pid: u32) -> Vec<u32> {
    threads::all(pid).unwrap_or_default()
}

/// The child's threads beside its first.
fn others(pid: u32) -> Vec<OtherThread> {
    let other = |tid| OtherThread {
        tid,
        comm: threads::name(pid, tid).unwrap_or_default(),
        doing: threads::doing(pid, tid),
    };
    threads_of(pid).into_iter().filter(|tid| *tid != pid).map(other).collect()
}
