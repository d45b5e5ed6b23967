//! What a trace says of hangs, and what that covers.

use forktrace_model::{
    event::{Missing, TraceConclusion},
    finding::{Confidence, Fact},
    judge::{Judge, Judged, Unaccounted},
    model::{Counts, Model},
};

use super::caveats::Caveat;

/// What was accounted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Children that were forked in the trace, with a copy of their creator's memory.
    pub children: u64,
    /// Processes that were there before.
    pub older: u64,
    /// Threads of these children.
    pub threads: u64,
    /// Threads that wait without a timeout, where something that can run could end that.
    pub waiting: u64,
}

impl Coverage {
    /// Of a trace.
    pub fn of(model: &Model, judge: &Judge) -> Self {
        let Counts { forks, vforks, child_threads, .. } = *model.counts();
        Coverage {
            children: forks,
            older: model.seen().saturating_sub(forks.saturating_add(vforks)),
            threads: forks.saturating_add(child_threads),
            waiting: judge.harmless(),
        }
    }
}

/// What the whole trace says. `caveats`: what makes it incomplete, beside lost events.
pub fn of(judge: &Judge, model: &Model, caveats: &[Caveat]) -> TraceConclusion {
    if judge.hangs() {
        return TraceConclusion::Hangs;
    }
    let unsure = !caveats.is_empty() || model.counts().lost > 0 || judge.doubts();
    match unsure || model.seen() == 0 {
        true => TraceConclusion::Unsure,
        false => TraceConclusion::Clear,
    }
}

/// Whether a page that was not kept, since there were too many, would have told more of a wait that is
/// not accounted for or of a finding that is not certain.
pub(super) fn are_pages_missing(judge: &Judge, unaccounted: &[Unaccounted]) -> bool {
    let is_missing =
        |fact: &Fact| matches!(fact, Fact::ForkStateUnknown { missing: Missing::LimitReached });
    let of_finding = |judged: &Judged| {
        let finding = &judged.finding;
        finding.confidence < Confidence::Certain
            && judged.ended_after_ns.is_none()
            && finding.proofs.iter().any(is_missing)
    };
    unaccounted.iter().any(|wait| wait.pages_missing) || judge.findings().iter().any(of_finding)
}

#[cfg(test)]
mod tests {
    use forktrace_model::event::{Body, Event, EventsLost, ProcessSnapshot, Task};

    use super::*;
    use crate::pipeline::caveats::Missed;

    fn model(bodies: Vec<Body>) -> Model {
        let mut model = Model::default();
        for body in bodies {
            let task = Some(Task { pid: 100, tid: 100, comm: "server".into() });
            model.apply(&Event { boot_ns: 1, task, body });
        }
        model
    }

    #[test]
    fn only_where_nothing_is_missing_it_is_clear() {
        let seen = || Body::ProcessSnapshot(ProcessSnapshot::default());
        let judge = Judge::default();
        let says = |model: &Model, caveats: &[Caveat]| of(&judge, model, caveats);
        assert_eq!(says(&model(vec![seen()]), &[]), TraceConclusion::Clear);
        let missed = [Caveat::Missed(Missed::WaitsNotSampled, 1)];
        assert_eq!(says(&model(vec![seen()]), &missed), TraceConclusion::Unsure);
        assert_eq!(says(&model(Vec::new()), &[]), TraceConclusion::Unsure, "nothing was traced");
        let lost = Body::EventsLost(EventsLost { count: 1, ..EventsLost::default() });
        assert_eq!(says(&model(vec![seen(), lost]), &[]), TraceConclusion::Unsure);
    }
}
