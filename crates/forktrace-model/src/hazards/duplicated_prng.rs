//! Several processes draw the same random numbers: the states of their generators are steps of one state
//! that fork copied.
//!
//! That each state is so many steps from the inherited one was computed with the generator's own step; what
//! was compared are the bits of the state, beyond what chance explains. Of some generators only the position
//! moves between two refills: that says less.

use super::{
    Context, Hazard, HazardId, Verdict,
    copied::{self, Weighed},
};
use crate::{
    event::{Body, Event, Generator, Generators, Task},
    finding::{Confidence, Detail, Fact, Finding, GeneratorsDetail},
    model::Process,
};

/// Bits of a state that must be as the steps make them, in each of two processes, for a proof.
const PROOF: u32 = 64;
/// So many steps, and so many times as many as another process: it may have skipped ahead to where others
/// do not come.
const MANY: u64 = 1000;
const UNEVEN: u64 = 16;

/// See the module.
pub(super) struct DuplicatedPrng;

impl Hazard for DuplicatedPrng {
    fn id(&self) -> HazardId {
        HazardId::DuplicatedPrng
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        let (Body::Generators(found), Some(task)) = (&cx.event.body, &cx.event.task) else {
            return Verdict::Unrelated;
        };
        let Some(process) = cx.model.live(task.pid) else { return Verdict::Unrelated };
        match finding(cx.event, found, task, process) {
            Some(finding) => Verdict::Finding(Box::new(finding)),
            None => Verdict::Unrelated,
        }
    }
}

fn finding(event: &Event, found: &Generators, task: &Task, process: &Process) -> Option<Finding> {
    let fork = process.inherited()?;
    let detail = |found| {
        let drawn_ns = event.boot_ns.saturating_sub(fork.boot_ns);
        Detail::Generators(Box::new(GeneratorsDetail { found, drawn_ns }))
    };
    let weigh = |generator: &Generator| weigh(generator, task.pid);
    copied::finding(HazardId::DuplicatedPrng, (task, process), &found.found, weigh, detail)
}

/// How sure it is that others draw the same numbers as process `pid`; `None`: nobody does.
fn weigh(generator: &Generator, pid: u32) -> Option<Weighed> {
    let own = generator.sides.iter().find(|side| side.pid == pid && side.steps > 0)?;
    let others = generator.sides.iter().filter(|side| side.pid != pid && side.steps > 0);
    // The pair that proves most.
    let other = others.clone().max_by_key(|side| (side.bits, std::cmp::Reverse(side.steps)))?;
    let bits = own.bits.min(other.bits);
    let (least, most) = (own.steps.min(other.steps), own.steps.max(other.steps));
    let processes = others.count() as u64 + 1;
    let mut facts = vec![Fact::StepsOfOneState { processes, bits }];
    let has_owner = generator.type_name.is_some() || generator.module.is_some();
    let mut confidence = match bits {
        0 if has_owner => Confidence::Likely,
        0 => Confidence::Suspect,
        bits if bits < PROOF => Confidence::Likely,
        _ => Confidence::Certain,
    };
    if bits == 0 {
        facts.push(Fact::OnlyPositionMoved { owner_known: has_owner });
    } else if bits < PROOF {
        facts.push(Fact::SmallState { bits });
    }
    if most > MANY && most / UNEVEN > least {
        facts.push(Fact::MaySkipAhead { least, most });
        confidence = confidence.min(Confidence::Likely);
    }
    Some(Weighed { confidence, facts })
}
