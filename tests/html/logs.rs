//! Logs to show, and the pages that are made from them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::forktrace;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A page in a folder of its own.
pub(crate) struct Page {
    pub(crate) file: PathBuf,
    _folder: TempDir,
}

impl Page {
    /// Changes what the page was told, for what no recorded log has.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Value)) -> Result<()> {
        let page = fs::read_to_string(&self.file)?;
        let (head, rest) = page.split_once("id=\"data\">").context("no data")?;
        let (data, tail) = rest.split_once("</script>").context("no end of the data")?;
        let mut data = serde_json::from_str(data)?;
        edit(&mut data);
        let data = data.to_string().replace('<', "\\u003c");
        Ok(fs::write(&self.file, format!("{head}id=\"data\">{data}</script>{tail}"))?)
    }
}

/// Exports a log as HTML.
pub(crate) fn page(log: &str) -> Result<Page> {
    let folder = tempfile::tempdir()?;
    let (from, file) = (folder.path().join("trace.jsonl"), folder.path().join("report.html"));
    fs::write(&from, log)?;
    let output = Command::new(forktrace()?)
        .args(["export", "--format", "html", "-o"])
        .args([&file, &from])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(Page { file, _folder: folder })
}

/// A log of a real run.
pub(crate) fn recorded(name: &str) -> Result<String> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../forktrace/tests/golden");
    let file = golden.join(format!("{name}.jsonl"));
    fs::read_to_string(&file).with_context(|| file.display().to_string())
}

/// The same with another text wherever the log has one of a traced program.
pub(crate) fn with_names(log: &str, text: &str) -> Result<String> {
    let mut changed = String::new();
    for line in log.lines() {
        let mut line: Value = serde_json::from_str(line)?;
        rename(&mut line, text);
        writeln!(changed, "{line}")?;
    }
    Ok(changed)
}

fn rename(value: &mut Value, text: &str) {
    const OF_PROGRAMS: [&str; 7] =
        ["comm", "by_comm", "filename", "exe", "file", "function", "symbol"];
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, text)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(old) if OF_PROGRAMS.contains(&name.as_str()) => {
                        *old = text.to_owned();
                    }
                    other => rename(other, text),
                }
            }
        }
        _ => {}
    }
}

/// A busy server: a master forks workers, each of which forks helpers that exec and end, `processes`
/// in all; after it the recorded hang of `mutex_of_thread`, so that there is a finding among them.
pub(crate) fn busy(processes: u32) -> Result<String> {
    const STEP_NS: u64 = 1_000_000;
    let recorded = recorded("mutex_of_thread")?;
    let mut lines = recorded.lines().map(serde_json::from_str::<Value>);
    let start = lines.next().context("an empty log")??;
    let begin = start["boot_ns"].as_u64().context("no time")?;
    let mut all = vec![start];
    let task = |at: u64, kind: &str, pid: u32, comm: &str, more: Value| {
        let mut line = json!({
            "schema": 1, "type": kind, "boot_ns": begin + at, "ts": "2026-11-24T23:09:49Z",
            "pid": pid, "tid": pid, "comm": comm, "proc_uid": "",
        });
        if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) {
            line.extend(more.clone());
        }
        line
    };
    let fork = |child: u32| json!({"child_pid": child, "clone_flags": "0x1200000"});
    let first = 1_000_000;
    let (mut at, mut made, mut worker) = (1, 1, first);
    while made < processes {
        let child = first + made;
        at += STEP_NS / 4;
        if made % 25 == 1 {
            worker = child;
            all.push(task(at, "process.fork", first, "master", fork(child)));
        } else {
            all.push(task(at, "process.fork", worker, "master", fork(child)));
            let path =
                json!({"old_tid": child, "filename": format!("/usr/bin/helper-{}", child % 40)});
            all.push(task(at + 1000, "process.exec", child, "helper", path));
            all.push(task(at + STEP_NS / 5, "process.exit", child, "helper", json!({})));
        }
        made += 1;
    }
    let shift = at + STEP_NS;
    for line in lines {
        let mut line = line?;
        later(&mut line, begin, shift);
        all.push(line);
    }
    let mut log = String::new();
    for (line, seq) in all.iter_mut().zip(1_u64..) {
        line["seq"] = json!(seq);
        writeln!(log, "{line}")?;
    }
    Ok(log)
}

/// Moves every time of the clock since boot.
fn later(value: &mut Value, begin: u64, shift: u64) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| later(value, begin, shift)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_time =
                    name.ends_with("_ns") && !["waited_ns", "min_wait_ns"].contains(&name.as_str());
                match value.as_u64().filter(|ns| is_time && *ns >= begin) {
                    Some(ns) => *value = json!(ns + shift),
                    None => later(value, begin, shift),
                }
            }
        }
        _ => {}
    }
}
