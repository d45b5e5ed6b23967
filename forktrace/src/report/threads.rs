//! Names of threads: one thread is called the same in every row, and pools are counted.

use std::{cmp::Reverse, collections::BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Style, plural};
use forktrace_model::{
    event::{Task, ThreadName, ThreadedForks},
    finding::{Finding, Holder},
};

/// Groups of threads shown by name.
const GROUPS: usize = 3;
/// Forking processes named in the summary.
const FORKERS: usize = 3;
/// Names of threads shown for each of them.
const NAMES: usize = 5;
/// Words of names that say nothing of what a thread is for.
const VAGUE: [&str; 6] = ["thread", "worker", "main", "pool", "python", "python3"];
/// Fewer letters than this may be part of many words.
const LEAST_WORD: usize = 3;

/// A thread of process `pid`: `the main thread [12]`, `thread "reader"[13]` or `thread 13`.
pub(super) fn name(pid: u32, tid: u32, comm: Option<&str>, style: Style) -> String {
    match comm {
        _ if tid == pid => format!("the main thread [{tid}]"),
        None | Some("") => format!("thread {tid}"),
        Some(comm) => format!("thread \"{}\"[{tid}]", style.clean(comm)),
    }
}

/// A task by itself: `worker[12]`, or `thread "reader"[13] of process 12`.
pub(super) fn task(task: &Task, style: Style) -> String {
    let comm = style.clean(&task.comm);
    match task.tid == task.pid {
        true => format!("{comm}[{}]", task.pid),
        false => format!("thread \"{comm}\"[{}] of process {}", task.tid, task.pid),
    }
}

/// Threads that a fork of process `pid` lost, in groups: the holder of the lock, then the pool that the
/// stuck task waits for, then the largest. `: 8 threads of "polars", "reader"[13] and 2 others`, or
/// nothing if no name is known. `total`: how many threads were lost.
pub(super) fn lost(
    finding: &Finding,
    pid: u32,
    threads: &[ThreadName],
    total: u64,
    style: Style,
) -> String {
    let named: Vec<_> = threads.iter().filter(|thread| !thread.comm.is_empty()).collect();
    if named.is_empty() {
        return String::new();
    }
    let mut shown = 0;
    let texts = groups(finding, &named).into_iter().take(GROUPS).map(|group| {
        shown += group.threads.len() as u64;
        match group.threads.as_slice() {
            [thread] => {
                let name = name(pid, thread.tid, Some(&thread.comm), style);
                name.strip_prefix("thread ").unwrap_or(&name).to_owned()
            }
            threads => {
                let count = plural(threads.len() as u64, "thread", "threads");
                // Several threads of the very same name are no numbered pool.
                let one = threads.first().map(|thread| &thread.comm);
                let same = one.filter(|one| threads.iter().all(|thread| thread.comm == **one));
                format!("{count} of \"{}\"", style.clean(same.unwrap_or(&group.name)))
            }
        }
    });
    let texts = texts.collect::<Vec<_>>().join(", ");
    match total.saturating_sub(shown) {
        0 => format!(": {texts}"),
        more => format!(": {texts} and {}", plural(more, "other", "others")),
    }
}

/// The processes that forked beside other threads and whose children did not exec, in a sentence each:
/// `gunicorn[70] forked 4 times beside 3 threads: "refresher", "pool"`. `None`: there are none.
pub(super) fn forks_beside(forks: &[ThreadedForks], style: Style) -> Option<String> {
    let texts: Vec<String> = forks.iter().take(FORKERS).map(|one| forker(one, style)).collect();
    let text = texts.join("; ");
    match forks.len().saturating_sub(texts.len()) as u64 {
        0 if texts.is_empty() => None,
        0 => Some(text),
        more => Some(format!("{text}; {} too", plural(more, "other process", "other processes"))),
    }
}

fn forker(one: &ThreadedForks, style: Style) -> String {
    let times = match one.forks {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{} times", super::count(more)),
    };
    let threads = plural(one.threads.into(), "thread", "threads");
    let comm = style.clean(&one.comm);
    let mut text = format!("{comm}[{}] forked {times} beside {threads}", one.pid);
    // A thread without a name of its own has that of its process.
    let pools = one.names.keys().filter(|name| **name != one.comm).map(|name| pool(name));
    let pools: BTreeSet<String> = pools.collect();
    let shown = pools.iter().take(NAMES).map(|name| format!("\"{}\"", style.clean(name)));
    let mut shown: Vec<String> = shown.collect();
    match pools.len().saturating_sub(shown.len()) as u64 {
        0 => {}
        more => shown.push(plural(more, "other name", "other names")),
    }
    if !shown.is_empty() {
        text.push_str(&format!(": {}", shown.join(", ")));
    }
    text
}

/// Threads with one name.
struct Group<'a> {
    name: String,
    threads: Vec<&'a ThreadName>,
}

/// The groups, the one that matters first.
fn groups<'a>(finding: &Finding, threads: &[&'a ThreadName]) -> Vec<Group<'a>> {
    let holder = finding.holder().map(|holder: &Holder| holder.tid);
    let mut groups: Vec<Group<'a>> = Vec::new();
    for thread in threads {
        let name = pool(&thread.comm);
        let is_holder = Some(thread.tid) == holder;
        match groups.iter_mut().find(|group| group.name == name && !is_holder) {
            Some(group) => group.threads.push(thread),
            None if is_holder => {
                groups.insert(0, Group { name: String::new(), threads: vec![thread] })
            }
            None => groups.push(Group { name, threads: vec![thread] }),
        }
    }
    let words = words_of_stack(finding);
    let score =
        |group: &Group<'_>| first_word(&group.name).and_then(|word| words.get(&word)).copied();
    groups.sort_by_cached_key(|group| {
        // The holder's group has no name.
        let rank = if group.name.is_empty() { usize::MAX } else { score(group).unwrap_or(0) };
        (Reverse(rank), is_vague(&group.name), Reverse(group.threads.len()))
    });
    groups
}

/// The name of a pool: that of one of its threads without the numbers at its end (`polars-0`,
/// `ThreadPoolExec-0_1`) or before what Python adds (`Thread-1 (work)`).
fn pool(comm: &str) -> String {
    if let Some((before, function)) = comm.split_once(" (") {
        return format!("{} ({function}", without_numbers(before));
    }
    match without_numbers(comm) {
        "" => comm.to_owned(),
        name => name.to_owned(),
    }
}

fn without_numbers(name: &str) -> &str {
    let mut name = name;
    loop {
        let before = name.trim_end_matches(|c: char| c.is_ascii_digit());
        if before.len() == name.len() {
            return name;
        }
        name = before.trim_end_matches(['-', '_', '#', ':', '.', ' ', '/']);
    }
}

fn is_vague(name: &str) -> bool {
    words(name).next().is_none_or(|word| VAGUE.contains(&word.as_str()))
}

/// The word that a name begins with, if it says something.
fn first_word(name: &str) -> Option<String> {
    words(name).next().filter(|word| word.len() >= LEAST_WORD && !VAGUE.contains(&word.as_str()))
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric());
    parts.filter(|part| !part.is_empty()).map(str::to_ascii_lowercase)
}

/// In how many frames of the stuck task each word is: of functions, libraries and Python files.
fn words_of_stack(finding: &Finding) -> FxHashMap<String, usize> {
    let mut count: FxHashMap<String, usize> = FxHashMap::default();
    let mut add = |texts: &[Option<&str>]| {
        let all: FxHashSet<_> = texts.iter().flatten().flat_map(|text| words(text)).collect();
        for word in all {
            *count.entry(word).or_default() += 1;
        }
    };
    let file = |path: &str| path.rfind('/').map_or(0, |at| at + 1);
    for frame in finding.stack() {
        let symbol = frame.symbol.as_deref().map(forktrace_model::frames::shortened);
        let module = frame.module.as_deref().and_then(|path| path.get(file(path)..));
        add(&[symbol.as_deref(), module]);
    }
    for frame in finding.python() {
        add(&[Some(super::python::package(frame))]);
    }
    count
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::report::hazards::tests::finding;
    use forktrace_model::{
        event::stacks::Frame,
        finding::{Detail, HazardId},
    };

    fn threads(names: &[&str]) -> Vec<ThreadName> {
        let name = |(at, comm): (usize, &&str)| ThreadName {
            tid: 11 + u32::try_from(at).unwrap(),
            comm: (*comm).to_owned(),
        };
        names.iter().enumerate().map(name).collect()
    }

    fn text(finding: &Finding, names: &[&str]) -> String {
        let threads = threads(names);
        lost(finding, 10, &threads, threads.len() as u64, Style::default())
    }

    #[test]
    fn numbers_are_no_part_of_a_pools_name() {
        for (comm, name) in [
            ("polars-0", "polars"),
            ("ThreadPoolExec-0_1", "ThreadPoolExec"),
            ("tokio-runtime-w", "tokio-runtime-w"),
            ("rdk:broker-1", "rdk:broker"),
            ("Thread-1 (worke", "Thread (worke"),
            ("py3", "py"),
            ("42", "42"),
        ] {
            assert_eq!(pool(comm), name);
        }
    }

    #[test]
    fn threads_of_a_pool_are_counted_and_few_are_named() {
        let hang = finding(HazardId::LostWaker, 4);
        assert_eq!(text(&hang, &["reader"]), ": \"reader\"[11]");
        assert_eq!(
            text(&hang, &["log", "io-0", "io-1", "a", "b", "c"]),
            ": 2 threads of \"io\", \"log\"[11], \"a\"[14] and 2 others"
        );
        assert_eq!(text(&hang, &["", ""]), "");
        assert_eq!(
            lost(&hang, 11, &threads(&["x"]), 1, Style::default()),
            ": the main thread [11]"
        );
    }

    #[test]
    fn the_pool_that_the_task_waits_for_comes_first() {
        let mut hang = finding(HazardId::LostWaker, 4);
        let Detail::Wait(wait) = &mut hang.detail else { return };
        wait.stack =
            vec![Frame { symbol: Some("polars_core::pool::install".into()), ..Frame::default() }];
        let names = ["python3", "python3", "python3", "jemalloc_bg", "polars-0", "polars-1"];
        assert_eq!(
            text(&hang, &names),
            ": 2 threads of \"polars\", \"jemalloc_bg\"[14], 3 threads of \"python3\""
        );
    }

    #[test]
    fn forks_beside_threads_are_counted_with_the_names_of_these() {
        let one = |pid, forks, threads, names: &[&str]| ThreadedForks {
            pid,
            comm: "gunicorn".into(),
            forks,
            threads,
            names: names.iter().map(|name| ((*name).to_owned(), 1)).collect(),
        };
        let text = |forks: &[ThreadedForks]| forks_beside(forks, Style::default());
        assert_eq!(text(&[]), None);
        let first = one(70, 4, 3, &["gunicorn", "refresher", "io-0", "io-1"]);
        assert_eq!(
            text(&[first, one(71, 1, 1, &["gunicorn"])]).unwrap(),
            "gunicorn[70] forked 4 times beside 3 threads: \"io\", \"refresher\"; \
             gunicorn[71] forked once beside 1 thread"
        );
        let many = [1, 2, 3, 4, 5].map(|pid| one(pid, 2, 9, &["a", "b", "c", "d", "e", "f", "g"]));
        let text = text(&many).unwrap();
        assert!(text.starts_with("gunicorn[1] forked twice beside 9 threads: \"a\", "), "{text}");
        assert!(text.contains("\"e\", 2 other names; gunicorn[2]"), "{text}");
        assert!(text.ends_with("; 2 other processes too"), "{text}");
    }

    #[test]
    fn the_holder_comes_first() {
        let mut hang = finding(HazardId::InheritedLock, 4);
        let Detail::Wait(wait) = &mut hang.detail else { return };
        wait.holder = Some(Holder::new(10, 13, Some("io-2".into())));
        assert_eq!(text(&hang, &["io-0", "io-1", "io-2"]), ": \"io-2\"[13], 2 threads of \"io\"");
    }
}
