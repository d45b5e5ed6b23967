//! From what single rules found to one conclusion.

use super::WaitCase;
use crate::finding::{Confidence, Fact};

/// A rule: what it makes of a case, or `None` where it has nothing to add.
pub(in crate::hazards) type Criterion = fn(&WaitCase<'_>) -> Option<Assessment>;

/// What one rule found, and what follows from it.
pub(in crate::hazards) struct Assessment {
    facts: Vec<Fact>,
    bound: Bound,
    /// Its argument is a long one: left out where a shorter one proves the matter.
    only_unless_proven: bool,
}

/// What an assessment does to the confidence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// Nothing.
    None,
    /// It is at least this.
    AtLeast(Confidence),
    /// It is at most this.
    AtMost(Confidence),
    /// It is one step weaker.
    Lower,
}

impl Assessment {
    /// A fact from which nothing follows for the confidence.
    pub(in crate::hazards) fn note(fact: Fact) -> Self {
        Assessment::of(vec![fact], Bound::None)
    }

    /// An argument that makes this sure.
    pub(in crate::hazards) fn at_least(sure: Confidence, fact: Fact) -> Self {
        Assessment::of(vec![fact], Bound::AtLeast(sure))
    }

    /// A limit.
    pub(in crate::hazards) fn at_most(sure: Confidence, fact: Fact) -> Self {
        Assessment::of(vec![fact], Bound::AtMost(sure))
    }

    /// A limit that no fact of its own explains.
    pub(in crate::hazards) fn limit(sure: Confidence) -> Self {
        Assessment::of(Vec::new(), Bound::AtMost(sure))
    }

    /// A fact that makes everything one step weaker.
    pub(super) fn lower(fact: Fact) -> Self {
        Assessment::of(vec![fact], Bound::Lower)
    }

    /// Several facts that together make this sure; `None`: they prove nothing by themselves.
    pub(super) fn argument(sure: Option<Confidence>, facts: Vec<Fact>) -> Self {
        Assessment::of(facts, sure.map_or(Bound::None, Bound::AtLeast))
    }

    /// The same, left out where another argument proves the matter.
    pub(super) fn unless_proven(self) -> Self {
        Assessment { only_unless_proven: true, ..self }
    }

    fn of(facts: Vec<Fact>, bound: Bound) -> Self {
        Assessment { facts, bound, only_unless_proven: false }
    }

    fn proves(&self) -> bool {
        self.bound == Bound::AtLeast(Confidence::Certain)
    }
}

/// A confidence and what it rests on, strongest first.
#[derive(Debug)]
pub(in crate::hazards) struct Conclusion {
    pub(super) confidence: Confidence,
    pub(super) proofs: Vec<Fact>,
}

/// Weighs all criteria together, in whatever order they stand: the strongest argument counts, then the
/// limits, then what makes everything weaker. `None`: not even a suspect.
pub(in crate::hazards) fn conclude(
    case: &WaitCase<'_>,
    criteria: &[Criterion],
) -> Option<Conclusion> {
    weigh(criteria.iter().filter_map(|criterion| criterion(case)).collect())
}

fn weigh(mut all: Vec<Assessment>) -> Option<Conclusion> {
    if all.iter().any(|one| one.proves() && !one.only_unless_proven) {
        all.retain(|one| !one.only_unless_proven);
    }
    let at_least = all.iter().filter_map(|one| match one.bound {
        Bound::AtLeast(sure) => Some(sure),
        _ => None,
    });
    let at_most = all.iter().filter_map(|one| match one.bound {
        Bound::AtMost(sure) => Some(sure),
        _ => None,
    });
    let strongest = at_least.max()?;
    let mut confidence = at_most.fold(strongest, Confidence::min);
    for _ in all.iter().filter(|one| one.bound == Bound::Lower) {
        confidence = confidence.lowered()?;
    }
    let mut proofs: Vec<Fact> = all.into_iter().flat_map(|one| one.facts).collect();
    proofs.sort_by_key(Fact::rule);
    proofs.dedup();
    Some(Conclusion { confidence, proofs })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn assessment() -> impl Strategy<Value = (u8, Confidence, bool)> {
        let sure = [Confidence::Suspect, Confidence::Likely, Confidence::Certain];
        (0..4_u8, prop::sample::select(sure.to_vec()), any::<bool>())
    }

    fn made((bound, sure, long): (u8, Confidence, bool)) -> Assessment {
        let one = match bound {
            0 => Assessment::note(Fact::HeirWaits {}),
            1 => Assessment::at_least(sure, Fact::SingleThread {}),
            2 => Assessment::at_most(sure, Fact::OwnerMayEnd {}),
            _ => Assessment::lower(Fact::EventsLost {}),
        };
        if long { one.unless_proven() } else { one }
    }

    proptest! {
        #[test]
        fn the_order_of_criteria_means_nothing(
            given in prop::collection::vec(assessment(), 0..8),
            turn in 0..8_usize,
        ) {
            let mut turned = given.clone();
            turned.rotate_left(turn.min(given.len()));
            let weighed = |all: Vec<_>| {
                let conclusion = weigh(all.into_iter().map(made).collect());
                conclusion.map(|one| (one.confidence, one.proofs))
            };
            prop_assert_eq!(weighed(given), weighed(turned));
        }
    }

    #[test]
    fn limits_count_after_arguments_and_losses_after_limits() {
        let all = || {
            vec![
                Assessment::at_least(Confidence::Certain, Fact::SingleThread {}),
                Assessment::at_most(Confidence::Likely, Fact::OwnerMayEnd {}),
            ]
        };
        assert_eq!(weigh(all()).unwrap().confidence, Confidence::Likely);
        let mut lost = all();
        lost.insert(0, Assessment::lower(Fact::EventsLost {}));
        assert_eq!(weigh(lost).unwrap().confidence, Confidence::Suspect);
        assert!(weigh(vec![Assessment::note(Fact::SingleThread {})]).is_none());
    }
}
