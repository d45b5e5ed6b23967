//! Python frames as short text.

use super::Style;
use forktrace_model::{
    event::PythonFrame,
    finding::{Finding, WaitDetail},
};

/// A Python frame: `app.py:12 in hold`.
pub(super) fn line(frame: &PythonFrame, style: Style) -> String {
    let number = if frame.line > 0 { format!(":{}", frame.line) } else { String::new() };
    let (file, function) = (style.clean(&frame.file), style.clean(&frame.function));
    format!("{file}{number} in {function}")
}

/// Whether a frame belongs to the program and not to Python's standard library. The path decides: `/usr/lib/python3.11/threading.py`, `<frozen runpy>`, or a path relative to the library.
pub(super) fn is_user_code(frame: &PythonFrame) -> bool {
    let file = frame.file.as_str();
    let library = file.contains("/lib/python")
        && !file.contains("/site-packages/")
        && !file.contains("/dist-packages/");
    let inside = ["threading.py", "multiprocessing/", "concurrent/", "queue.py", "logging/"];
    !library && !file.starts_with('<') && !inside.iter().any(|name| file.starts_with(name))
}

/// The Python line that started a process of `multiprocessing`. The first thread of such a process
/// runs inside of this call until it ends (`Popen._launch`, `Lib/multiprocessing/popen_fork.py`, CPython 3.8 to
/// 3.14), so the thread that forked was at this line too.
pub(super) fn fork_site(finding: &Finding, style: Style) -> Option<String> {
    if finding.subject.tid != finding.subject.pid {
        return None;
    }
    let launches = |frame: &PythonFrame| {
        frame.function.ends_with("_launch") && frame.file.ends_with("multiprocessing/popen_fork.py")
    };
    let launch = finding.python().iter().position(launches)?;
    let callers = finding.python().get(launch..)?;
    let caller = callers.iter().find(|frame| is_user_code(frame))?;
    Some(line(caller, style))
}

/// The program's innermost Python line: `at app.py:12 in hold`.
pub(super) fn innermost(frames: &[PythonFrame], style: Style) -> String {
    let own = frames.iter().find(|frame| is_user_code(frame)).or(frames.first());
    own.map_or(String::new(), |frame| format!("at {}", line(frame, style)))
}

/// Where a thread was that fork did not copy: the end of a sentence about the holder.
pub(super) fn with_at_fork(finding: &Finding, wait: &WaitDetail, style: Style) -> String {
    let Some(frame) = &wait.with_at_fork else { return String::new() };
    let line = line(frame, style);
    let or = if finding.unobserved_fork().is_some() { ", or about to enter it" } else { "" };
    format!(
        "; at the fork, a thread that does not exist in the child was in a `with` block of this \
         lock{or}, at {line}"
    )
}
