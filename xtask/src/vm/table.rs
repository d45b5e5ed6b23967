//! The table: a row for each test, a column for each kernel.

use std::fmt::Write as _;

use super::{
    guest::{Outcome, Told},
    kernels::Kernel,
    plan::{PLACES, Place},
};

/// A kernel and what was seen on it; or why nothing was.
pub(crate) type Seen = (Kernel, Result<Told, String>);

/// How the message of a test begins if the kernel lacks the feature that it is about (`Need::missing`,
/// tests/src/lib.rs). What is lacking follows.
const NOT_HERE: &str = "not on this kernel: ";

/// What a cell says, and whether that is as it should be.
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) good: bool,
}

fn cell(text: &str, good: bool) -> Cell {
    Cell { text: text.to_owned(), good }
}

/// What became of a test in a place.
pub(crate) fn result((_, told): &Seen, place: &Place, test: &str) -> Cell {
    let section = told
        .as_ref()
        .ok()
        .and_then(|told| told.sections.iter().find(|section| section.label == place.label));
    let outcome = section.and_then(|section| section.tests.iter().find(|(name, _)| name == test));
    match outcome.map(|(_, outcome)| outcome) {
        Some(Outcome::Passed) => cell("ok", true),
        Some(Outcome::Failed) => cell("FAILED", false),
        Some(Outcome::Skipped(why)) if why.starts_with(NOT_HERE) => cell("not here", true),
        Some(Outcome::Skipped(why)) => cell(&format!("skipped: {why}"), false),
        None => cell("NOT RUN", false),
    }
}

/// What a kernel lacks, so that a test was not run on it.
fn lacking<'a>((_, told): &'a Seen, place: &Place, test: &str) -> Option<&'a str> {
    let sections = &told.as_ref().ok()?.sections;
    let section = sections.iter().find(|section| section.label == place.label)?;
    match section.tests.iter().find(|(name, _)| name == test)? {
        (_, Outcome::Skipped(why)) => why.strip_prefix(NOT_HERE),
        _ => None,
    }
}

/// How many tests there were on all kernels, by their outcomes.
fn count(all: &[Seen], quick: bool) -> String {
    let tests =
        |place: &'static Place| place.tests(quick).into_iter().map(move |test| (place, test));
    let cells: Vec<String> = PLACES
        .iter()
        .flat_map(tests)
        .flat_map(|(place, test)| all.iter().map(move |seen| result(seen, place, test).text))
        .collect();
    let of = |wanted: &str| cells.iter().filter(|text| *text == wanted).count();
    let (passed, not_here) = (of("ok"), of("not here"));
    let bad = cells.len() - passed - not_here;
    format!(
        "{} tests in all: {passed} passed, {not_here} were skipped because the kernel lacks the \
         feature, {bad} with a wrong result",
        cells.len()
    )
}

/// Whether everything is as it should be.
pub(crate) fn good(all: &[Seen], quick: bool) -> bool {
    let whole = |(_, told): &Seen| told.as_ref().is_ok_and(|told| told.done);
    let tests =
        |place: &'static Place| place.tests(quick).into_iter().map(move |test| (place, test));
    let rows = || PLACES.iter().flat_map(tests);
    all.iter().all(|seen| whole(seen) && rows().all(|(place, test)| result(seen, place, test).good))
}

/// The table in Markdown.
pub(crate) fn markdown(all: &[Seen], quick: bool) -> String {
    let mut text = String::new();
    let names: Vec<&str> = all.iter().map(|(kernel, _)| kernel.series.as_str()).collect();
    let _ = writeln!(text, "{}.\n", count(all, quick));
    let _ = writeln!(
        text,
        "## Kernels\n\n| Linux | as Debian names it | kernel warnings |\n|---|---|---|"
    );
    for (kernel, told) in all {
        let words = match told {
            Ok(told) if told.done => told.release.clone(),
            Ok(told) => format!("{} did not finish", told.release),
            Err(error) => error.clone(),
        };
        let complaints = told.as_ref().map(|told| told.complaints.join("; ")).unwrap_or_default();
        let _ = writeln!(text, "| {} | {words} | {complaints} |", kernel.series);
    }
    for place in PLACES.iter().filter(|place| !place.tests(quick).is_empty()) {
        let _ = writeln!(
            text,
            "\n## {}: {}\n\n| Test | {} |",
            place.label,
            place.about,
            names.join(" | ")
        );
        let _ = writeln!(text, "|---{}|", "|---".repeat(all.len()));
        for test in place.tests(quick) {
            let cells: Vec<String> =
                all.iter().map(|seen| result(seen, place, test).text).collect();
            let _ = writeln!(text, "| `{test}` | {} |", cells.join(" | "));
        }
        text.push_str(&not_here(all, place, quick));
    }
    text.push_str(&doctor(all));
    text
}

/// Why tests of a place were not run on some kernels, one line for each reason.
fn not_here(all: &[Seen], place: &Place, quick: bool) -> String {
    let mut reasons: Vec<(&str, Vec<&str>, Vec<&str>)> = Vec::new();
    for test in place.tests(quick) {
        for seen @ (kernel, _) in all {
            let Some(why) = lacking(seen, place, test) else { continue };
            let at = reasons.iter().position(|(other, ..)| *other == why);
            let at = at.unwrap_or_else(|| {
                reasons.push((why, Vec::new(), Vec::new()));
                reasons.len() - 1
            });
            let Some((_, kernels, tests)) = reasons.get_mut(at) else { continue };
            if !kernels.contains(&kernel.series.as_str()) {
                kernels.push(&kernel.series);
            }
            if !tests.contains(&test) {
                tests.push(test);
            }
        }
    }
    let mut text = String::new();
    for (why, kernels, tests) in reasons {
        let tests = tests.join("`, `");
        let _ = writeln!(text, "\nNot here: `{tests}` on {}: {why}.", kernels.join(", "));
    }
    text
}

/// What `forktrace doctor` says of each kernel: the checks that are not the same everywhere, or not well.
fn doctor(all: &[Seen]) -> String {
    let names: Vec<&str> = all.iter().map(|(kernel, _)| kernel.series.as_str()).collect();
    let mut text = format!(
        "\n## What `forktrace doctor` says\n\nChecks that differ between kernels, or \
         that are limited.\n\n| Check | {} |\n|---{}|\n",
        names.join(" | "),
        "|---".repeat(all.len())
    );
    let check = |(_, told): &Seen, index: usize| {
        let checks = told.as_ref().ok()?.doctor.as_ref()?.get("checks")?.as_array()?;
        let field = |name: &str| checks.get(index)?.get(name)?.as_str().map(str::to_owned);
        Some((field("name")?, field("status")?, field("detail")?))
    };
    for index in 0.. {
        let row: Vec<_> = all.iter().map(|seen| check(seen, index)).collect();
        let Some((name, ..)) = row.iter().flatten().next() else { break };
        let same = row.windows(2).all(|pair| pair.first() == pair.last());
        if name == "kernel" || same && row.iter().flatten().all(|(_, status, _)| status == "ok") {
            continue;
        }
        let cells: Vec<String> = row
            .iter()
            .map(|one| match one {
                Some((_, status, detail)) => format!("{status}: {}", detail.replace('|', "\\|")),
                None => "-".into(),
            })
            .collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text
}

/// The same for a terminal: without the rows in which all is well.
pub(crate) fn summary(all: &[Seen], quick: bool) -> String {
    let mut text = format!("{:<52}", "");
    for (kernel, _) in all {
        let _ = write!(text, "{:>9}", kernel.series);
    }
    text.push('\n');
    for place in PLACES {
        for test in place.tests(quick) {
            let _ = write!(text, "{:<52}", format!("{}/{test}", place.label));
            for seen in all {
                let cell = result(seen, place, test);
                let word = cell.text.split(':').next().unwrap_or(&cell.text);
                let _ = write!(text, "{word:>9}");
            }
            text.push('\n');
        }
        text.push_str(not_here(all, place, quick).trim_start());
    }
    text.push_str(&count(all, quick));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::guest::Section;

    fn seen(series: &str, outcome: impl Fn() -> Outcome) -> Seen {
        let section = |place: &Place| Section {
            label: place.label.into(),
            tests: place.tests(false).into_iter().map(|test| (test.into(), outcome())).collect(),
            code: Some(0),
        };
        let sections = PLACES.iter().map(section).collect();
        let told = Told { release: series.into(), sections, done: true, ..Told::default() };
        (Kernel { series: series.into(), image: "vmlinuz".into() }, Ok(told))
    }

    #[test]
    fn all_is_good_only_if_everything_is() {
        let usual = || seen("5.10", || Outcome::Passed);
        assert!(good(&[usual(), seen("7.0", || Outcome::Passed)], false));
        assert!(good(&[usual()], true));
        assert!(!good(&[usual(), seen("7.0", || Outcome::Failed)], false));
        assert!(!good(&[seen("5.10", || Outcome::Skipped("no python3".into()))], false));
        // What a kernel lacks is counted apart.
        let lacks = || seen("5.10", || Outcome::Skipped(format!("{NOT_HERE}it has no pages")));
        assert!(good(&[lacks()], false));
        assert!(count(&[lacks()], false).contains(" 0 passed, "));
        assert!(markdown(&[lacks()], true).contains("on 5.10: it has no pages."));
        let cut = |change: fn(&mut Told)| {
            let (kernel, told) = usual();
            (
                kernel,
                told.map(|mut told| {
                    change(&mut told);
                    told
                }),
            )
        };
        assert!(!good(&[cut(|told| told.done = false)], false));
        assert!(!good(&[cut(|told| drop(told.sections.pop()))], false));
        assert!(!good(&[cut(|told| drop(told.sections[0].tests.pop()))], false));
        assert!(!good(&[(usual().0, Err("no answer".into()))], false));
    }
}
