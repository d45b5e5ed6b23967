//! Caveats in words, for the summary and for stderr.

use super::{bytes, filter, plural};
use crate::pipeline::caveats::{Caveat, LogCaveat, Missed};

/// Why something could not be read, and what to look at. With the capabilities that a trace cannot begin
/// without, nothing else denies it.
const DENIED: &str = "something denied forktrace access to the process, though it has the capability: a \
    security module (SELinux, AppArmor, Landlock) does. Look for it in the audit log (ausearch -m avc; \
    dmesg), and at the domain or profile that forktrace runs in (cat /proc/self/attr/current)";

const FORK_UNSEEN: &str = "could not be judged: the process was forked before tracing began, and \
    whether such a wait is for ever, or only that of a thread at rest, cannot be told after the fact";
const LEFT_OUT: &str =
    "had begun before tracing did and could not be looked at: there are too many";
const NOT_SAMPLED: &str =
    "not looked at to the end when tracing stopped, and may be for ever: trace longer (-d)";
const INTERRUPTED: &str = "of forked children had been interrupted when tracing stopped, by a signal \
    or because the process is stopped or frozen (SIGSTOP, a debugger, a paused container), and may be \
    for ever: let it go on, and trace again";
const GONE: &str = "of forked children ended with the thread before it had been looked at to the end, \
    and may have been for ever: somebody ended the process, too many waited at once, or this host is \
    overloaded";
const UNKNOWN_LOCK: &str = "what they wait for is of a kind that this version does not know";
const REFUSED: &str = "more pages than are kept: a lock inherited in the others cannot be proven \
    (--snapshot-limit)";
const NARROW: &str = "ran a 32-bit program, whose waits are not seen: a hang there is not found";

/// A caveat as a sentence.
pub fn text(caveat: &Caveat) -> String {
    match caveat {
        Caveat::TooShort { traced_ns, min_wait_ns } => format!(
            "everything was traced for {:.1} s only, and a wait is judged when it has lasted {:.1} s \
             (--min-wait): nothing can be said of hangs",
            *traced_ns as f64 / 1e9,
            *min_wait_ns as f64 / 1e9
        ),
        Caveat::Missed(what, count) => missed(*what, *count),
        Caveat::NothingFitted { filter } => {
            let filter = filter::text(filter);
            format!("no process fitted the filter ({filter}), so that nothing was looked at")
        }
        Caveat::Log { file: Some(file), what } => format!("{file}: {}", of_log(what)),
        Caveat::Log { file: None, what } => of_log(what),
    }
}

fn missed(what: Missed, count: u64) -> String {
    let waits = ("wait", "waits");
    let long_waits = ("long wait", "long waits");
    let children = ("child", "children");
    let processes = ("process", "processes");
    let unjudged = |why: &str| format!("of forked children could not be judged: {why}");
    let ((one, many), rest) = match what {
        Missed::ForkUnseen => (long_waits, FORK_UNSEEN.into()),
        Missed::WaitsLeftOut => (("more wait", "more waits"), LEFT_OUT.into()),
        Missed::WaitsNotSampled => (("wait was", "waits were"), NOT_SAMPLED.into()),
        Missed::WaitsInterrupted => (waits, INTERRUPTED.into()),
        Missed::WaitsGone => (waits, GONE.into()),
        Missed::UnknownLock => (long_waits, unjudged(UNKNOWN_LOCK)),
        Missed::Unreadable => (long_waits, unjudged("their memory could not be read or is shared")),
        Missed::WaitsDenied => (long_waits, unjudged(DENIED)),
        Missed::ProcessesDenied => (
            ("forked process", "forked processes"),
            format!("could not be looked at, and may hang: {DENIED}"),
        ),
        Missed::PagesRefused => (("child had", "children had"), REFUSED.into()),
        Missed::ProcessesOf32Bits => (processes, NARROW.into()),
        Missed::ChildrenNotFollowed => {
            (("child was", "children were"), "made and not looked at (--no-follow)".into())
        }
        Missed::WaitsUntracked => (waits, "did not fit in the table of waits".into()),
        Missed::ChildrenUntracked => {
            (children, "did not fit in the table of children at risk and cannot be judged".into())
        }
        Missed::ProcessesUntraced => {
            (processes, "did not fit in the table of traced processes and were not followed".into())
        }
    };
    format!("{} {rest}", plural(count, one, many))
}

fn of_log(what: &LogCaveat) -> String {
    match what {
        LogCaveat::Cut => {
            "the log was cut off: it has no last line (trace.end), all before it is shown".into()
        }
        LogCaveat::BadLines(count) => {
            let lines = plural(*count, "line", "lines");
            format!("{lines} of the log could not be read, so this is incomplete")
        }
        LogCaveat::Gap { line, found, after } => format!(
            "lines of the log are missing before line {line} (number {found} follows {after})"
        ),
        LogCaveat::PartsMissing { first, last } => {
            let parts = match first == last {
                true => format!("part {first} of this trace was"),
                false => format!("parts {first} to {last} of this trace were"),
            };
            format!("{parts} not given: what happened in that time is not shown")
        }
        LogCaveat::NextPartMissing(part) => {
            format!("the trace goes on in part {part}, which was not given")
        }
        LogCaveat::PartLeftOut { path, why } => {
            format!("{path}: {why}; it is left out, as if it were not given")
        }
        LogCaveat::MemorySpent { most, line } => format!(
            "what is in this log needs more than {} of memory: it was read up to line {line}; \
             --memory gives more",
            bytes(*most)
        ),
        LogCaveat::UnknownMachine { arch, page_size } => format!(
            "this log was recorded on {arch} with pages of {page_size} bytes, and waits on such a \
             machine are not judged: a hang there is not found"
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
        assert!(text(&too_short).contains("for 0.3 s only"), "{}", text(&too_short));
    }

    #[test]
    fn what_is_denied_names_a_cause_and_where_to_look() {
        let text = said(Missed::ProcessesDenied, 2);
        let words = ["2 forked processes could not be looked at", "security module", "audit log"];
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }

    #[test]
    fn counts_are_spelt_out() {
        let one = said(Missed::ChildrenNotFollowed, 1);
        assert_eq!(one, "1 child was made and not looked at (--no-follow)");
        let many = said(Missed::WaitsLeftOut, 4996);
        assert!(many.starts_with("4,996 more waits had"), "{many}");
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
