//! All rules at once, against a simulated kernel that forks, ends and loses at random.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What the kernel would know.
#[derive(Default)]
struct Kernel {
    processes: BTreeMap<u32, (u32, BTreeSet<u32>)>,
    starts: BTreeMap<u32, u64>,
    now: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Fork(usize),
    Thread(usize),
    ThreadExit(usize),
    Exec(usize),
    Exit(usize),
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let step = prop_oneof![
        3 => any::<usize>().prop_map(Step::Fork),
        3 => any::<usize>().prop_map(Step::Thread),
        2 => any::<usize>().prop_map(Step::ThreadExit),
        1 => any::<usize>().prop_map(Step::Exec),
        2 => any::<usize>().prop_map(Step::Exit),
    ];
    // One event in ten is lost.
    proptest::collection::vec((step, (0u8..10).prop_map(|n| n == 0)), 0..120)
}

impl Kernel {
    fn new() -> Self {
        let processes = BTreeMap::from([(1, (0, BTreeSet::from([1])))]);
        Kernel { processes, starts: BTreeMap::from([(1, 1)]), now: 10 }
    }

    /// A free number; few of them, so that they are soon used again.
    fn free(&self) -> Option<u32> {
        let used: BTreeSet<u32> = self.processes.values().flat_map(|p| p.1.clone()).collect();
        (2..24).find(|pid| !used.contains(pid) && !self.processes.contains_key(pid))
    }

    fn step(&mut self, step: &Step) -> Option<Event> {
        self.now += 100_000_000;
        let now = self.now;
        let pick = |n: &usize| *self.processes.keys().nth(n % self.processes.len()).unwrap();
        match step {
            Step::Fork(n) => {
                let (pid, child) = (pick(n), self.free()?);
                let tid = *self.processes[&pid].1.first()?;
                self.processes.insert(child, (pid, BTreeSet::from([child])));
                self.starts.insert(child, now);
                Some(fork(now, pid, tid, child, 0))
            }
            Step::Thread(n) => {
                let (pid, tid) = (pick(n), self.free()?);
                self.processes.get_mut(&pid)?.1.insert(tid);
                Some(thread(now, pid, tid))
            }
            Step::ThreadExit(n) => {
                let pid = pick(n);
                let threads = &mut self.processes.get_mut(&pid)?.1;
                if threads.len() < 2 {
                    return None;
                }
                let tid = threads.pop_last()?;
                Some(thread_exit(now, pid, tid, Some(false)))
            }
            Step::Exec(n) => {
                let pid = pick(n);
                self.processes.get_mut(&pid)?.1 = BTreeSet::from([pid]);
                Some(exec(now, pid, pid))
            }
            Step::Exit(n) => {
                let pid = pick(n);
                if pid == 1 {
                    return None;
                }
                self.processes.remove(&pid);
                for (ppid, _) in self.processes.values_mut().filter(|p| p.0 == pid) {
                    *ppid = 0;
                }
                Some(exit(now, pid))
            }
        }
    }

    /// As the collector looks: parents, which are older, before their children.
    fn look(&self) -> Vec<Event> {
        let mut pids: Vec<u32> = self.processes.keys().copied().collect();
        pids.sort_by_key(|pid| self.starts[pid]);
        let look = |pid: &u32| {
            let (ppid, threads) = &self.processes[pid];
            let tids: Vec<u32> = threads.iter().copied().collect();
            let mut event = alive(self.now + 1, *pid, *ppid, &tids, true);
            if let Body::ProcessSnapshot(seen) = &mut event.body {
                seen.start_ns = self.starts[pid];
            }
            event
        };
        pids.iter().map(look).collect()
    }
}

/// Pid, parent and threads of everything that is alive.
fn shape(model: &Model) -> BTreeMap<u32, (u32, BTreeSet<u32>)> {
    let alive = model.all().iter().filter(|process| process.is_alive());
    alive.map(|p| (p.pid, (p.ppid, p.threads.keys().copied().collect()))).collect()
}

proptest! {
    #[test]
    fn the_tree_is_the_kernels(steps in steps()) {
        let mut kernel = Kernel::new();
        let mut model = model(&[alive(1, 1, 0, &[1], false)]);
        for (step, _) in &steps {
            if let Some(event) = kernel.step(step) {
                model.apply(&event);
            }
            prop_assert_eq!(shape(&model), kernel.processes.clone());
        }
    }

    #[test]
    fn after_losses_a_new_look_heals_the_tree(steps in steps()) {
        let mut kernel = Kernel::new();
        let mut model = model(&[alive(1, 1, 0, &[1], false)]);
        for (step, is_lost) in &steps {
            if let Some(event) = kernel.step(step)
                && !is_lost
            {
                model.apply(&event);
            }
        }
        model.apply(&lost(kernel.now));
        for event in kernel.look() {
            model.apply(&event);
        }
        model.apply(&looked(kernel.now + 1));
        prop_assert_eq!(shape(&model), kernel.processes);
    }

    #[test]
    fn what_is_carried_over_makes_the_same_model(steps in steps()) {
        let mut kernel = Kernel::new();
        let mut whole = model(&[alive(1, 1, 0, &[1], false)]);
        for (step, looks) in &steps {
            if let Some(event) = kernel.step(step) {
                whole.apply(&event);
            }
            if *looks {
                let mut part = Model::default();
                for event in whole.carried(kernel.now, false) {
                    part.apply(&event);
                }
                prop_assert_eq!(part.carried(1, false), whole.carried(1, false));
                prop_assert_eq!(shape(&part), shape(&whole));
                // What is known already is left as it is.
                let before = whole.carried(1, false);
                for event in whole.carried(kernel.now, true) {
                    whole.apply(&event);
                }
                whole.apply(&looked(kernel.now));
                prop_assert_eq!(whole.carried(1, false).len(), before.len());
            }
        }
    }

    #[test]
    fn no_event_can_break_it(
        events in proptest::collection::vec((0u8..8, 0u32..6, 0u32..6, 0u32..6, any::<u64>()), 0..60),
    ) {
        let mut model = Model::default();
        for (kind, pid, tid, other, boot_ns) in events {
            let event = match kind {
                0 => fork(boot_ns, pid, tid, other, boot_ns),
                1 => thread(boot_ns, pid, other),
                2 => exec(boot_ns, pid, tid),
                3 => exit(boot_ns, pid),
                4 => thread_exit(boot_ns, pid, tid, (tid % 2 == 0).then_some(other == 0)),
                5 if other == 0 => looked(boot_ns),
                5 => lost(boot_ns),
                6 => alive(boot_ns, pid, other, &[pid, tid], tid % 2 == 0),
                _ => at(boot_ns, pid, tid, Body::FutexWait(FutexWait::default())),
            };
            model.apply(&event);
            if boot_ns % 7 == 0 {
                model.forget_to(usize::from(kind) / 4);
            }
            for process in model.all().iter().filter(|process| process.is_alive()) {
                model.memory_shared_with(process.pid);
                prop_assert_eq!(model.live(process.pid).map(|p| p.id), Some(process.id));
            }
        }
    }
}
