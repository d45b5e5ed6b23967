//! The screen.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style as Look},
    text::Line,
    widgets::{Cell, Paragraph, Row as Cells, Table, TableState},
};

use super::{Column, View, rows::Row, view::Front};
use crate::{
    pipeline::Standing,
    report::{self, cells, top},
};
use forktrace_model::finding::Confidence;

/// Narrower than this there is less room for what is long.
const WIDE: u16 = 100;
/// Narrower than this some columns are left out.
const NARROW: u16 = 70;
/// Characters before each row, for the sign of the chosen one.
const SIGN: u16 = 2;

/// Paints what is on the screen.
pub fn draw(frame: &mut Frame<'_>, view: &mut View) {
    let has_ruler = u16::from(view.ruler.is_some());
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(has_ruler),
        Constraint::Length(1),
    ]);
    let [head, body, ruler, foot] = areas.areas(frame.area());
    view.page = usize::from(body.height).saturating_sub(1).max(1);
    frame.render_widget(Paragraph::new(view.status()).style(Look::new().bold_text()), head);
    match view.front {
        Front::Details(_) => details(frame, body, view),
        Front::Help => help(frame, body),
        Front::Table | Front::Sort | Front::Filter => table(frame, body, view),
    }
    if let Some(text) = ruler_text(view, usize::from(ruler.width)) {
        frame.render_widget(Paragraph::new(text), ruler);
    }
    frame.render_widget(Paragraph::new(foot_text(view)), foot);
}

/// Emphasis that needs no colour.
trait Emphasis {
    fn bold_text(self) -> Self;
    fn faint(self) -> Self;
    fn turned(self) -> Self;
}

impl Emphasis for Look {
    fn bold_text(self) -> Self {
        self.add_modifier(Modifier::BOLD)
    }

    fn faint(self) -> Self {
        self.add_modifier(Modifier::DIM)
    }

    fn turned(self) -> Self {
        self.add_modifier(Modifier::REVERSED)
    }
}

fn foot_text(view: &View) -> String {
    let arrangement = &view.arrangement;
    match view.front {
        _ if !view.message.is_empty() => view.message.clone(),
        Front::Filter => top::filter(&arrangement.filter, true),
        Front::Sort => top::SORT_HINT.into(),
        Front::Details(_) => top::DETAILS_HINT.into(),
        Front::Table if !arrangement.filter.is_empty() => top::filter(&arrangement.filter, false),
        Front::Table | Front::Help => top::HINT.into(),
    }
}

fn ruler_text(view: &View, width: usize) -> Option<String> {
    let ruler = view.ruler.as_ref()?;
    let text = top::ruler(ruler.at_ns, ruler.from_ns, &view.clock);
    let room = width.saturating_sub(text.chars().count() + 1);
    Some(format!("{} {text}", ruler.text(room, view.style.ascii)))
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let mut lines = vec![Line::from(top::KEYS_TITLE), Line::from("")];
    let width = usize::from(area.width).saturating_sub(18);
    for (keys, meaning) in top::KEYS {
        let mut keys = keys;
        for line in report::wrap(meaning, width, width) {
            lines.push(Line::from(format!("{keys:<17} {line}")));
            keys = "";
        }
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn details(frame: &mut Frame<'_>, area: Rect, view: &mut View) {
    let Front::Details(wanted) = view.front else { return };
    let width = usize::from(area.width);
    let lines: Vec<String> =
        view.details(width).into_iter().flat_map(|line| in_width(line, width)).collect();
    // The last page is full, if there are so many lines.
    let from = wanted.min(lines.len().saturating_sub(usize::from(area.height)));
    view.front = Front::Details(from);
    let shown: Vec<Line<'_>> = lines.into_iter().skip(from).map(Line::from).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

/// A line in pieces that fit: a path may be longer than the screen is wide.
fn in_width(line: String, width: usize) -> Vec<String> {
    let characters: Vec<char> = line.chars().collect();
    match characters.is_empty() {
        true => vec![line],
        false => characters.chunks(width.max(1)).map(|piece| piece.iter().collect()).collect(),
    }
}

fn table(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let rows = view.rows();
    if rows.is_empty() {
        frame.render_widget(Paragraph::new(top::NOTHING), area);
        return;
    }
    let columns = columns(area.width, &rows);
    let titles = columns.iter().map(|(column, _)| {
        let sorted = *column == view.arrangement.sort;
        let look =
            if sorted && view.front == Front::Sort { Look::new().turned() } else { Look::new() };
        let mark = match (sorted && view.front == Front::Sort, view.arrangement.reversed) {
            (false, _) => "",
            (true, false) => "v",
            (true, true) => "^",
        };
        Cell::from(format!("{}{mark}", column.title())).style(look)
    });
    let cells = rows.iter().map(|row| cells_of(row, &columns, view));
    let width = |width: usize| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX));
    let widths: Vec<Constraint> = columns.iter().map(|(_, wanted)| width(*wanted)).collect();
    let sign = if view.style.ascii { "> " } else { "▶ " };
    let table = Table::new(cells, widths)
        .header(Cells::new(titles).style(Look::new().bold_text()))
        .highlight_symbol(sign)
        .row_highlight_style(Look::new().turned());
    let mut state = TableState::default().with_selected(Some(view.row));
    let height = usize::from(area.height).saturating_sub(1).max(1);
    // The chosen row is in the middle, except near the ends.
    let most = rows.len().saturating_sub(height);
    *state.offset_mut() = view.row.saturating_sub(height / 2).min(most);
    frame.render_stateful_widget(table, area, &mut state);
}

fn cells_of<'r>(row: &Row<'_>, columns: &[(Column, usize)], view: &View) -> Cells<'r> {
    let seen = row.seen;
    let look = match seen.standing {
        _ if row.is_context || !seen.process.is_alive() => Look::new().faint(),
        standing => look(standing, seen.confidence(), view.style.color),
    };
    let text = columns.iter().map(|(column, width)| {
        let text = row.cell(*column, view.state(), view.style, &view.clock);
        let (text, width) = match column {
            Column::Command => (in_room(row, text, *width), *width),
            _ => (text, *width),
        };
        cells::fit(&text, width, view.style)
    });
    Cells::new(text.map(Cell::from)).style(look)
}

/// The name of a process behind its branches: the ones to the left are left out if it has no room.
fn in_room(row: &Row<'_>, text: String, width: usize) -> String {
    let branches = row.branches.chars().count();
    let excess = text.chars().count().saturating_sub(width).min(branches.saturating_sub(2));
    text.chars().skip(excess).collect()
}

/// How a row looks; what it means is in its words too.
fn look(standing: Standing, confidence: Option<Confidence>, color: bool) -> Look {
    let colored = |look: Look, with: Color| if color { look.fg(with) } else { look };
    match (standing, confidence) {
        (Standing::Hangs, Some(Confidence::Certain)) => {
            colored(Look::new().bold_text(), Color::Red)
        }
        (Standing::Hangs | Standing::Corrupt, _) => colored(Look::new().bold_text(), Color::Yellow),
        (Standing::Risk, _) => colored(Look::new(), Color::Yellow),
        (Standing::Waits | Standing::AtRisk | Standing::Lives, _) => Look::new(),
    }
}

/// The columns that there is room for, and their widths in characters.
fn columns(width: u16, rows: &[Row<'_>]) -> Vec<(Column, usize)> {
    let pid = rows.iter().map(|row| row.seen.process.pid).max().unwrap_or(0).to_string().len();
    let width = width.saturating_sub(SIGN);
    let wide = width >= WIDE;
    let wanted = |column| match column {
        Column::Pid => pid.max(3),
        Column::State | Column::Wait => 7,
        Column::Confidence => 10,
        Column::Lock => {
            if wide {
                30
            } else {
                11
            }
        }
        Column::Holder => {
            if wide {
                20
            } else {
                9
            }
        }
        Column::Forked => 8,
        Column::Command => 0,
    };
    let has_room = |column: &Column| match column {
        Column::Lock | Column::Holder | Column::Forked => width >= NARROW,
        _ => true,
    };
    let columns = Column::ALL.into_iter().filter(has_room);
    let mut columns: Vec<(Column, usize)> = columns.map(|it| (it, wanted(it))).collect();
    // Each but the last has a space behind it.
    let used: usize = columns.iter().map(|(_, width)| width + 1).sum();
    if let Some((_, last)) = columns.last_mut() {
        *last = usize::from(width).saturating_sub(used.saturating_sub(1));
    }
    columns
}
