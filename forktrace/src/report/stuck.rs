//! The rows that show where a task is stuck: at most [`MOST_LINES`] lines.

use std::borrow::Cow;

use super::{Style, hang::COLUMN, python, stacks, wrap};
use forktrace_model::{
    event::PythonFrame,
    finding::{Detail, Finding},
};

/// Label of the first row.
const LABEL: &str = "stuck at";
/// Most lines. The log has the whole stacks, and `-v` prints them.
const MOST_LINES: usize = 12;
/// Functions of the program shown of a native stack.
const FUNCTIONS: usize = 6;
/// Lines of the program shown of a Python stack.
const PYTHON_LINES: usize = 4;

/// The rows, as far as it is known where the task is stuck.
pub(super) fn rows(finding: &Finding, style: Style) -> Vec<(&'static str, String)> {
    // Nobody is stuck there.
    if finding.threads().is_some() {
        return Vec::new();
    }
    let texts = match style.whole_stacks {
        true => whole(finding, style),
        false => short(finding, style),
    };
    let label = |at| if at == 0 { LABEL } else { "" };
    texts.into_iter().enumerate().map(|(at, text)| (label(at), text)).collect()
}

/// As much as fits.
fn short(finding: &Finding, style: Style) -> Vec<String> {
    let fits = |texts: &Vec<String>| lines(texts, style) <= MOST_LINES;
    let mut all = (1..=FUNCTIONS).rev().map(|functions| texts(finding, functions, style));
    if let Some(texts) = all.find(fits) {
        return texts;
    }
    let mut texts = texts(finding, 1, style);
    let longest = texts.len();
    while texts.len() > 1 && lines(&texts, style) >= MOST_LINES {
        texts.pop();
    }
    texts.push(format!("{} {} more", style.dots(), longest - texts.len()));
    texts
}

/// How many lines the rows take.
fn lines(texts: &[String], style: Style) -> usize {
    let room = style.block_width() - COLUMN;
    texts.iter().map(|text| wrap(text, room, room).len()).sum()
}

fn texts(finding: &Finding, functions: usize, style: Style) -> Vec<String> {
    let (cut, _) = missing(finding);
    if finding.python().is_empty() {
        let at = stacks::stuck(finding.stack(), cut, functions, style);
        return if at.is_empty() { unknown(finding, style) } else { vec![at] };
    }
    let mut texts = python_lines(finding.python(), style);
    match stacks::below_python(finding.stack(), functions, style) {
        below if below.is_empty() => {}
        below => texts.push(format!("in {below}")),
    }
    texts
}

fn whole(finding: &Finding, style: Style) -> Vec<String> {
    let native = stacks::whole(finding.stack(), style);
    let python = finding.python().iter().map(|frame| python::line(frame, style));
    let texts: Vec<_> = python.chain(native).collect();
    if texts.is_empty() { unknown(finding, style) } else { texts }
}

/// Why native callers may be missing, and why there are no Python frames.
fn missing(finding: &Finding) -> (Option<&str>, Option<&str>) {
    let (cut, python) = match &finding.detail {
        Detail::Wait(wait) => (&wait.stack_cut, &wait.python_missing),
        Detail::Stall(stall) => (&stall.stack_cut, &stall.python_missing),
        Detail::Threads(_)
        | Detail::Generators(_)
        | Detail::Buffers(_)
        | Detail::Descriptor(_)
        | Detail::FileLock(_)
        | Detail::Signals(_)
        | Detail::None => return (None, None),
    };
    (cut.as_deref(), python.as_deref())
}

fn unknown(finding: &Finding, style: Style) -> Vec<String> {
    let (cut, python) = missing(finding);
    cut.or(python).map(|why| format!("unknown ({})", style.clean(why))).into_iter().collect()
}

/// The innermost line, then the program's own lines, with runs of library lines folded.
fn python_lines(frames: &[PythonFrame], style: Style) -> Vec<String> {
    let is_own = python::own(frames);
    let mut texts = Vec::new();
    let (mut at, mut shown) = (0, 0);
    while let Some(frame) = frames.get(at).filter(|_| shown < PYTHON_LINES) {
        if at == 0 || is_own(frame) {
            texts.push(python::line(frame, style));
            shown += usize::from(is_own(frame));
            at += 1;
            continue;
        }
        let rest = frames.get(at..).unwrap_or_default();
        let length = rest.iter().take_while(|frame| !is_own(frame)).count();
        // What called the program is not worth a word.
        if length == rest.len() && shown > 0 {
            return texts;
        }
        let mut names: Vec<Cow<'_, str>> = Vec::new();
        for frame in rest.get(..length).unwrap_or_default() {
            let name = Cow::Borrowed(python::package(frame));
            if !names.contains(&name) {
                names.push(name);
            }
        }
        texts.push(match rest {
            [frame, ..] if length == 1 => python::line(frame, style),
            _ => stacks::folded(length, &names, style),
        });
        at += length;
    }
    let left = frames.get(at..).unwrap_or_default().iter().filter(|frame| is_own(frame)).count();
    if left > 0 {
        texts.push(format!("{} {left} more of the program", style.dots()));
    }
    texts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn frame(file: &str, line: u32, function: &str) -> PythonFrame {
        PythonFrame { file: file.into(), line, function: function.into() }
    }

    #[test]
    fn lines_of_libraries_are_folded_around_those_of_the_program() {
        let site = "/srv/venv/lib/python3.11/site-packages/polars/";
        let frames = [
            frame(&format!("{site}lazyframe/engine.py"), 410, "collect"),
            frame(&format!("{site}lazyframe/frame.py"), 2227, "collect"),
            frame(&format!("{site}_utils/expired.py"), 114, "wrapper"),
            frame("/srv/app/job.py", 7, "work"),
            frame("/usr/lib/python3.11/multiprocessing/process.py", 108, "run"),
            frame("/usr/lib/python3.11/multiprocessing/process.py", 314, "_bootstrap"),
            frame("/srv/app/job.py", 10, "<module>"),
        ];
        let texts = python_lines(&frames, Style::default());
        let expected = [
            format!("{site}lazyframe/engine.py:410 in collect"),
            "… 2 frames of polars".into(),
            "/srv/app/job.py:7 in work".into(),
            "… 2 frames of multiprocessing".into(),
            "/srv/app/job.py:10 in <module>".into(),
        ];
        assert_eq!(texts, expected);
        let deep: Vec<_> = (1..=6).map(|line| frame("app.py", line, "again")).collect();
        let texts = python_lines(&deep, Style::default());
        assert_eq!(texts.len(), 5, "{texts:#?}");
        assert_eq!(texts.last().unwrap(), "… 2 more of the program");
    }
}
