//! Whether this machine is one that can be traced. Pure.

use super::facts::in_the_way;
use crate::{arch::HostMachine, doctor::Check};

pub(super) fn processor(host: &HostMachine) -> Check {
    let name = "processor";
    match host.check() {
        Ok(()) => Check::ok(name, format!("{}, pages of {} bytes", host.arch, host.page_size)),
        Err(error) => in_the_way(name, error.into()),
    }
}
