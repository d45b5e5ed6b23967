//! The sentences of caveats, for the summary and for stderr.

use super::{bytes, filter, plural};
use crate::pipeline::caveats::{Caveat, LogCaveat, Missed};

/// Why a process could not be read. forktrace has the capability, so only a security module can deny it.
const DENIED: &str = "access to the process was denied, probably by a security module (SELinux, AppArmor, \
    Landlock); find the denial in the audit log (ausearch -m avc; dmesg), then run forktrace in a domain \
    or profile that may ptrace the process (the current one: cat /proc/self/attr/current)";
const FORK_UNSEEN: &str = "the process was forked before tracing began, and forktrace cannot \
    distinguish a hang from an idle thread there";
const INTERRUPTED: &str = "interrupted when tracing stopped: by a signal, or because the process \
    was paused (SIGSTOP, debugger, frozen container); let the process continue, then trace again";
const GONE: &str = "of forked children could not be checked: the thread ended too early; the process \
    was killed, too many threads waited at once, or this host is overloaded";
const FUTEX_ALONE: &str = "this log was recorded by a version that looked at futex waits alone";
const REFUSED: &str = "more pages than forktrace saves, so locks in their other pages cannot be proven; \
    raise --snapshot-limit";

/// A caveat as a sentence.
pub fn text(caveat: &Caveat) -> String {
    match caveat {
        Caveat::TooShort { traced_ns, min_wait_ns } => format!(
            "the trace lasted {:.1} s, but a wait is judged when it has lasted {:.1} s; trace longer \
             (-d), or use a shorter --min-wait",
            *traced_ns as f64 / 1e9,
            *min_wait_ns as f64 / 1e9
        ),
        Caveat::FutexAlone => FUTEX_ALONE.to_owned(),
        Caveat::Missed(what, count) => missed(*what, *count),
        Caveat::NothingFitted { filter } => {
            let filter = filter::text(filter);
            format!("no process matched the filter ({filter}), so no process was checked")
        }
        Caveat::Log { file: Some(file), what } => format!("{file}: {}", of_log(what)),
        Caveat::Log { file: None, what } => of_log(what),
    }
}

/// A thread that is stopped.
const STOPPED: &str = "stopped, by a signal or a debugger, and did not go on";
/// A thread that may spin.
const BUSY: &str =
    "never left one loop of code: a computation, or it spins for ever, which is not judged";

fn missed(what: Missed, count: u64) -> String {
    let waits = ("wait", "waits");
    let long_waits = ("long wait", "long waits");
    let threads = ("thread of forked children", "threads of forked children");
    let processes = ("process", "processes");
    let were_not = |what: &str| format!("not {what}");
    let unjudged = |why: &str| format!("of forked children could not be judged: {why}");
    let ((one, many), rest) = match what {
        Missed::ForkUnseen => (long_waits, format!("could not be judged: {FORK_UNSEEN}")),
        Missed::WaitsLeftOut => (
            ("wait older than the trace was", "waits older than the trace were"),
            were_not("checked: there are too many"),
        ),
        Missed::WaitsNotSampled => (
            ("wait was", "waits were"),
            "still being checked when tracing stopped; trace longer (-d)".into(),
        ),
        Missed::WaitsInterrupted => {
            (("wait of forked children was", "waits of forked children were"), INTERRUPTED.into())
        }
        Missed::WaitsGone => (waits, GONE.into()),
        Missed::UnknownLock => {
            (long_waits, unjudged("this version of forktrace does not know what they wait for"))
        }
        Missed::Unreadable => {
            (long_waits, unjudged("their memory could not be read, or is shared"))
        }
        Missed::Undecided => {
            (long_waits, unjudged("whether their lock was held at the fork is unknown"))
        }
        Missed::NobodySeen => (
            long_waits,
            unjudged("nothing inherited explains them, but nobody was seen who could end them"),
        ),
        Missed::WakersUnknown => (long_waits, unjudged("it is unknown who could end them")),
        Missed::Stopped => (threads, STOPPED.into()),
        Missed::Busy => (threads, BUSY.into()),
        Missed::WaitsDenied => (long_waits, unjudged(DENIED)),
        Missed::ProcessesDenied => {
            (("forked process", "forked processes"), format!("could not be checked: {DENIED}"))
        }
        Missed::PagesRefused => (("child had", "children had"), REFUSED.into()),
        Missed::ProcessesOf32Bits => {
            (processes, "ran a 32-bit program: forktrace does not find hangs there".into())
        }
        Missed::ChildrenNotFollowed => {
            (("child was", "children were"), were_not("traced (--no-follow)"))
        }
        Missed::WaitsUntracked => {
            (("wait was", "waits were"), were_not("judged: the table of waits was full"))
        }
        Missed::ChildrenUntracked => (
            ("child was", "children were"),
            were_not("judged: the table of children at risk was full"),
        ),
        Missed::ProcessesUntraced => (
            ("process was", "processes were"),
            were_not("traced: the table of traced processes was full"),
        ),
    };
    format!("{} {rest}", plural(count, one, many))
}

fn of_log(what: &LogCaveat) -> String {
    match what {
        LogCaveat::Cut => "the log was cut off: its last line (trace.end) is missing".into(),
        LogCaveat::BadLines(count) => {
            let lines = plural(*count, "line", "lines");
            format!("{lines} of the log could not be read")
        }
        LogCaveat::Gap { line, found, after } => format!(
            "lines are missing before line {line} of the log (seq {found} follows seq {after})"
        ),
        LogCaveat::PartsMissing { first, last } => {
            let parts = match first == last {
                true => format!("part {first} of this trace was"),
                false => format!("parts {first} to {last} of this trace were"),
            };
            format!("{parts} not given: the events of that time are missing")
        }
        LogCaveat::NextPartMissing(part) => {
            format!("the trace continues in part {part}, which was not given")
        }
        LogCaveat::PartLeftOut { path, why } => {
            format!("{path}: {why}; this file is ignored")
        }
        LogCaveat::MemorySpent { most, line } => format!(
            "the log needs more than {} of memory: it was read up to line {line}; use a larger \
             --memory",
            bytes(*most)
        ),
        LogCaveat::UnknownMachine { arch, page_size } => format!(
            "this log was recorded on {arch} with pages of {page_size} bytes: forktrace cannot judge \
             waits of such a machine"
        ),
        LogCaveat::Damaged(how) => how.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(what: Missed, count: u64) -> String {
        text(&Caveat::Missed(what, count))
    }

    #[test]
    fn a_trace_that_was_too_short_says_how_short() {
        let too_short = Caveat::TooShort { traced_ns: 300_000_000, min_wait_ns: 1_000_000_000 };
        assert!(text(&too_short).contains("lasted 0.3 s"), "{}", text(&too_short));
    }

    #[test]
    fn what_is_denied_names_a_cause_and_where_to_look() {
        let text = said(Missed::ProcessesDenied, 2);
        let words = ["2 forked processes could not be checked", "security module", "audit log"];
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }

    #[test]
    fn counts_are_spelt_out() {
        let one = said(Missed::ChildrenNotFollowed, 1);
        assert_eq!(one, "1 child was not traced (--no-follow)");
        let many = said(Missed::WaitsLeftOut, 4996);
        assert!(many.starts_with("4,996 waits older than the trace were not"), "{many}");
        let unknown = said(Missed::UnknownLock, 1);
        assert!(unknown.starts_with("1 long wait of forked children could not"), "{unknown}");
    }

    #[test]
    fn a_file_is_named_where_there_are_several() {
        let cut = |file| text(&LogCaveat::Cut.of(file));
        assert!(cut(Some("a".into())).starts_with("a: the log was cut off"));
        assert!(cut(None).starts_with("the log was cut off"));
    }
}
