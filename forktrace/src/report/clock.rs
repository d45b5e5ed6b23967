//! Times, lengths of time and numbers as people read them.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Turns `CLOCK_BOOTTIME` into the time of day.
#[derive(Clone, Debug)]
pub struct Clock {
    /// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`, ns.
    pub offset_ns: i64,
    /// The zone whose wall clock is shown.
    pub zone: TimeZone,
}

impl Clock {
    /// `HH:MM:SS.mmm`; `boot_ns` is `CLOCK_BOOTTIME`, ns.
    pub fn time(&self, boot_ns: u64) -> String {
        // A time outside of the calendar can only come from a damaged log.
        let Some(moment) = self.moment(boot_ns) else { return "--:--:--.---".into() };
        let time = moment.time();
        let ms = time.subsec_nanosecond() / 1_000_000;
        format!("{:02}:{:02}:{:02}.{ms:03}", time.hour(), time.minute(), time.second())
    }

    /// `YYYY-MM-DD HH:MM:SS`, for what may be days old and is not known to the ms; `boot_ns` as for
    /// [`Clock::time`].
    pub fn date_and_time(&self, boot_ns: u64) -> String {
        let Some(moment) = self.moment(boot_ns) else { return "at a time unknown".into() };
        moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    fn moment(&self, boot_ns: u64) -> Option<DateTime> {
        let ns = i128::from(boot_ns) + i128::from(self.offset_ns);
        Some(self.zone.to_datetime(Timestamp::from_nanosecond(ns).ok()?))
    }
}

/// A length of time: `450 ms`, `12.3 s`, `3 min 12 s`, `5 h 12 min`, `2 d 3 h`.
pub fn duration(ns: u64) -> String {
    let ms = ns / 1_000_000;
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..120 => format!("{s}.{} s", ms % 1000 / 100),
        120..7_200 => format!("{} min {} s", s / 60, s % 60),
        7_200..172_800 => format!("{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

/// A length of time in the same form, but none that is too short by what the form leaves out.
pub(super) fn rounded_up(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    let last_figure_ms = match s {
        0 => 1,
        1..120 => 100,
        120..7_200 => 1_000,
        7_200..172_800 => 60_000,
        _ => 3_600_000,
    };
    duration(ns.saturating_add(last_figure_ms * 1_000_000 - 1))
}

/// A number with commas: `10,000`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun: `1 thread`, `10,000 threads`.
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_rounded_up_and_a_length_down() {
        const S: u64 = 1_000_000_000;
        for (ns, down, up) in [
            (1_000_000, "1 ms", "1 ms"),
            (1_000_001, "1 ms", "2 ms"),
            (1_340_000_000, "1.3 s", "1.4 s"),
            (119 * S + 950_000_000, "119.9 s", "2 min 0 s"),
            (200 * S + 1, "3 min 20 s", "3 min 21 s"),
            (7_201 * S, "2 h 0 min", "2 h 1 min"),
            (172_800 * S, "2 d 0 h", "2 d 0 h"),
        ] {
            assert_eq!((duration(ns).as_str(), rounded_up(ns).as_str()), (down, up), "{ns} ns");
        }
    }

    #[test]
    fn what_is_days_old_has_a_date() {
        let clock = Clock { offset_ns: 86_400_000_000_000, zone: TimeZone::UTC };
        assert_eq!(clock.date_and_time(3_600_500_000_000), "1970-01-02 01:00:00");
        let nowhen = Clock { offset_ns: i64::MAX, zone: TimeZone::UTC };
        assert!(!nowhen.date_and_time(u64::MAX).is_empty(), "a damaged log");
    }
}
