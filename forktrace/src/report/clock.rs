//! Times, lengths of time and numbers as people read them.

use jiff::{Timestamp, tz::TimeZone};

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
        let ns = i128::from(boot_ns) + i128::from(self.offset_ns);
        // A time outside of the calendar can only come from a damaged log.
        let Ok(instant) = Timestamp::from_nanosecond(ns) else { return "--:--:--.---".into() };
        let time = self.zone.to_datetime(instant).time();
        let ms = time.subsec_nanosecond() / 1_000_000;
        format!("{:02}:{:02}:{:02}.{ms:03}", time.hour(), time.minute(), time.second())
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
