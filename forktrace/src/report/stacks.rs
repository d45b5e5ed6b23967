//! Native stacks, the state of the holder and the place of a lock as short text. The log has them
//! complete.

mod fold;

use super::{Style, plural, python, threads};
use forktrace_model::{
    event::{
        Doing,
        stacks::{Fate, Frame, Place, TaskNow},
    },
    finding::{Finding, ForkSite, Holder, WaitDetail},
    frames::Layer,
};

pub(super) use fold::folded;

/// Functions shown of any other stack.
const SHORT: usize = 2;
/// Threads shown that may have held the lock.
const CANDIDATES: usize = 3;

/// Where the stuck thread is: the C library's function that waits, then up to `functions` of the
/// program's. Empty if nothing is known.
pub(super) fn stuck(stack: &[Frame], cut: Option<&str>, functions: usize, style: Style) -> String {
    let at = fold::text(stack, functions, true, style);
    match cut {
        Some(why) if !at.is_empty() => {
            format!("{at} (further callers are unknown: {})", style.clean(why))
        }
        _ => at,
    }
}

/// The native functions below the Python lines of a stuck thread. Empty unless a Python extension
/// waits: Python's own functions add nothing to its lines.
pub(super) fn below_python(stack: &[Frame], functions: usize, style: Style) -> String {
    let inner = stack.iter().position(Frame::is_interpreting).unwrap_or(0);
    let inner = stack.get(..inner).unwrap_or_default();
    if !inner.iter().any(|frame| !frame.is_library() && !frame.is_python()) {
        return String::new();
    }
    // What called the extension's own functions is the way from Python.
    let last = inner
        .iter()
        .rposition(|frame| frame.layer() == Layer::Program)
        .or_else(|| inner.iter().rposition(|frame| !frame.is_python()));
    let inner = last.map_or(inner, |last| inner.get(..=last).unwrap_or(inner));
    fold::text(inner, functions, true, style)
}

/// The whole stack, a function each.
pub(super) fn whole(stack: &[Frame], style: Style) -> Vec<String> {
    fold::whole(stack, style)
}

/// Where the process was forked. Empty if nothing is known.
pub(super) fn fork_site(finding: &Finding, fork: &ForkSite, style: Style) -> String {
    let callers: Vec<_> = fork.stack.iter().skip_while(|frame| frame.is_beneath()).collect();
    match callers.first() {
        None => python::fork_site(finding, style).unwrap_or_default(),
        Some(frame) if frame.is_python() => {
            let near = || python::soon_after_fork(finding, style);
            let site = python::fork_site(finding, style).or_else(near);
            site.unwrap_or_else(|| "os.fork() of Python".into())
        }
        Some(_) => {
            let own: Vec<_> = callers.into_iter().cloned().collect();
            fold::text(&own, SHORT, false, style)
        }
    }
}

/// What the holder has done since the fork: the end of a sentence about the holder.
pub(super) fn fate(holder: &Holder, of_parent: bool, style: Style) -> String {
    let there = if of_parent { "in the parent" } else { "in its process" };
    let at = match chain_beside_python(&holder.stack, SHORT, style) {
        _ if !holder.python.is_empty() => python::innermost(&holder.python, style),
        at if at.is_empty() => doing(holder.doing.as_ref()),
        at => format!("at {at}"),
    };
    let at = if at.is_empty() { at } else { format!(", {at}") };
    match (holder.fate, holder.holding) {
        (None | Some(Fate::Unknown), _) => String::new(),
        (Some(Fate::Alive), Some(true)) => format!("; {there} it still holds the lock{at}"),
        (Some(Fate::Alive), Some(false)) => format!("; {there} it has since released the lock"),
        (Some(Fate::Alive), None) => format!("; {there} it is still alive{at}"),
        (Some(Fate::Exited), _) => format!("; {there} it has since ended"),
        (Some(Fate::Gone), _) => "; its process has since ended".into(),
        (Some(Fate::Replaced), _) => "; its process has since executed another program".into(),
    }
}

/// The threads that may have held a lock which does not record its holder.
pub(super) fn candidates(finding: &Finding, wait: &WaitDetail, style: Style) -> String {
    let all = &wait.candidates;
    let Some(fork) = finding.fork_site().filter(|_| !all.is_empty()) else {
        return String::new();
    };
    let shown: Vec<_> = all.iter().take(CANDIDATES).map(|one| candidate(one, style)).collect();
    let more = u64::from(fork.threads_lost).saturating_sub(shown.len() as u64);
    let more = match more {
        0 => String::new(),
        more => format!(", {}", plural(more, "other thread", "other threads")),
    };
    format!("; possible holders: the thread that forked, {}{more}", shown.join(", "))
}

fn candidate(task: &TaskNow, style: Style) -> String {
    let name = threads::name(task.pid, task.tid, task.comm.as_deref(), style);
    let now = match task.fate {
        Fate::Alive => match chain_beside_python(&task.stack.frames, 0, style) {
            at if at.is_empty() => doing(Some(&task.doing)),
            at => at,
        },
        Fate::Exited => "has since ended".into(),
        Fate::Gone | Fate::Replaced | Fate::Unknown => String::new(),
    };
    if now.is_empty() { name } else { format!("{name} ({now})") }
}

fn doing(doing: Option<&Doing>) -> String {
    match doing {
        Some(Doing::Running) => "running".into(),
        Some(Doing::Futex { uaddr, .. }) => format!("waiting for futex {uaddr:#x}"),
        Some(Doing::Syscall(number)) => format!("in system call {number}"),
        Some(Doing::Unknown) | None => String::new(),
    }
}

/// The place of a lock: `"cache_lock" in /srv/app/server`.
pub(super) fn place(place: &Place, style: Style) -> String {
    match place {
        Place::Stack { tid } => format!("stack of thread {tid}"),
        Place::Module { path, section, symbol, offset } => {
            let path = style.clean(path);
            match (symbol, section) {
                (Some(symbol), _) if *offset == 0 => {
                    format!("\"{}\" in {path}", style.clean(symbol))
                }
                (Some(symbol), _) => format!("\"{}\"+{offset:#x} in {path}", style.clean(symbol)),
                (None, Some(section)) => format!("{}+{offset:#x} in {path}", style.clean(section)),
                (None, None) => format!("{path}+{offset:#x}"),
            }
        }
    }
}

/// The same for a thread that a child does not have.
pub(super) fn beside_python(stack: &[Frame], callers: usize, style: Style) -> String {
    chain_beside_python(stack, callers, style)
}

/// The C library's function that was called and its callers, without the functions of the Python
/// interpreter.
fn chain_beside_python(stack: &[Frame], callers: usize, style: Style) -> String {
    let own: Vec<_> = stack.iter().filter(|frame| !frame.is_python()).cloned().collect();
    fold::text(&own, callers, false, style)
}

#[cfg(test)]
mod tests;
