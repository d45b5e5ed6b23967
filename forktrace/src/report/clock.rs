//! The time of day as text.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Converts `CLOCK_BOOTTIME` to the time of day.
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
        // Only a damaged log has a time outside of the calendar.
        let Some(moment) = self.moment(boot_ns) else { return "--:--:--.---".into() };
        let time = moment.time();
        let ms = time.subsec_nanosecond() / 1_000_000;
        format!("{:02}:{:02}:{:02}.{ms:03}", time.hour(), time.minute(), time.second())
    }

    /// `YYYY-MM-DD HH:MM:SS`, for times that may be days ago. `boot_ns` is `CLOCK_BOOTTIME`, ns.
    pub fn date_and_time(&self, boot_ns: u64) -> String {
        let Some(moment) = self.moment(boot_ns) else { return "at an unknown time".into() };
        moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// As RFC 3339, in UTC; `None`: it is outside of the calendar. `boot_ns` is `CLOCK_BOOTTIME`, ns.
    pub fn utc(&self, boot_ns: u64) -> Option<String> {
        let ns = i128::from(boot_ns) + i128::from(self.offset_ns);
        Some(Timestamp::from_nanosecond(ns).ok()?.to_string())
    }

    /// RFC 3339 in UTC with milliseconds, for programs. `boot_ns` is `CLOCK_BOOTTIME`, ns.
    pub fn timestamp(&self, boot_ns: u64) -> String {
        let ns = i128::from(boot_ns) + i128::from(self.offset_ns);
        let time = Timestamp::from_nanosecond(ns).unwrap_or(Timestamp::UNIX_EPOCH);
        format!("{time:.3}")
    }

    fn moment(&self, boot_ns: u64) -> Option<DateTime> {
        let ns = i128::from(boot_ns) + i128::from(self.offset_ns);
        Some(self.zone.to_datetime(Timestamp::from_nanosecond(ns).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_days_old_has_a_date() {
        let clock = Clock { offset_ns: 86_400_000_000_000, zone: TimeZone::UTC };
        assert_eq!(clock.date_and_time(3_600_500_000_000), "1970-01-02 01:00:00");
        assert_eq!(clock.timestamp(3_600_500_000_000), "1970-01-02T01:00:00.500Z");
        let nowhen = Clock { offset_ns: i64::MAX, zone: TimeZone::UTC };
        assert!(!nowhen.date_and_time(u64::MAX).is_empty(), "a damaged log");
    }
}
