//! The flat table as CSV (RFC 4180, UTF-8, titles in the first line).
//!
//! Control characters are shown as escapes such as `\n`, so that a row is a line. A text that a
//! spreadsheet would take for a formula (`=`, `+`, `-`, `@` first) has a `'` before it.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use jiff::Timestamp;

use super::table::{COLUMNS, Row, Value};
use crate::report::sanitize;

/// Writes rows, beginning with the titles.
#[derive(Debug)]
pub struct Writer<W: Write> {
    csv: csv::Writer<W>,
}

impl<W: Write> Writer<W> {
    /// Writes to `w`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(w: W) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(w);
        csv.write_record(COLUMNS.iter().map(|column| column.name)).map_err(plain)?;
        Ok(Writer { csv })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        let cells = COLUMNS.iter().map(|column| cell(column.cell(row)).into_owned());
        self.csv.write_record(cells.collect::<Vec<_>>()).map_err(plain)
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

/// The error of the sink, with its kind: who reads it may just have gone away.
fn plain(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn cell(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::Int(number) => number.to_string().into(),
        Value::Bool(yes) => yes.to_string().into(),
        Value::Time(ns) => match Timestamp::from_nanosecond(ns.into()) {
            Ok(instant) => format!("{instant:.9}").into(),
            Err(_) => Cow::Borrowed(""),
        },
        Value::Text(text) => harmless(&text).into(),
    }
}

/// The characters that make a formula, by OWASP's "CSV Injection".
pub(crate) fn harmless(text: &str) -> String {
    let clean = sanitize(text);
    match clean.starts_with(['=', '+', '-', '@']) {
        true => format!("'{clean}"),
        false => clean.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_formula_and_no_line() {
        assert_eq!(harmless("=cmd|'/c calc'!A0"), "'=cmd|'/c calc'!A0");
        assert_eq!(harmless("@x"), "'@x");
        assert_eq!(harmless("a\nb\t"), "a\\nb\\t");
        assert_eq!(cell(Value::Int(-11)), "-11");
    }
}
