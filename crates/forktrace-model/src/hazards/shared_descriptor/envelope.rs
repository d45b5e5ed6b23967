//! The finding about what several processes share: the same form, whatever it is.

use crate::{
    finding::{
        Confidence, DescriptorDetail, DescriptorUser, Detail, Fact, Finding, ForkInfo, HazardId,
        Remedy, Severity, Subject,
    },
    hazards::wait::fork::fork_site,
    model::{Model, ProcId},
};

/// How sure, and why.
pub(super) type Weighed = (Confidence, Vec<Fact>);

/// The finding: about the eldest of those who use it. `detail` comes without them.
pub(super) fn finding(
    model: &Model,
    (confidence, mut proofs): Weighed,
    mut detail: DescriptorDetail,
    mut uses: Vec<(ProcId, DescriptorUser)>,
    remedy: Remedy,
) -> Option<Finding> {
    uses.sort_by_key(|(id, _)| *id);
    let (eldest, first) = uses.first()?;
    let process = model.get(*eldest)?;
    let forks = uses.iter().filter_map(|(id, _)| model.get(*id)?.inherited());
    let fork = forks.min_by_key(|fork| fork.boot_ns);
    let subject = Subject {
        pid: process.pid,
        tid: process.pid,
        comm: first.comm.clone(),
        ppid: process.ppid,
        ns_pid: process.ns_pid,
    };
    proofs.sort_by_key(Fact::rule);
    detail.users = uses.into_iter().map(|(_, user)| user).collect();
    Some(Finding {
        hazard: HazardId::SharedDescriptor,
        severity: Severity::Corruption,
        confidence,
        subject,
        fork: fork.map_or(ForkInfo::None, |fork| ForkInfo::Observed(Box::new(fork_site(fork)))),
        proofs,
        same_fault_in: Vec::new(),
        waited_by: Vec::new(),
        detail: Detail::Descriptor(Box::new(detail)),
        remedy: Some(remedy),
    })
}
