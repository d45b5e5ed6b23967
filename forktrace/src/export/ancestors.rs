//! Who stands above whom among the processes of a story: trees free of circles, which a log may make as
//! deep as it is long.

use rustc_hash::FxHashMap;

use super::timeline::Process;

/// A step on the way through the trees.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// To a process, after the one above it.
    In(usize),
    /// From it, after all below it.
    Out(usize),
}

/// Goes through all processes.
fn walk(processes: &[Process], mut visit: impl FnMut(Step)) {
    let mut below = vec![Vec::new(); processes.len()];
    let mut steps = Vec::new();
    for at in (0..processes.len()).rev() {
        match above(processes, at).and_then(|above| below.get_mut(above)) {
            Some(below) => below.push(at),
            None => steps.push(Step::In(at)),
        }
    }
    while let Some(step) = steps.pop() {
        visit(step);
        if let Step::In(at) = step {
            steps.push(Step::Out(at));
            let below = below.get_mut(at).map(std::mem::take).unwrap_or_default();
            steps.extend(below.into_iter().map(Step::In));
        }
    }
}

fn above(processes: &[Process], at: usize) -> Option<usize> {
    processes.get(at)?.above.map(|above| above as usize)
}

/// For each question, a process and a pid, the nearest process of that number: itself, or the nearest
/// above it.
pub(super) fn nearest(processes: &[Process], questions: &[Option<(u32, u32)>]) -> Vec<Option<u32>> {
    let mut answers = vec![None; questions.len()];
    let mut asked: FxHashMap<usize, Vec<(usize, u32)>> = FxHashMap::default();
    for (n, question) in questions.iter().enumerate() {
        let Some((process, pid)) = *question else { continue };
        asked.entry(process as usize).or_default().push((n, pid));
    }
    if asked.is_empty() {
        return answers;
    }
    // Those on the way from a root to where the walk is, by their numbers.
    let mut line: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    walk(processes, |step| match step {
        Step::In(at) => {
            let Some(process) = processes.get(at) else { return };
            line.entry(process.pid).or_default().push(process.id);
            for (n, pid) in asked.get(&at).into_iter().flatten() {
                if let Some(answer) = answers.get_mut(*n) {
                    *answer = line.get(pid).and_then(|same| same.last()).copied();
                }
            }
        }
        Step::Out(at) => {
            let same = processes.get(at).and_then(|process| line.get_mut(&process.pid));
            same.map(Vec::pop);
        }
    });
    answers
}

/// Measures lines of descent without going along them.
///
/// Each process knows the one above it and one far above it, so chosen that any one above is reached in a
/// number of steps that is the logarithm of its distance (Myers, "An applicative random-access stack",
/// Information Processing Letters 17, 1983).
#[derive(Debug)]
pub(super) struct Lines {
    /// By place: how many stand above it, and the one far above; of a root itself.
    places: Vec<(usize, usize)>,
    above: Vec<Option<usize>>,
}

impl Lines {
    pub(super) fn new(processes: &[Process]) -> Self {
        let mut places = vec![(0, 0); processes.len()];
        let mut parents = vec![None; processes.len()];
        walk(processes, |step| {
            let Step::In(at) = step else { return };
            let of = |at: usize| places.get(at).copied().unwrap_or((0, at));
            let parent = above(processes, at).filter(|above| *above < processes.len());
            let place = match parent {
                None => (0, at),
                Some(parent) => {
                    let (depth, far) = of(parent);
                    let (far_depth, farther) = of(far);
                    let equal = depth - far_depth == far_depth - of(farther).0;
                    (depth + 1, if equal { farther } else { parent })
                }
            };
            if let (Some(own), Some(above)) = (places.get_mut(at), parents.get_mut(at)) {
                (*own, *above) = (place, parent);
            }
        });
        Lines { places, above: parents }
    }

    /// How many there are from a process upwards, itself included, up to the first that is in a set. Who is
    /// in it has all above in it, too.
    pub(super) fn below(&self, start: usize, is_in: impl Fn(usize) -> bool) -> usize {
        let of = |at: usize| self.places.get(at).copied().unwrap_or((0, at));
        let (depth, _) = of(start);
        let mut at = start;
        loop {
            if is_in(at) {
                return depth - of(at).0;
            }
            let Some(above) = self.above.get(at).copied().flatten() else { return depth + 1 };
            let (_, far) = of(at);
            at = if is_in(far) { above } else { far };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Processes of few numbers, each below one before it or none; some are the other way round.
    fn processes() -> impl Strategy<Value = Vec<Process>> {
        let one = (any::<prop::sample::Index>(), 0_u32..5, any::<bool>());
        (prop::collection::vec(one, 1..80), any::<bool>()).prop_map(|(all, turned)| {
            let last = all.len() as u32 - 1;
            let turn = |id: u32| if turned { last - id } else { id };
            let mut made: Vec<Process> = (0..)
                .zip(all)
                .map(|(at, (above, pid, root))| {
                    let above = (at > 0 && !root).then(|| above.index(at as usize) as u32);
                    Process { id: turn(at), pid, above: above.map(turn), ..Process::default() }
                })
                .collect();
            made.sort_by_key(|process| process.id);
            made
        })
    }

    fn line(processes: &[Process], start: usize) -> Vec<usize> {
        std::iter::successors(Some(start), |at| above(processes, *at)).collect()
    }

    proptest! {
        #[test]
        fn the_nearest_of_a_number_is_found(processes in processes()) {
            let all = 0..processes.len() as u32;
            let questions: Vec<_> =
                all.flat_map(|id| (0..6).map(move |pid| Some((id, pid)))).chain([None]).collect();
            let plain = |(id, pid): (u32, u32)| {
                let line = line(&processes, id as usize).into_iter();
                line.filter_map(|at| processes.get(at)).find(|one| one.pid == pid).map(|one| one.id)
            };
            let expected: Vec<_> = questions.iter().map(|one| one.and_then(plain)).collect();
            prop_assert_eq!(nearest(&processes, &questions), expected);
        }

        #[test]
        fn lines_are_measured(processes in processes(), picked in any::<prop::sample::Index>()) {
            let lines = Lines::new(&processes);
            let wanted = line(&processes, picked.index(processes.len()));
            let is_in = |at: usize| wanted.contains(&at);
            for start in 0..processes.len() {
                let plain = line(&processes, start).into_iter().take_while(|at| !is_in(*at)).count();
                prop_assert_eq!(lines.below(start, is_in), plain);
            }
        }
    }
}
