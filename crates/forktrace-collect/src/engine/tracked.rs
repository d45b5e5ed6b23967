//! Which processes are in the trace, and what is known of losses.

use super::{
    Scope, credentials::Credentials, intake::Intake, kernel_tasks::KernelTasks, losses::Losses,
};

/// The state of adoption and resync.
pub(super) struct Tracked {
    pub(super) scope: Scope,
    pub(super) kernel_tasks: KernelTasks,
    pub(super) losses: Losses,
    pub(super) credentials: Credentials,
    /// Something is known to be alive that could not be put into the table of traced processes.
    pub(super) unfollowed: bool,
    /// When what belongs to no child was last deleted, `CLOCK_BOOTTIME`, ns, and how many children
    /// there had been whose pages did not fit.
    pub(super) swept: (u64, u64),
    /// When what was alive already was put into the trace, `CLOCK_BOOTTIME`, ns, until that has been
    /// handed on.
    adopted_ns: Option<u64>,
}

impl Tracked {
    pub(super) fn new(scope: Scope) -> Self {
        Tracked {
            scope,
            kernel_tasks: KernelTasks::default(),
            losses: Losses::default(),
            credentials: Credentials::default(),
            unfollowed: false,
            swept: (0, 0),
            adopted_ns: None,
        }
    }

    pub(super) fn set_adopted(&mut self, now_ns: u64) {
        self.adopted_ns = Some(now_ns);
    }

    /// Whether what was alive at the attach has been handed on: true once.
    pub(super) fn is_adopted(&mut self, intake: &Intake) -> bool {
        self.adopted_ns.take_if(|adopted_ns| intake.is_past(*adopted_ns)).is_some()
    }
}
