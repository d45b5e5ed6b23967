//! A finding as short text, for exports. Control characters are escaped; each format escapes its own
//! special characters.

use forktrace_model::finding::Finding;

use crate::report::{hang, hazards, logged, sanitize};

/// Frames of a stack that are shown.
const FRAMES: usize = 6;

/// The task that is stuck: `server[4312]`, `server[4312] thread 4315`.
pub(super) fn who(finding: &Finding) -> String {
    let thread = match finding.subject.tid == finding.subject.pid {
        true => String::new(),
        false => format!(" thread {}", finding.subject.tid),
    };
    format!("{}[{}]{thread}", sanitize(&finding.subject.comm), finding.subject.pid)
}

/// The confidence: `certain`, `likely` or `suspect`.
pub(super) fn confidence(finding: &Finding) -> &'static str {
    hang::word(finding.confidence)
}

/// The hazard, with its confidence.
pub(super) fn headline(finding: &Finding) -> String {
    let words = hazards::words(finding.hazard);
    let label = hazards::label(finding.severity);
    format!("{label} ({}): {}", confidence(finding), words.headline)
}

/// The lock: `0x5582 (glibc mutex, /srv/app/server)`; empty: it is about none.
pub(super) fn lock(finding: &Finding) -> String {
    let Some(lock) = finding.lock() else { return String::new() };
    let parts = [lock.family.name, logged::place(&lock.mapping)].map(sanitize);
    let parts: Vec<_> = parts.into_iter().filter(|text| !text.is_empty()).collect();
    match parts.is_empty() {
        true => format!("{:#x}", lock.address),
        false => format!("{:#x} ({})", lock.address, parts.join(", ")),
    }
}

/// The holder at the fork. Empty if unknown.
pub(super) fn holder(finding: &Finding) -> String {
    let Some(holder) = finding.holder() else { return String::new() };
    let comm = holder.comm.as_deref().map(sanitize).unwrap_or_default();
    format!("thread {comm}[{}] of process {}", holder.tid, holder.pid)
}

/// Where it is stuck: Python lines, or functions if there are none. Empty if unknown.
pub(super) fn stuck_at(finding: &Finding) -> String {
    let python = finding.python().iter().map(|f| format!("{}:{} {}", f.file, f.line, f.function));
    let native = finding.stack().iter().map(|frame| {
        let symbol = frame.symbol.clone().unwrap_or_else(|| format!("{:#x}", frame.address));
        match (&frame.file, frame.line) {
            (Some(file), Some(line)) => format!("{symbol} ({file}:{line})"),
            _ => symbol,
        }
    });
    let frames: Vec<String> = match finding.python().is_empty() {
        true => native.take(FRAMES).collect(),
        false => python.take(FRAMES).collect(),
    };
    sanitize(&frames.join(" ← ")).into_owned()
}
