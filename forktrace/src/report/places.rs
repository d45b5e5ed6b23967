//! The places in the source that a finding is about, for tools that show it there.

use forktrace_model::{
    event::{PythonFrame, stacks::Frame},
    finding::Finding,
};

use super::{Style, lost_work, python, threads};

/// A place in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Path of the file. Not sanitised.
    pub(crate) file: Option<String>,
    /// Line, from 1.
    pub(crate) line: Option<u32>,
    /// Function. Not sanitised.
    pub(crate) function: Option<String>,
    /// What it is, as a phrase.
    pub(crate) what: String,
}

/// The places, the one that the finding is shown at first: of a hang where the task is stuck, of others
/// where the process was forked.
pub(crate) fn of(finding: &Finding) -> Vec<Place> {
    let stuck = finding
        .threads()
        .is_none()
        .then(|| innermost(finding.python(), finding.stack(), "where the task is stuck"))
        .flatten();
    let mut places: Vec<Place> = stuck.into_iter().collect();
    places.extend(fork(finding));
    let by = finding.forked_by().unwrap_or(0);
    for thread in finding.threads().iter().flat_map(|detail| &detail.threads) {
        let name = threads::name(by, thread.tid, Some(&thread.comm), Style::default());
        let of = thread.library.map(|library| format!(" of {}", lost_work::library(library)));
        let what = format!("{name}{}, which fork did not copy", of.unwrap_or_default());
        places.extend(innermost(&thread.python, &thread.stack, &what));
    }
    places
}

/// Where the process was forked. Without a line of the fork itself, of Python the line at which the child
/// was soon after.
fn fork(finding: &Finding) -> Option<Place> {
    const FORK: &str = "where the process was forked";
    if let Some(frame) = python::fork_frame(finding) {
        return Some(of_python(frame, FORK));
    }
    let native = finding.fork_site().map(|fork| fork.stack.as_slice()).unwrap_or_default();
    let own = native.iter().find(|frame| !frame.is_beneath() && !frame.is_python());
    let is_python = native.iter().any(Frame::is_python);
    if let Some(frame) = python::frame_soon_after_fork(finding).filter(|_| is_python) {
        return Some(of_python(frame, "where the child was soon after the fork"));
    }
    own.filter(|_| !is_python).map(|frame| of_native(frame, FORK))
}

/// The innermost frame that is the program's own.
fn innermost(python: &[PythonFrame], native: &[Frame], what: &str) -> Option<Place> {
    let is_own = python::own(python);
    if let Some(frame) = python.iter().find(|frame| is_own(frame)).or(python.first()) {
        return Some(of_python(frame, what));
    }
    let own = native.iter().find(|frame| !frame.is_beneath() && frame.symbol.is_some());
    own.or(native.first()).map(|frame| of_native(frame, what))
}

fn of_python(frame: &PythonFrame, what: &str) -> Place {
    Place {
        file: Some(frame.file.clone()),
        line: Some(frame.line),
        function: Some(frame.function.clone()),
        what: what.to_owned(),
    }
}

fn of_native(frame: &Frame, what: &str) -> Place {
    Place {
        file: frame.file.clone(),
        line: frame.line,
        function: frame.symbol.clone().or_else(|| frame.module.clone()),
        what: what.to_owned(),
    }
}
