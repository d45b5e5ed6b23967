//! To what a random number generator belongs.

use std::fs;

use super::{evidence::python_type, module};
use forktrace_model::event::GeneratorKind;

/// Most bytes before the state in which the head of its object is looked for.
const BEFORE: u64 = 512;
/// From the first member of CPython's `RandomObject` to the words of its generator: the position
/// (`Modules/_randommodule.c`, CPython 3.11).
const INDEX: u64 = 4;

/// To what a generator belongs, as far as types and mappings tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The type of the Python object that it is in.
    pub type_name: Option<String>,
    /// Path of the file in whose data it lies.
    pub module: Option<String>,
    /// Path of the program that the process runs.
    pub program: Option<String>,
}

/// The owner of the generator at `address` in process `pid`.
pub fn owner(pid: u32, kind: GeneratorKind, address: u64) -> Owner {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let program = program.map(|path| path.to_string_lossy().into_owned());
    let module = module::place(pid, address).module.map(|module| module.path);
    let type_name = match module {
        Some(_) => None,
        None => of_random(pid, kind, address).or_else(|| of_numpy(pid, address)),
    };
    Owner { type_name, module, program }
}

/// `random.Random`, or a class that is made of it, whatever its name.
fn of_random(pid: u32, kind: GeneratorKind, address: u64) -> Option<String> {
    (kind == GeneratorKind::Mt19937)
        .then(|| python_type(pid, address.checked_sub(INDEX)?))
        .flatten()
}

/// A bit generator of numpy: it has the state inside of it, behind members of other sorts.
fn of_numpy(pid: u32, address: u64) -> Option<String> {
    let heads = (0..BEFORE / 8).filter_map(|words| (address & !7).checked_sub(words * 8));
    let mut names = heads.filter_map(|head| python_type(pid, head));
    names.find(|name| name.starts_with("numpy.random."))
}
