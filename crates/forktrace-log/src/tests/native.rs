//! Any native stacks. Boxed strategies: others hold all of their parts by value, and a test's stack
//! is small.

use proptest::{collection::vec, option, prelude::*};

use super::any::{doing, python_frame, text, window};
use forktrace_model::event::{
    ThreadName,
    stacks::{Code, Fate, Frame, NativeStacks, Place, Stack, TaskNow, ThreadBeside},
};

fn frame() -> BoxedStrategy<Frame> {
    let names = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    (any::<u64>(), names, any::<Option<u64>>(), any::<Option<u32>>())
        .prop_map(|(address, (symbol, module, file, build_id), offset, line)| Frame {
            address,
            symbol,
            module,
            offset,
            file,
            line,
            build_id,
        })
        .boxed()
}

pub(super) fn stack() -> BoxedStrategy<Stack> {
    (vec(frame(), 0..3), option::of(text())).prop_map(|(frames, cut)| Stack { frames, cut }).boxed()
}

pub(super) fn place() -> BoxedStrategy<Place> {
    prop_oneof![
        (text(), option::of(text()), option::of(text()), any::<u64>()).prop_map(
            |(path, section, symbol, offset)| Place::Module { path, section, symbol, offset }
        ),
        any::<u32>().prop_map(|tid| Place::Stack { tid }),
    ]
    .boxed()
}

pub(super) fn task_now() -> BoxedStrategy<TaskNow> {
    let fate = prop::sample::select(vec![
        Fate::Alive,
        Fate::Exited,
        Fate::Gone,
        Fate::Replaced,
        Fate::Unknown,
    ]);
    let told = (doing(), stack(), vec(python_frame(), 0..2));
    (any::<[u32; 2]>(), option::of(text()), fate, told)
        .prop_map(|([pid, tid], comm, fate, (doing, stack, python))| TaskNow {
            pid,
            tid,
            comm,
            fate,
            doing,
            stack,
            python,
        })
        .boxed()
}

fn beside() -> BoxedStrategy<ThreadBeside> {
    let code = (option::of(text()), option::of(text()))
        .prop_map(|(symbol, module)| Code { symbol, module });
    (any::<u32>(), vec(code, 0..2), option::of(text()))
        .prop_map(|(tid, code, cut)| ThreadBeside { tid, code, cut })
        .boxed()
}

pub(super) fn native() -> BoxedStrategy<NativeStacks> {
    let places = (option::of(place()), option::of(place()));
    let name = (any::<u32>(), text()).prop_map(|(tid, comm)| ThreadName { tid, comm });
    let tasks = (vec(task_now(), 0..2), vec(name, 0..2), vec(beside(), 0..2));
    (stack(), stack(), places, option::of(window()), tasks)
        .prop_map(|(stack, fork, (word, lock), in_parent, (holders, names, beside))| NativeStacks {
            takers: stack.frames.clone(),
            stack,
            fork,
            word,
            lock,
            in_parent,
            holders,
            names,
            beside,
        })
        .boxed()
}
