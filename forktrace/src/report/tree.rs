//! The process tree as it is drawn. A big one is folded, so that it stays readable.

use std::fmt::Write as _;

use rustc_hash::FxHashMap;
use termtree::{GlyphPalette, Tree};

use super::{Style, count, duration, hang, style::Tone};
use crate::{
    finding::{Confidence, Finding},
    model::{ProcId, Process},
};

/// A tree of more processes than this is folded.
const FOLD_ABOVE: usize = 200;
/// In a folded tree, siblings without a finding shown one by one.
const SIBLINGS: usize = 40;
/// Generations drawn; also bounds the recursion here and in the drawing.
const GENERATIONS: usize = 48;

const ASCII: GlyphPalette = GlyphPalette {
    middle_item: "|",
    last_item: "`",
    item_indent: "-- ",
    middle_skip: "|",
    last_skip: " ",
    skip_indent: "   ",
};

/// Who descends from whom, by place in the slice of processes.
struct Forest<'a> {
    processes: &'a [Process],
    findings: FxHashMap<usize, Confidence>,
    children: Vec<Vec<usize>>,
    /// Processes in the subtree, itself included.
    sizes: Vec<u64>,
    /// Whether a process of the subtree has a finding.
    flagged: Vec<bool>,
    folded: bool,
    style: Style,
}

/// Siblings that are drawn as one.
struct Group {
    members: Vec<usize>,
    /// Whether they may be drawn as one: none has a finding below it.
    foldable: bool,
}

/// Draws the trees of `processes`, each process below the one that forked it.
pub(super) fn draw(processes: &[Process], findings: &[&Finding], style: Style) -> String {
    let (forest, roots) = Forest::new(processes, findings, style);
    let mut text = String::new();
    for mut root in forest.branches(&roots, 1) {
        if style.ascii {
            root.set_glyphs(ASCII);
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{root}");
    }
    text
}

impl<'a> Forest<'a> {
    fn new(processes: &'a [Process], findings: &[&Finding], style: Style) -> (Self, Vec<usize>) {
        let parents = parents(processes);
        let mut children = vec![Vec::new(); processes.len()];
        let mut roots = Vec::new();
        for (at, parent) in parents.iter().enumerate() {
            match parent.and_then(|parent| children.get_mut(parent)) {
                Some(siblings) => siblings.push(at),
                None => roots.push(at),
            }
        }
        let mut forest = Forest {
            processes,
            findings: places(processes, findings),
            sizes: vec![1; processes.len()],
            flagged: vec![false; processes.len()],
            folded: processes.len() > FOLD_ABOVE,
            children,
            style,
        };
        forest.add_up(&roots, &parents);
        (forest, roots)
    }

    /// Computes `sizes` and `flagged`, children before their parents.
    fn add_up(&mut self, roots: &[usize], parents: &[Option<usize>]) {
        let mut order = roots.to_vec();
        let mut next = 0;
        while let Some(at) = order.get(next).copied() {
            next += 1;
            order.extend(self.children.get(at).into_iter().flatten());
        }
        for at in order.into_iter().rev() {
            let flagged = self.flagged.get(at) == Some(&true) || self.findings.contains_key(&at);
            let size = self.sizes.get(at).copied().unwrap_or(1);
            if let Some(own) = self.flagged.get_mut(at) {
                *own = flagged;
            }
            let Some(parent) = parents.get(at).copied().flatten() else { continue };
            if let Some(above) = self.flagged.get_mut(parent) {
                *above |= flagged;
            }
            if let Some(above) = self.sizes.get_mut(parent) {
                *above += size;
            }
        }
    }

    fn branches(&self, siblings: &[usize], generation: usize) -> Vec<Tree<String>> {
        let mut branches = Vec::new();
        let (mut shown, mut hidden) = (0, 0);
        for group in self.groups(siblings) {
            let below: u64 = group.members.iter().map(|at| self.size(*at)).sum();
            if group.foldable && self.folded && shown >= SIBLINGS {
                hidden += below;
                continue;
            }
            shown += usize::from(group.foldable);
            match group.members.as_slice() {
                [] => {}
                [at] => branches.extend(self.branch(*at, generation)),
                [first, ..] => {
                    branches.extend(self.fold(*first, group.members.len() as u64, below));
                }
            }
        }
        if hidden > 0 {
            branches.push(Tree::new(format!("and {} more, none with a finding", count(hidden))));
        }
        branches
    }

    /// Each process alone or, in a folded tree, those of one name and state together.
    fn groups(&self, siblings: &[usize]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_kind: FxHashMap<(&str, bool), usize> = FxHashMap::default();
        for at in siblings.iter().copied() {
            let Some(process) = self.processes.get(at) else { continue };
            let foldable = self.flagged.get(at) == Some(&false);
            let new = groups.len();
            let place = match foldable && self.folded {
                true => *by_kind.entry((&process.comm, process.is_alive())).or_insert(new),
                false => new,
            };
            match groups.get_mut(place) {
                Some(group) => group.members.push(at),
                None => groups.push(Group { members: vec![at], foldable }),
            }
        }
        groups
    }

    fn branch(&self, at: usize, generation: usize) -> Option<Tree<String>> {
        let process = self.processes.get(at)?;
        let children = self.children.get(at).map_or(&[][..], Vec::as_slice);
        let label = self.label(process, self.findings.get(&at).copied());
        if generation < GENERATIONS || children.is_empty() {
            return Some(Tree::new(label).with_leaves(self.branches(children, generation + 1)));
        }
        let deeper = count(self.size(at).saturating_sub(1));
        let flagged = children.iter().any(|child| self.flagged.get(*child) == Some(&true));
        let note = if flagged { ", some with a finding" } else { "" };
        Some(Tree::new(label).with_leaves([format!("and {deeper} deeper down{note}")]))
    }

    fn fold(&self, first: usize, members: u64, below: u64) -> Option<Tree<String>> {
        let process = self.processes.get(first)?;
        let state = if process.is_alive() { "still running" } else { "ended" };
        let sign = if self.style.ascii { "x" } else { "×" };
        let descendants = match below.saturating_sub(members) {
            0 => String::new(),
            n => format!(", with {} below them", count(n)),
        };
        let comm = self.style.clean(&process.comm);
        Some(Tree::new(format!("{comm} {sign} {} ({state}){descendants}", count(members))))
    }

    fn size(&self, at: usize) -> u64 {
        self.sizes.get(at).copied().unwrap_or(1)
    }

    fn label(&self, process: &Process, finding: Option<Confidence>) -> String {
        let style = self.style;
        let mut label = format!("{}[{}]  ", style.clean(&process.comm), process.pid);
        if let Some(confidence) = finding {
            let hang = format!("HANG {}", hang::word(confidence));
            label.push_str(&style.paint(hang::tone(confidence), &hang));
        }
        match process.end_ns {
            None if finding.is_some() => {}
            None => label.push_str("still running"),
            Some(end) => {
                if finding.is_some() {
                    label.push_str(", ");
                }
                let lived = process.lived_ns(end).map(|ns| format!("lived {}", duration(ns)));
                let lived = lived.unwrap_or_else(|| "ended".into());
                label.push_str(&style.paint(Tone::Dim, &lived));
            }
        }
        if process.incomplete {
            label.push_str("  (incomplete: events were lost)");
        }
        label
    }
}

/// The place of each process's parent: of the one that forked it, where that was seen.
fn parents(processes: &[Process]) -> Vec<Option<usize>> {
    let places: FxHashMap<ProcId, usize> =
        processes.iter().enumerate().map(|(at, process)| (process.id, at)).collect();
    let mut parents: Vec<Option<usize>> = processes
        .iter()
        .map(|process| {
            let id = process.fork.as_ref().and_then(|fork| fork.by).or(process.parent)?;
            places.get(&id).copied()
        })
        .collect();
    cut_circles(&mut parents);
    parents
}

/// Cuts the circles in a table that says for each place which one is above it. Only a damaged log
/// describes any.
pub(crate) fn cut_circles(parents: &mut [Option<usize>]) {
    // 0: not looked at; otherwise the number of the walk that came by.
    let mut seen = vec![0_usize; parents.len()];
    for walk in 1..=parents.len() {
        let mut at = walk - 1;
        while seen.get(at) == Some(&0) {
            if let Some(mark) = seen.get_mut(at) {
                *mark = walk;
            }
            let Some(parent) = parents.get(at).copied().flatten() else { break };
            if seen.get(parent) == Some(&walk) {
                if let Some(link) = parents.get_mut(at) {
                    *link = None;
                }
                break;
            }
            at = parent;
        }
    }
}

/// The place of each finding's process, with the strongest finding of each.
fn places(processes: &[Process], findings: &[&Finding]) -> FxHashMap<usize, Confidence> {
    let mut by_pid: FxHashMap<u32, Vec<usize>> = FxHashMap::default();
    for (at, process) in processes.iter().enumerate() {
        by_pid.entry(process.pid).or_default().push(at);
    }
    let mut places = FxHashMap::default();
    for finding in findings {
        let Some(candidates) = by_pid.get(&finding.pid) else { continue };
        // The pid may have been used again: the fork tells which of them it is.
        let same_fork = |at: &&usize| {
            let fork = processes.get(**at).and_then(|process| process.fork.as_ref());
            fork.map(|fork| fork.boot_ns) == finding.fork.as_ref().map(|fork| fork.boot_ns)
        };
        let place = candidates.iter().rev().find(same_fork).or(candidates.last());
        if let Some(place) = place {
            let strongest = places.entry(*place).or_insert(finding.confidence);
            *strongest = (*strongest).max(finding.confidence);
        }
    }
    places
}
