//! The process tree as a picture: names on the left, lives on a common line of time on the right,
//! long waits on them, hangs in red until they end or the log does.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use rustc_hash::FxHashMap;

use super::{
    Timeline,
    layout::{Layout, Row},
    timeline::Found,
    words,
};
use crate::report::{count, duration, sanitize};
use forktrace_model::finding::Confidence;

/// Sizes in pixels.
const ROW: usize = 22;
const TOP: usize = 56;
const INDENT: usize = 16;
const NAMES: usize = 360;
const TIMES: usize = 760;
/// Deeper generations are not indented further: the names would meet the bars.
const DEEPEST: usize = 12;
/// Characters that are shown of what a wait is about.
const LONGEST: usize = 1_000;

/// Writes the picture; `suspects`: marking those too.
///
/// # Errors
/// When `w` cannot be written.
pub fn write(w: &mut impl Write, story: &Timeline, suspects: bool) -> io::Result<()> {
    let layout = Layout::new(story, suspects);
    let width = NAMES + TIMES + 24;
    let height = TOP + ROW * (layout.rows.len() + usize::from(layout.hidden > 0)) + 16;
    writeln!(
        w,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">"
    )?;
    writeln!(w, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>")?;
    let length = story.trace.end_ns.saturating_sub(story.trace.start_ns);
    let title = format!(
        "{}, {} of {}",
        crate::report::plural(story.processes.len() as u64, "process", "processes"),
        duration(length),
        story.trace.filter,
    );
    text(w, (12, 22), "#222", "bold", &title)?;
    text(w, (NAMES, 42), "#666", "normal", "0 s")?;
    text(w, (NAMES + TIMES - 40, 42), "#666", "normal", &duration(length))?;
    let places: FxHashMap<usize, usize> =
        layout.rows.iter().enumerate().map(|(n, row)| (row.process, n)).collect();
    let scale = Scale { start: story.trace.start_ns, length: length.max(1) };
    for (n, row) in layout.rows.iter().enumerate() {
        process(w, story, row, n, &places, scale)?;
    }
    waits(w, story, suspects, &places, scale)?;
    if layout.hidden > 0 {
        let hidden = format!("and {} more processes", count(layout.hidden as u64));
        let y = TOP + ROW * layout.rows.len() + 15;
        text(w, (12, y), "#666", "normal", &hidden)?;
    }
    writeln!(w, "</svg>")
}

#[derive(Clone, Copy)]
struct Scale {
    start: u64,
    length: u64,
}

impl Scale {
    /// The column of a time, in pixels.
    fn x(self, ns: u64) -> f64 {
        let part = ns.saturating_sub(self.start).min(self.length) as f64 / self.length as f64;
        NAMES as f64 + part * TIMES as f64
    }
}

fn process(
    w: &mut impl Write,
    story: &Timeline,
    row: &Row,
    n: usize,
    places: &FxHashMap<usize, usize>,
    scale: Scale,
) -> io::Result<()> {
    let Some(process) = story.processes.get(row.process) else { return Ok(()) };
    let y = TOP + ROW * n;
    let x = 12 + INDENT * row.depth.min(DEEPEST);
    if let Some(above) = process.above.and_then(|above| places.get(&(above as usize))) {
        let (from, left) = (TOP + ROW * above + 18, x.saturating_sub(10));
        let middle = y + 11;
        writeln!(
            w,
            "<path d=\"M{left} {from}V{middle}H{}\" fill=\"none\" stroke=\"#bbb\"/>",
            x - 2
        )?;
    }
    let (colour, weight, hang) = match row.finding {
        None => ("#222", "normal", String::new()),
        Some(confidence) => (colour(confidence), "bold", format!("  HANG {}", word(confidence))),
    };
    let label = format!("{}[{}]{hang}", process.comm, process.pid);
    text(w, (x, y + 15), colour, weight, &label)?;
    let end = process.ended_ns.unwrap_or(story.trace.end_ns);
    bar(w, (scale.x(process.began_ns), scale.x(end)), (y + 6, 10), "#c9d7e8", &process.proc_uid)
}

fn waits(
    w: &mut impl Write,
    story: &Timeline,
    suspects: bool,
    places: &FxHashMap<usize, usize>,
    scale: Scale,
) -> io::Result<()> {
    // Of one finding there may be many waits.
    let about = |found: &Found| {
        format!("{}: {}", words::headline(&found.finding), words::lock(&found.finding))
    };
    let abouts: FxHashMap<usize, String> =
        story.shown(suspects).map(|(at, found)| (at, shortened(&about(found)))).collect();
    for wait in &story.waits {
        let Some(n) = places.get(&(wait.process as usize)) else { continue };
        let at = wait.finding.map(|at| at as usize);
        let found = at.and_then(|at| Some((story.findings.get(at)?, abouts.get(&at)?)));
        let (colour, about) = match found {
            Some((found, about)) => (colour(found.finding.confidence), about.as_str().into()),
            None => {
                let about = format!("thread {} waits for {:#x}", wait.tid, wait.uaddr);
                ("#7f9cc0", Cow::from(about))
            }
        };
        let end = wait.end_ns.unwrap_or(story.trace.end_ns);
        let span = (scale.x(wait.enter_ns), scale.x(end));
        bar(w, span, (TOP + ROW * n + 8, 6), colour, &about)?;
    }
    Ok(())
}

/// What many elements may say each.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn colour(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "#c62828",
        Confidence::Likely => "#e07b00",
        Confidence::Suspect => "#8a7a00",
    }
}

fn word(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Suspect => "suspect",
    }
}

fn bar(
    w: &mut impl Write,
    (from, to): (f64, f64),
    (y, height): (usize, usize),
    colour: &str,
    about: &str,
) -> io::Result<()> {
    let width = (to - from).max(1.0);
    writeln!(
        w,
        "<rect x=\"{from:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\" rx=\"2\" \
         fill=\"{colour}\"><title>{}</title></rect>",
        escape(about)
    )
}

fn text(
    w: &mut impl Write,
    (x, y): (usize, usize),
    colour: &str,
    weight: &str,
    text: &str,
) -> io::Result<()> {
    let text = escape(text);
    writeln!(
        w,
        "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\" font-weight=\"{weight}\">{text}</text>"
    )
}

/// Text of an XML element. What XML has no characters for is gone with the control characters.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in sanitize(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::timeline::Process;

    #[test]
    fn a_name_is_text_whatever_it_says() {
        let process = Process {
            comm: "</svg><script>&\u{0}".into(),
            proc_uid: "<x>".into(),
            ..Process::default()
        };
        let story = Timeline { processes: vec![process], ..Timeline::default() };
        let mut svg = Vec::new();
        write(&mut svg, &story, false).unwrap_or_default();
        let svg = String::from_utf8_lossy(&svg);
        assert!(svg.contains("&lt;/svg&gt;&lt;script&gt;&amp;\\x00[0]"), "{svg}");
        assert_eq!(svg.matches("<svg").count() + svg.matches("</svg").count(), 2);
        assert!(!svg.contains("<script") && !svg.contains("<x>"));
    }
}
