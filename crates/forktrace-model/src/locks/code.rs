//! The code that waits. Some words tell nothing by themselves: 0, 1 and 2 are the states of many
//! mutexes, and the values of many counters. Which library waits, and in which function, tells them
//! apart.

use crate::event::{FirstWrite, Waiter, stacks::Frame};

/// Most frames from the system call up to the function that is called by the program.
const NEAR: usize = 6;

/// What is known of the code that waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Code<'a> {
    /// The waiter's frames, innermost first; `None`: they were not read.
    pub frames: Option<&'a [Frame]>,
    /// The process's first write to the page of the word since the fork.
    pub first_write: Option<&'a FirstWrite>,
    /// The threads that wait for the word.
    pub waiters: &'a [Waiter],
}

impl<'a> Code<'a> {
    /// The frames near the system call: without libc's function that makes it for others (`syscall`,
    /// `misc/syscall.c`), and not those of far callers.
    pub(super) fn near(&self) -> impl Iterator<Item = &'a Frame> + use<'a> {
        let frames = self.frames.unwrap_or_default().iter();
        frames.skip_while(|frame| frame.symbol.as_deref() == Some("syscall")).take(NEAR)
    }

    /// The frames from the innermost on that are in a file whose name begins like this.
    pub(super) fn inside(&self, file: &'static str) -> impl Iterator<Item = &'a Frame> + use<'a> {
        self.near().take_while(move |frame| is_file(frame, file))
    }

    /// Whether one of the frames near the system call is one of these functions.
    pub(super) fn is_in(&self, functions: &[&str]) -> bool {
        let mut symbols = self.near().filter_map(|frame| frame.symbol.as_deref());
        symbols.any(|symbol| functions.contains(&symbol))
    }

    /// Whether this function of this file was the first to write to the word at `address` since the
    /// fork, in a thread that waits for it.
    pub(super) fn wrote(&self, address: u64, file: &str, function: &str) -> bool {
        self.first_write.is_some_and(|write| {
            write.address == address
                && write.function.as_deref() == Some(function)
                && write.module.as_deref().is_some_and(|path| is_named(path, file))
                && self.waiters.iter().any(|waiter| waiter.tid == write.tid)
        })
    }
}

/// Whether a frame is in a file whose name begins like this.
pub(super) fn is_file(frame: &Frame, beginning: &str) -> bool {
    frame.module.as_deref().is_some_and(|path| is_named(path, beginning))
}

/// Whether the file's name, without its folder, begins like this.
pub(super) fn is_named(path: &str, beginning: &str) -> bool {
    path.rsplit('/').next().unwrap_or_default().starts_with(beginning)
}
