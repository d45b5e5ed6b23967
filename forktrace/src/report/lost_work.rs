//! The rows about threads that a child does not have, and the work that was for them.

use forktrace_model::{
    event::{Doing, HeldLock},
    finding::{Bypass, Finding, Library, SignalSort, ThreadLost, ThreadsDetail},
};

use super::{Style, duration, plural, python, stacks, threads};

/// Most lost threads that are shown.
const MOST: usize = 6;
/// Functions shown of the native stack of each.
const FUNCTIONS: usize = 2;
/// Locks shown of each.
const LOCKS: usize = 3;

/// The end of the first line of a block: what the child does.
pub(super) fn headline(detail: &ThreadsDetail) -> String {
    let with_work = detail.threads.iter().filter(|thread| thread.work.is_some()).count() as u64;
    match with_work {
        0 => "was forked beside other threads, which it does not have".into(),
        1 => "hands work to a thread that it does not have".into(),
        more => format!("hands work to {more} threads that it does not have"),
    }
}

/// Label and text of the rows: each thread, what it did, and what the child has for it.
pub(super) fn rows(
    finding: &Finding,
    detail: &ThreadsDetail,
    style: Style,
) -> Vec<(&'static str, String)> {
    let by = finding.forked_by().unwrap_or(0);
    let has_work = detail.threads.iter().any(|thread| thread.work.is_some());
    let shown = || detail.threads.iter().filter(|thread| !has_work || thread.work.is_some());
    let mut rows = Vec::new();
    for thread in shown().take(MOST) {
        let label = match (rows.is_empty(), has_work) {
            (true, true) => "work for",
            (true, false) => "threads",
            (false, _) => "",
        };
        rows.push((label, one(by, thread, style)));
    }
    let hidden = shown().count().saturating_sub(rows.len()) as u64;
    if hidden > 0 {
        rows.push(("", format!("{} {}", style.dots(), plural(hidden, "other", "others"))));
    }
    if let Some(after_ns) = detail.seen_after_ns {
        let after = duration(after_ns);
        rows.push(("", format!("seen in the process that forked, {after} after the fork")));
    }
    rows.extend(detail.bypass.map(|how| ("cause", bypass(how).to_owned())));
    rows
}

fn one(by: u32, thread: &ThreadLost, style: Style) -> String {
    let mut text = threads::name(by, thread.tid, Some(&thread.comm), style);
    if let Some(library) = thread.library {
        text.push_str(&format!(" of {}", self::library(library)));
    }
    let at = match thread.python.is_empty() {
        true => stacks::beside_python(&thread.stack, FUNCTIONS, style),
        false => python::innermost(&thread.python, style),
    };
    let doing = match (&thread.doing, at.is_empty()) {
        (_, false) if thread.python.is_empty() => format!(", at {at}"),
        (_, false) => format!(", {at}"),
        (Doing::Running, _) => ", which was running".into(),
        (Doing::Futex { .. }, _) => ", which waited to be woken".into(),
        (Doing::Syscall(number), _) => format!(", in system call {number}"),
        (Doing::Unknown, _) => String::new(),
    };
    text.push_str(&doing);
    if let Some(work) = &thread.work {
        let signals = plural(work.signals.into(), "signal", "signals");
        text.push_str(&format!("; {signals} at {:#x} since the fork", work.word));
    }
    if !thread.held.is_empty() {
        let lock = |held: &HeldLock| match &held.place {
            Some(place) => format!("{:#x} (taken at {})", held.address, style.clean(place)),
            None => format!("{:#x}", held.address),
        };
        let shown: Vec<String> = thread.held.iter().take(LOCKS).map(lock).collect();
        let locks = plural(thread.held.len() as u64, "lock", "locks");
        text.push_str(&format!("; it held {locks} at the fork: {}", shown.join(", ")));
    }
    text
}

/// The name of a library.
pub(super) fn library(library: Library) -> &'static str {
    match library {
        Library::OpenTelemetry => "OpenTelemetry",
        Library::Sentry => "Sentry",
        Library::Librdkafka => "librdkafka",
        Library::Zeromq => "ZeroMQ",
        Library::Pymongo => "PyMongo",
        Library::QueueListener => "logging.handlers.QueueListener",
        Library::Futures => "concurrent.futures",
        Library::Datadog => "ddtrace",
        Library::Grpc => "gRPC",
        Library::PinMemory => "PyTorch's DataLoader",
    }
}

/// What a signal is made with.
pub(super) fn sort(sort: SignalSort) -> &'static str {
    match sort {
        SignalSort::Condition => "a condition variable",
        SignalSort::Semaphore => "a semaphore",
        SignalSort::Token => "a thread's token",
        SignalSort::Counter => "a counter",
    }
}

/// How a fork passed by hooks, as a sentence.
pub(super) fn bypass(how: Bypass) -> &'static str {
    match how {
        Bypass::RawClone => {
            "the fork was a system call of its own, not fork(): no handler of pthread_atfork ran, with which \
             libraries make their threads again"
        }
        Bypass::NotByPython => {
            "the fork was not made by Python: the hooks of os.register_at_fork, with which libraries make \
             their threads again, run only if the server calls them"
        }
    }
}
