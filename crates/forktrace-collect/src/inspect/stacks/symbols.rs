//! Names and lines of code addresses.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::{Mutex, PoisonError},
};

use blazesym::symbolize::{
    Input, Sym, Symbolizer,
    source::{Elf, Source},
};

use super::{
    super::timeout::quietly,
    space::{Module, Space},
    unwind::{Address, Walk},
};
use forktrace_model::event::stacks::{Frame, Stack};

/// Most frames of one stack, with those that the compiler inlined.
const MAX_FRAMES: usize = 128;

/// Longest name, bytes. By the abbreviations of C++ a hundred of them may stand for a gigabyte.
pub(in crate::inspect) const MAX_NAME: usize = 16 << 10;

/// Of how many addresses of one file the names are kept.
const MAX_KEPT: usize = 1024;

/// What names are looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// Symbol tables.
    Symbols,
    /// Debug information too, which may take long.
    Lines,
}

/// Gives names to a walked stack.
pub(super) fn name(space: &mut Space, walk: &Walk, symbolizer: &Symbolizer, depth: Depth) -> Stack {
    let mut by_module: BTreeMap<String, (Module, Vec<u64>)> = BTreeMap::new();
    for Address { lookup, .. } in &walk.addresses {
        if let Ok(module) = space.module(*lookup) {
            let path = module.path.clone();
            let (module, asked) = by_module.entry(path).or_insert_with(|| (module, Vec::new()));
            asked.push(lookup.wrapping_sub(module.bias));
        }
    }
    let mut named: BTreeMap<u64, Vec<Frame>> = BTreeMap::new();
    for (module, asked) in by_module.values() {
        // A fault in the reader costs the names of this module alone.
        let symbols = module.image.names.of(asked, depth, |asked| {
            quietly(|| symbols(symbolizer, module, asked, depth)).unwrap_or_default()
        });
        for (at, offset) in asked.iter().enumerate() {
            let frame = Frame {
                module: Some(module.path.clone()),
                offset: Some(*offset),
                build_id: module.image.build_id.clone(),
                ..Frame::default()
            };
            let frames = symbols.get(at).map(|names| with_names(&frame, names));
            let frames = frames.filter(|frames| !frames.is_empty()).unwrap_or(vec![frame]);
            named.insert(offset.wrapping_add(module.bias), frames);
        }
    }
    let frames = walk.addresses.iter().flat_map(|Address { address, lookup }| {
        let frames = named.get(lookup).cloned().unwrap_or_else(|| vec![Frame::default()]);
        frames.into_iter().map(|frame| Frame { address: *address, ..frame })
    });
    Stack { frames: frames.take(MAX_FRAMES).collect(), cut: walk.cut.clone() }
}

/// A function, its file and its line.
type Name = (String, Option<String>, Option<u32>);

/// The functions at addresses of one file, innermost first, as far as they were found before.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<BTreeMap<(u64, Depth), Vec<Name>>>);

impl Names {
    /// Those at each address, where `find` finds those that are not known. It may find nothing at all; then
    /// it is asked again the next time.
    fn of(
        &self,
        asked: &[u64],
        depth: Depth,
        find: impl FnOnce(&[u64]) -> Vec<Vec<Name>>,
    ) -> Vec<Vec<Name>> {
        let known = |address: &u64| {
            let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            names.get(&(*address, depth)).cloned()
        };
        let mut all: Vec<Option<Vec<Name>>> = asked.iter().map(known).collect();
        let unknown = asked.iter().zip(&all).filter(|(_, names)| names.is_none());
        let unknown: Vec<u64> = unknown.map(|(address, _)| *address).collect();
        let mut found = match unknown.is_empty() {
            true => Vec::new(),
            false => find(&unknown),
        };
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, found) in unknown.iter().zip(&found).take(MAX_KEPT) {
            if names.len() < MAX_KEPT {
                names.insert((*address, depth), found.clone());
            }
        }
        let mut found = found.drain(..);
        all.iter_mut().map(|one| one.take().or_else(|| found.next()).unwrap_or_default()).collect()
    }
}

/// The functions at each address, innermost first; none where nothing is known.
fn symbols(
    symbolizer: &Symbolizer,
    module: &Module,
    asked: &[u64],
    depth: Depth,
) -> Vec<Vec<Name>> {
    if !module.image.unpacks {
        return Vec::new();
    }
    let mut elf = Elf::new(module.image.path());
    elf.debug_syms = depth == Depth::Lines;
    let source = Source::Elf(elf);
    match symbolizer.symbolize(&source, Input::VirtOffset(asked)) {
        Ok(symbols) => {
            symbols.iter().map(|symbol| symbol.as_sym().map(names).unwrap_or_default()).collect()
        }
        Err(error) => {
            tracing::debug!("symbols of {}: {error}", module.path);
            Vec::new()
        }
    }
}

/// A name as its source has it. Names of C are left alone: by the grammar of C++ `i` alone would be
/// the type `int`.
pub(in crate::inspect) fn demangled(name: &str) -> String {
    let mut text = Short(String::new());
    let done = match rustc_demangle::try_demangle(name) {
        _ if name.len() > MAX_NAME => Err(fmt::Error),
        Ok(rust) => write!(text, "{rust:#}"),
        Err(_) if name.starts_with("_Z") => cpp_demangle::Symbol::new(name)
            .map_err(|_| fmt::Error)
            .and_then(|symbol| symbol.structured_demangle(&mut text, &Default::default())),
        Err(_) => Err(fmt::Error),
    };
    match done {
        Ok(()) => text.0,
        Err(_) => name.chars().take(MAX_NAME).collect(),
    }
}

/// A text that takes no more than a name may have.
struct Short(String);

impl Write for Short {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.0.len() + more.len() > MAX_NAME {
            return Err(fmt::Error);
        }
        self.0.push_str(more);
        Ok(())
    }
}

/// A function and those inlined into it, each with the place where it is itself.
fn names(symbol: &Sym<'_>) -> Vec<Name> {
    let place = |code: Option<&blazesym::symbolize::CodeInfo<'_>>| match code {
        Some(code) => (Some(code.to_path().display().to_string()), code.line),
        None => (None, None),
    };
    let (file, line) = place(symbol.code_info.as_deref());
    let mut names = vec![(demangled(&symbol.name), file, line)];
    for inlined in &symbol.inlined {
        let (file, line) = place(inlined.code_info.as_ref());
        names.push((demangled(&inlined.name), file, line));
    }
    names.reverse();
    names
}

fn with_names(frame: &Frame, names: &[Name]) -> Vec<Frame> {
    let named = |(symbol, file, line): &Name| Frame {
        symbol: Some(symbol.clone()),
        file: file.clone(),
        line: *line,
        ..frame.clone()
    };
    names.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::{Depth, MAX_NAME, Names, demangled};

    #[test]
    fn names_are_looked_for_once() {
        let named = |addresses: &[u64]| -> Vec<Vec<super::Name>> {
            addresses.iter().map(|address| vec![(format!("f{address}"), None, None)]).collect()
        };
        let names = Names::default();
        assert_eq!(names.of(&[1, 2], Depth::Symbols, named), named(&[1, 2]));
        let asked = std::cell::RefCell::default();
        let seen = |addresses: &[u64]| {
            Vec::extend_from_slice(&mut *asked.borrow_mut(), addresses);
            named(addresses)
        };
        assert_eq!(names.of(&[2, 3, 1], Depth::Symbols, seen), named(&[2, 3, 1]));
        assert_eq!(asked.take(), [3], "the others are known");
        assert_eq!(names.of(&[1], Depth::Lines, seen), named(&[1]));
        assert_eq!(asked.take(), [1], "names with lines are other names");
        // Where nothing could be read, it is tried again.
        assert_eq!(names.of(&[9], Depth::Lines, |_| Vec::new()), [Vec::new()]);
        assert_eq!(names.of(&[9], Depth::Lines, named), named(&[9]));
    }

    #[test]
    fn names_are_demangled_by_their_own_language_alone() {
        for (name, shown) in [
            ("i", "i"),
            ("x", "x"),
            ("St", "St"),
            ("main", "main"),
            ("_ZN1a1bEv", "a::b()"),
            ("_ZGVZ1fvE1x", "guard variable for f()::x"),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("_Zbroken", "_Zbroken"),
        ] {
            assert_eq!(demangled(name), shown);
        }
    }

    #[test]
    fn a_name_that_doubles_itself_again_and_again_stays_as_it_is() {
        // f(pair<int, int>, pair<S0_, S0_>, pair<S1_, S1_>, ...)
        let bomb = |times: usize| {
            let number = |at: usize| char::from_digit(at as u32, 36).unwrap_or_default();
            let twice = |at: usize| {
                let at = number(at).to_ascii_uppercase();
                format!("S_IS{at}_S{at}_E")
            };
            format!("_Z1fSt4pairIiiE{}", (0..times).map(twice).collect::<String>())
        };
        assert!(demangled(&bomb(2)).starts_with("f(std::pair<int, int>, std::pair<std::pair<int"));
        assert_eq!(demangled(&bomb(20)), bomb(20));
        let long = "_Z".repeat(MAX_NAME);
        assert_eq!(demangled(&long).len(), MAX_NAME);
    }
}
