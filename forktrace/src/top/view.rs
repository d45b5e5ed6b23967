//! What is on the screen, and what keys do to it.

use std::io::{self, Write as _};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    Arrangement, Ruler, Seen, State,
    rows::{Row, rows},
};
use crate::{
    pipeline::Standing,
    report::{Clock, Style, hang, process, top},
};
use forktrace_model::model::ProcId;

/// Rows that PgUp and PgDn move by where the height is not known yet.
const PAGE: usize = 20;
/// Characters of a filter, at most.
const MOST_FILTER: usize = 64;

/// What the owner of the screen has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Nothing,
    /// End.
    Quit,
    /// Write the finding about this process to a file.
    Write(ProcId),
    /// Write everything as a report.
    Export,
    /// Show another moment of the log.
    Seek(Seek),
}

/// Which moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// So many steps later; earlier if negative.
    Steps(i64),
    /// That of the next finding.
    NextFinding,
    /// That of the finding before.
    FindingBefore,
    /// The beginning.
    Begin,
    /// The end.
    End,
}

impl Seek {
    /// The moment on a ruler, `CLOCK_BOOTTIME`, ns.
    pub fn on(self, ruler: &Ruler) -> u64 {
        match self {
            Seek::Steps(steps) => ruler.stepped(steps),
            Seek::NextFinding => ruler.marked(true),
            Seek::FindingBefore => ruler.marked(false),
            Seek::Begin => ruler.from_ns,
            Seek::End => ruler.until_ns,
        }
    }
}

/// What is in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Front {
    /// The table.
    #[default]
    Table,
    /// The table, while a column to sort by is chosen.
    Sort,
    /// The table, while a filter is typed.
    Filter,
    /// What is known of the chosen process, from this line on.
    Details(usize),
    /// The keys.
    Help,
}

/// What is on the screen.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) state: State,
    /// What has come since the screen was paused.
    waiting: Option<State>,
    pub(super) paused: bool,
    pub(super) arrangement: Arrangement,
    pub(super) chosen: Option<ProcId>,
    /// Somebody has chosen it: until then it is the first with a finding.
    was_chosen: bool,
    /// The row of the chosen process: where it has gone, the one that has taken its place is chosen.
    pub(super) row: usize,
    pub(super) front: Front,
    /// What was done last.
    pub(super) message: String,
    /// Of a recorded log.
    pub(super) ruler: Option<Ruler>,
    pub(super) style: Style,
    pub(super) clock: Clock,
    /// Rows that there was room for.
    pub(super) page: usize,
}

impl View {
    /// Nothing is known yet. `style` has no colour of its own: the screen's is up to [`super::draw`].
    pub fn new(arrangement: Arrangement, style: Style, clock: Clock) -> Self {
        View {
            state: State::default(),
            waiting: None,
            paused: false,
            arrangement,
            chosen: None,
            was_chosen: false,
            row: 0,
            front: Front::default(),
            message: String::new(),
            ruler: None,
            style,
            clock,
            page: PAGE,
        }
    }

    /// Takes what is known now. While the screen is paused it is kept back.
    pub fn take(&mut self, state: State) {
        match self.paused {
            true => self.waiting = Some(state),
            false => self.state = state,
        }
        self.settle();
    }

    /// Shows where a recorded log stands.
    pub fn set_ruler(&mut self, ruler: Ruler) {
        self.ruler = Some(ruler);
    }

    /// Says what was done.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = crate::report::sanitize(&message.into()).into_owned();
    }

    /// The process that is chosen.
    pub fn chosen(&self) -> Option<&Seen> {
        self.state.get(self.chosen?)
    }

    /// How times are shown.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What is shown.
    pub fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn status(&self) -> String {
        status(&self.state, self.paused, self.style)
    }

    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        rows(&self.state, &self.arrangement, self.style)
    }

    /// The lines about the chosen process: the block of each finding, then who it is.
    pub(super) fn details(&self, width: usize) -> Vec<String> {
        let style = Style { width: Some(width), color: false, ..self.style };
        let Some(seen) = self.chosen() else { return Vec::new() };
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = self.write_details(&mut text, seen, style);
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    fn write_details(&self, w: &mut Vec<u8>, seen: &Seen, style: Style) -> io::Result<()> {
        for judged in &seen.findings {
            hang::write(w, &judged.finding, style, &self.clock)?;
            writeln!(w)?;
        }
        let how = (style, &self.clock);
        let moment = (self.state.now_ns, self.state.machine);
        process::write(w, &seen.process, seen.standing, &seen.waits, moment, how)
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent) -> Act {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Act::Quit;
        }
        self.message.clear();
        let act = match self.front {
            Front::Table => self.table_key(key.code),
            Front::Sort => self.sort_key(key.code),
            Front::Filter => self.filter_key(key.code),
            Front::Details(line) => self.details_key(key.code, line),
            Front::Help => {
                self.front = Front::Table;
                Act::Nothing
            }
        };
        self.settle();
        act
    }

    fn table_key(&mut self, key: KeyCode) -> Act {
        match key {
            KeyCode::Char('q') => return Act::Quit,
            KeyCode::Char('?') => self.front = Front::Help,
            KeyCode::Char('t') => self.arrangement.tree = !self.arrangement.tree,
            KeyCode::Char('h') => self.arrangement.only_findings = !self.arrangement.only_findings,
            KeyCode::Char('r') => self.arrangement.ended = !self.arrangement.ended,
            KeyCode::Char('s') => self.front = Front::Sort,
            KeyCode::Char('/') => self.front = Front::Filter,
            KeyCode::Esc => self.arrangement.filter.clear(),
            KeyCode::Char(' ') => self.pause(),
            KeyCode::Enter if self.chosen.is_some() => self.front = Front::Details(0),
            KeyCode::Char('w') => return self.write(),
            KeyCode::Char('e') => return Act::Export,
            KeyCode::Char('[') => return self.seek(Seek::Steps(-1)),
            KeyCode::Char(']') => return self.seek(Seek::Steps(1)),
            KeyCode::Char('{') => return self.seek(Seek::FindingBefore),
            KeyCode::Char('}') => return self.seek(Seek::NextFinding),
            KeyCode::Char('0') => return self.seek(Seek::Begin),
            KeyCode::Char('$') => return self.seek(Seek::End),
            other => self.move_by_key(other),
        }
        Act::Nothing
    }

    fn sort_key(&mut self, key: KeyCode) -> Act {
        match key {
            KeyCode::Left => self.arrangement.sort = self.arrangement.sort.moved(-1),
            KeyCode::Right => self.arrangement.sort = self.arrangement.sort.moved(1),
            KeyCode::Char('-') => self.arrangement.reversed = !self.arrangement.reversed,
            KeyCode::Enter | KeyCode::Esc | KeyCode::Char('s') => self.front = Front::Table,
            KeyCode::Char('q') => return Act::Quit,
            _ => {}
        }
        Act::Nothing
    }

    fn filter_key(&mut self, key: KeyCode) -> Act {
        let filter = &mut self.arrangement.filter;
        match key {
            KeyCode::Enter => self.front = Front::Table,
            KeyCode::Esc => {
                filter.clear();
                self.front = Front::Table;
            }
            KeyCode::Backspace => drop(filter.pop()),
            KeyCode::Char(c) if filter.chars().count() < MOST_FILTER && !c.is_control() => {
                filter.push(c);
            }
            _ => {}
        }
        Act::Nothing
    }

    fn details_key(&mut self, key: KeyCode, line: usize) -> Act {
        let to = match key {
            KeyCode::Char('q') => return Act::Quit,
            KeyCode::Char('w') => return self.write(),
            KeyCode::Up | KeyCode::Char('k') => line.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => line + 1,
            KeyCode::PageUp => line.saturating_sub(self.page),
            KeyCode::PageDown | KeyCode::Char(' ') => line + self.page,
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => usize::MAX,
            KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace | KeyCode::Left => {
                self.front = Front::Table;
                return Act::Nothing;
            }
            _ => line,
        };
        self.front = Front::Details(to);
        Act::Nothing
    }

    fn move_by_key(&mut self, key: KeyCode) {
        let last = self.rows().len().saturating_sub(1);
        let to = match key {
            KeyCode::Up | KeyCode::Char('k') => self.row.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.row + 1,
            KeyCode::PageUp => self.row.saturating_sub(self.page),
            KeyCode::PageDown => self.row + self.page,
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            _ => return,
        };
        self.was_chosen = true;
        self.row = to.min(last);
        self.chosen = self.rows().get(self.row).map(|row| row.seen.process.id);
    }

    fn pause(&mut self) {
        self.paused = !self.paused;
        if let Some(state) = self.waiting.take().filter(|_| !self.paused) {
            self.state = state;
        }
    }

    fn write(&mut self) -> Act {
        match self.chosen().filter(|seen| !seen.findings.is_empty()) {
            Some(seen) => Act::Write(seen.process.id),
            None => {
                self.say(top::NO_FINDING);
                Act::Nothing
            }
        }
    }

    fn seek(&mut self, seek: Seek) -> Act {
        if self.ruler.is_some() {
            return Act::Seek(seek);
        }
        self.say(top::NO_LOG);
        Act::Nothing
    }

    /// Keeps to the chosen process where it still has a row, and to its place otherwise. What is read in the
    /// details stays chosen.
    fn settle(&mut self) {
        let rows = self.rows();
        let first = rows.iter().position(|row| !row.is_context && !row.seen.findings.is_empty());
        let ids: Vec<ProcId> = rows.iter().map(|row| row.seen.process.id).collect();
        if !self.was_chosen && self.front == Front::Table {
            self.row = first.unwrap_or(0);
            self.chosen = ids.get(self.row).copied();
        }
        let at = self.chosen.and_then(|chosen| ids.iter().position(|id| *id == chosen));
        if at.is_none() && matches!(self.front, Front::Details(_)) && self.chosen().is_some() {
            return;
        }
        self.row = at.unwrap_or(self.row.min(ids.len().saturating_sub(1)));
        self.chosen = ids.get(self.row).copied();
        if self.chosen.is_none() && matches!(self.front, Front::Details(_)) {
            self.front = Front::Table;
        }
    }
}

/// The first line: how many processes stand how, and what is missing.
pub(super) fn status(state: &State, paused: bool, style: Style) -> String {
    let living = state.processes.iter().filter(|seen| seen.process.is_alive());
    let count = |standing: &[Standing]| {
        living.clone().filter(|seen| standing.contains(&seen.standing)).count() as u64
    };
    top::status(&top::Numbers {
        processes: living.clone().count() as u64,
        hang: count(&[Standing::Hangs]),
        hazards: count(&[Standing::Risk, Standing::Corrupt]),
        hung: state.processes.iter().filter(|seen| seen.hung()).count() as u64,
        unjudged: state.unjudged,
        lost: state.lost,
        scope: &style.clean(&state.scope),
        watched_ns: state.watched_ns,
        is_early: state.is_early,
        paused,
    })
}
