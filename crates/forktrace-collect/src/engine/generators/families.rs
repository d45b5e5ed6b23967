//! Who has drawn from which inherited state, among the children of one process.

use forktrace_model::{
    event::{Generator, GeneratorKind, GeneratorSide, Generators},
    generators::Hit,
    model::ProcId,
};
use rustc_hash::FxHashMap;

use super::probe::{Found, Searched};

/// Most inherited states that are kept, and processes of one of them. Of more, the oldest are forgotten.
const MOST_STATES: usize = 4096;
const MOST_SIDES: usize = 32;

/// Names an inherited state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The process that forked: its children have the same things at the same addresses.
    by: ProcId,
    kind: GeneratorKind,
    address: u64,
    inherited: u64,
}

impl Key {
    fn of(searched: &Searched, hit: &Hit) -> Self {
        let Hit { kind, address, inherited, .. } = *hit;
        Key { by: searched.subject.by, kind, address, inherited }
    }
}

/// What is known of it.
#[derive(Debug, Default)]
struct State {
    /// Counts up, so that the oldest are known.
    age: u64,
    sides: Vec<(ProcId, GeneratorSide)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Families {
    states: FxHashMap<Key, State>,
    age: u64,
    /// Of how many sides an event has told, by process and generator.
    told: FxHashMap<(ProcId, u64), usize>,
}

impl Families {
    /// Takes what a process was found to have drawn from.
    pub(super) fn learn(&mut self, searched: &Searched) {
        for found in &searched.found {
            let key = Key::of(searched, &found.hit);
            self.age += 1;
            let state = self.states.entry(key).or_default();
            state.age = self.age;
            let (id, side) = (searched.subject.id, side(searched, found));
            match state.sides.iter().position(|(known, _)| *known == id) {
                Some(at) => state.sides[at] = (id, side),
                None if state.sides.len() < MOST_SIDES => state.sides.push((id, side)),
                None => {}
            }
        }
        if self.states.len() > MOST_STATES {
            let mut ages: Vec<u64> = self.states.values().map(|state| state.age).collect();
            ages.sort_unstable();
            let least = ages.get(MOST_STATES / 2).copied().unwrap_or_default();
            self.states.retain(|_, state| state.age > least);
        }
    }

    /// The generators that it shares with others, if there is news of any.
    pub(super) fn shared(&mut self, searched: &Searched) -> Option<Generators> {
        let id = searched.subject.id;
        let mut news = false;
        let mut shared = Vec::new();
        for found in &searched.found {
            let mut sides = vec![side(searched, found)];
            sides.extend(found.parent.clone());
            let state = self.states.get(&Key::of(searched, &found.hit));
            let others = state.into_iter().flat_map(|state| &state.sides);
            sides.extend(others.filter(|(other, _)| *other != id).map(|(_, side)| side.clone()));
            if sides.len() < 2 {
                continue;
            }
            let told = self.told.entry((id, found.hit.address)).or_default();
            news |= sides.len() > *told;
            *told = sides.len();
            shared.push(generator(found, sides));
        }
        let (pages, cut) = (searched.pages, searched.cut);
        news.then_some(Generators { found: shared, pages, cut })
    }

    /// A process has ended. What it has drawn from is remembered: a later child may draw from the same.
    pub(super) fn ended(&mut self, id: ProcId) {
        self.told.retain(|(told, _), _| *told != id);
    }
}

fn side(searched: &Searched, found: &Found) -> GeneratorSide {
    let subject = &searched.subject;
    let Hit { steps, bits, .. } = found.hit;
    GeneratorSide { pid: subject.pid, comm: subject.comm.clone(), steps, bits }
}

fn generator(found: &Found, sides: Vec<GeneratorSide>) -> Generator {
    Generator {
        kind: found.hit.kind,
        address: found.hit.address,
        sides,
        type_name: found.owner.type_name.clone(),
        module: found.owner.module.clone(),
        program: found.owner.program.clone(),
    }
}
