//! One process in the columns of a table: each cell a word or two.

use forktrace_model::{
    arch::Machine,
    event::stall::ThingKind,
    finding::{Detail, Finding, Held, Link, WaitDetail},
};

use super::{Clock, Style, calls, hazards};
use crate::pipeline::Standing;

/// How a process stands. `ended`: it has ended.
pub(crate) fn state(standing: Standing, ended: bool) -> &'static str {
    match standing {
        _ if ended => "ended",
        Standing::Lives => "lives",
        Standing::AtRisk => "at risk",
        Standing::Waits => "waits",
        Standing::Risk => "RISK",
        Standing::Corrupt => "DATA",
        Standing::Hangs => "HANGS",
    }
}

/// A length of time in at most six characters: `450ms`, `12.3s`, `3m12s`, `5h12m`, `2d3h`, `123d`.
pub(crate) fn short(ns: u64) -> String {
    let ms = ns / 1_000_000;
    let s = ms / 1000;
    match s {
        0 => format!("{ms}ms"),
        1..100 => format!("{s}.{}s", ms % 1000 / 100),
        100..3_600 => format!("{}m{}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h{}m", s / 3600, s / 60 % 60),
        86_400..8_640_000 => format!("{}d{}h", s / 86_400, s / 3600 % 24),
        _ => format!("{}d", s / 86_400),
    }
}

/// How long a process has been waiting, ns, by what is known now; `>` if it may be longer.
pub(crate) fn waited(finding: Option<&Finding>, ns: u64) -> String {
    let at_least = finding.is_some_and(|finding| match &finding.detail {
        Detail::Wait(wait) => wait.since_before || wait.not_before_ns.is_some(),
        Detail::Stall(_) => true,
        Detail::Threads(_)
        | Detail::Generators(_)
        | Detail::Descriptor(_)
        | Detail::FileLock(_)
        | Detail::Signals(_)
        | Detail::Buffers(_)
        | Detail::None => false,
    });
    format!("{}{}", if at_least { ">" } else { "" }, short(ns))
}

/// A text in so many characters: where it is longer, its end is left out and that is shown.
pub(crate) fn fit(text: &str, width: usize, style: Style) -> String {
    let long = text.chars().count() > width;
    match long {
        false => text.to_owned(),
        true => {
            let kept = width.saturating_sub(style.dots().chars().count());
            text.chars().take(kept).chain(style.dots().chars()).take(width).collect()
        }
    }
}

/// When a process was forked: the time of day, or the date if that is a day ago or more. `boot_ns` and
/// `now_ns` are `CLOCK_BOOTTIME`, ns; 0: not known.
pub(crate) fn forked(boot_ns: u64, now_ns: u64, clock: &Clock) -> String {
    const DAY_NS: u64 = 86_400_000_000_000;
    if boot_ns == 0 {
        return String::new();
    }
    let text = clock.date_and_time(boot_ns);
    let Some((date, time)) = text.split_once(' ') else { return text };
    match now_ns.saturating_sub(boot_ns) < DAY_NS {
        true => time.to_owned(),
        false => date.get(2..).unwrap_or(date).to_owned(),
    }
}

/// What a finding is about: the kind of lock, what is waited for, or the hazard. `machine`: where that is.
pub(crate) fn lock(finding: &Finding, machine: Machine) -> String {
    match &finding.detail {
        Detail::Wait(wait) if wait.lock.family.name.is_empty() => "futex".into(),
        Detail::Wait(wait) => wait.lock.family.name.into(),
        Detail::Stall(stall) => match stall.chain.first() {
            Some(link) => thing(link, machine).into(),
            None => hazards::words(finding.hazard).headline.into(),
        },
        Detail::Threads(_)
        | Detail::Generators(_)
        | Detail::Descriptor(_)
        | Detail::FileLock(_)
        | Detail::Signals(_)
        | Detail::Buffers(_)
        | Detail::None => hazards::words(finding.hazard).headline.into(),
    }
}

/// What a task waits for.
fn thing(link: &Link, machine: Machine) -> &'static str {
    match link.thing {
        ThingKind::PrivateWord => "own thread",
        ThingKind::SharedWord => "shared lock",
        ThingKind::Pipe => "pipe",
        ThingKind::UnixSocket | ThingKind::TcpSocket => "socket",
        ThingKind::Eventfd => "eventfd",
        ThingKind::Children => "child",
        ThingKind::FileLock => "file lock",
        ThingKind::Epoll => "epoll",
        ThingKind::SysvSemaphore => "SysV semaphore",
        ThingKind::Other => calls::name(machine, link.call).unwrap_or("a call"),
    }
}

/// Who could end the wait: a thread, processes, or nobody. Empty if the finding is about no wait.
pub(crate) fn holder(finding: &Finding, style: Style) -> String {
    match &finding.detail {
        Detail::Wait(wait) => holder_of(finding, wait, style),
        Detail::Stall(stall) => stall.chain.last().map_or_else(String::new, end),
        Detail::Threads(_)
        | Detail::Generators(_)
        | Detail::Descriptor(_)
        | Detail::FileLock(_)
        | Detail::Signals(_)
        | Detail::Buffers(_)
        | Detail::None => String::new(),
    }
}

fn holder_of(finding: &Finding, wait: &WaitDetail, style: Style) -> String {
    match (wait.held, finding.holder()) {
        (Held::ByWaiter, _) => "itself".into(),
        (Held::ByNobody, _) => "nobody".into(),
        (_, Some(holder)) => match holder.comm.as_deref().filter(|comm| !comm.is_empty()) {
            Some(comm) => format!("{} {}", holder.tid, style.clean(comm)),
            None => holder.tid.to_string(),
        },
        (Held::SinceFork | Held::NotKnown, None) => "not known".into(),
    }
}

/// Who could end the last wait of a chain.
fn end(last: &Link) -> String {
    match (last.gone, last.by.as_slice()) {
        (Some(gone), _) => format!("{gone} (gone)"),
        (None, []) => "nobody".into(),
        (None, by) => by.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::report::hazards::tests::finding;
    use forktrace_model::finding::{HazardId, Holder, StallDetail};

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_length_of_time_has_at_most_six_characters() {
        for (ns, text) in [
            (0, "0ms"),
            (999_999_999, "999ms"),
            (12_340_000_000, "12.3s"),
            (99_999_000_000, "99.9s"),
            (100 * S, "1m40s"),
            (3_599 * S, "59m59s"),
            (86_399 * S, "23h59m"),
            (8_639_999 * S, "99d23h"),
            (u64::MAX, "213503d"),
        ] {
            assert_eq!(short(ns), text);
            assert!(text.len() <= 6 || ns == u64::MAX, "{text}");
        }
    }

    #[test]
    fn what_may_be_longer_says_so() {
        let mut hang = finding(HazardId::InheritedLock, 1);
        assert_eq!(waited(Some(&hang), 2 * S), "2.0s");
        if let Detail::Wait(wait) = &mut hang.detail {
            wait.since_before = true;
        }
        assert_eq!(waited(Some(&hang), 2 * S), ">2.0s");
        hang.detail = Detail::Stall(Box::default());
        assert_eq!(waited(Some(&hang), 2 * S), ">2.0s");
        assert_eq!(waited(None, 2 * S), "2.0s");
    }

    #[test]
    fn what_is_left_out_is_shown() {
        let (style, ascii) = (Style::default(), Style { ascii: true, ..Style::default() });
        assert_eq!(fit("glibc mutex", 11, style), "glibc mutex");
        assert_eq!(fit("glibc mutex", 8, style), "glibc m…");
        assert_eq!(fit("glibc mutex", 8, ascii), "glibc...");
        assert_eq!(fit("glibc", 2, ascii), "..");
        assert_eq!(fit("glibc", 0, style), "");
    }

    #[test]
    fn a_fork_of_yesterday_has_a_date() {
        let clock = Clock { offset_ns: 0, zone: TimeZone::UTC };
        assert_eq!(forked(0, 5 * S, &clock), "");
        assert_eq!(forked(3_661 * S, 3_700 * S, &clock), "01:01:01");
        assert_eq!(forked(3_661 * S, 90_061 * S, &clock), "70-01-01");
    }

    #[test]
    fn the_holder_is_named_and_escaped() {
        let style = Style::default();
        let mut hang = finding(HazardId::InheritedLock, 1);
        assert_eq!(lock(&hang, Machine::default()), "glibc condition variable");
        assert_eq!(holder(&hang, style), "not known");
        if let Detail::Wait(wait) = &mut hang.detail {
            wait.holder = Some(Holder::new(1, 13, Some("a\x1b[31m".into())));
        }
        assert_eq!(holder(&hang, style), "13 a\\x1b[31m");
        if let Detail::Wait(wait) = &mut hang.detail {
            wait.held = Held::ByNobody;
        }
        assert_eq!(holder(&hang, style), "nobody");
    }

    #[test]
    fn a_stall_names_what_is_waited_for_and_who_is_at_the_end() {
        let link = |thing, by: &[u32], gone| Link { thing, by: by.into(), gone, ..Link::default() };
        let stall = |chain: Vec<Link>| {
            let mut finding = finding(HazardId::Deadlock, 1);
            finding.detail =
                Detail::Stall(Box::new(StallDetail { chain, ..StallDetail::default() }));
            (lock(&finding, Machine::default()), holder(&finding, Style::default()))
        };
        let pipe = link(ThingKind::Pipe, &[7, 8], None);
        assert_eq!(stall(vec![pipe.clone()]), ("pipe".into(), "7,8".into()));
        let gone = link(ThingKind::SharedWord, &[], Some(9));
        assert_eq!(stall(vec![pipe, gone]), ("pipe".into(), "9 (gone)".into()));
        assert_eq!(stall(vec![link(ThingKind::Children, &[], None)]).1, "nobody");
    }
}
