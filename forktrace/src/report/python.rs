//! Python frames as short text.

use super::Style;
use forktrace_model::{
    event::PythonFrame,
    finding::{Finding, WaitDetail},
};

/// So long after the fork a child is hardly far from the line of the fork, ns.
const SOON_NS: u64 = 1_000_000_000;

/// A Python frame: `app.py:12 in hold`.
pub(super) fn line(frame: &PythonFrame, style: Style) -> String {
    let number = if frame.line > 0 { format!(":{}", frame.line) } else { String::new() };
    let (file, function) = (style.clean(&frame.file), style.clean(&frame.function));
    format!("{file}{number} in {function}")
}

/// Which frames of a stack are the program's own: those outside of Python's library and of installed
/// packages, or outside of Python's library if there are no others.
pub(super) fn own(frames: &[PythonFrame]) -> impl Fn(&PythonFrame) -> bool + use<> {
    let is_own = |frame: &PythonFrame| !frame.is_of_library() && installed(frame).is_none();
    let has_own = frames.iter().any(is_own);
    move |frame| if has_own { is_own(frame) } else { !frame.is_of_library() }
}

/// The part of a path below the folder of installed packages.
fn installed(frame: &PythonFrame) -> Option<&str> {
    let folders = ["/site-packages/", "/dist-packages/"];
    folders.iter().find_map(|folder| Some(frame.file.split_once(folder)?.1))
}

/// The package or module of a frame: `polars`, `multiprocessing`, `threading`.
pub(super) fn package(frame: &PythonFrame) -> &str {
    let file = frame.file.as_str();
    let inside = installed(frame).or_else(|| {
        let (_, below) = file.split_once("/lib/python")?;
        Some(below.split_once('/')?.1)
    });
    let frozen = || Some(file.strip_prefix("<frozen ")?.trim_end_matches('>'));
    let name = inside.or_else(frozen).unwrap_or(file);
    let first = match name.starts_with('/') {
        true => name.rsplit('/').next().unwrap_or(name),
        false => name.split(['/', '.']).next().unwrap_or(name),
    };
    first.strip_suffix(".py").unwrap_or(first)
}

/// The Python line that started a process of `multiprocessing`. The first thread of such a process
/// runs inside of this call until it ends (`Popen._launch`, `Lib/multiprocessing/popen_fork.py`, CPython 3.8 to
/// 3.14), so the thread that forked was at this line too.
pub(super) fn fork_site(finding: &Finding, style: Style) -> Option<String> {
    fork_frame(finding).map(|frame| line(frame, style))
}

/// The frame of that line.
pub(super) fn fork_frame(finding: &Finding) -> Option<&PythonFrame> {
    if finding.subject.tid != finding.subject.pid {
        return None;
    }
    let launches = |frame: &PythonFrame| {
        frame.function.ends_with("_launch") && frame.file.ends_with("multiprocessing/popen_fork.py")
    };
    let launch = finding.python().iter().position(launches)?;
    let callers = finding.python().get(launch..)?;
    let is_own = own(callers);
    callers.iter().find(|frame| is_own(frame))
}

/// The program's line at which a child was soon after its fork, where it is known: at the same place in the
/// callers, or a little further on.
pub(super) fn soon_after_fork(finding: &Finding, style: Style) -> Option<String> {
    let frame = frame_soon_after_fork(finding)?;
    Some(format!("os.fork() of Python; soon after, the child was at {}", line(frame, style)))
}

/// The frame of that line.
pub(super) fn frame_soon_after_fork(finding: &Finding) -> Option<&PythonFrame> {
    let threads = finding.threads()?;
    let is_soon = threads.python_after_ns.is_some_and(|after_ns| after_ns <= SOON_NS);
    let frames = &threads.python;
    let is_own = own(frames);
    let own = frames.iter().find(|frame| is_own(frame)).or(frames.first());
    own.filter(|_| is_soon)
}

/// The program's innermost Python line: `at app.py:12 in hold`.
pub(super) fn innermost(frames: &[PythonFrame], style: Style) -> String {
    let is_own = own(frames);
    let frame = frames.iter().find(|frame| is_own(frame)).or(frames.first());
    frame.map_or(String::new(), |frame| format!("at {}", line(frame, style)))
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
