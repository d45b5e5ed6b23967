//! The rows about random number generators that several processes draw the same numbers from.

use forktrace_model::{
    event::{Generator, GeneratorSide},
    finding::{Finding, GeneratorsDetail},
};

use super::{Style, plural};

/// Most processes, and generators beside the first, that are named.
const SIDES: usize = 6;
const OTHERS: usize = 3;

/// The first sentence about a finding: `worker[71] and worker[72] draw the same random numbers`.
pub(super) fn header(finding: &Finding, detail: &GeneratorsDetail, style: Style) -> String {
    let sides = detail.found.first().map(|generator| generator.sides.as_slice());
    let others = sides.unwrap_or_default().iter().filter(|side| side.pid != finding.subject.pid);
    let own = format!("{}[{}]", style.clean(&finding.subject.comm), finding.subject.pid);
    let mut others = others.map(|side| {
        let parent = if side.pid == finding.subject.ppid { "its parent " } else { "" };
        format!("{parent}{}", name(side, style))
    });
    let with = match (others.next(), others.count()) {
        (None, _) => "others".into(),
        (Some(first), 0) => first,
        (Some(first), more) => format!("{first} and {}", plural(more as u64, "other", "others")),
    };
    format!("{own} and {with} draw the same random numbers")
}

/// Label and text of the rows about the generators.
pub(super) fn rows(detail: &GeneratorsDetail, style: Style) -> Vec<(&'static str, String)> {
    let Some((first, others)) = detail.found.split_first() else { return Vec::new() };
    let mut rows = vec![("generator", about(first, style)), ("drawn", drawn(first, style))];
    let mut label = "and from";
    for other in others.iter().take(OTHERS) {
        rows.push((label, format!("{}: {}", about(other, style), drawn(other, style))));
        label = "";
    }
    if let Some(hidden) = others.len().checked_sub(OTHERS).filter(|hidden| *hidden > 0) {
        rows.push((label, plural(hidden as u64, "more generator", "more generators")));
    }
    rows
}

/// What a generator is, and whose.
fn about(generator: &Generator, style: Style) -> String {
    let owner = match (&generator.type_name, &generator.module) {
        (Some(name), _) => format!(" in a Python object of type {}", style.clean(name)),
        (None, Some(path)) => format!(" in {}", style.clean(path)),
        (None, None) => String::new(),
    };
    format!("{}{owner}, at {:#x}", generator.kind, generator.address)
}

/// Who has drawn how much.
fn drawn(generator: &Generator, style: Style) -> String {
    let counts: Vec<u64> = generator.sides.iter().map(|side| side.steps).collect();
    let least = counts.iter().min().copied().unwrap_or_default();
    let number = plural(least, "number", "numbers");
    if counts.iter().all(|steps| *steps == least) {
        return format!("{number} each so far, from one inherited state");
    }
    let one = |side: &GeneratorSide| format!("{} by {}", side.steps, name(side, style));
    let shown: Vec<String> = generator.sides.iter().take(SIDES).map(one).collect();
    let more = match generator.sides.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{}{more} so far, from one inherited state: the first {number} are equal",
        shown.join(", ")
    )
}

fn name(side: &GeneratorSide, style: Style) -> String {
    format!("{}[{}]", style.clean(&side.comm), side.pid)
}
