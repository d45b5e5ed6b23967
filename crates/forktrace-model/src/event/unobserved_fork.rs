//! What can still be learnt of a process whose fork was not seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Window;
use crate::json_number;

/// What `/proc` still tells of the fork that made a waiting process, long after it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnobservedFork {
    /// Start of the process, which is its fork, on `CLOCK_BOOTTIME`, ns, exact to one clock tick
    /// (10 ms).
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub start_ns: u64,
    /// Start of the waiting thread, in the same way; `None`: not known.
    #[serde(with = "json_number::opt", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Number>")]
    pub thread_start_ns: Option<u64>,
    /// The kernel says that the process was forked and has not exec'ed since.
    #[serde(default)]
    pub not_execed: bool,
    /// A living process that shows that this one was forked and has not exec'ed since; `None`:
    /// nothing shows it.
    #[serde(rename = "kin")]
    pub relative: Option<Relative>,
    /// How the memory as inherited ([`super::Evidence::at_fork`]) was learnt; `None`: it was not.
    pub learnt: Option<Learnt>,
    /// Every task number of this boot has been given out at most once, so that a lower one is an
    /// older one.
    pub tids_in_order: bool,
}

/// A living process that runs the program that the waiting one runs, since the same exec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Relative {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// It is the waiting process's parent; otherwise only another process of the same origin, and
    /// older.
    pub parent: bool,
    /// It was itself forked and has not exec'ed since, so that what it has may be older than it.
    #[serde(default)]
    pub forked: bool,
    /// Both number their tasks in the same pid namespace.
    pub same_pid_ns: bool,
    /// The parent's threads; empty for others.
    pub threads: Vec<RelativeThread>,
    /// The parent's thread that forked, by its stack, on which the child's first thread still runs.
    pub forker: Option<u32>,
    /// Its memory around the same address, now.
    pub now: Option<Window>,
}

/// A living thread of the parent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelativeThread {
    /// The thread.
    pub tid: u32,
    /// Its number inside the process's own pid namespace, where that differs.
    pub ns_tid: Option<u32>,
    /// Its name.
    pub comm: String,
    /// Its start on `CLOCK_BOOTTIME`, ns, exact to one clock tick (10 ms).
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub start_ns: u64,
}

/// How the parent's memory tells what a child inherited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Learnt {
    /// The parent still shares the page with this process, which is older than the waiting one.
    SharedWith(u32),
    /// The parent has not written the page since its latest fork, which made the waiting process.
    LatestFork,
}

/// Fewer tasks than this are made in one clock tick: 16 times as many would not do on the fastest
/// machine, and the kernel's smallest customary limit of task numbers (32768) is four times as many.
const NUMBERS_A_TICK: u32 = 1 << 13;

/// Whether task `a` is certainly older than task `b`, each given by its start, exact to one clock
/// tick and in any unit, and its number. Within one tick the numbers decide: they count up, and a
/// restart from the lowest one shows as a large distance (`alloc_pid`, `kernel/pid.c`, Linux 6.18).
pub fn is_older(a: (u64, u32), b: (u64, u32)) -> bool {
    match a.0.cmp(&b.0) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => a.1 < b.1 && b.1 - a.1 < NUMBERS_A_TICK,
        std::cmp::Ordering::Greater => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_goes_by_the_start_and_within_a_tick_by_the_number() {
        assert!(is_older((1, 900), (2, 800)));
        assert!(!is_older((2, 700), (1, 800)));
        assert!(is_older((5, 700), (5, 701)));
        assert!(!is_older((5, 701), (5, 700)));
        assert!(!is_older((5, 700), (5, 700)));
        assert!(!is_older((5, 301), (5, 32_767)), "numbers began again in between");
    }
}
