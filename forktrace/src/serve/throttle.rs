//! One fault is reported once, and again at most so often: with the number of findings that were held back
//! meanwhile, so that none is dropped without a word.

use std::time::{Duration, Instant};

use forktrace_model::finding::Confidence;
use rustc_hash::FxHashMap;

/// Most faults that are remembered. Of more, the one that was reported first is forgotten: its next finding
/// is reported at once.
const MOST: usize = 4_096;
/// The time for which [`Limits::per_minute`] counts.
const MINUTE: Duration = Duration::from_secs(60);

/// How often findings are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least time between two reports of one fault.
    pub repeat: Duration,
    /// Most reports in a minute, of whatever faults.
    pub per_minute: u32,
}

/// What to do with a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Report it. So many findings of its fault were held back since the report before.
    Report {
        /// How many.
        held_back: u64,
    },
    /// Do not: its fault was reported a short time ago.
    HoldBack,
    /// Do not: there were too many reports in the last minute.
    Flood,
}

/// A fault of which findings were held back, and none came for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// What the fault was called when it was reported.
    pub text: String,
    /// How many findings were held back.
    pub held_back: u64,
}

/// What was reported when.
#[derive(Debug)]
pub struct Throttle {
    limits: Limits,
    faults: FxHashMap<u64, Known>,
    minute: Instant,
    reported: u32,
    flooded: u64,
}

#[derive(Debug)]
struct Known {
    at: Instant,
    confidence: Confidence,
    held_back: u64,
    text: String,
}

impl Throttle {
    /// Nothing was reported yet.
    pub fn new(limits: Limits, now: Instant) -> Self {
        Throttle { limits, faults: FxHashMap::default(), minute: now, reported: 0, flooded: 0 }
    }

    /// Sets other limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// What to do with a finding of a fault. One that is surer than any before of this fault is reported.
    pub fn decide(
        &mut self,
        fault: u64,
        confidence: Confidence,
        text: &str,
        now: Instant,
    ) -> Decision {
        let repeat = self.limits.repeat;
        let mut held_back = 0;
        if let Some(known) = self.faults.get_mut(&fault) {
            if now.duration_since(known.at) < repeat && confidence <= known.confidence {
                known.held_back += 1;
                return Decision::HoldBack;
            }
            held_back = known.held_back;
        }
        if now.duration_since(self.minute) >= MINUTE {
            (self.minute, self.reported) = (now, 0);
        }
        if self.reported >= self.limits.per_minute {
            self.flooded += 1;
            return Decision::Flood;
        }
        self.reported += 1;
        let surest = self.faults.get(&fault).map_or(confidence, |known| known.confidence);
        let text = text.to_owned();
        let known = Known { at: now, confidence: surest.max(confidence), held_back: 0, text };
        self.faults.insert(fault, known);
        self.forget_first();
        Decision::Report { held_back }
    }

    fn forget_first(&mut self) {
        if self.faults.len() <= MOST {
            return;
        }
        let first = self.faults.iter().min_by_key(|(_, known)| known.at).map(|(fault, _)| *fault);
        if let Some(fault) = first {
            self.faults.remove(&fault);
        }
    }

    /// What is to be said now of findings that were held back: by fault, and of a flood how many there were.
    pub fn due(&mut self, now: Instant) -> (Vec<Rest>, u64) {
        let repeat = self.limits.repeat;
        let over = |known: &Known| now.duration_since(known.at) >= repeat;
        let mut rests = Vec::new();
        for known in self.faults.values_mut().filter(|known| over(known) && known.held_back > 0) {
            let held_back = std::mem::take(&mut known.held_back);
            known.at = now;
            rests.push(Rest { text: known.text.clone(), held_back });
        }
        self.faults.retain(|_, known| known.held_back > 0 || !over(known));
        let flood_is_over = now.duration_since(self.minute) >= MINUTE;
        (rests, if flood_is_over { std::mem::take(&mut self.flooded) } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { repeat: Duration::from_secs(3600), per_minute: 3 };
    const REPORT: Decision = Decision::Report { held_back: 0 };

    fn after(seconds: u64) -> impl Fn(Instant) -> Instant {
        move |start| start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_fault_is_reported_once_then_with_how_many_more() {
        let start = Instant::now();
        let mut throttle = Throttle::new(LIMITS, start);
        let mut decide = |at: u64| throttle.decide(1, Confidence::Certain, "x", after(at)(start));
        assert_eq!(decide(0), REPORT);
        assert_eq!((decide(1), decide(3599)), (Decision::HoldBack, Decision::HoldBack));
        assert_eq!(decide(3600), Decision::Report { held_back: 2 });
        assert_eq!(decide(3601), Decision::HoldBack);
        assert_eq!(throttle.due(after(7199)(start)), (Vec::new(), 0));
        let rest = Rest { text: "x".into(), held_back: 1 };
        assert_eq!(throttle.due(after(7200)(start)), (vec![rest], 0));
        assert_eq!(throttle.due(after(20_000)(start)), (Vec::new(), 0));
        assert!(throttle.faults.is_empty(), "it is forgotten");
    }

    #[test]
    fn what_is_surer_is_reported_at_once() {
        let start = Instant::now();
        let mut throttle = Throttle::new(LIMITS, start);
        let mut decide = |confidence| throttle.decide(1, confidence, "x", start);
        assert_eq!(decide(Confidence::Likely), REPORT);
        assert_eq!(decide(Confidence::Certain), REPORT);
        assert_eq!(decide(Confidence::Likely), Decision::HoldBack);
        assert_eq!(decide(Confidence::Certain), Decision::HoldBack);
    }

    #[test]
    fn a_flood_of_faults_is_counted() {
        let start = Instant::now();
        let mut throttle = Throttle::new(LIMITS, start);
        let decided: Vec<Decision> =
            (0..5).map(|fault| throttle.decide(fault, Confidence::Likely, "x", start)).collect();
        assert_eq!(decided, [REPORT, REPORT, REPORT, Decision::Flood, Decision::Flood]);
        assert_eq!(throttle.due(after(59)(start)).1, 0);
        assert_eq!(throttle.due(after(60)(start)).1, 2);
        let again = throttle.decide(3, Confidence::Likely, "x", after(61)(start));
        assert_eq!(again, REPORT, "what was not reported in the flood is not known");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let start = Instant::now();
        let limits = Limits { per_minute: u32::MAX, ..LIMITS };
        let mut throttle = Throttle::new(limits, start);
        for fault in 0..2 * MOST as u64 {
            throttle.decide(fault, Confidence::Likely, "x", start);
        }
        assert_eq!(throttle.faults.len(), MOST);
    }
}
