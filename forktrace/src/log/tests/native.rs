//! Any native stacks.

use proptest::{collection::vec, option, prelude::*};

use super::any::{doing, text, window};
use crate::event::native::{Fate, Frame, Native, Place, Stack, TaskNow};

fn frame() -> impl Strategy<Value = Frame> {
    let names = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    (any::<u64>(), names, any::<Option<u64>>(), any::<Option<u32>>()).prop_map(
        |(address, (symbol, module, file, build_id), offset, line)| Frame {
            address,
            symbol,
            module,
            offset,
            file,
            line,
            build_id,
        },
    )
}

pub(super) fn stack() -> impl Strategy<Value = Stack> {
    (vec(frame(), 0..3), option::of(text())).prop_map(|(frames, cut)| Stack { frames, cut })
}

pub(super) fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        (text(), option::of(text()), option::of(text()), any::<u64>()).prop_map(
            |(path, section, symbol, offset)| Place::Module { path, section, symbol, offset }
        ),
        any::<u32>().prop_map(|tid| Place::Stack { tid }),
    ]
}

pub(super) fn task_now() -> impl Strategy<Value = TaskNow> {
    let fate = prop::sample::select(vec![
        Fate::Alive,
        Fate::Exited,
        Fate::Gone,
        Fate::Replaced,
        Fate::Unknown,
    ]);
    (any::<[u32; 2]>(), option::of(text()), fate, doing(), stack()).prop_map(
        |([pid, tid], comm, fate, doing, stack)| TaskNow { pid, tid, comm, fate, doing, stack },
    )
}

pub(super) fn native() -> impl Strategy<Value = Native> {
    let word = option::of(place());
    (stack(), stack(), word, option::of(window()), vec(task_now(), 0..2)).prop_map(
        |(stack, fork, word, in_parent, holders)| Native { stack, fork, word, in_parent, holders },
    )
}
