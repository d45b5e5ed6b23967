//! Native stacks, holders' fates and places of data in a few words. The log has them whole.

use super::{Style, plural, python};
use forktrace_model::{
    event::{
        Doing,
        stacks::{Fate, Frame, Place, TaskNow},
    },
    finding::{Finding, ForkSite, Holder, WaitDetail},
};

/// Functions shown of a stuck thread, beside the one that waits.
const CALLERS: usize = 4;
/// Functions shown of any other stack.
const SHORT: usize = 2;
/// Threads shown that may have held the lock.
const CANDIDATES: usize = 3;

/// Where the stuck thread is: the C library's function that waits, then those that led there.
/// Empty where nothing is known.
pub(super) fn stuck(wait: &WaitDetail, style: Style) -> String {
    let at = chain(&wait.stack, CALLERS, style);
    match &wait.stack_cut {
        Some(why) if !at.is_empty() => {
            format!("{at} (further callers are not known: {})", style.clean(why))
        }
        _ => at,
    }
}

/// The same for a thread whose Python lines are shown, as far as it says more than they do: where
/// an extension of Python waits, not Python itself.
pub(super) fn below_python(stack: &[Frame], style: Style) -> String {
    let inner = stack.iter().position(Frame::is_interpreting).unwrap_or(0);
    let inner = stack.get(..inner).unwrap_or_default();
    match inner.iter().any(|frame| !frame.is_library() && !frame.is_python()) {
        true => chain_beside_python(inner, CALLERS, style),
        false => String::new(),
    }
}

/// Where the process was forked. Empty where nothing is known.
pub(super) fn fork_site(finding: &Finding, fork: &ForkSite, style: Style) -> String {
    let callers: Vec<_> = fork.stack.iter().skip_while(|frame| frame.is_beneath()).collect();
    match callers.first() {
        None => python::fork_site(finding, style).unwrap_or_default(),
        Some(frame) if frame.is_python() => {
            python::fork_site(finding, style).unwrap_or_else(|| "os.fork() of Python".into())
        }
        Some(_) => {
            let own = |frame: &&Frame| !frame.is_beneath() && !frame.is_start();
            join(callers.into_iter().filter(own).take(SHORT), style)
        }
    }
}

/// What became of the holder since, as the end of a sentence about it.
pub(super) fn fate(holder: &Holder, of_parent: bool, style: Style) -> String {
    let there = if of_parent { "in the parent" } else { "in that process" };
    let at = match chain_beside_python(&holder.stack, SHORT, style) {
        _ if !holder.python.is_empty() => python::innermost(&holder.python, style),
        at if at.is_empty() => doing(holder.doing.as_ref()),
        at => at,
    };
    let at = if at.is_empty() { at } else { format!(", {at}") };
    match (holder.fate, holder.holding) {
        (None | Some(Fate::Unknown), _) => String::new(),
        (Some(Fate::Alive), Some(true)) => format!("; {there} it still has the lock{at}"),
        (Some(Fate::Alive), Some(false)) => format!("; {there} it has released the lock since"),
        (Some(Fate::Alive), None) => format!("; {there} it is alive{at}"),
        (Some(Fate::Exited), _) => format!("; {there} it has ended since"),
        (Some(Fate::Gone), _) => "; its process has ended since".into(),
        (Some(Fate::Replaced), _) => "; its process runs another program since".into(),
    }
}

/// Who may have held a lock that does not say it.
pub(super) fn candidates(finding: &Finding, wait: &WaitDetail, style: Style) -> String {
    let all = &wait.candidates;
    let Some(fork) = finding.fork_site().filter(|_| !all.is_empty()) else {
        return String::new();
    };
    let shown: Vec<_> = all.iter().take(CANDIDATES).map(|one| candidate(one, style)).collect();
    let more = u64::from(fork.threads_lost).saturating_sub(shown.len() as u64);
    let more = match more {
        0 => String::new(),
        more => format!(" and {}", plural(more, "more", "more")),
    };
    let others = match fork.threads_lost {
        1 => "the other thread of its process".to_owned(),
        others => format!("one of the {others} others of its process"),
    };
    format!("; the thread that forked, or {others}: {}{more}", shown.join(", "))
}

fn candidate(task: &TaskNow, style: Style) -> String {
    let name = match task.comm.as_deref() {
        None | Some("") => format!("thread {}", task.tid),
        Some(comm) => format!("\"{}\"[{}]", style.clean(comm), task.tid),
    };
    let now = match task.fate {
        Fate::Alive => match chain_beside_python(&task.stack.frames, 0, style) {
            at if at.is_empty() => doing(Some(&task.doing)),
            at => at,
        },
        Fate::Exited => "ended since".into(),
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

/// Where data lies: `"cache_lock" in /srv/app/server`.
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

/// The C library's function that was called, and its callers in the program's own code.
fn chain(stack: &[Frame], callers: usize, style: Style) -> String {
    chain_of(stack, |frame| !frame.is_beneath() && !frame.is_start(), callers, style)
}

/// The same without Python's own functions, which say nothing of a Python program.
fn chain_beside_python(stack: &[Frame], callers: usize, style: Style) -> String {
    let own = |frame: &Frame| !frame.is_beneath() && !frame.is_start() && !frame.is_python();
    chain_of(stack, own, callers, style)
}

fn chain_of(stack: &[Frame], own: impl Fn(&Frame) -> bool, callers: usize, style: Style) -> String {
    let inside = stack.iter().position(|frame| !frame.is_beneath()).unwrap_or(stack.len());
    let (library, rest) = stack.split_at(inside);
    // The outermost is what the program called: further in are the library's own affairs.
    let called = library.iter().rev().find(|frame| frame.symbol.is_some()).or(library.last());
    let rest = rest.iter().filter(|frame| own(frame)).take(callers);
    join(called.into_iter().chain(rest), style)
}

fn join<'a>(frames: impl Iterator<Item = &'a Frame>, style: Style) -> String {
    let arrow = if style.ascii { " <- " } else { " ← " };
    frames.map(|frame| style.clean(&frame.short()).into_owned()).collect::<Vec<_>>().join(arrow)
}

#[cfg(test)]
mod tests;
