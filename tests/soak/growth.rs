//! Whether something grows: a straight line through the lowest values after the warm-up.
//!
//! The rest of the host is traced too, and what it does goes up and down. What leaks stays when the
//! load is gone, so that the least of each window of time tells it. Something grows if the line
//! through these rises by more than the tolerance over the time measured and the rise is no chance:
//! at least three times its standard error.

use crate::sample::Sample;

/// The part of the time that does not count: caches fill, and the tree of ended processes reaches
/// the number that is kept.
const WARM_UP: f64 = 0.25;

/// Windows of the time that counts.
const WINDOWS: usize = 12;

/// One figure over time.
#[derive(Debug)]
pub(crate) struct Trend {
    pub(crate) name: &'static str,
    pub(crate) least: f64,
    pub(crate) mean: f64,
    pub(crate) most: f64,
    /// Of the line through the least of each window, in an hour.
    pub(crate) rise_per_hour: f64,
    /// The standard error of that.
    pub(crate) error_per_hour: f64,
    /// What the line may rise over the time measured.
    pub(crate) tolerance: f64,
    pub(crate) grows: bool,
}

type Figure = (&'static str, fn(&Sample) -> f64, f64, f64);

/// Name, figure, and what it may rise: a share of the mean, and at least so much.
static FIGURES: &[Figure] = &[
    ("resident memory, KiB", |sample| sample.rss_kib as f64, 0.05, 1024.0),
    ("descriptors", |sample| sample.descriptors as f64, 0.0, 2.0),
    ("threads", |sample| sample.threads as f64, 0.0, 2.0),
    ("eBPF objects", |sample| sample.bpf_objects as f64, 0.0, 0.5),
    ("memory of maps, KiB", |sample| sample.map_kib as f64, 0.05, 1024.0),
    ("entries of maps", |sample| sample.all_entries() as f64, 0.1, 200.0),
    ("own CPU, % of a core", |sample| sample.cpu_percent, 0.2, 2.0),
];

/// The trend of every figure.
pub(crate) fn of(samples: &[Sample]) -> Vec<Trend> {
    let skipped = (samples.len() as f64 * WARM_UP) as usize;
    let counted = samples.get(skipped..).unwrap_or_default();
    let trend = |(name, figure, share, least): &Figure| {
        let points: Vec<(f64, f64)> =
            counted.iter().map(|sample| (sample.at_s / 3600.0, figure(sample))).collect();
        Trend::of(name, &points, *share, *least)
    };
    FIGURES.iter().map(trend).collect()
}

impl Trend {
    /// Of points (hours, value).
    fn of(name: &'static str, points: &[(f64, f64)], share: f64, least_rise: f64) -> Self {
        let values = points.iter().map(|point| point.1);
        let all = values.clone().sum::<f64>() / points.len().max(1) as f64;
        let tolerance = (share * all).max(least_rise);
        let lows: Vec<(f64, f64)> =
            points.chunks(points.len().div_ceil(WINDOWS).max(1)).filter_map(lowest).collect();
        let (slope, error) = line(&lows);
        let over = lows.last().map_or(0.0, |it| it.0) - lows.first().map_or(0.0, |it| it.0);
        Trend {
            name,
            least: values.clone().fold(f64::INFINITY, f64::min),
            mean: all,
            most: values.fold(f64::NEG_INFINITY, f64::max),
            rise_per_hour: slope,
            error_per_hour: error,
            tolerance,
            grows: slope * over > tolerance && slope > 3.0 * error,
        }
    }
}

fn lowest(window: &[(f64, f64)]) -> Option<(f64, f64)> {
    window.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))
}

/// The slope of the straight line through points, and its standard error.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (time, value) = (mean(|point| point.0), mean(|point| point.1));
    let spread = points.iter().map(|point| (point.0 - time).powi(2)).sum::<f64>();
    let spread = spread.max(f64::MIN_POSITIVE);
    let slope =
        points.iter().map(|point| (point.0 - time) * (point.1 - value)).sum::<f64>() / spread;
    let off = |point: &(f64, f64)| point.1 - value - slope * (point.0 - time);
    let left: f64 = points.iter().map(|point| off(point).powi(2)).sum();
    (slope, (left / (count - 2.0).max(1.0) / spread).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour, a point a minute, with a saw on it.
    fn trend(per_hour: f64) -> Trend {
        let value = |minute: u32| {
            let hours = f64::from(minute) / 60.0;
            (hours, 1000.0 + per_hour * hours + f64::from(minute % 5) * 20.0)
        };
        Trend::of("", &(0..60).map(value).collect::<Vec<_>>(), 0.05, 1.0)
    }

    #[test]
    fn a_line_that_rises_by_more_than_the_tolerance_grows() {
        assert!(trend(100.0).grows);
        assert!((trend(100.0).rise_per_hour - 100.0).abs() < 10.0);
    }

    #[test]
    fn a_load_that_is_gone_again_does_not_and_what_stays_does() {
        let of = |value: fn(u32) -> f64| {
            let points: Vec<_> = (0..60).map(|at| (f64::from(at) / 60.0, value(at))).collect();
            Trend::of("", &points, 0.05, 1.0).grows
        };
        assert!(!of(|at| 1000.0 + f64::from(at * (at % 4))));
        assert!(of(|at| 1000.0 + f64::from(at * (at % 4)) + f64::from(at) * 3.0));
    }

    #[test]
    fn a_saw_a_small_rise_and_a_fall_do_not() {
        for per_hour in [0.0, 20.0, -500.0] {
            assert!(!trend(per_hour).grows, "{per_hour}");
        }
    }
}
