//! What goes on beside the tracer: programs started again and again, each at its own pace.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    run::Job,
    workload::{self, Facts},
};

/// Names the row that a process belongs to.
const ROW: &str = "FORKTRACE_SOAK";
/// How long a program may take at most, and a finding after a hang began: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(120);

/// One program of the load.
struct Row {
    name: &'static str,
    /// In `tests/workloads`, or a command of the system.
    program: &'static str,
    args: &'static [&'static str],
    /// Seconds from one start to the next, at least.
    every: u64,
    /// Whether it says of its children that they are stuck, and they must be found.
    hangs: bool,
}

const fn quiet(
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    every: u64,
) -> Row {
    Row { name, program, args, every, hangs: false }
}

const fn hang(
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    every: u64,
) -> Row {
    Row { name, program, args, every, hangs: true }
}

static ROWS: &[Row] = &[
    quiet("forks", "quick_forks.c", &["300"], 10),
    quiet("execs", "sh", &["-c", "i=0; while [ $i -lt 60 ]; do /bin/true; i=$((i+1)); done"], 10),
    quiet("forks by many threads", "busy_tree.c", &["3"], 20),
    quiet("futex traffic", "futex_storm.c", &["12", "1"], 20),
    quiet("a pool at rest", "idle_pool.c", &["16", "4"], 30),
    quiet("a timed wait", "timed_wait.c", &[], 30),
    quiet("a lock held for long", "released_before.c", &["4"], 30),
    quiet("a lock made anew", "reinitialised.py", &["logging", "4"], 60),
    quiet("an executor", "executor.py", &["3"], 60),
    quiet("a multiprocessing pool", "pool.py", &["3"], 60),
    quiet("an heir with the lock", "held_in_child.py", &["heir_with", "4"], 60),
    hang("a mutex", "inherited_mutex.c", &["normal", "thread", "keep", "single", "12"], 60),
    hang("a Python lock", "lock_of_thread.py", &["Lock", "12"], 90),
    hang("a prefork server", "prefork.py", &["Lock", "accept", "3", "15"], 120),
];

/// What was found, and what should have been.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Programs run to their end.
    pub(crate) runs: u64,
    /// Children that said that they are stuck.
    pub(crate) hangs: u64,
    /// Those of them of which nothing was said.
    pub(crate) missed: Vec<String>,
    /// Findings about the others.
    pub(crate) false_alarms: Vec<String>,
    /// Findings about processes that are none of the load.
    pub(crate) foreign: u64,
}

/// The load under way.
pub(crate) struct Load {
    commands: Vec<Vec<String>>,
    running: Vec<(usize, Duration, Job)>,
    next: Vec<Duration>,
    told: BTreeSet<u64>,
    read: usize,
    pub(crate) found: Found,
}

impl Load {
    pub(crate) fn new() -> Result<Self> {
        let command = |row: &Row| match row.program {
            "sh" => Ok([&["sh"], row.args].concat().iter().map(|&word| word.into()).collect()),
            program => workload::command(program, row.args),
        };
        Ok(Load {
            commands: ROWS.iter().map(command).collect::<Result<_>>()?,
            running: Vec::new(),
            // Not all at once.
            next: (0..ROWS.len() as u64).map(Duration::from_secs).collect(),
            told: BTreeSet::new(),
            read: 0,
            found: Found::default(),
        })
    }

    /// Takes what the tracer said, ends what is over, and starts what is due.
    pub(crate) fn step(&mut self, now: Duration, said: &str) -> Result<()> {
        self.listen(said);
        self.settle(now)?;
        for (index, row) in ROWS.iter().enumerate() {
            if now < self.next[index] || self.running.iter().any(|(of, ..)| *of == index) {
                continue;
            }
            let mark = format!("{} {index}", std::process::id());
            let job = Job::start(&self.commands[index], &[(ROW, &mark)])?;
            self.running.push((index, now, job));
            self.next[index] = now + Duration::from_secs(row.every);
        }
        Ok(())
    }

    /// Lets what runs come to its end.
    pub(crate) fn finish(&mut self, said: &mut dyn FnMut() -> String) -> Result<()> {
        let start = std::time::Instant::now();
        while !self.running.is_empty() {
            ensure!(start.elapsed() < LIMIT, "the load does not end");
            self.listen(&said());
            self.settle(Duration::ZERO)?;
            std::thread::sleep(crate::LOOK);
        }
        Ok(())
    }

    fn settle(&mut self, now: Duration) -> Result<()> {
        for (index, since, mut job) in std::mem::take(&mut self.running) {
            let row = &ROWS[index];
            if !job.has_ended()? {
                ensure!(now.saturating_sub(since) < LIMIT, "`{}` does not end", row.name);
                self.running.push((index, since, job));
                continue;
            }
            let ended = job.wait(LIMIT).with_context(|| row.name)?;
            ended.expect_code(0).with_context(|| row.name)?;
            self.found.runs += 1;
            if row.hangs {
                let stuck: BTreeSet<u64> = Facts::read(&ended.stdout).all("stuck").collect();
                self.found.hangs += stuck.len() as u64;
                let missed = stuck.iter().filter(|pid| !self.told.contains(pid));
                self.found.missed.extend(missed.map(|pid| format!("{} [{pid}]", row.name)));
            }
        }
        Ok(())
    }

    /// Takes the findings that are new in what the tracer has said.
    fn listen(&mut self, said: &str) {
        let whole = said.rfind('\n').map_or(0, |end| end + 1);
        let new = said.get(self.read..whole).unwrap_or_default();
        self.read = whole.max(self.read);
        for pid in new.lines().filter_map(finding) {
            match row_of(pid) {
                Some(row) if row.hangs => _ = self.told.insert(pid),
                Some(row) => self.found.false_alarms.push(format!("{} [{pid}]", row.name)),
                None => self.found.foreign += 1,
            }
        }
    }
}

/// The process that a line of the tracer's says hangs: `HANG  comm[pid] has been stuck …` or
/// `HANG  comm[pid] thread tid has been stuck …`. Names may have brackets too.
fn finding(line: &str) -> Option<u64> {
    let (task, _) = line.strip_prefix("HANG ")?.rsplit_once(" has been stuck")?;
    task.rsplit_once('[')?.1.split_once(']')?.0.parse().ok()
}

/// The row that started a living process; `None`: it is not of this load.
fn row_of(pid: u64) -> Option<&'static Row> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mark = format!("{ROW}={} ", std::process::id());
    let mut variables = environment.split(|byte| *byte == 0);
    let index = variables.find_map(|variable| variable.strip_prefix(mark.as_bytes()))?;
    ROWS.get(std::str::from_utf8(index).ok()?.parse::<usize>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_as_they_are_printed() {
        let of = |task: &str| finding(&format!("HANG  {task} has been stuck for 1.3 s and cannot"));
        assert_eq!(of("server[10948]"), Some(10948));
        assert_eq!(of("a [b][10948] thread 77"), Some(10948));
        assert_eq!(finding("  held by     thread [1] has been stuck"), None);
    }
}
