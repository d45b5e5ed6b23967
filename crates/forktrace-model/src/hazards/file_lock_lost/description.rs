//! Locks that belong to an open file description, which fork shares.
//!
//! Who calls for the lock relies on it until it gives it back. What is *certain*: another process of the
//! family gave it back in between, somebody else got it meanwhile, and the first one went on until its
//! own call; or two had it at once and both went on so, more than once. *Likely*: the same without a third,
//! or the first one lives on with the file open. *Suspect*: it may have lent the lock to a child for which it
//! waits.
//!
//! Silent: who took it has ended, or has closed the file (a handover); a close gave it back; one of them
//! has exec'ed since and was told the descriptor (`flock(1)`); the lock was taken again (a round of a
//! protocol).

use super::{Case, STANDS_NS, Weighed, family};
use crate::{
    event::LockAct,
    finding::{Confidence, Fact, Finding, LockLoss, Remedy},
    model::{KnownAct, ProcId},
};

/// Who relies on the lock.
#[derive(Clone, Copy, Debug)]
struct Section {
    id: ProcId,
    since_ns: u64,
    exclusive: bool,
    /// Another one had it when it was taken.
    beside: Option<ProcId>,
}

/// A lock that was given back by somebody else.
#[derive(Clone, Copy, Debug)]
struct Loss {
    section: Section,
    by: ProcId,
    at_ns: u64,
    /// Somebody else has got it since.
    taken_by: Option<ProcId>,
    /// When its process gave it back itself.
    until_ns: Option<u64>,
    /// Its process has taken it again before.
    again: bool,
}

/// The history of a description.
#[derive(Default)]
struct History {
    sections: Vec<Section>,
    losses: Vec<Loss>,
    /// Pairs that had it at once, and of which one has gone on to its own end.
    overlaps: Vec<(Section, ProcId)>,
}

pub(super) fn judge(case: &Case<'_>) -> Option<Finding> {
    let mut history = History::default();
    if let Some(taker) = case.lock.taker.as_ref().filter(|taker| taker.held) {
        history.sections.push(Section {
            id: taker.id,
            since_ns: taker.at_ns,
            exclusive: taker.exclusive,
            beside: None,
        });
    }
    for act in &case.lock.acts {
        history.take(case, act);
    }
    let lost = history.losses.iter().filter_map(|loss| of_loss(case, loss));
    let best =
        lost.chain(of_overlaps(case, &history.overlaps)).max_by_key(|weighed| weighed.confidence);
    case.finding(best?)
}

impl History {
    fn take(&mut self, case: &Case<'_>, act: &KnownAct) {
        match act.act {
            LockAct::Locked => self.locked(case, act),
            LockAct::Released => self.released(case, act),
            LockAct::Taken => {
                let others =
                    |loss: &&mut Loss| loss.until_ns.is_none() && loss.section.id != act.id;
                for loss in self.losses.iter_mut().filter(others) {
                    loss.taken_by.get_or_insert(act.id);
                }
            }
            _ => {}
        }
    }

    fn locked(&mut self, case: &Case<'_>, act: &KnownAct) {
        for loss in self.losses.iter_mut().filter(|loss| loss.section.id == act.id) {
            loss.again |= loss.until_ns.is_none();
        }
        let beside = self.sections.iter().find(|section| {
            let excludes = section.exclusive || act.exclusive;
            excludes && section.id != act.id && case.lived(section.id, act.at_ns)
        });
        let beside = beside.map(|section| section.id);
        match self.sections.iter_mut().find(|section| section.id == act.id) {
            Some(section) => section.exclusive = act.exclusive,
            None => self.sections.push(Section {
                id: act.id,
                since_ns: act.at_ns,
                exclusive: act.exclusive,
                beside,
            }),
        }
    }

    fn released(&mut self, case: &Case<'_>, act: &KnownAct) {
        for loss in self.losses.iter_mut().filter(|loss| loss.section.id == act.id) {
            if !loss.again {
                loss.until_ns.get_or_insert(act.at_ns);
            }
        }
        let sections = std::mem::take(&mut self.sections);
        let own = sections.iter().find(|section| section.id == act.id);
        for section in sections.iter().filter(|section| section.id != act.id) {
            if !case.lived(section.id, act.at_ns) {
                continue;
            }
            // Both went on as if they had it alone.
            if let Some(own) = own.filter(|own| own.beside == Some(section.id)) {
                self.overlaps.push((*own, section.id));
            } else if own.is_some() && section.beside == Some(act.id) {
                self.overlaps.push((*section, act.id));
            }
            self.losses.push(Loss {
                section: *section,
                by: act.id,
                at_ns: act.at_ns,
                taken_by: None,
                until_ns: None,
                again: false,
            });
        }
    }
}

/// Whether both have the description by forks alone, and were told nothing by a program of their own.
fn is_inherited(case: &Case<'_>, one: ProcId, other: ProcId, since_ns: u64) -> bool {
    one != other
        && family::root(case.model, one) == family::root(case.model, other)
        && case.kept_program(one, since_ns)
        && case.kept_program(other, since_ns)
}

fn of_loss(case: &Case<'_>, loss: &Loss) -> Option<Weighed> {
    let Loss { section, by, at_ns, taken_by, until_ns, again } = *loss;
    if again || !is_inherited(case, section.id, by, section.since_ns) {
        return None;
    }
    let pid = case.pid(section.id);
    let mut facts = vec![Fact::ReleasedByOther { by: case.pid(by), pid }];
    facts.extend(taken_by.map(|other| Fact::TakenMeanwhile { by: case.pid(other) }));
    let confidence = match until_ns {
        Some(until_ns) => {
            facts.push(Fact::ReliedOn { pid, after_ns: until_ns.saturating_sub(at_ns) });
            if taken_by.is_some() { Confidence::Certain } else { Confidence::Likely }
        }
        None => still_relies(case, loss, &mut facts)?,
    };
    let remedy = match case.is_python(section.id) {
        true => Remedy::FileLockSharedPython,
        false => Remedy::FileLockShared,
    };
    Some(Weighed {
        loss: LockLoss::Released,
        confidence,
        facts,
        taker: section.id,
        taken_ns: section.since_ns,
        other: by,
        lost_ns: at_ns,
        third: taken_by.map(|other| case.pid(other)),
        remedy,
    })
}

/// Whether the process that took it seems to rely on it still; `None`: it does not.
fn still_relies(case: &Case<'_>, loss: &Loss, facts: &mut Vec<Fact>) -> Option<Confidence> {
    let process = case.process(loss.section.id).filter(|process| process.is_alive())?;
    let (seen_ns, _) = case.lock.look.as_ref().filter(|(seen_ns, _)| *seen_ns > loss.at_ns)?;
    // Closed: it has no more to do with it.
    let opener = case.opener(loss.section.id)?;
    let pid = process.pid;
    let after_ns = seen_ns.saturating_sub(loss.at_ns);
    facts.push(Fact::StillOpen { pid, after_ns });
    if opener.waits_for_child {
        facts.push(Fact::MayBeLent { pid });
        return Some(Confidence::Suspect);
    }
    Some(if after_ns >= STANDS_NS { Confidence::Likely } else { Confidence::Suspect })
}

/// Processes that had the lock at once.
fn of_overlaps(case: &Case<'_>, overlaps: &[(Section, ProcId)]) -> Option<Weighed> {
    let is_ours = |(section, other): &&(Section, ProcId)| {
        is_inherited(case, section.id, *other, section.since_ns)
    };
    let overlaps: Vec<&(Section, ProcId)> = overlaps.iter().filter(is_ours).collect();
    // The first pair stands for all, however many follow.
    let (section, other) = overlaps.first()?;
    let (first, second) = (section.id.min(*other), section.id.max(*other));
    let times = overlaps.len() as u64;
    let remedy = match case.is_python(section.id) {
        true => Remedy::FileLockSharedPython,
        false => Remedy::FileLockShared,
    };
    Some(Weighed {
        loss: LockLoss::HeldByBoth,
        confidence: if times > 1 { Confidence::Certain } else { Confidence::Likely },
        facts: vec![Fact::LockOverlaps { times }],
        taker: first,
        taken_ns: section.since_ns,
        other: second,
        lost_ns: section.since_ns,
        third: None,
        remedy,
    })
}
