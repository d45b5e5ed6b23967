//! Things in memory that a fork copied, and that several processes use as if each had its own: what findings about
//! them share.

use super::{HazardId, remedies, wait::fork::fork_site};
use crate::{
    event::Task,
    finding::{Confidence, Detail, Fact, Finding, ForkInfo, Severity, Subject},
    model::Process,
};

/// What is known of one thing.
pub(super) struct Weighed {
    pub(super) confidence: Confidence,
    pub(super) facts: Vec<Fact>,
}

/// The finding about those things of a process that `weigh` says something of, the surest first; `None`: it says
/// nothing of any, or the process does not have the memory that it inherited. Of equals, the order is kept.
pub(super) fn finding<T: Clone>(
    hazard: HazardId,
    (task, process): (&Task, &Process),
    things: &[T],
    weigh: impl Fn(&T) -> Option<Weighed>,
    detail: impl FnOnce(Vec<T>) -> Detail,
) -> Option<Finding> {
    let fork = process.inherited()?;
    let weighed = |thing: &T| Some((weigh(thing)?, thing.clone()));
    let mut all: Vec<(Weighed, T)> = things.iter().filter_map(weighed).collect();
    all.sort_by_key(|(weighed, _)| std::cmp::Reverse(weighed.confidence));
    let (surest, _) = all.first()?;
    let (confidence, mut proofs) = (surest.confidence, surest.facts.clone());
    proofs.sort_by_key(Fact::rule);
    let mut finding = Finding {
        hazard,
        severity: match confidence {
            Confidence::Suspect => Severity::Risk,
            Confidence::Certain | Confidence::Likely => Severity::Corruption,
        },
        confidence,
        subject: Subject {
            pid: task.pid,
            tid: task.tid,
            comm: task.comm.clone(),
            ppid: process.ppid,
            ns_pid: process.ns_pid,
        },
        fork: ForkInfo::Observed(Box::new(fork_site(fork))),
        proofs,
        same_fault_in: Vec::new(),
        waited_by: Vec::new(),
        detail: detail(all.into_iter().map(|(_, thing)| thing).collect()),
        remedy: None,
    };
    finding.remedy = remedies::of(&finding, fork);
    Some(finding)
}
