//! Many measurements in three numbers.

use serde::{Deserialize, Serialize};

/// The middle of several measurements, and how far they went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// Half of them were less.
    pub(crate) median: f64,
    /// The least.
    pub(crate) least: f64,
    /// The most.
    pub(crate) most: f64,
}

impl Spread {
    /// Of these; `None` of none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        Some(Spread { median: quantile(&sorted, 0.5)?, least, most })
    }

    /// Whether another one's middle is outside of this one's range, and the other way round: then
    /// more than chance has changed.
    pub(crate) fn is_apart_from(&self, other: &Spread) -> bool {
        let outside = |spread: &Spread, value: f64| value < spread.least || value > spread.most;
        outside(self, other.median) && outside(other, self.median)
    }
}

/// The value below which this part of ascending values lies, between two of them in proportion.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let at = part.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    let (low, high) = (*sorted.get(below)?, *sorted.get(above)?);
    Some(low + (high - low) * at.fract())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 100.0]).unwrap();
        assert_eq!(spread, Spread { median: 3.5, least: 1.0, most: 100.0 });
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn quantiles_reach_from_the_first_to_the_last() {
        let sorted = [10.0, 20.0, 30.0];
        let at = |part| quantile(&sorted, part).unwrap();
        assert_eq!((at(0.0), at(0.5), at(0.75), at(1.0)), (10.0, 20.0, 25.0, 30.0));
    }

    #[test]
    fn only_ranges_that_both_exclude_the_others_middle_are_apart() {
        let spread = |least, median, most| Spread { median, least, most };
        let before = spread(1.0, 2.0, 3.0);
        assert!(before.is_apart_from(&spread(3.5, 4.0, 5.0)));
        assert!(!before.is_apart_from(&spread(1.5, 4.0, 9.0)), "it went as low as before");
    }
}
