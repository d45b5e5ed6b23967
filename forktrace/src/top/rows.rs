//! The rows of the table, in their order.

use rustc_hash::FxHashMap;

use super::{Arrangement, Column, Seen, State};
use crate::{
    pipeline::Standing,
    report::{Clock, Style, below, cells, cut_circles, hang},
};
use forktrace_model::model::ProcId;

/// Most generations that are drawn one below the other: further ones are drawn beside each other.
const DEEPEST: usize = 12;

/// One process.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The process.
    pub seen: &'a Seen,
    /// It is shown since another one stands below it.
    pub is_context: bool,
    /// The branches of the tree before its name.
    pub branches: String,
}

/// The rows of a state, in the order that is asked for.
pub fn rows<'a>(state: &'a State, arrangement: &Arrangement, style: Style) -> Vec<Row<'a>> {
    match arrangement.tree {
        true => Forest::new(state, arrangement).rows(style),
        false => {
            let wanted = state.processes.iter().filter(|seen| arrangement.wants(seen));
            let mut wanted: Vec<&Seen> = wanted.collect();
            wanted.sort_by(|a, b| arrangement.compare(a, b, state));
            let row = |seen| Row { seen, is_context: false, branches: String::new() };
            wanted.into_iter().map(row).collect()
        }
    }
}

impl Row<'_> {
    /// The text in a column at the moment of `state`. What comes from traced programs is escaped in it.
    pub fn cell(&self, column: Column, state: &State, style: Style, clock: &Clock) -> String {
        let State { now_ns, machine, .. } = *state;
        let Seen { process, standing, .. } = self.seen;
        let finding = self.seen.finding();
        match column {
            Column::Pid => process.pid.to_string(),
            Column::State => cells::state(*standing, !process.is_alive()).into(),
            Column::Wait => {
                let waited = self.seen.waited_ns(now_ns);
                waited.map(|ns| cells::waited(finding, ns)).unwrap_or_default()
            }
            Column::Confidence => {
                self.seen.confidence().map(hang::word).unwrap_or_default().to_owned()
            }
            Column::Lock => finding.map(|it| cells::lock(it, machine)).unwrap_or_default(),
            Column::Holder => finding.map(|it| cells::holder(it, style)).unwrap_or_default(),
            Column::Forked => cells::forked(process.start_ns, now_ns, clock),
            Column::Command => format!("{}{}", self.branches, style.clean(&process.comm)),
        }
    }
}

/// The processes below each other.
struct Forest<'a, 'r> {
    state: &'a State,
    arrangement: &'r Arrangement,
    children: Vec<Vec<usize>>,
    roots: Vec<usize>,
    /// The worst in each subtree, among those that are wanted; `None`: there is none.
    worst: Vec<Option<Standing>>,
    wanted: Vec<bool>,
}

impl<'a, 'r> Forest<'a, 'r> {
    fn new(state: &'a State, arrangement: &'r Arrangement) -> Self {
        let processes = &state.processes;
        let places: FxHashMap<ProcId, usize> =
            processes.iter().enumerate().map(|(at, seen)| (seen.process.id, at)).collect();
        let mut parents: Vec<Option<usize>> = processes
            .iter()
            .map(|seen| seen.above().and_then(|id| places.get(&id).copied()))
            .collect();
        cut_circles(&mut parents);
        let (children, roots) = below(&parents);
        let wanted: Vec<bool> = processes.iter().map(|seen| arrangement.wants(seen)).collect();
        let own = |(seen, wanted): (&Seen, &bool)| wanted.then_some(seen.standing);
        let worst = processes.iter().zip(&wanted).map(own).collect();
        let mut forest = Forest { state, arrangement, children, roots, worst, wanted };
        forest.add_up(&parents);
        forest.sort();
        forest
    }

    /// Puts the worst of each subtree at its root.
    fn add_up(&mut self, parents: &[Option<usize>]) {
        let mut order = self.roots.clone();
        let mut next = 0;
        while let Some(at) = order.get(next).copied() {
            next += 1;
            order.extend(self.children.get(at).into_iter().flatten());
        }
        for at in order.into_iter().rev() {
            let worst = self.worst.get(at).copied().flatten();
            let parent = parents.get(at).copied().flatten();
            if let Some(above) = parent.and_then(|parent| self.worst.get_mut(parent)) {
                *above = (*above).max(worst);
            }
        }
    }

    /// Siblings with something worse below them come first.
    fn sort(&mut self) {
        let Forest { state, arrangement, worst, .. } = &*self;
        let order = |a: &usize, b: &usize| {
            let found = |at: &usize| worst.get(*at).copied().flatten();
            let (Some(one), Some(other)) = (state.processes.get(*a), state.processes.get(*b))
            else {
                return a.cmp(b);
            };
            found(b).cmp(&found(a)).then_with(|| arrangement.compare(one, other, state))
        };
        let mut children = self.children.clone();
        children.iter_mut().for_each(|siblings| siblings.sort_by(order));
        let mut roots = self.roots.clone();
        roots.sort_by(order);
        (self.children, self.roots) = (children, roots);
    }

    /// A process has a row if it or one below it is wanted.
    fn has_row(&self, at: usize) -> bool {
        self.worst.get(at).is_some_and(Option::is_some)
    }

    fn rows(&self, style: Style) -> Vec<Row<'a>> {
        let shown = |all: &[usize]| -> Vec<usize> {
            all.iter().copied().filter(|at| self.has_row(*at)).collect()
        };
        let mut rows = Vec::new();
        // Each: its place, the branches before its own, whether it is the last of its siblings, its depth.
        let mut next: Vec<(usize, String, bool, usize)> =
            shown(&self.roots).into_iter().rev().map(|at| (at, String::new(), true, 0)).collect();
        while let Some((at, before, is_last, depth)) = next.pop() {
            let Some(seen) = self.state.processes.get(at) else { continue };
            let branches = match depth {
                0 => String::new(),
                _ => format!("{before}{}", branch(is_last, style)),
            };
            let is_context = self.wanted.get(at) != Some(&true);
            rows.push(Row { seen, is_context, branches });
            let below = match depth {
                0 => String::new(),
                1..DEEPEST => format!("{before}{}", stem(is_last, style)),
                _ => before,
            };
            let children = shown(self.children.get(at).map_or(&[][..], Vec::as_slice));
            let last = children.last().copied();
            let children = children.into_iter().rev();
            next.extend(
                children.map(|child| (child, below.clone(), Some(child) == last, depth + 1)),
            );
        }
        rows
    }
}

fn branch(is_last: bool, style: Style) -> &'static str {
    match (style.ascii, is_last) {
        (false, true) => "└ ",
        (false, false) => "├ ",
        (true, true) => "` ",
        (true, false) => "| ",
    }
}

fn stem(is_last: bool, style: Style) -> &'static str {
    match (is_last, style.ascii) {
        (true, _) => "  ",
        (false, false) => "│ ",
        (false, true) => "| ",
    }
}
