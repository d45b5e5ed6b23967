//! Logs that are mostly right: recorded ones, changed here and there. Bytes alone would hardly ever
//! get past the parser, and never as far as a finding.

use std::sync::OnceLock;

use arbitrary::{Arbitrary as _, Result, Unstructured};
use serde_json::{Value, json};

/// What is changed.
const RECORDED: [&str; 4] = [
    include_str!("../../tests/golden/mutex_of_thread.jsonl"),
    include_str!("../../tests/golden/python_lock.jsonl"),
    include_str!("../../tests/golden/python_rlock.jsonl"),
    include_str!("../../tests/golden/prefork.jsonl"),
];
/// The place of a log that is larger than all others.
const LARGEST: usize = 3;
/// Most changes and most lines, so that no input takes long.
const MOST_CHANGES: usize = 64;
const MOST_LINES: usize = 96;

/// Lines that the recorded logs do not have, or not so short.
const RARE: &str = include_str!("rare.jsonl");
/// Shorter than this a line is short, bytes, and longer than that it takes too long.
const SHORT: usize = 1000;
const LONG: usize = 2700;
/// Numbers, of those that a byte has, that stand for a line; the others for bytes as they are.
const KNOWN_LINES: usize = 192;
/// Most changes of one line.
const MOST_EDITS: usize = 8;

/// What a traced program, or whoever wrote a log, would like to be printed as it is.
const TEXTS: [&str; 24] = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]0;title\u{7}",
    "\u{9b}2J",
    "\u{202e}txt.exe\u{2066}",
    "a\r\nHANG b\n",
    "\"];x[label=\"\\",
    "\\",
    "\\\"",
    "=cmd|'/c calc'!A0",
    "@x,\"y\"",
    "-1+2",
    "]]>&lt;&amp;<b>",
    "'\"",
    "\u{0}",
    "\u{7f}\u{85}\u{2028}\u{2029}",
    "\u{fffe}\u{ffff}\u{e0041}",
    "../../../etc/passwd",
    "/proc/self/mem",
    "[heap]",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "acquire",
    "",
];

struct Line {
    value: Value,
    leaves: usize,
}

enum Written {
    Recorded(&'static Line, &'static str),
    Changed(Box<Value>),
    Bytes(Vec<u8>),
}

fn recorded() -> &'static [Vec<(Line, &'static str)>] {
    static LINES: OnceLock<Vec<Vec<(Line, &'static str)>>> = OnceLock::new();
    LINES.get_or_init(|| RECORDED.iter().map(|log| log.lines().map(known).collect()).collect())
}

/// The parts of a log by this recipe, and a number for what else is to be chosen.
pub(super) fn log(data: &[u8]) -> (Vec<Vec<u8>>, u64) {
    let mut u = Unstructured::new(data);
    let other = u64::from(u8::arbitrary(&mut u).unwrap_or(0));
    let mut lines = lines(u8::arbitrary(&mut u).unwrap_or(0));
    let compressed = other & 0xc0 == 0xc0;
    let mut cuts = Vec::new();
    for _ in 0..MOST_CHANGES {
        // Too few bytes for a change: the recipe is over.
        if u.is_empty() || change(&mut u, &mut lines, &mut cuts).is_err() {
            break;
        }
    }
    let mut parts = vec![Vec::new()];
    for (at, line) in lines.iter().enumerate() {
        if cuts.contains(&at) && parts.len() < 4 {
            parts.push(Vec::new());
        }
        let Some(part) = parts.last_mut() else { continue };
        match line {
            Written::Recorded(_, text) => part.extend_from_slice(text.as_bytes()),
            Written::Changed(value) => part.extend_from_slice(value.to_string().as_bytes()),
            Written::Bytes(bytes) => part.extend_from_slice(bytes),
        }
        part.push(b'\n');
    }
    if compressed {
        for part in &mut parts {
            *part = zstd::encode_all(part.as_slice(), 1).unwrap_or_default();
        }
    }
    (parts, other)
}

/// One line by this recipe: these very bytes, or a line with changes.
pub(super) fn line(data: &[u8]) -> Vec<u8> {
    let Some((which, rest)) = data.split_first() else { return Vec::new() };
    let all = known_lines();
    let Some((line, text)) = all.get(usize::from(*which)) else { return rest.to_vec() };
    let mut u = Unstructured::new(rest);
    let mut written = Written::Recorded(line, text);
    for _ in 0..MOST_EDITS {
        if u.is_empty() || edit(&mut u, Some(&mut written)).is_err() {
            break;
        }
    }
    match written {
        Written::Changed(value) => value.to_string().into_bytes(),
        Written::Recorded(..) | Written::Bytes(_) => text.as_bytes().to_vec(),
    }
}

/// Every line there is, the short ones more than once: they are read in a tenth of the time.
fn known_lines() -> &'static [(&'static Line, &'static str)] {
    static LINES: OnceLock<Vec<(&'static Line, &'static str)>> = OnceLock::new();
    static OTHERS: OnceLock<Vec<(Line, &'static str)>> = OnceLock::new();
    LINES.get_or_init(|| {
        let others = OTHERS.get_or_init(|| RARE.lines().map(known).collect());
        let recorded = recorded().iter().flatten();
        let all = recorded.chain(others).map(|(line, text)| (line, *text));
        let mut all: Vec<_> = all.filter(|(_, text)| text.len() < LONG).collect();
        all.sort_by_key(|(_, text)| text.len());
        let short = all.iter().filter(|(_, text)| text.len() < SHORT).copied();
        let short: Vec<_> = short.collect();
        all.extend(short.iter().cycle().take(KNOWN_LINES.saturating_sub(all.len())));
        all
    })
}

fn known(text: &'static str) -> (Line, &'static str) {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let leaves = leaves(&value);
    (Line { value, leaves }, text)
}

fn lines(which: u8) -> Vec<Written> {
    let all = recorded();
    // The largest takes ten times as long as the others.
    let which = if which < 8 { LARGEST } else { usize::from(which % 3) };
    let log = all.get(which).into_iter().flatten();
    log.map(|(line, text)| Written::Recorded(line, text)).collect()
}

/// Makes one change.
fn change(u: &mut Unstructured<'_>, lines: &mut Vec<Written>, cuts: &mut Vec<usize>) -> Result<()> {
    let what = u8::arbitrary(u)? % 24;
    let at = usize::from(u8::arbitrary(u)?).checked_rem(lines.len()).unwrap_or(0);
    match what {
        0..=13 => edit(u, lines.get_mut(at)),
        14 if !lines.is_empty() => {
            lines.remove(at);
            Ok(())
        }
        15 if lines.len() > 1 => {
            let other = usize::from(u8::arbitrary(u)?) % lines.len();
            lines.swap(at, other);
            Ok(())
        }
        16 => repeat(u, lines, at),
        17 if lines.len() < MOST_LINES => {
            let len = usize::from(u8::arbitrary(u)?).min(u.len());
            lines.insert(at, Written::Bytes(u.bytes(len)?.to_vec()));
            Ok(())
        }
        18 => {
            cuts.push(at);
            Ok(())
        }
        19 => {
            let bytes = match lines.get(at) {
                Some(Written::Recorded(_, text)) => text.as_bytes().to_vec(),
                Some(Written::Changed(value)) => value.to_string().into_bytes(),
                Some(Written::Bytes(bytes)) => bytes.clone(),
                None => return Ok(()),
            };
            let length = usize::from(u16::arbitrary(u)?).min(bytes.len());
            if let (Some(line), Some(bytes)) = (lines.get_mut(at), bytes.get(..length)) {
                *line = Written::Bytes(bytes.to_vec());
            }
            Ok(())
        }
        _ if lines.len() < MOST_LINES => {
            let log = recorded();
            let log = log.get(usize::from(u8::arbitrary(u)?) % log.len());
            let other =
                log.and_then(|log| Some(log.get(usize::from(u8::arbitrary(u).ok()?) % log.len())));
            if let Some(Some((line, text))) = other {
                lines.insert(at, Written::Recorded(line, text));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The same line again and again, each time about the next process.
fn repeat(u: &mut Unstructured<'_>, lines: &mut Vec<Written>, at: usize) -> Result<()> {
    let times = u64::from(u8::arbitrary(u)? % 32);
    let value = match lines.get(at) {
        Some(Written::Recorded(line, _)) => line.value.clone(),
        Some(Written::Changed(value)) => (**value).clone(),
        Some(Written::Bytes(_)) | None => return Ok(()),
    };
    let names: &[&str] = match u8::arbitrary(u)? % 4 {
        0 => &[],
        1 => &["child_pid", "child_tid"],
        2 => &["tid"],
        _ => &["pid", "tid", "child_pid"],
    };
    for time in (1..=times).rev() {
        if lines.len() >= MOST_LINES {
            break;
        }
        let mut value = value.clone();
        for name in names {
            if let Some(number) = value.get_mut(*name) {
                *number = json!(number.as_u64().unwrap_or(0).wrapping_add(time));
            }
        }
        lines.insert(at + 1, Written::Changed(Box::new(value)));
    }
    Ok(())
}

/// Changes one value of a line, or takes it away.
fn edit(u: &mut Unstructured<'_>, line: Option<&mut Written>) -> Result<()> {
    let Some(line) = line else { return Ok(()) };
    let (mut value, leaves) = match line {
        Written::Recorded(line, _) => (line.value.clone(), line.leaves),
        Written::Changed(value) => (std::mem::take(&mut **value), 0),
        Written::Bytes(_) => return Ok(()),
    };
    let leaves = if leaves == 0 { self::leaves(&value) } else { leaves };
    let which = usize::from(u16::arbitrary(u)?).checked_rem(leaves).unwrap_or(0);
    match replacement(u)? {
        Some(new) => {
            if let Some(old) = leaf(&mut value, &mut { which }) {
                *old = new;
            }
        }
        None => {
            remove(&mut value, &mut { which });
        }
    }
    *line = Written::Changed(Box::new(value));
    Ok(())
}

fn replacement(u: &mut Unstructured<'_>) -> Result<Option<Value>> {
    const NUMBERS: [i64; 10] =
        [0, 1, -1, -4, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 53, i64::MIN];
    Ok(Some(match u8::arbitrary(u)? % 20 {
        0..=2 => json!(*u.choose(&NUMBERS)?),
        3 => json!(u64::MAX.to_string()),
        4..=8 => json!(*u.choose(&TEXTS)?),
        9 | 10 => {
            let len = usize::from(u8::arbitrary(u)? % 32).min(u.len());
            json!(String::from_utf8_lossy(u.bytes(len)?))
        }
        11 => Value::Null,
        12 => return Ok(None),
        13 => json!(bool::arbitrary(u)?),
        14 => json!([]),
        15 => json!([{}, [[{"a": [1]}]]]),
        16 => json!(format!("{:#x}", u64::arbitrary(u)?)),
        17 => json!(u.choose(&TEXTS)?.repeat(usize::from(u8::arbitrary(u)?))),
        // A pid or tid of one of these logs, mostly.
        18 => {
            let log =
                recorded().first().and_then(|log| log.get(usize::from(u8::arbitrary(u).ok()?)));
            log.and_then(|(line, _)| line.value.get("tid")).cloned().unwrap_or(json!(7))
        }
        _ => json!(u32::arbitrary(u)?),
    }))
}

fn leaves(value: &Value) -> usize {
    match value {
        Value::Array(all) => all.iter().map(leaves).sum::<usize>() + 1,
        Value::Object(all) => all.values().map(leaves).sum::<usize>() + 1,
        _ => 1,
    }
}

/// The value with this number, in the order of reading.
fn leaf<'a>(value: &'a mut Value, number: &mut usize) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Array(all) => all.iter_mut().find_map(|value| leaf(value, number)),
        Value::Object(all) => all.values_mut().find_map(|value| leaf(value, number)),
        _ => None,
    }
}

/// Takes the value with this number away.
fn remove(value: &mut Value, number: &mut usize) -> bool {
    let Value::Object(all) = value else {
        *number = number.saturating_sub(leaves(value));
        return false;
    };
    *number = number.saturating_sub(1);
    let names: Vec<String> = all.keys().cloned().collect();
    for name in names {
        if *number == 0 {
            all.remove(&name);
            return true;
        }
        if all.get_mut(&name).is_some_and(|value| remove(value, number)) {
            return true;
        }
    }
    false
}
