//! What the Python frames of a thread have to do with a lock: read from the interpreter's own
//! structures, those of CPython 3.11 only.
//!
//! `with lock:` pushes the bound method `lock.__exit__` on the frame's stack before it calls
//! `__enter__` and keeps it there until the block is left (`BEFORE_WITH`, `Python/ceval.c`), so that
//! a thread that is in the block shows it. A frame's variables and stack follow its head in one
//! array of `co_nlocalsplus + co_stacksize` words. Above the stack's top there may be words left
//! from before: they make a thread look more involved than it is, never less.
//!
//! Layouts: `PyInterpreterState` (`Include/internal/pycore_interp.h`), `PyThreadState`
//! (`Include/cpython/pystate.h`), `_PyInterpreterFrame` (`Include/internal/pycore_frame.h`),
//! `PyCodeObject` (`Include/cpython/code.h`), `PyCFunctionObject` (`Include/cpython/methodobject.h`),
//! `PyMethodObject`, `PyFunctionObject`; the offsets were printed by a compiler from the headers of
//! 3.11.

use std::collections::BTreeSet;

use super::remote::{Remote, is_object};
use forktrace_model::event::LockUse;

/// Most threads, frames of one thread, words of one frame and names of one code object read.
const MAX_THREADS: usize = 256;
const MAX_FRAMES: usize = 256;
const MAX_SLOTS: u32 = 1024;
const MAX_NAMES: u64 = 512;

/// `PyInterpreterState.threads.head`.
const THREADS: u64 = 16;
mod thread {
    pub(super) const NEXT: u64 = 8;
    pub(super) const CFRAME: u64 = 56;
    pub(super) const IDENT: u64 = 152;
}
/// `_PyCFrame.current_frame`.
const CURRENT: u64 = 8;
pub(super) mod frame {
    pub(in super::super) const CODE: u64 = 32;
    pub(super) const PREVIOUS: u64 = 48;
    pub(in super::super) const INSTRUCTION: u64 = 56;
    pub(super) const OWNER: u64 = 69;
    pub(super) const SLOTS: u64 = 72;
}
mod code {
    pub(super) const NAMES: u64 = 32;
    pub(super) const STACK: u64 = 68;
    pub(super) const LOCALS: u64 = 76;
}
/// `m_ml` and `m_self` of a `PyCFunctionObject`, `im_func` of a `PyMethodObject`.
const METHOD_DEF: u64 = 16;
const METHOD_SELF: u64 = 24;
const METHOD_FUNCTION: u64 = 16;
const FUNCTION_NAME: u64 = 32;
/// Text of a compact ASCII `str`.
const TEXT: u64 = 48;
const TUPLE_SIZE: u64 = 16;
const TUPLE_ITEMS: u64 = 24;

/// What the threads of an interpreter have to do with a lock object.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// For every thread its ident and what it does.
    pub(super) of_threads: Vec<(u64, LockUse)>,
    /// Addresses of the lock's methods `__exit__` that are on frames.
    pub(super) exits: BTreeSet<u64>,
}

impl Uses {
    /// Whether every frame of every thread was read.
    pub(super) fn are_all(&self) -> bool {
        self.of_threads.len() < MAX_THREADS
            && self.of_threads.iter().all(|(_, lock_use)| *lock_use != LockUse::Unknown)
    }
}

/// What every thread of the interpreter has to do with the lock object.
pub(super) fn lock_uses(remote: &Remote, interpreter: u64, lock: u64) -> Uses {
    let mut uses = Uses::default();
    let mut state = interpreter.checked_add(THREADS).and_then(|at| remote.long(at));
    while let Some(at) = state.filter(|at| *at != 0 && uses.of_threads.len() < MAX_THREADS) {
        let field = |offset: u64| remote.long(at.checked_add(offset)?);
        let Some(ident) = field(thread::IDENT) else { break };
        let first = field(thread::CFRAME).and_then(|c| remote.long(c.checked_add(CURRENT)?));
        let exits = &mut uses.exits;
        let lock_use = first.and_then(|first| of_thread(remote, first, lock, exits));
        uses.of_threads.push((ident, lock_use.unwrap_or_default()));
        state = field(thread::NEXT);
    }
    uses
}

/// `None`: some frame could not be read.
fn of_thread(remote: &Remote, first: u64, lock: u64, exits: &mut BTreeSet<u64>) -> Option<LockUse> {
    let mut worst = LockUse::Nothing;
    let mut at = first;
    for _ in 0..MAX_FRAMES {
        if at == 0 {
            return Some(worst);
        }
        worst = worst.min(of_frame(remote, at, lock, exits)?);
        at = remote.long(at.checked_add(frame::PREVIOUS)?)?;
    }
    // What is further down was not looked at.
    Some(worst.min(LockUse::Unknown))
}

/// Whose frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// On a thread's own stack of frames.
    Thread,
    /// A generator's, or one that was kept beyond its function's end.
    Other,
}

/// Whose frame the word at `place` is a variable of, and where the frame is; `None`: it seems to be
/// none's. The frame's head is not far before its variables, and nearest to the last of them.
pub(super) fn owner_of_slot(remote: &Remote, place: u64) -> Option<(Owner, u64)> {
    for slot in 0..u64::from(MAX_SLOTS) {
        let at = place.checked_sub(frame::SLOTS + slot * 8)?;
        let Some(code) = remote.long(at.checked_add(frame::CODE)?).filter(|code| is_object(*code))
        else {
            continue;
        };
        if remote.type_name(code).is_none_or(|name| name != "code") {
            continue;
        }
        let size = |offset: u64| remote.int(code.checked_add(offset)?);
        let slots = size(code::STACK)?.checked_add(size(code::LOCALS)?)?;
        if slot < u64::from(slots) {
            let [owner] = remote.bytes::<1>(at.checked_add(frame::OWNER)?)?;
            // `FRAME_OWNED_BY_THREAD` is the first of `enum _frameowner`.
            return Some((if owner == 0 { Owner::Thread } else { Owner::Other }, at));
        }
    }
    None
}

fn of_frame(remote: &Remote, at: u64, lock: u64, exits: &mut BTreeSet<u64>) -> Option<LockUse> {
    let code = remote.long(at.checked_add(frame::CODE)?)?;
    if remote.type_name(code)? != "code" {
        return None;
    }
    let stack = remote.int(code.checked_add(code::STACK)?)?;
    let locals = remote.int(code.checked_add(code::LOCALS)?)?;
    let count = stack.checked_add(locals).filter(|count| *count <= MAX_SLOTS)?;
    let slots = remote.longs(at.checked_add(frame::SLOTS)?, count as usize);
    if slots.len() != count as usize {
        return None;
    }
    let of_slots = slots.into_iter().filter(|slot| is_object(*slot));
    let mut of_slot = |slot| {
        let lock_use = of_object(remote, slot, lock)?;
        if lock_use == LockUse::With {
            exits.insert(slot);
        }
        Some(lock_use)
    };
    let of_slots = of_slots.filter_map(&mut of_slot).min();
    let calls = calls(remote, code)?.then_some(LockUse::Calls);
    Some(of_slots.into_iter().chain(calls).min().unwrap_or(LockUse::Nothing))
}

fn of_object(remote: &Remote, object: u64, lock: u64) -> Option<LockUse> {
    if object == lock {
        return Some(LockUse::Refers);
    }
    match remote.type_name(object)?.as_str() {
        "builtin_function_or_method" => {
            let of_lock = remote.long(object.checked_add(METHOD_SELF)?)? == lock;
            let name = remote.text(remote.long(remote.long(object.checked_add(METHOD_DEF)?)?)?)?;
            match (of_lock, name == "__exit__") {
                (true, true) => Some(LockUse::With),
                (true, false) => Some(LockUse::Refers),
                (false, _) => None,
            }
        }
        "method" => {
            let function = remote.long(object.checked_add(METHOD_FUNCTION)?)?;
            let name = remote.long(function.checked_add(FUNCTION_NAME)?)?;
            let is_exit = remote.text(name.checked_add(TEXT)?)? == "__exit__";
            is_exit.then_some(LockUse::Manager)
        }
        _ => None,
    }
}

/// Whether a code object uses names by which locks are taken by hand.
fn calls(remote: &Remote, code: u64) -> Option<bool> {
    let names = remote.long(code.checked_add(code::NAMES)?)?;
    let count = remote.long(names.checked_add(TUPLE_SIZE)?)?;
    let count = usize::try_from(count.min(MAX_NAMES)).ok()?;
    let items = remote.longs(names.checked_add(TUPLE_ITEMS)?, count);
    let named = |item: u64| item.checked_add(TEXT).and_then(|at| remote.text(at));
    Some(items.into_iter().filter_map(named).any(|name| name == "acquire" || name == "release"))
}
