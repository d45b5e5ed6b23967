//! The words around the table of `top`.

use super::{Clock, cells, count, plural};

/// What can be typed, and what it does.
pub(crate) const KEYS: [(&str, &str); 17] = [
    ("Up Down j k", "choose a process; also PgUp PgDn, g (first), G (last)"),
    ("Enter", "what is known of the process: its finding, or who it is"),
    ("t", "tree, or a flat list"),
    ("h", "only processes with a finding"),
    ("s", "sort: Left and Right choose the column, - turns the order, Enter ends"),
    ("/", "show only what has this text in its name, pid or program; Esc shows all"),
    ("space", "pause: nothing on the screen changes or disappears until the next space"),
    ("r", "also processes that ended a short while ago"),
    ("w", "write the finding of the chosen process to a file here"),
    ("e", "write all as an HTML report to a file here"),
    ("?", "this page"),
    ("q", "quit; also Ctrl-C"),
    ("[ ]", "of a recorded log: one step back, one step on"),
    ("{ }", "of a recorded log: to the finding before, to the next one"),
    ("0 $", "of a recorded log: to its beginning, to its end"),
    ("", ""),
    (
        "HANGS DATA RISK",
        "a finding; waits: not judged, or a suspect; at risk: forked beside threads",
    ),
];

/// The title of the page of keys.
pub(crate) const KEYS_TITLE: &str = "Keys (any key goes back)";
/// The line of the most important keys.
pub(crate) const HINT: &str = "? help  Enter details  t tree  h hangs  s sort  / filter  space pause  r ended  w write  q quit";
/// The same beside a finding.
pub(crate) const DETAILS_HINT: &str = "Esc back  Up Down scroll  w write  q quit";
/// The same while a column to sort by is chosen.
pub(crate) const SORT_HINT: &str =
    "sort: Left Right choose the column, - turns the order, Enter ends";
/// There is no finding to be written.
pub(crate) const NO_FINDING: &str = "no finding is about this process: nothing was written";
/// There is no time to go to.
pub(crate) const NO_LOG: &str = "only a recorded log has other moments: forktrace top FILE";
/// There is no row.
pub(crate) const NOTHING: &str = "no process to show";

/// The numbers of the first line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers<'a> {
    /// Living processes.
    pub(crate) processes: u64,
    /// Those that hang.
    pub(crate) hang: u64,
    /// Those with another finding.
    pub(crate) hazards: u64,
    /// Those that hung when they ended.
    pub(crate) hung: u64,
    /// Waits that were not judged.
    pub(crate) unjudged: u64,
    /// Events that were lost.
    pub(crate) lost: u64,
    /// What is traced, in words.
    pub(crate) scope: &'a str,
    /// How long it has been watched, ns.
    pub(crate) watched_ns: u64,
    /// That is so short that a hang need not have been judged.
    pub(crate) is_early: bool,
    /// Nothing on the screen changes.
    pub(crate) paused: bool,
}

/// The first line. What would be bad comes first, so that a narrow screen has it.
pub(crate) fn status(numbers: &Numbers<'_>) -> String {
    let Numbers {
        processes,
        hang,
        hazards,
        hung,
        unjudged,
        lost,
        scope,
        watched_ns,
        is_early,
        paused,
    } = numbers;
    let mut parts = Vec::new();
    if *paused {
        parts.push("PAUSED".to_owned());
    }
    let so_far = if *is_early { " so far" } else { "" };
    parts.push(format!("{} hanging{so_far}", count(*hang)));
    if *hazards > 0 {
        parts.push(plural(*hazards, "hazard", "hazards"));
    }
    if *hung > 0 {
        parts.push(format!("{} ended in a hang", count(*hung)));
    }
    parts.push(format!("{} not judged", plural(*unjudged, "wait", "waits")));
    if *lost > 0 {
        parts.push(format!("{} LOST", plural(*lost, "event", "events")));
    }
    parts.push(plural(*processes, "process", "processes"));
    parts.push(format!("watched {}", cells::short(*watched_ns)));
    parts.push((*scope).to_owned());
    parts.join(" | ")
}

/// The text beside the ruler of a log: where it stands. `from` and `at` are `CLOCK_BOOTTIME`, ns.
pub(crate) fn ruler(at_ns: u64, from_ns: u64, clock: &Clock) -> String {
    let since = cells::short(at_ns.saturating_sub(from_ns));
    format!("{} (+{since})", clock.time(at_ns))
}

/// What is chosen by the filter, at the bottom. `typing`: it is being typed.
pub(crate) fn filter(text: &str, typing: bool) -> String {
    match typing {
        true => format!("filter: {text}_   (Enter keeps it, Esc drops it)"),
        false => format!("filter: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bad_comes_first() {
        let numbers = Numbers {
            processes: 1200,
            hang: 1,
            hazards: 2,
            hung: 3,
            unjudged: 1,
            lost: 5,
            scope: "all processes",
            watched_ns: 61_000_000_000,
            is_early: false,
            paused: true,
        };
        assert_eq!(
            status(&numbers),
            "PAUSED | 1 hanging | 2 hazards | 3 ended in a hang | 1 wait not judged | 5 events LOST | \
             1,200 processes | watched 61.0s | all processes"
        );
        let quiet = Numbers { scope: "processes 7", is_early: true, ..Numbers::default() };
        assert_eq!(
            status(&quiet),
            "0 hanging so far | 0 waits not judged | 0 processes | watched 0ms | processes 7"
        );
    }
}
