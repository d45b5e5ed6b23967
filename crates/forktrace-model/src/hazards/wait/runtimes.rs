//! Handlers that the runtime of a language installs by itself: that there is one says nothing of what
//! the program means to do with the signal.
//!
//! Which runtime it is shows in the stack. Source for Go: `sigInstallGoHandler` (`runtime/signal_unix.go`,
//! Go 1.22), which takes nearly all signals in a program and in a library those of faults, SIGPIPE and
//! `sigPreempt` (SIGURG).

use super::WaitCase;
use crate::{
    event::{Python, stacks::Frame},
    hazards::handlers::{OF_JVM, OF_RUBY, bit},
    locks,
};

const OF_GO_LIBRARY: u64 = bit(libc::SIGPIPE) | bit(libc::SIGURG);

/// So many handlers has a program in Go at least, and hardly any other.
const MANY: u32 = 40;

/// Those of the process's handlers, `mask`, that may well be a runtime's own and then wake nobody who
/// waits as this waiter does.
pub(super) fn own_handlers(case: &WaitCase<'_>, mask: u64) -> u64 {
    let frames = case.evidence.native.as_ref().map(|native| native.stack.frames.as_slice());
    let frames = frames.unwrap_or_default();
    let in_module = |name: &str| frames.iter().any(|frame| is_of(frame, name));
    let mut own = 0;
    if frames.iter().any(is_go) {
        own |= if mask.count_ones() >= MANY { mask } else { OF_GO_LIBRARY };
    }
    if in_module("ruby") || in_module("libruby") {
        own |= OF_RUBY;
    }
    if in_module("libjvm.so") {
        own |= OF_JVM;
    }
    if is_below_python(case) {
        own |= mask;
    }
    own & mask
}

/// Whether a thread of Python waits in native code for something that is no lock of Python. What
/// handles signals there only makes a note, and runs no Python until that code returns
/// (`trip_signal`, `Modules/signalmodule.c`, CPython 3.8 to 3.14).
fn is_below_python(case: &WaitCase<'_>) -> bool {
    let family = case.reading.family.in_language(true);
    let of_python = family.language == Some(locks::Language::Python) || case.is_of_python();
    matches!(&case.evidence.python, Python::Frames(frames) if !frames.is_empty()) && !of_python
}

/// `runtime.futex`, `runtime.notesleep`: no other language has a dot there.
fn is_go(frame: &Frame) -> bool {
    frame.symbol.as_deref().is_some_and(|symbol| symbol.starts_with("runtime."))
}

/// Whether a frame's file has this name, a version after it aside.
fn is_of(frame: &Frame, name: &str) -> bool {
    let file = frame.module.as_deref().and_then(|path| path.rsplit('/').next());
    let rest = file.and_then(|file| file.strip_prefix(name));
    rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphabetic()))
}
