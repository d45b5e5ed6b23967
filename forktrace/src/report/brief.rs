//! A finding in one line, and as the text of its block: for the log of a service.

use forktrace_model::finding::Finding;

use super::{
    Clock, Style,
    hang::{self, Block, Row, RowKind},
    hazards, sanitize,
};

/// Rows of a block that its line has.
const ROWS: [&str; 2] = ["waits for", "held by"];

/// One line: how sure, who is stuck and for how long, what it waits for, who has that, and where it is.
pub fn line(finding: &Finding, clock: &Clock) -> String {
    let Block { header, sure, rows } = Block::new(finding, Style::default(), clock);
    let severity = hazards::label(finding.severity);
    let mut text = format!("{severity} ({sure}, {}) {header}", super::logged::kind(finding.hazard));
    let place = rows.iter().find(|row| row.kind == RowKind::Place);
    let facts = rows.iter().filter(|row| ROWS.contains(&row.label));
    for Row { label, text: fact, .. } in facts.chain(place) {
        text.push_str(&format!("; {label}: {fact}"));
    }
    sanitize(&text).into_owned()
}

/// The block as text without colour.
pub fn block(finding: &Finding, clock: &Clock) -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = hang::write(&mut text, finding, Style::default(), clock);
    String::from_utf8_lossy(&text).into_owned()
}
