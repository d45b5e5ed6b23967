//! What a thread polls for, where that is known.
//!
//! A timeout that runs out again and again says only that the thread goes on looking. It may count its turns, or
//! watch the clock, a file, its parent, a flag in memory that another process writes: a scheduler and a worker
//! that ends when it has been idle for long look the same as who waits for a lost thread. So polling in vain
//! needs to be shown by what it is for.

use super::case::{self, StallCase};
use crate::{
    event::{
        LostThread, Python, PythonFrame,
        stacks::Frame,
        stall::{StallTask, TaskWait},
    },
    finding::Fact,
    frames::Layer,
    hazards::{threads_lost, wait::holder},
    model::Fork,
};

/// Libraries by whose condition variables a program polls for something of its own, by the names of
/// [`Layer`].
const WITH_WAITS: [&str; 9] =
    ["Abseil", "Boost", "folly", "GLib", "OpenMP", "Python", "Qt", "Ruby", "TBB"];

/// Files of Python's library whose functions wait for what a thread of the library brings: the end of the path,
/// and the name that is shown. Sources: `Future.result`, `Future.exception`, `wait` and
/// `as_completed` in `Lib/concurrent/futures/_base.py`, `ApplyResult.wait` and `IMapIterator.next` in
/// `Lib/multiprocessing/pool.py`, CPython 3.8 to 3.14.
const SERVED: [(&str, &str); 2] = [
    ("concurrent/futures/_base.py", "concurrent.futures"),
    ("multiprocessing/pool.py", "multiprocessing.pool"),
];

impl StallCase<'_> {
    /// Why what a thread polls for can no longer come; `None`: nothing shows that.
    pub(super) fn in_vain(&self, task: &StallTask, wait: &TaskWait) -> Option<Fact> {
        self.lost_owner(task, wait)
            .or_else(|| self.work())
            .or_else(|| self.library(task).filter(|_| task.tid == task.pid))
    }

    /// A lock is tried for that names a lost thread as its owner.
    fn lost_owner(&self, task: &StallTask, wait: &TaskWait) -> Option<Fact> {
        let owner = case::absent_owner(self.stall, task, wait)?;
        let process = case::process(self.stall, task.pid)?;
        let lost = match self.fork() {
            Some(fork) => {
                let line: Vec<&Fork> = fork.line().collect();
                let lost = line.iter().any(|fork| fork.lost.iter().any(|one| one.tid == owner));
                lost && !holder::has_heir(&line, owner)
            }
            None => {
                let late = self.stall.late.as_ref()?;
                let parent = late.relative.as_ref().filter(|relative| relative.parent)?;
                let mut threads = parent.threads.iter();
                parent.forker.is_some_and(|forker| forker != owner)
                    && threads.any(|one| one.tid == owner && one.start_ns <= late.start_ns)
            }
        };
        // In another pid namespace the numbers of the parent's threads are not known.
        (lost && process.ns_pid.is_none()).then_some(Fact::OwnerOlder { owner })
    }

    /// The process has handed work to a lost thread, which nobody has taken.
    fn work(&self) -> Option<Fact> {
        threads_lost::surely_waits(self.process.lost_threads.as_deref()?, self.boot_ns)
    }

    /// It polls inside of a library, whose thread was lost.
    fn library(&self, task: &StallTask) -> Option<Fact> {
        let python = match &self.stall.python {
            Python::Frames(frames) => python_library(frames),
            Python::None(_) => None,
        };
        let found = python.map(|library| Fact::PollsInLibrary { library, tid: None });
        found.or_else(|| self.native_library(task))
    }

    fn native_library(&self, task: &StallTask) -> Option<Fact> {
        let exe = case::process(self.stall, task.pid)?.exe.as_str();
        let path = native_library(&self.stall.stack.frames).filter(|path| *path != exe)?;
        let runs = |thread: &&LostThread| {
            let frames = thread.stack.iter().flat_map(|stack| &stack.frames);
            frames.filter_map(|frame| frame.module.as_deref()).any(|module| module == path)
        };
        let thread = self.stall.lost_threads.iter().find(runs)?;
        Some(Fact::PollsInLibrary { library: path.to_owned(), tid: Some(thread.tid) })
    }
}

/// The library that the innermost frames are of: one of Python's own that has threads, or a package that was
/// installed.
fn python_library(frames: &[PythonFrame]) -> Option<String> {
    let mut inner = frames.iter().take_while(|frame| frame.is_of_library());
    let served = inner.find_map(|frame| {
        let of = |(file, _): &&(&str, &str)| frame.file.ends_with(file);
        SERVED.iter().find(of).map(|(_, name)| (*name).to_owned())
    });
    let package = || {
        let file = frames.iter().find(|frame| !frame.is_of_library())?.file.as_str();
        let (_, rest) =
            file.split_once("/site-packages/").or_else(|| file.split_once("/dist-packages/"))?;
        Some(rest.split('/').next()?.trim_end_matches(".py").to_owned())
    };
    served.or_else(package)
}

/// The path of the library that the innermost frames are of.
fn native_library(frames: &[Frame]) -> Option<&str> {
    let frame = frames.iter().find(|frame| frame.layer() != Layer::Language)?;
    let has_waits = match frame.layer() {
        Layer::Library(name) => WITH_WAITS.contains(&name.as_ref()),
        Layer::Language | Layer::Program => false,
    };
    let path = frame.module.as_deref()?;
    let name = path.rsplit('/').next()?;
    // A module of Python's own library waits for what the program chooses.
    let own = path.contains("/lib-dynload/");
    (name.contains(".so") && !has_waits && !own).then_some(path)
}
