//! The rows about locks on files, and about signals that nobody takes.

use forktrace_model::{
    event::LockSort,
    finding::{Confidence, Fact, FileLockDetail, Finding, LockLoss, LockParty, SignalsDetail},
    text::plural,
};
use nix::sys::signal::Signal;

use super::{Clock, Style, duration};

/// What is wrong with a lock, in one sentence.
pub(super) fn headline(finding: &Finding, lock: &FileLockDetail, style: Style) -> String {
    let (taker, other) = (party(&lock.taker, style), party(&lock.other, style));
    let file = file(lock, style);
    let may = match finding.confidence {
        Confidence::Suspect => "may go on",
        Confidence::Certain | Confidence::Likely => "goes on",
    };
    match lock.loss {
        LockLoss::Released => {
            format!("{taker} {may} without its lock on {file}: {other} has given it back")
        }
        LockLoss::HeldByBoth => {
            format!("{taker} and {other} had the exclusive lock on {file} at once")
        }
        LockLoss::EndedWithTaker => {
            format!("{other} {may} without a lock on {file}: the lock ended with {taker}")
        }
        LockLoss::Kept => {
            format!("{other} keeps the lock on {file} that {taker} took, which has ended")
        }
    }
}

fn party(party: &LockParty, style: Style) -> String {
    format!("{}[{}]", style.clean(&party.comm), party.pid)
}

fn file(lock: &FileLockDetail, style: Style) -> String {
    match lock.path.is_empty() {
        true => format!("file {}:{}", lock.device, lock.inode),
        false => style.clean(&lock.path).into_owned(),
    }
}

/// The call by which such locks are taken.
fn call(sort: LockSort) -> &'static str {
    match sort {
        LockSort::Flock => "flock()",
        LockSort::Posix => "fcntl() or lockf()",
        LockSort::Ofd => "fcntl() with F_OFD_SETLK",
        LockSort::Other => "a call that this forktrace does not know",
    }
}

/// Label and text of the rows.
pub(super) fn rows(
    finding: &Finding,
    lock: &FileLockDetail,
    style: Style,
    clock: &Clock,
) -> Vec<(&'static str, String)> {
    let who = |party: &LockParty| {
        let fd = party.fd.map_or(String::new(), |fd| format!(", fd {fd}"));
        let ended = if party.ended { " (it has ended)" } else { "" };
        format!("{}{fd}{ended}", self::party(party, style))
    };
    let taken =
        format!("{} at {} with {}", who(&lock.taker), clock.time(lock.taken_ns), call(lock.sort));
    let mut rows = vec![("taken by", taken)];
    let at = clock.time(lock.lost_ns);
    rows.push(match lock.loss {
        LockLoss::Released => ("released", format!("by {} at {at}", who(&lock.other))),
        LockLoss::HeldByBoth => ("also by", format!("{} at {at}", who(&lock.other))),
        LockLoss::EndedWithTaker => {
            ("lost", format!("at {at}; {} has the file open", who(&lock.other)))
        }
        LockLoss::Kept => {
            ("kept by", format!("{}; the one that took it ended at {at}", who(&lock.other)))
        }
    });
    if let Some(third) = &lock.third {
        let label = if lock.loss == LockLoss::Kept { "wanted by" } else { "then by" };
        rows.push((label, party(third, style)));
    }
    rows.push(("leads to", leads_to(finding, lock).into()));
    rows
}

/// The consequence, in a user's words.
fn leads_to(finding: &Finding, lock: &FileLockDetail) -> &'static str {
    use forktrace_model::finding::Rule;
    match lock.loss {
        LockLoss::Kept => {
            "the service cannot start again, or waits for the lock, for as long as this process lives"
        }
        LockLoss::HeldByBoth => {
            "the lock keeps these processes apart from others, but not from each other: both work on what it \
             protects at once"
        }
        LockLoss::EndedWithTaker if finding.has(Rule::UsesDatabase) => {
            "other processes see no lock of this one on the database: they may remove its write-ahead log \
             or write at once, and the database loses transactions or becomes malformed"
        }
        LockLoss::EndedWithTaker | LockLoss::Released => {
            "another process can take the lock: two instances run, or two processes work on what it \
             protects at once"
        }
    }
}

/// A rule about a lock on a file, in words; `None`: it is not about one.
pub(super) fn proof(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::ReleasedByOther { by, pid } => format!(
            "process {pid} took the lock and process {by} gave it back by a call; both have it by one \
             description, which fork shares"
        ),
        Fact::ReliedOn { pid, after_ns } => format!(
            "process {pid} gave it back itself {} later: it had relied on it until then",
            duration(*after_ns)
        ),
        Fact::StillOpen { pid, after_ns } => format!(
            "{} later process {pid} still had the file open, and had not taken the lock again",
            duration(*after_ns)
        ),
        Fact::TakenMeanwhile { by } => format!("process {by} took the lock meanwhile"),
        Fact::LockOverlaps { times } => format!(
            "{} one process took the lock while the other had it, and both went on: they have it by one \
             description, and its lock does not exclude its own users",
            plural(*times, "time", "times")
        ),
        Fact::EndedWithLock { pid } => format!(
            "process {pid} had the lock until it closed the file at its end; a child does not inherit such \
             a lock"
        ),
        Fact::OpenWithoutLock { pid, fd, after_ns } => format!(
            "{} later process {pid} had the inherited file open (fd {fd}), and nobody had a lock on it",
            duration(*after_ns)
        ),
        Fact::NamesProcess { pid } => format!("the file's text is the number of process {pid}"),
        Fact::UsesDatabase { pid } => format!(
            "it belongs to an SQLite database, and process {pid} has locked it by the inherited descriptor"
        ),
        Fact::KeptByCopy { pid, fd } => format!(
            "the lock belongs to the description that process {pid} has by its copy, fd {fd}; it has not \
             asked for the lock itself"
        ),
        Fact::TakerGone { pid, signal: Some(signal) } => {
            format!("process {pid}, which took it, was ended by {}", name((*signal).into()))
        }
        Fact::TakerGone { pid, signal: None } => format!("process {pid}, which took it, has ended"),
        Fact::NotGot { pid, same: true } => {
            format!("process {pid}, which runs the same program, does not get it")
        }
        Fact::NotGot { pid, same: false } => format!("process {pid} does not get it"),
        Fact::MayBeLent { pid } => {
            format!("process {pid} waits for a child: it may have lent it the lock")
        }
        Fact::NeedUnknown {} => "nothing shows that anybody still relies on the lock".into(),
        _ => return of_signals(fact),
    })
}

fn of_signals(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::BlockedSinceFork { signals } => format!(
            "the thread that forked had {} blocked, and the process still has",
            names(signals)
        ),
        Fact::SignalPending { signals, looks, for_ns } => format!(
            "{} was there at each of {} over {}",
            names(signals),
            plural((*looks).into(), "look", "looks"),
            duration(*for_ns)
        ),
        Fact::NobodyTakesSignals {} => {
            "no thread of the process has it unblocked or waits for it, and no signalfd takes it"
                .into()
        }
        Fact::Unreaped { pids } => format!(
            "{} of the process has ended and was not waited for",
            plural(pids.len() as u64, "child", "children")
        ),
        _ => return None,
    })
}

fn name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |name| name.to_string())
}

fn names(signals: &[i32]) -> String {
    signals.iter().map(|signal| name(*signal)).collect::<Vec<_>>().join(" and ")
}

/// What is wrong with signals: the end of the first line.
pub(super) fn signals(detail: &SignalsDetail) -> String {
    let signals: Vec<i32> = detail.pending.iter().map(|pending| pending.signal).collect();
    let has = if signals.len() == 1 { "it has" } else { "they have" };
    format!("does not take {}: {has} been blocked since the fork", names(&signals))
}

/// Label and text of the rows about signals.
pub(super) fn signal_rows(detail: &SignalsDetail) -> Vec<(&'static str, String)> {
    let signal = |pending: &forktrace_model::event::PendingSignal| {
        format!("{} for more than {}", name(pending.signal), duration(pending.for_ns))
    };
    let pending: Vec<String> = detail.pending.iter().map(signal).collect();
    let is_child =
        |pending: &forktrace_model::event::PendingSignal| pending.signal == libc::SIGCHLD;
    let leads_to = match detail.pending.iter().all(is_child) {
        true => "children that end are not waited for: they stay as zombies",
        false => {
            "the process does not end or reload when it is told to: a stop takes until it is killed, and \
             its work is cut off"
        }
    };
    vec![("pending", pending.join(", ")), ("leads to", leads_to.into())]
}
