//! The process tree as rows, for every picture of it.

use forktrace_model::finding::{Confidence, Severity};

use super::{Timeline, ancestors::Lines, timeline::Found};

/// Processes that are drawn. Of a bigger tree those are left out first that have no finding in or
/// below them.
pub(super) const MAX_ROWS: usize = 2_000;

/// The rows of a tree, each process below the one that made it.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) rows: Vec<Row>,
    /// Processes that are not drawn.
    pub(super) hidden: usize,
}

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Its place in the story.
    pub(super) process: usize,
    /// Ancestors above it.
    pub(super) depth: usize,
    /// Of its strongest finding.
    pub(super) finding: Option<Confidence>,
}

impl Layout {
    /// Lays out a story; `suspects`: marking those too.
    pub(super) fn new(story: &Timeline, suspects: bool) -> Self {
        let count = story.processes.len();
        let mut marks = vec![None; count];
        let hangs = |found: &Found| found.finding.severity == Severity::Hang;
        for (_, found) in story.shown(suspects).filter(|(_, found)| hangs(found)) {
            if let Some(mark) = marks.get_mut(found.process as usize) {
                *mark = (*mark).max(Some(found.finding.confidence));
            }
        }
        let above = |at: usize| story.processes.get(at)?.above.map(|above| above as usize);
        let mut wanted: Vec<bool> = vec![count <= MAX_ROWS; count];
        if count > MAX_ROWS {
            let mut room = MAX_ROWS;
            let lines = Lines::new(&story.processes);
            let with = (0..count).filter(|at| marks.get(*at).is_some_and(Option::is_some));
            // Whoever is drawn is drawn with all its ancestors, so that every row hangs on one.
            for start in with.chain(0..count) {
                let line = lines.below(start, |at| wanted.get(at) == Some(&true));
                if line > room {
                    continue;
                }
                room -= line;
                let mut next = Some(start);
                while let Some(at) = next
                    && let Some(wanted) = wanted.get_mut(at).filter(|wanted| !**wanted)
                {
                    *wanted = true;
                    next = above(at);
                }
                if room == 0 {
                    break;
                }
            }
        }
        let mut children = vec![Vec::new(); count];
        let mut stack = Vec::new();
        for at in (0..count).rev().filter(|at| wanted.get(*at) == Some(&true)) {
            match above(at).and_then(|above| children.get_mut(above)) {
                Some(siblings) => siblings.push(at),
                None => stack.push((at, 0)),
            }
        }
        let mut rows = Vec::new();
        while let Some((process, depth)) = stack.pop() {
            let finding = marks.get(process).copied().flatten();
            rows.push(Row { process, depth, finding });
            let children = children.get(process).into_iter().flatten();
            stack.extend(children.map(|child| (*child, depth + 1)));
        }
        Layout { hidden: count - rows.len(), rows }
    }
}
