//! Who can run: the least fixed point over tasks that wait for each other.

/// Who could end the wait of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// It does not wait, or something that is no task could end its wait, or nothing is known of it.
    Anything,
    /// One of these tasks, by their places; none: nobody.
    Tasks(Vec<usize>),
}

/// Which tasks can run: those whose wait anything could end, and those whose wait somebody could end
/// who can run. All others never run again.
pub(super) fn live(tasks: &[Ends]) -> Vec<bool> {
    least(tasks.len(), |at, live| match tasks.get(at) {
        Some(Ends::Anything) => true,
        Some(Ends::Tasks(others)) => {
            others.iter().any(|other| *other != at && live.get(*other) == Some(&true))
        }
        None => false,
    })
}

/// The least set of tasks that can run, of `count`: `runs` says of a task whether it can, if those can
/// that are marked.
pub(super) fn least(count: usize, runs: impl Fn(usize, &[bool]) -> bool) -> Vec<bool> {
    let mut live = vec![false; count];
    loop {
        let next: Vec<bool> =
            live.iter().enumerate().map(|(at, lives)| *lives || runs(at, &live)).collect();
        if next == live {
            return live;
        }
        live = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_circle_never_runs_and_one_way_out_frees_all_who_wait_for_it() {
        let circle = |last: Ends| vec![Ends::Tasks(vec![1]), Ends::Tasks(vec![2]), last];
        assert_eq!(live(&circle(Ends::Tasks(vec![0]))), [false; 3]);
        assert_eq!(live(&circle(Ends::Anything)), [true; 3]);
        assert_eq!(live(&circle(Ends::Tasks(vec![]))), [false; 3]);
        assert_eq!(live(&[Ends::Tasks(vec![0])]), [false], "nobody ends a wait of its own");
    }

    fn graph() -> impl Strategy<Value = Vec<Ends>> {
        let ends = prop_oneof![
            1 => Just(Ends::Anything),
            4 => prop::collection::vec(0..12_usize, 0..4).prop_map(Ends::Tasks),
        ];
        prop::collection::vec(ends, 0..12)
    }

    proptest! {
        #[test]
        fn more_who_could_end_a_wait_never_stop_anybody(
            tasks in graph(), at in 0..12_usize, one in 0..12_usize,
        ) {
            let mut more = tasks.clone();
            if let Some(Ends::Tasks(others)) = more.get_mut(at) {
                others.push(one);
            }
            let (before, after) = (live(&tasks), live(&more));
            prop_assert!(before.iter().zip(&after).all(|(before, after)| before <= after));
        }

        #[test]
        fn who_never_runs_has_nobody_who_runs_to_end_the_wait(tasks in graph()) {
            let live = live(&tasks);
            for (at, task) in tasks.iter().enumerate().filter(|(at, _)| !live[*at]) {
                let Ends::Tasks(others) = task else { return Err(TestCaseError::fail("anything")) };
                prop_assert!(others.iter().all(|other| *other == at || live.get(*other) != Some(&true)));
            }
        }
    }
}
