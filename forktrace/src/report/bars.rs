//! The bars beside the process tree: when each process lived, and when it was stuck.

use std::fmt::Write as _;

use super::{Style, duration, style::Tone, wrap};

/// The most columns of a bar.
const WIDEST: usize = 20;
/// A bar with fewer columns is useless and left out.
const NARROWEST: usize = 8;
/// Width if there is no terminal, columns.
const WIDTH: usize = 100;
/// Columns between name and bar, or between name and state if there is no bar.
const GAP: usize = 2;
/// Columns of a bar's two ends and of the space after it.
const ENDS: usize = 3;

/// A span of `CLOCK_BOOTTIME`, ns: from, until.
pub(super) type Span = (u64, u64);

/// The part of a tree's line that follows the name.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// When it lived. One span for each process of the line.
    pub(super) lives: Vec<Span>,
    /// When it was stuck.
    pub(super) hang: Option<Span>,
    /// Its state as text.
    pub(super) state: Vec<(Tone, String)>,
}

/// A line of the tree: its branches and name, and the part that follows.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) part: Option<Part>,
}

/// One column of a bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Cell {
    #[default]
    Nothing,
    Alive,
    Stuck,
}

impl Part {
    fn state_width(&self) -> usize {
        self.state.iter().map(|(_, text)| text.chars().count()).sum()
    }

    fn cells(&self, (from, until): Span, columns: usize) -> Vec<Cell> {
        let mut cells = vec![Cell::Nothing; columns];
        let span = u128::from(until.saturating_sub(from).max(1));
        // Columns are few: the products fit, and the quotients are small.
        let place = |ns: u64, round_up: u128| {
            let past = u128::from(ns.clamp(from, until) - from) * columns as u128;
            usize::try_from((past + round_up) / span).unwrap_or(columns)
        };
        let mut fill = |(begin, end): Span, cell: Cell| {
            let first = place(begin, 0).min(columns.saturating_sub(1));
            let last = place(end, span - 1).max(first + 1);
            for one in cells.iter_mut().take(last).skip(first) {
                *one = cell;
            }
        };
        for life in &self.lives {
            fill(*life, Cell::Alive);
        }
        if let Some(hang) = self.hang {
            fill(hang, Cell::Stuck);
        }
        cells
    }
}

/// The layout of the lines: none is wider than the terminal.
struct Layout {
    /// Columns of the longest name that has a bar.
    names: usize,
    /// Columns of a bar; `None`: no bars.
    bar: Option<usize>,
}

impl Layout {
    fn new(lines: &[Line], width: usize) -> Self {
        let parts = lines.iter().filter_map(|line| line.part.as_ref());
        let states = parts.map(Part::state_width).max().unwrap_or(0);
        let room = width.saturating_sub(states + GAP + ENDS);
        // If a few names are too long for a bar, the others still get one.
        let names: Vec<usize> = lines
            .iter()
            .filter(|line| line.part.is_some())
            .map(|line| line.name.chars().count())
            .collect();
        let fit = names.iter().filter(|length| **length + NARROWEST <= room);
        match fit.clone().max() {
            Some(longest) if fit.count() * 4 > names.len() => {
                Layout { names: *longest, bar: Some((room - longest).min(WIDEST)) }
            }
            _ => Layout { names: 0, bar: None },
        }
    }
}

/// Writes the lines, each with a bar of its life within `window`, and a legend.
pub(super) fn write(lines: Vec<Line>, window: Span, style: Style) -> String {
    let mut layout = Layout::new(&lines, style.width.unwrap_or(WIDTH));
    if window.0 >= window.1 {
        layout.bar = None;
    }
    let mut text = String::new();
    let mut stuck = false;
    for line in lines {
        let Some(part) = line.part else {
            let _ = writeln!(text, "{}", shorten(&line.name, style.width, style));
            continue;
        };
        let length = line.name.chars().count();
        let bar = layout.bar.filter(|_| length <= layout.names);
        match bar {
            Some(columns) => {
                let cells = part.cells(window, columns);
                stuck |= cells.contains(&Cell::Stuck);
                let gap = layout.names - length + GAP;
                let _ = write!(text, "{}{:gap$}{} ", line.name, "", paint(&cells, style));
            }
            None => {
                let room = style.width.map(|width| width.saturating_sub(part.state_width() + GAP));
                let _ = write!(text, "{}{:GAP$}", shorten(&line.name, room, style), "");
            }
        }
        for (tone, words) in &part.state {
            text.push_str(&style.paint(*tone, words));
        }
        text.push('\n');
    }
    if layout.bar.is_some() {
        text.push_str(&meaning(window, stuck, style));
    }
    text
}

/// Shortens a text at its beginning: deep in a tree it starts with branches only.
fn shorten(text: &str, room: Option<usize>, style: Style) -> String {
    let length = text.chars().count();
    let (sign, width) = if style.ascii { ("...", 3) } else { ("…", 1) };
    match room.filter(|room| length > *room) {
        None => text.to_owned(),
        Some(room) => {
            let kept = text.chars().skip(length - room.saturating_sub(width).min(length));
            format!("{sign}{}", kept.collect::<String>())
        }
    }
}

fn paint(cells: &[Cell], style: Style) -> String {
    let (left, right) = if style.ascii { ("|", "|") } else { ("▕", "▏") };
    let mut text = style.paint(Tone::Dim, left).into_owned();
    for run in cells.chunk_by(|a, b| a == b) {
        let Some(cell) = run.first() else { continue };
        let tone = if *cell == Cell::Stuck { Tone::Alarm } else { Tone::Plain };
        text.push_str(&style.paint(tone, &glyph(*cell, style).repeat(run.len())));
    }
    text.push_str(&style.paint(Tone::Dim, right));
    text
}

fn glyph(cell: Cell, style: Style) -> &'static str {
    match (cell, style.ascii) {
        (Cell::Nothing, _) => " ",
        (Cell::Alive, false) => "━",
        (Cell::Alive, true) => "-",
        (Cell::Stuck, false) => "█",
        (Cell::Stuck, true) => "#",
    }
}

fn meaning((from, until): Span, stuck: bool, style: Style) -> String {
    let mut words = format!(
        "bars: {} from left to right; {} alive",
        duration(until.saturating_sub(from)),
        glyph(Cell::Alive, style)
    );
    if stuck {
        let _ = write!(words, ", {} stuck", glyph(Cell::Stuck, style));
    }
    let room = style.width.unwrap_or(WIDTH);
    let mut text = String::new();
    for line in wrap(&words, room, room) {
        let _ = writeln!(text, "{}", style.paint(Tone::Dim, &line));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(lives: &[Span], hang: Option<Span>, columns: usize) -> String {
        let part = Part { lives: lives.to_vec(), hang, state: Vec::new() };
        let style = Style { ascii: true, ..Style::default() };
        part.cells((1000, 2000), columns).into_iter().map(|cell| glyph(cell, style)).collect()
    }

    #[test]
    fn a_bar_shows_when_a_process_lived() {
        assert_eq!(drawn(&[(1000, 2000)], None, 10), "----------");
        assert_eq!(drawn(&[(1200, 1500)], None, 10), "  ---     ");
        // A column counts as lived in if any part of it was.
        assert_eq!(drawn(&[(1250, 1510)], None, 10), "  ----    ");
        // The shortest life can be seen, also at the very end.
        assert_eq!(drawn(&[(1500, 1500)], None, 10), "     -    ");
        assert_eq!(drawn(&[(2000, 2000)], None, 10), "         -");
        // What reaches beyond the trace is cut to it.
        assert_eq!(drawn(&[(0, 1100), (1900, u64::MAX)], None, 10), "-        -");
    }

    #[test]
    fn a_hang_is_seen_over_the_life() {
        assert_eq!(drawn(&[(1000, 2000)], Some((1600, 2000)), 10), "------####");
        assert_eq!(drawn(&[(1000, 2000)], Some((1999, 2000)), 10), "---------#");
        assert_eq!(drawn(&[(1000, 1300)], Some((1000, 1300)), 10), "###       ");
    }
}
