//! A hostile log in every format that it can be exported to.

use super::{checks, log_mutator};
use crate::export::{
    self, TimelineBuilder,
    table::{COLUMNS, Row, Table},
    timeline::LogEnd,
};
use forktrace_log::{Input, LineKind, Reader};
use forktrace_model::event::Event;

/// The pictures: HTML's data, DOT, SVG, Perfetto.
pub fn page(data: &[u8]) {
    let (parts, other) = log_mutator::log(data);
    let mut teller = TimelineBuilder::pipeline();
    for event in events(&parts) {
        assert!(teller.event(&event).is_ok());
    }
    let story = teller.finish(LogEnd { shortfalls: vec!["<b>".into()] });
    let suspects = other & 1 == 0;
    checks::island(&written(|out| export::html::data_island(out, &story)));
    checks::dot(&written(|out| export::dot::write(out, &story, suspects)));
    checks::svg(&written(|out| export::svg::write(out, &story, suspects)));
    let trace = written(|out| export::perfetto::write(out, &story, suspects));
    assert!(export::perfetto::packets(&trace).is_some_and(|packets| packets > 0));
    for text in export::perfetto::texts(&trace).unwrap_or_default() {
        checks::terminal(text.as_bytes(), false);
    }
}

/// The tables: CSV, and Parquet, which takes longer, for one in sixteen.
pub fn table(data: &[u8]) {
    let (parts, other) = log_mutator::log(data);
    let mut all = Vec::new();
    let mut table = Table::pipeline(|row: &Row| {
        all.push(row.clone());
        Ok(())
    });
    assert!(events(&parts).iter().all(|event| table.event(event).is_ok()));
    drop(table);
    let csv = written(|out| {
        let mut csv = export::csv::Writer::new(out)?;
        all.iter().try_for_each(|row| csv.row(row))?;
        csv.finish()
    });
    checks::csv(&csv, all.len(), COLUMNS.len());
    #[cfg(feature = "parquet")]
    if other & 0x0f == 0 {
        let mut file = Vec::new();
        let written = export::parquet::Writer::new(&mut file).and_then(|mut parquet| {
            all.iter().try_for_each(|row| parquet.row(row))?;
            parquet.finish()
        });
        assert!(written.is_ok());
        assert_eq!(export::parquet::rows(file), Some(all.len() as u64));
    }
    #[cfg(not(feature = "parquet"))]
    let _ = other;
}

fn events(parts: &[Vec<u8>]) -> Vec<Event> {
    let inputs = parts.iter().filter_map(|part| Input::new(part.as_slice()).ok());
    let lines = inputs.flat_map(Reader::new).flatten();
    let event = |line: forktrace_log::Line| match line.kind {
        LineKind::Event(event) => Some(event),
        _ => None,
    };
    lines.filter_map(event).collect()
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Vec<u8> {
    let mut out = Vec::new();
    let result = write(&mut out);
    assert!(result.is_ok(), "{result:?}");
    out
}
