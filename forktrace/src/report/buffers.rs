//! The rows about buffers whose content several processes write.

use forktrace_model::{
    event::{Buffer, BufferSide, BufferState},
    finding::{BuffersDetail, Confidence, Fact, Finding},
};

use super::{Style, plural};

/// Most processes, and buffers beside the first, that are named.
const SIDES: usize = 6;
const OTHERS: usize = 3;

/// The first sentence about a finding: `worker[71] and its parent server[70] both wrote the same 120 bytes`.
pub(super) fn header(finding: &Finding, detail: &BuffersDetail, style: Style) -> String {
    let sides = detail.found.first().map(|buffer| buffer.sides.as_slice()).unwrap_or_default();
    let bytes = detail.found.first().map_or(0, |buffer| buffer.bytes);
    let own = format!("{}[{}]", style.clean(&finding.subject.comm), finding.subject.pid);
    let others = sides.iter().filter(|side| side.pid != finding.subject.pid);
    // The one that says most about who else writes it.
    let writes = others.clone().filter(|side| side.state == BufferState::Written).count();
    let other = others.clone().find(|side| side.state == BufferState::Written);
    let other = other.or_else(|| others.clone().next());
    let other = other.map_or("another process".into(), |side| {
        let parent = if side.pid == finding.subject.ppid { "its parent " } else { "" };
        format!("{parent}{}", name(side, style))
    });
    let more = match writes.saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {}", plural(more as u64, "other", "others")),
    };
    let bytes = plural(bytes, "byte", "bytes");
    match finding.confidence {
        Confidence::Certain => format!("{own} and {other}{more} wrote the same {bytes} of output"),
        Confidence::Likely if detail.ended => {
            format!("{own} wrote {bytes} of output that {other} had in its buffer too")
        }
        Confidence::Likely => format!("{own} and {other} write the same {bytes} of output"),
        Confidence::Suspect => format!("{own} and {other} may write the same {bytes} of output"),
    }
}

/// Label and text of the rows about the buffers.
pub(super) fn rows(detail: &BuffersDetail, style: Style) -> Vec<(&'static str, String)> {
    let Some((first, others)) = detail.found.split_first() else { return Vec::new() };
    let mut rows = vec![("buffer", about(first, style)), ("since then", since(first, style))];
    let mut label = "and";
    for other in others.iter().take(OTHERS) {
        rows.push((label, format!("{}: {}", about(other, style), since(other, style))));
        label = "";
    }
    if let Some(hidden) = others.len().checked_sub(OTHERS).filter(|hidden| *hidden > 0) {
        rows.push((label, plural(hidden as u64, "more buffer", "more buffers")));
    }
    rows
}

/// What it is, and where it writes to.
fn about(buffer: &Buffer, style: Style) -> String {
    let fd = match buffer.fd {
        Some(0) => " for standard input".into(),
        Some(1) => " for standard output".into(),
        Some(2) => " for standard error".into(),
        Some(fd) => format!(" for descriptor {fd}"),
        None => String::new(),
    };
    let file = buffer.file.as_ref().map(|file| format!(" ({})", style.clean(file)));
    format!(
        "{}{fd}{}, with {} not written at the fork",
        buffer.kind,
        file.unwrap_or_default(),
        plural(buffer.bytes, "byte", "bytes")
    )
}

/// What each process did with it.
fn since(buffer: &Buffer, style: Style) -> String {
    let one = |side: &BufferSide| {
        let did = match side.state {
            BufferState::Unknown => "is not known to have written them",
            BufferState::Same => "still has them",
            BufferState::Touched => "has used the buffer",
            BufferState::Added => "has added to them",
            BufferState::Emptied => "no longer has them",
            BufferState::Written => "has written them",
        };
        format!("{} {did}", name(side, style))
    };
    let shown: Vec<String> = buffer.sides.iter().take(SIDES).map(one).collect();
    let more = match buffer.sides.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    format!("{}{more}", shown.join("; "))
}

/// What was found of a buffer, as a sentence.
pub(super) fn proof(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::UnwrittenAtFork { bytes } => {
            format!("the buffer had {} in it at the fork", plural(*bytes, "byte", "bytes"))
        }
        Fact::WroteInherited { processes } => format!(
            "{} written them out since",
            plural(*processes, "process has", "processes have")
        ),
        Fact::LeftByExit {} => {
            "the process ended by exit() or by returning from main, which writes all buffers".into()
        }
        Fact::AddedToInherited {} => {
            "the process has added to the buffer: it writes all of it, or loses its own text".into()
        }
        Fact::NoLongerInBuffer {} => "the bytes are no longer in its buffer".into(),
        Fact::MayLeaveWithout {} => {
            "it may end by _exit(), by exec or by a signal, and write nothing".into()
        }
        Fact::OtherMayNotWrite {} => {
            "no other process was seen to write them yet: it may end by _exit() or a signal".into()
        }
        _ => return None,
    })
}

fn name(side: &BufferSide, style: Style) -> String {
    format!("{}[{}]", style.clean(&side.comm), side.pid)
}
