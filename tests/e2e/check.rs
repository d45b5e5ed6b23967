//! What a finding must say, and that text, log and report say the same.

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    corpus::{Case, Confidence, Hang, Holder, Traced, Truth},
    log::{Log, number},
    run::Ended,
    workload::{self, Facts},
};
use serde_json::Value;

/// The longest time from the block to the finding, ns. The threshold is one second, reading stacks
/// may take three; the rest is a slow machine's.
const LATEST_NS: u64 = 5_000_000_000;
/// The shortest: the threshold.
const EARLIEST_NS: u64 = 1_000_000_000;

/// The only finding that is more than a suspicion; with `of`, the only one of that thread.
pub(crate) fn one_finding(log: &Log, of: Option<u64>) -> Result<&Value> {
    let mut findings = log.sure_findings();
    findings.retain(|line| of.is_none() || number(line, "/tid") == of);
    // Who waits for work that nobody does may have been told of before it had waited for long.
    if findings.len() > 1 {
        findings.retain(|line| line["kind"] != "threads-lost");
    }
    match findings.as_slice() {
        [one] => Ok(*one),
        _ => {
            let waits: Vec<_> = log.of("futex.wait").chain(log.of("evidence")).collect();
            anyhow::bail!("{} findings instead of one: {findings:#?}\n{waits:#?}", findings.len())
        }
    }
}

/// Fails unless the finding says what the workload says of itself.
pub(crate) fn hang(finding: &Value, truth: Truth, facts: &Facts, program: &str) -> Result<()> {
    check(finding, (truth, None), facts, program).with_context(|| format!("{finding:#}"))
}

/// The same of a case, whose hang may have another name too.
pub(crate) fn case(finding: &Value, case: &Case, facts: &Facts) -> Result<()> {
    let check = check(finding, (case.truth, case.or), facts, case.program);
    check.with_context(|| format!("{finding:#}"))
}

/// Fails unless a row of the corpus has exactly this verdict (`None`: nothing above a suspicion), and the
/// findings say what the row and `also` demand.
pub(crate) fn row(
    case: &Case,
    expected: Option<Confidence>,
    traced: &Traced,
    also: impl Fn(&Value) -> Result<()>,
) -> Result<()> {
    let Traced { ended, log, facts } = traced;
    log.expect_all_ended()?;
    match expected {
        None => log.expect_nothing_sure()?,
        Some(expected) => {
            let verdict = traced.verdict(case);
            ensure!(verdict == Some(expected), "{verdict:?}: {:#?}", log.findings());
            for stuck in traced.named() {
                let finding = one_finding(log, Some(stuck))?;
                self::case(finding, case, facts)?;
                also(finding)?;
            }
        }
    }
    blocks(&ended.stdout, log)?;
    report(ended, log)
}

fn check(
    finding: &Value,
    (truth, or): (Truth, Option<&str>),
    facts: &Facts,
    program: &str,
) -> Result<()> {
    let hang = truth.hang().context("nothing hangs")?;
    let text = |path: &str| finding.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let detail = match truth {
        Truth::Shared(_) => Some("shared"),
        Truth::LostLock(_) => Some("file_lock"),
        Truth::Blocked(_) => Some("signals"),
        _ => None,
    };
    if let Some(detail) = detail {
        // Whoever used it first may stand for all.
        let also = facts.timed("also").filter_map(|(_, pid)| pid);
        let users: Vec<u64> = facts.all("stuck").chain(also).collect();
        let pid = number(finding, "/pid");
        ensure!(pid.is_some_and(|pid| users.contains(&pid)), "{pid:?} is none of {users:?}");
        ensure!(finding.get(detail).is_some_and(Value::is_object), "no {detail}");
        ensure!(!text("/advice").is_empty(), "no advice");
        return Ok(());
    }
    is_one_of(finding, "/pid", facts, "stuck")?;
    // The process that was traced first has no fork.
    let is_forked = finding.get("fork").is_some_and(Value::is_object);
    if is_forked || !matches!(truth, Truth::HeldOpen(_)) {
        is_one_of(finding, "/fork/by_pid", facts, "forker")?;
        is_one_of(finding, "/fork/threads_lost", facts, "lost")?;
    }
    if matches!(truth, Truth::LostWork(_)) {
        return work(finding, truth);
    }
    let waited = if finding.get("lock").is_some_and(Value::is_object) {
        // By its other name it has another lock, of which the workload says nothing.
        match Some(text("/kind")) == truth.kind() {
            true => lock(finding, truth, hang, facts)?,
            false => ensure!(or == Some(text("/kind")), "wrong kind"),
        }
        let waited = number(finding, "/waited_ns").unwrap_or_default();
        ensure!(waited < LATEST_NS, "waited {waited} ns");
        waited
    } else {
        // It has no lock, but a chain of who waits for whom.
        number(finding, "/stall/waited_ns").context("neither lock nor chain")?
    };
    ensure!(waited >= EARLIEST_NS, "waited {waited} ns");
    let said = |path| finding.pointer(path).is_some_and(|list| list != &Value::Array(Vec::new()));
    ensure!(said("/evidence") && !text("/advice").is_empty(), "no evidence or no advice");
    if hang.python {
        python(finding, program)?;
    }
    Ok(())
}

/// Fails unless a number of the finding is among those that the workload says.
fn is_one_of(finding: &Value, path: &str, facts: &Facts, fact: &str) -> Result<()> {
    let (found, wanted): (_, Vec<u64>) = (number(finding, path), facts.all(fact).collect());
    let one_of_them = found.is_some_and(|found| wanted.contains(&found));
    ensure!(one_of_them, "{path} is {found:?}, the workload's {fact} is {wanted:?}");
    Ok(())
}

fn lock(finding: &Value, truth: Truth, hang: Hang, facts: &Facts) -> Result<()> {
    let text = |path: &str| finding.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let is = |path, fact| is_one_of(finding, path, facts, fact);
    let is_named = finding.get("holder").is_some_and(|holder| !holder.is_null());
    match hang.holder {
        Holder::Known => is("/holder/tid", "holder")?,
        Holder::PerhapsKnown if is_named => is("/holder/tid", "holder")?,
        Holder::Unknown if matches!(truth, Truth::Inherited(_)) && facts.one("lost")? == 0 => {
            // The parent had one thread, so it can only have been that one.
            is("/holder/tid", "forker")?;
        }
        _ => ensure!(!is_named, "a holder that nobody knows"),
    }
    let is_right = hang.lock.is_empty() || text("/lock/kind") == hang.lock;
    ensure!(is_right, "not a {}", hang.lock);
    ensure!(text("/lock/address").starts_with("0x"), "no address");
    for address in facts.all("lock") {
        ensure!(text("/lock/address") == format!("{address:#x}"), "the lock is at {address:#x}");
    }
    Ok(())
}

/// What is said of work for a thread that is not there.
fn work(finding: &Value, truth: Truth) -> Result<()> {
    let text = |path: &str| finding.pointer(path).and_then(Value::as_str).unwrap_or_default();
    ensure!(Some(text("/kind")) == truth.kind(), "wrong kind");
    ensure!(text("/severity") == "corruption", "wrong severity");
    let signals = number(finding, "/threads/threads/0/work/signals").unwrap_or_default();
    ensure!(signals > 0 && !text("/advice").is_empty(), "no signal or no advice");
    Ok(())
}

fn python(finding: &Value, program: &str) -> Result<()> {
    let line = workload::hanging_line(program)?;
    let frames = finding.pointer("/python").or_else(|| finding.pointer("/stall/python"));
    let own = |frame: &&Value| {
        let file = frame.get("file").and_then(Value::as_str);
        file.is_some_and(|file| file.ends_with(program))
    };
    let frames = frames.and_then(Value::as_array);
    let frame = frames.into_iter().flatten().find(own).context("not a frame of its own")?;
    ensure!(number(frame, "/line") == Some(line), "not line {line}");
    Ok(())
}

/// The blocks of a text output: from a line with HANG, DATA or RISK to the next empty one.
pub(crate) fn hang_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        if ["HANG  ", "DATA  ", "RISK  "].iter().any(|label| line.starts_with(label)) {
            blocks.extend(open.replace(String::new()));
        } else if line.is_empty() {
            blocks.extend(open.take());
        }
        if let Some(block) = &mut open {
            block.push_str(line);
            block.push('\n');
        }
    }
    blocks.extend(open);
    without_what_became_surer(blocks)
}

/// Without the blocks of what a later block says with more confidence.
fn without_what_became_surer(blocks: Vec<String>) -> Vec<String> {
    let pid = |block: &str| block.split_once('[')?.1.split_once(']').map(|(pid, _)| pid.to_owned());
    let mut last: Vec<String> = Vec::new();
    for block in blocks {
        if block.contains("\n  surer ")
            && let Some(at) = last.iter().position(|before| pid(before) == pid(&block))
        {
            last.remove(at);
        }
        last.push(block);
    }
    last
}

/// Fails unless the text has a block for every finding of the log and no other.
pub(crate) fn blocks(text: &str, log: &Log) -> Result<()> {
    let (blocks, findings) = (hang_blocks(text), log.sure_findings());
    ensure!(blocks.len() == findings.len(), "{} HANG blocks: {blocks:#?}", blocks.len());
    for finding in findings {
        let pid = format!("[{}]", number(finding, "/pid").unwrap_or_default());
        let confidence = finding.get("confidence").and_then(Value::as_str).unwrap_or_default();
        let of_it = |block: &&String| block.contains(&pid) && block.contains(confidence);
        ensure!(blocks.iter().any(|block| of_it(&block)), "no block of {pid}: {blocks:#?}");
    }
    Ok(())
}

/// Fails unless `forktrace report` finds in the log what the live run found.
pub(crate) fn report(ended: &Ended, log: &Log) -> Result<()> {
    let live = hang_blocks(&ended.stdout);
    let again = hang_blocks(&ended.report(&["-q"])?.stdout);
    ensure!(live == again, "the report says {again:#?} instead of {live:#?}");
    let json = Log::parse(&ended.report(&["--json", "--suspects"])?.stdout)?;
    let essence = |log: &Log| -> Vec<String> {
        let fields = [
            "/kind",
            "/confidence",
            "/pid",
            "/tid",
            "/lock",
            "/holder",
            "/fork",
            "/python",
            "/stack",
            "/candidates",
        ];
        let of = |line: &&Value| fields.map(|path| line.pointer(path).cloned()).to_vec();
        log.findings().iter().map(|line| format!("{:?}", of(line))).collect()
    };
    let (live, again) = (essence(log), essence(&json));
    ensure!(live == again, "the report's findings are {again:#?} instead of {live:#?}");
    ensure!(json.processes() == log.processes(), "the report has another tree");
    Ok(())
}
