//! The drawing of the process tree. A large tree is folded to keep it readable.

use rustc_hash::FxHashMap;
use termtree::{GlyphPalette, Tree};

use super::{
    Style,
    bars::{self, Line, Part, Span},
    count, duration, hang, plural,
    style::Tone,
};
use forktrace_model::{
    finding::{Confidence, Severity},
    judge::Judged,
    model::{ProcId, Process},
};

/// A tree with more processes than this is folded.
const FOLD_ABOVE: usize = 200;
/// Siblings without a finding that a folded tree shows.
const SIBLINGS: usize = 40;
/// Generations that are drawn. It limits the recursion.
const GENERATIONS: usize = 48;

const ASCII: GlyphPalette = GlyphPalette {
    middle_item: "|",
    last_item: "`",
    item_indent: "-- ",
    middle_skip: "|",
    last_skip: " ",
    skip_indent: "   ",
};

/// Separates a name in the drawn tree from the number of its [`Part`]. No name contains it: control
/// characters in names are escaped.
const BEHIND: char = '\u{0}';

/// The findings about a process.
#[derive(Clone, Copy)]
struct Mark {
    confidence: Confidence,
    /// When the hang began.
    since_ns: u64,
    /// When the hang ended. `None`: it hangs, or hung until the process ended.
    until_ns: Option<u64>,
}

/// Parents and children, as indices into the slice of processes.
struct Forest<'a> {
    processes: &'a [Process],
    window: Span,
    findings: FxHashMap<usize, Mark>,
    children: Vec<Vec<usize>>,
    /// Processes in the subtree, itself included.
    sizes: Vec<u64>,
    /// Whether the subtree has a finding.
    flagged: Vec<bool>,
    folded: bool,
    style: Style,
}

/// Siblings that are drawn as one.
struct Group {
    members: Vec<usize>,
    /// Whether they may be drawn as one: no subtree has a finding.
    foldable: bool,
}

/// Draws the trees of `processes`, each process below its parent, with a bar for the life of each.
/// `trace`: the time from the first event to the last. `more`: processes that ended, are not in
/// `processes` and have no ancestor there.
pub(super) fn draw(
    processes: &[Process],
    more: u64,
    findings: &[Judged],
    trace: Span,
    style: Style,
) -> String {
    let (forest, roots) = Forest::new(processes, findings, window(processes, trace), style);
    let mut parts = Vec::new();
    let mut lines = Vec::new();
    for mut root in forest.branches(&roots, 1, &mut parts).into_iter().chain(forgotten(more)) {
        if style.ascii {
            root.set_glyphs(ASCII);
        }
        for line in root.to_string().lines() {
            let (name, number) = line.split_once(BEHIND).unwrap_or((line, ""));
            let part = number.parse().ok().and_then(|at: usize| parts.get_mut(at));
            lines.push(Line { name: name.to_owned(), part: part.map(std::mem::take) });
        }
    }
    bars::write(lines, forest.window, style)
}

/// The time that the bars show: the trace, from the start of the first process on.
fn window(processes: &[Process], (from, until): Span) -> Span {
    let known = processes.iter().map(|process| process.began_ns).filter(|began| *began > 0);
    (from.max(known.min().unwrap_or(from)), until)
}

impl<'a> Forest<'a> {
    fn new(
        processes: &'a [Process],
        findings: &[Judged],
        window: Span,
        style: Style,
    ) -> (Self, Vec<usize>) {
        let parents = parents(processes);
        let (children, roots) = below(&parents);
        let mut forest = Forest {
            processes,
            window,
            findings: places(processes, findings),
            sizes: processes.iter().map(|process| 1 + process.forgotten).collect(),
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

    fn branches(
        &self,
        siblings: &[usize],
        generation: usize,
        parts: &mut Vec<Part>,
    ) -> Vec<Tree<String>> {
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
                [at] => branches.extend(self.branch(*at, generation, parts)),
                members => branches.extend(self.fold(members, below, parts)),
            }
        }
        if hidden > 0 {
            branches.push(Tree::new(format!("and {} more without a finding", count(hidden))));
        }
        branches
    }

    /// Groups siblings with the same name and state in a folded tree. Otherwise each is a group.
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

    fn branch(&self, at: usize, generation: usize, parts: &mut Vec<Part>) -> Option<Tree<String>> {
        let process = self.processes.get(at)?;
        let children = self.children.get(at).map_or(&[][..], Vec::as_slice);
        let name = format!("{}[{}]", self.style.clean(&process.comm), process.pid);
        let label = label(name, self.part(process, self.findings.get(&at)), parts);
        if generation < GENERATIONS || children.is_empty() {
            let mut below = self.branches(children, generation + 1, parts);
            below.extend(forgotten(process.forgotten));
            return Some(Tree::new(label).with_leaves(below));
        }
        let deeper = count(self.size(at).saturating_sub(1));
        let flagged = children.iter().any(|child| self.flagged.get(*child) == Some(&true));
        let note = if flagged { ", some with a finding" } else { "" };
        Some(Tree::new(label).with_leaves([format!("and {deeper} more descendants{note}")]))
    }

    fn fold(&self, members: &[usize], below: u64, parts: &mut Vec<Part>) -> Option<Tree<String>> {
        let process = self.processes.get(*members.first()?)?;
        let state = if process.is_alive() { "still running" } else { "ended" };
        let sign = if self.style.ascii { "x" } else { "×" };
        let number = members.len() as u64;
        let descendants = match below.saturating_sub(number) {
            0 => String::new(),
            n => format!(", with {}", plural(n, "descendant", "descendants")),
        };
        let name = format!("{} {sign} {}", self.style.clean(&process.comm), count(number));
        let lives = members.iter().filter_map(|at| self.processes.get(*at));
        let lives = lives.map(|process| self.life(process)).collect();
        let state = vec![(Tone::Plain, format!("{state}{descendants}"))];
        Some(Tree::new(label(name, Part { lives, hang: None, state }, parts)))
    }

    fn size(&self, at: usize) -> u64 {
        self.sizes.get(at).copied().unwrap_or(1)
    }

    fn life(&self, process: &Process) -> Span {
        (process.began_ns, process.end_ns.unwrap_or(self.window.1))
    }

    /// The bar and the state of a process.
    fn part(&self, process: &Process, mark: Option<&Mark>) -> Part {
        let life = self.life(process);
        let mut state = Vec::new();
        if let Some(mark) = mark {
            let hang = format!("HANG {}", hang::word(mark.confidence));
            state.push((hang::tone(mark.confidence), hang));
        }
        match process.end_ns {
            None if mark.is_some() => {}
            None => state.push((Tone::Plain, "still running".into())),
            Some(end) => {
                if mark.is_some() {
                    state.push((Tone::Plain, ", ".into()));
                }
                let lived = process.lived_ns(end).map(|ns| format!("lived {}", duration(ns)));
                state.push((Tone::Dim, lived.unwrap_or_else(|| "ended".into())));
            }
        }
        if process.incomplete {
            state.push((Tone::Plain, "  (events lost)".into()));
        }
        let hang = mark.map(|mark| (mark.since_ns, mark.until_ns.unwrap_or(life.1).min(life.1)));
        Part { lives: vec![life], hang, state }
    }
}

/// A name for the tree. It refers to `part` by its index in `parts`.
fn label(name: String, part: Part, parts: &mut Vec<Part>) -> String {
    parts.push(part);
    format!("{name}{BEHIND}{}", parts.len() - 1)
}

/// The line for processes that forktrace no longer remembers.
fn forgotten(number: u64) -> Option<Tree<String>> {
    (number > 0).then(|| Tree::new(format!("and {} more that ended", count(number))))
}

/// The index of each process's parent. If the fork was seen, it is the process that forked.
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

/// The places of the children of each, in their order, and of those that have no parent here.
pub(crate) fn below(parents: &[Option<usize>]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut children = vec![Vec::new(); parents.len()];
    let mut roots = Vec::new();
    for (at, parent) in parents.iter().enumerate() {
        match parent.and_then(|parent| children.get_mut(parent)) {
            Some(siblings) => siblings.push(at),
            None => roots.push(at),
        }
    }
    (children, roots)
}

/// Removes cycles from a table of parents. Only a damaged log has cycles.
pub(crate) fn cut_circles(parents: &mut [Option<usize>]) {
    // 0: not visited; otherwise the number of the walk that visited it.
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

/// The findings by the index of their process. Several findings about one process are merged.
fn places(processes: &[Process], findings: &[Judged]) -> FxHashMap<usize, Mark> {
    // A pid may be used twice. The time of the fork identifies the process.
    let (mut latest, mut by_fork) = (FxHashMap::default(), FxHashMap::default());
    for (at, process) in processes.iter().enumerate() {
        latest.insert(process.pid, at);
        by_fork.insert((process.pid, process.fork.as_ref().map(|fork| fork.boot_ns)), at);
    }
    let mut places: FxHashMap<usize, Mark> = FxHashMap::default();
    for judged in findings.iter().filter(|judged| judged.finding.severity == Severity::Hang) {
        let finding = &judged.finding;
        let fork = (finding.subject.pid, finding.fork_site().as_ref().map(|fork| fork.boot_ns));
        let Some(place) = by_fork.get(&fork).or_else(|| latest.get(&finding.subject.pid)) else {
            continue;
        };
        let mark = Mark {
            confidence: finding.confidence,
            since_ns: judged.since_ns,
            until_ns: judged.ended_after_ns.map(|ns| judged.since_ns.saturating_add(ns)),
        };
        let known = places.entry(*place).or_insert(mark);
        known.confidence = known.confidence.max(mark.confidence);
        known.since_ns = known.since_ns.min(mark.since_ns);
        known.until_ns = known.until_ns.zip(mark.until_ns).map(|(a, b)| a.max(b));
    }
    places
}

#[cfg(test)]
mod tests;
