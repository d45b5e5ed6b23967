//! A stack in a few words: the program's own functions, and runs of others as a count.

use std::borrow::Cow;

use super::Style;
use forktrace_model::{event::stacks::Frame, frames::Layer};

/// A run of library functions with more than this many is folded.
const SHOWN_RUN: usize = 2;
/// Names of libraries in the count of a run.
const NAMES: usize = 3;

/// A part of a shortened stack.
enum Part<'a> {
    /// A function.
    Frame(&'a Frame),
    /// A run of functions of libraries: how many, and of which.
    Run(usize, Vec<Cow<'a, str>>),
    /// Functions left out at the end.
    More(usize),
}

/// The function that was called in the C library or in the library of the language, then up to `most` of
/// the program's own functions, innermost first, with runs of library functions folded. `ends`: say how
/// many more functions there are.
pub(super) fn text(stack: &[Frame], most: usize, ends: bool, style: Style) -> String {
    let arrow = if style.ascii { " <- " } else { " ← " };
    let parts = parts(stack, most, ends);
    parts.iter().map(|part| part.text(style)).collect::<Vec<_>>().join(arrow)
}

/// The whole stack, each function as it is.
pub(super) fn whole(stack: &[Frame], style: Style) -> Vec<String> {
    stack.iter().map(|frame| style.clean(&frame.whole()).into_owned()).collect()
}

fn parts(stack: &[Frame], most: usize, ends: bool) -> Vec<Part<'_>> {
    let layers: Vec<_> = stack.iter().map(Frame::layer).collect();
    let is_beneath = |at: &usize| layers.get(*at) == Some(&Layer::Language);
    let inside = (0..stack.len()).find(|at| !is_beneath(at)).unwrap_or(stack.len());
    let end = (inside..stack.len()).rev().find(|at| !is_beneath(at)).map_or(inside, |at| at + 1);
    let (beneath, rest) = stack.split_at(inside);
    let mut parts = Vec::new();
    // The outermost library function is the one that the program called. Debug information has the
    // names of inlined functions without their modules, which say little.
    let says_what = |frame: &&Frame| {
        let is_plain = frame.is_library() || frame.file.is_none();
        frame.symbol.as_deref().is_some_and(|name| is_plain || name.contains("::"))
    };
    let outermost = beneath.iter().rev().find(says_what);
    let named = || beneath.iter().rev().find(|frame| frame.symbol.is_some());
    let called = outermost.or_else(named).or(beneath.last());
    parts.extend(called.map(Part::Frame));
    let layers = layers.get(inside..end).unwrap_or_default();
    let frames: Vec<_> = rest.iter().zip(layers).collect();
    // A stack of libraries alone is shown as if they were the program.
    let has_own = layers.contains(&Layer::Program);
    let is_own = |layer: &Layer<'_>| match layer {
        Layer::Program => true,
        Layer::Library(_) => !has_own,
        Layer::Language => false,
    };
    let mut shown = 0;
    let mut at = 0;
    while let Some((frame, layer)) = frames.get(at) {
        if shown == most {
            break;
        }
        if is_own(layer) {
            parts.push(Part::Frame(frame));
            shown += 1;
            at += 1;
            continue;
        }
        let others = frames.get(at..).unwrap_or_default();
        let length = others.iter().take_while(|(_, layer)| !is_own(layer)).count();
        parts.extend(run(others.get(..length).unwrap_or_default()));
        at += length;
    }
    let left = frames.len() - at;
    if ends && left > 0 {
        parts.push(Part::More(left));
    }
    parts
}

/// A run of functions that are not the program's: a short one as it is, a long one as a count and the
/// function that the program called. Functions of the language alone are not worth a word.
fn run<'a>(frames: &[(&'a Frame, &Layer<'a>)]) -> Vec<Part<'a>> {
    let libraries = frames.iter().filter_map(|(frame, layer)| match layer {
        Layer::Library(name) => Some((*frame, name.clone())),
        _ => None,
    });
    let libraries: Vec<_> = libraries.collect();
    let Some((called, _)) = libraries.last() else { return Vec::new() };
    if frames.len() <= SHOWN_RUN {
        return libraries.iter().map(|(frame, _)| Part::Frame(frame)).collect();
    }
    let mut names: Vec<Cow<'a, str>> = Vec::new();
    for (_, name) in &libraries {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    vec![Part::Run(frames.len() - 1, names), Part::Frame(called)]
}

impl Part<'_> {
    fn text(&self, style: Style) -> String {
        match self {
            Part::Frame(frame) => style.name(&frame.short()),
            Part::Run(count, names) => folded(*count, names, style),
            Part::More(count) => format!("{} {count} more", style.dots()),
        }
    }
}

/// `… 31 frames of rayon`.
pub(in crate::report) fn folded(count: usize, names: &[Cow<'_, str>], style: Style) -> String {
    let of: Vec<_> = names.iter().take(NAMES).map(|name| style.clean(name)).collect();
    let frames = super::plural(count as u64, "frame", "frames");
    let more = if names.len() > NAMES { " and others" } else { "" };
    format!("{} {frames} of {}{more}", style.dots(), of.join(", "))
}
