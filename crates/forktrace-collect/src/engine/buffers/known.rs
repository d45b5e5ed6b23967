//! What the children of one process did with the buffers that they inherited.

use forktrace_model::event::{Buffer, BufferSide, BufferState, Buffers};
use rustc_hash::FxHashMap;

use super::look::{Child, Found, Looked, Subject};

/// Most inherited buffers that are kept, and processes of one of them. Of more, the oldest are forgotten.
const MOST_BUFFERS: usize = 2048;
const MOST_SIDES: usize = 32;

/// Names a buffer with what was in it at the fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The process that forked: its children have the same things at the same addresses.
    by: u32,
    address: u64,
    start: u64,
    bytes: u64,
}

impl Key {
    fn of(looked: &Looked, found: &Found) -> Self {
        let buffer = &found.buffer;
        let (address, start, bytes) = (buffer.address, buffer.start, buffer.bytes);
        Key { by: looked.subject.by.0, address, start, bytes }
    }
}

/// What is known of it.
#[derive(Debug, Default)]
struct Entry {
    age: u64,
    sides: Vec<(Child, BufferSide)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: FxHashMap<Key, Entry>,
    age: u64,
    /// What was told of a process.
    told: FxHashMap<u32, (Child, Buffers)>,
    /// Descriptors of children that are of something else than those of the process that forked, by pid.
    elsewhere: FxHashMap<u32, (Child, Vec<i32>)>,
}

impl Known {
    /// Takes what was found of a process.
    pub(super) fn learn(&mut self, looked: &Looked) {
        if looked.ended_ns.is_none() {
            let seen = (looked.subject.child(), looked.elsewhere.clone());
            self.elsewhere.insert(looked.subject.pid, seen);
        }
        for found in &looked.found {
            self.age += 1;
            let entry = self.entries.entry(Key::of(looked, found)).or_default();
            entry.age = self.age;
            let (id, side) = (looked.subject.child(), side(looked, found));
            match entry.sides.iter().position(|(known, _)| *known == id) {
                Some(at) => entry.sides[at] = (id, side),
                None if entry.sides.len() < MOST_SIDES => entry.sides.push((id, side)),
                None => {}
            }
        }
        if self.entries.len() > MOST_BUFFERS {
            let mut ages: Vec<u64> = self.entries.values().map(|entry| entry.age).collect();
            ages.sort_unstable();
            let least = ages.get(MOST_BUFFERS / 2).copied().unwrap_or_default();
            self.entries.retain(|_, entry| entry.age > least);
        }
    }

    /// The descriptors of a child that were seen to be of something else than its parent's.
    pub(super) fn elsewhere(&self, subject: &Subject) -> Vec<i32> {
        let seen = self.elsewhere.get(&subject.pid);
        let seen = seen.filter(|(child, _)| *child == subject.child());
        seen.map(|(_, fds)| fds.clone()).unwrap_or_default()
    }

    /// The buffers of a process, if something is new.
    pub(super) fn news(&mut self, looked: &Looked) -> Option<Buffers> {
        let id = looked.subject.child();
        let found = looked.found.iter().filter(|found| found.state != BufferState::Unknown);
        let buffers = found.map(|found| {
            let mut sides = vec![side(looked, found), found.parent.clone()];
            let entry = self.entries.get(&Key::of(looked, found));
            let others = entry.into_iter().flat_map(|entry| &entry.sides);
            sides.extend(others.filter(|(other, _)| *other != id).map(|(_, side)| side.clone()));
            Buffer {
                kind: found.buffer.kind,
                address: found.buffer.address,
                bytes: found.buffer.bytes,
                fd: found.fd,
                file: found.file.clone(),
                sides,
            }
        });
        let buffers = Buffers {
            found: buffers.collect(),
            exits: looked.exits,
            ended: looked.ended_ns.is_some(),
            cut: looked.cut,
        };
        let is_told = self
            .told
            .get(&looked.subject.pid)
            .is_some_and(|(child, told)| (*child, told) == (id, &buffers));
        if buffers.found.is_empty() || is_told {
            return None;
        }
        self.told.insert(looked.subject.pid, (id, buffers.clone()));
        Some(buffers)
    }

    /// A process has ended. What it did is remembered: a later child may do the same.
    pub(super) fn ended(&mut self, pid: u32) {
        self.told.remove(&pid);
        self.elsewhere.remove(&pid);
    }
}

fn side(looked: &Looked, found: &Found) -> BufferSide {
    let subject = &looked.subject;
    BufferSide { pid: subject.pid, comm: subject.comm.clone(), state: found.state }
}
