//! Reading an event log as anybody else would: with a JSON reader and the schema's names only.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{FalseAlarm, left_out};

/// A recorded log.
#[derive(Debug)]
pub struct Log {
    lines: Vec<Value>,
}

/// A number field; large ones are strings in the log.
pub fn number(line: &Value, path: &str) -> Option<u64> {
    let value = line.pointer(path)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn kind(line: &Value) -> &str {
    line.get("type").and_then(Value::as_str).unwrap_or_default()
}

impl Log {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or a line is no JSON.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Log::parse(&text)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// When a line is no JSON.
    pub fn parse(text: &str) -> Result<Self> {
        let parse = |(number, line)| {
            serde_json::from_str(line).with_context(|| format!("line {number}: {line}"))
        };
        let lines = (1..).zip(text.lines()).map(parse).collect::<Result<_>>()?;
        Ok(Log { lines })
    }

    /// The lines of one type.
    pub fn of(&self, wanted: &str) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(move |line| kind(line) == wanted)
    }

    /// Fails unless the log has its first and last line, every line is numbered and of schema 1,
    /// and nothing was lost.
    ///
    /// # Errors
    /// When one of these is not so.
    pub fn expect_whole(&self) -> Result<()> {
        let first = self.lines.first().context("the log is empty")?;
        let last = self.lines.last().context("the log is empty")?;
        ensure!(kind(first) == "trace.start", "first line: {first}");
        ensure!(kind(last) == "trace.end", "last line: {last}");
        let mut latest = 0;
        for (line, seq) in self.lines.iter().zip(1..) {
            ensure!(number(line, "/seq") == Some(seq), "expected seq {seq}: {line}");
            ensure!(number(line, "/schema") == Some(1), "not schema 1: {line}");
            let timed = line.get("ts").is_some_and(Value::is_string);
            let at = number(line, "/boot_ns").unwrap_or_default();
            ensure!(timed && at > 0, "no time: {line}");
            ensure!(at >= latest, "the time goes back: {line}");
            latest = at;
        }
        if let Some(lost) = self.of("events.lost").next() {
            return Err(left_out::loss(self, lost));
        }
        ensure!(number(last, "/lost") == Some(0), "lost: {last}");
        Ok(())
    }

    /// The findings, each in its last form, in the order of their first.
    pub fn findings(&self) -> Vec<&Value> {
        let mut findings: Vec<(String, &Value)> = Vec::new();
        for line in self.of("finding") {
            // What hangs may hand out work too.
            let about = ["/pid", "/tid", "/lock/futex", "/severity"];
            let about = about.map(|path| line.pointer(path).unwrap_or(&Value::Null).to_string());
            let about = about.join(" ");
            match findings.iter_mut().find(|(known, _)| *known == about) {
                Some((_, known)) => *known = line,
                None => findings.push((about, line)),
            }
        }
        findings.into_iter().map(|(_, line)| line).collect()
    }

    /// The findings that are more than suspicions.
    pub fn sure_findings(&self) -> Vec<&Value> {
        let mut findings = self.findings();
        findings.retain(|line| line.get("confidence").is_none_or(|value| value != "suspect"));
        findings
    }

    /// Fails if there is a finding that is more than a suspicion.
    pub fn expect_nothing_sure(&self) -> Result<()> {
        Self::expect_none(&self.sure_findings())
    }

    /// Fails if there is a finding, or a suspicion of one.
    pub fn expect_no_finding(&self) -> Result<()> {
        Self::expect_none(&self.findings())
    }

    fn expect_none(findings: &[&Value]) -> Result<()> {
        match findings.is_empty() {
            true => Ok(()),
            false => Err(FalseAlarm::error(format!("{findings:#?}"))),
        }
    }

    /// All children that were forked, in order. A pid that was used again comes twice.
    pub fn children(&self) -> Vec<u64> {
        self.of("process.fork").filter_map(|line| number(line, "/child_pid")).collect()
    }

    /// All processes of the tree, by pid.
    pub fn processes(&self) -> BTreeSet<u64> {
        let alive = self.of("process.snapshot").filter_map(|line| number(line, "/pid"));
        alive.chain(self.children()).collect()
    }

    /// How often each pid ended: as the kernel says, or on kernels before 6.16, which do not say which
    /// thread is the last, when all that were seen to start have ended.
    fn ends(&self) -> BTreeMap<u64, usize> {
        let mut threads: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        // Where a kernel gives both for one end, their times are the same or next to it.
        let mut seen = BTreeSet::new();
        let mut ends = BTreeMap::new();
        for line in &self.lines {
            let Some((pid, tid)) = number(line, "/pid").zip(number(line, "/tid")) else { continue };
            let uid = line.get("proc_uid").map(Value::to_string).unwrap_or_default();
            let alive = threads.entry(uid.clone()).or_insert_with(|| BTreeSet::from([pid]));
            let ended = match kind(line) {
                "thread.start" => {
                    alive.extend(number(line, "/child_tid"));
                    false
                }
                "process.exec" => {
                    *alive = BTreeSet::from([pid]);
                    false
                }
                "thread.exit" => {
                    alive.remove(&tid);
                    line["group_dead"].is_null() && alive.is_empty()
                }
                other => other == "process.exit",
            };
            if ended && seen.insert((pid, uid)) {
                *ends.entry(pid).or_default() += 1;
            }
        }
        ends
    }

    /// Fails unless every child that was forked is seen to end, as often as it was forked.
    ///
    /// # Errors
    /// When one is missing.
    pub fn expect_all_ended(&self) -> Result<()> {
        let mut starts: BTreeMap<u64, usize> = BTreeMap::new();
        for child in self.children() {
            *starts.entry(child).or_default() += 1;
        }
        let ends = self.ends();
        let missing: Vec<u64> = starts
            .iter()
            .filter(|(pid, count)| ends.get(pid).is_none_or(|ends| ends < count))
            .map(|(pid, _)| *pid)
            .collect();
        ensure!(missing.is_empty(), "{} ends were not seen, of {missing:?}", missing.len());
        Ok(())
    }
}
