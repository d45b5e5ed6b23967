//! The columns, and how rows are chosen and ordered.

use std::cmp::{Ordering, Reverse};

use super::{Seen, State};
use crate::report::sanitize;

/// A column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// The process id.
    Pid,
    /// How it stands.
    #[default]
    State,
    /// How long it has been waiting.
    Wait,
    /// How sure a finding is.
    Confidence,
    /// What it waits for.
    Lock,
    /// Who could end that.
    Holder,
    /// When it was forked.
    Forked,
    /// Its name.
    Command,
}

impl Column {
    /// All, from left to right.
    pub const ALL: [Column; 8] = [
        Column::Pid,
        Column::State,
        Column::Wait,
        Column::Confidence,
        Column::Lock,
        Column::Holder,
        Column::Forked,
        Column::Command,
    ];

    /// The head of the column.
    pub fn title(self) -> &'static str {
        match self {
            Column::Pid => "PID",
            Column::State => "STATE",
            Column::Wait => "WAIT",
            Column::Confidence => "CONFIDENCE",
            Column::Lock => "LOCK",
            Column::Holder => "HOLDER",
            Column::Forked => "FORKED",
            Column::Command => "CMD",
        }
    }

    /// The column `by` places to the right, or to the left if that is negative; at an edge the last one.
    pub fn moved(self, by: isize) -> Self {
        let at = Column::ALL.iter().position(|column| *column == self).unwrap_or(0);
        let to = at.saturating_add_signed(by).min(Column::ALL.len() - 1);
        Column::ALL.get(to).copied().unwrap_or(self)
    }
}

/// Which rows there are, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrangement {
    /// Each process below the one that forked it.
    pub tree: bool,
    /// Only processes with a finding; in a tree also those above them.
    pub only_findings: bool,
    /// Also processes that ended a short while ago.
    pub ended: bool,
    /// Only processes with this text in their name, pid or program; in a tree also those above them.
    pub filter: String,
    /// The order of the rows, or of siblings in a tree.
    pub sort: Column,
    /// The order is turned.
    pub reversed: bool,
}

impl Default for Arrangement {
    fn default() -> Self {
        Arrangement {
            tree: true,
            only_findings: false,
            ended: false,
            filter: String::new(),
            sort: Column::default(),
            reversed: false,
        }
    }
}

impl Arrangement {
    /// Whether a process has a row for its own sake.
    pub(super) fn wants(&self, seen: &Seen) -> bool {
        (seen.process.is_alive() || self.ended)
            && (!self.only_findings || !seen.findings.is_empty())
            && self.fits(seen)
    }

    fn fits(&self, seen: &Seen) -> bool {
        let wanted = self.filter.to_lowercase();
        let has = |text: &str| sanitize(text).to_lowercase().contains(&wanted);
        wanted.is_empty()
            || has(&seen.process.comm)
            || has(&seen.process.pid.to_string())
            || seen.process.exe.as_deref().is_some_and(has)
    }

    /// The order of two processes: what is worse, waits longer, is surer or is later comes first, names and
    /// numbers in their own order.
    pub(super) fn compare(&self, a: &Seen, b: &Seen, state: &State) -> Ordering {
        let wait = |seen: &Seen| Reverse(seen.waited_ns(state.now_ns));
        let order = match self.sort {
            Column::Pid => Ordering::Equal,
            Column::State => Reverse(a.standing).cmp(&Reverse(b.standing)),
            Column::Wait => wait(a).cmp(&wait(b)),
            Column::Confidence => Reverse(a.confidence()).cmp(&Reverse(b.confidence())),
            Column::Lock => by_text(a, b, |seen| {
                let lock = |finding| crate::report::cells::lock(finding, state.machine);
                seen.finding().map(lock)
            }),
            Column::Holder => by_text(a, b, |seen| {
                let holder = |finding| crate::report::cells::holder(finding, Default::default());
                seen.finding().map(holder).filter(|text| !text.is_empty())
            }),
            Column::Forked => Reverse(a.process.start_ns).cmp(&Reverse(b.process.start_ns)),
            Column::Command => a.process.comm.cmp(&b.process.comm),
        };
        let order = match self.sort {
            Column::State => {
                order.then_with(|| Reverse(a.confidence()).cmp(&Reverse(b.confidence())))
            }
            _ => order,
        };
        let order = order.then_with(|| a.process.pid.cmp(&b.process.pid));
        if self.reversed { order.reverse() } else { order }
    }
}

/// Those without a text come last.
fn by_text(a: &Seen, b: &Seen, text: impl Fn(&Seen) -> Option<String>) -> Ordering {
    let key = |seen: &Seen| text(seen).map_or((true, String::new()), |text| (false, text));
    key(a).cmp(&key(b))
}
