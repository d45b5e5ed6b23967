//! The process tree for Graphviz.

use std::io::{self, Write};

use super::{Timeline, layout::Layout};
use crate::report::{count, duration, sanitize};
use forktrace_model::finding::Confidence;

/// Writes the tree; `suspects`: marking those too.
///
/// # Errors
/// When `w` cannot be written.
pub fn write(w: &mut impl Write, story: &Timeline, suspects: bool) -> io::Result<()> {
    let layout = Layout::new(story, suspects);
    writeln!(w, "digraph forktrace {{")?;
    writeln!(w, "  rankdir=LR;")?;
    writeln!(w, "  node [shape=box, style=filled, fillcolor=white, fontname=\"sans-serif\"];")?;
    for row in &layout.rows {
        let Some(process) = story.processes.get(row.process) else { continue };
        let lived = process.ended_ns.map(|end| end.checked_sub(process.began_ns));
        let life = match lived {
            None => "still running".to_owned(),
            Some(Some(ns)) if process.began_ns > 0 => format!("lived {}", duration(ns)),
            Some(_) => "ended".to_owned(),
        };
        let (hang, colour) = match row.finding {
            None => ("", "white"),
            Some(Confidence::Certain) => ("\\nHANG certain", "\"#ff9d9d\""),
            Some(Confidence::Likely) => ("\\nHANG likely", "\"#ffd27f\""),
            Some(Confidence::Suspect) => ("\\nHANG suspect", "\"#fff3b0\""),
        };
        writeln!(
            w,
            "  p{} [label=\"{}[{}]\\n{life}{hang}\", fillcolor={colour}];",
            row.process,
            escape(&process.comm),
            process.pid,
        )?;
        if let Some(above) = process.above {
            writeln!(w, "  p{above} -> p{};", row.process)?;
        }
    }
    if layout.hidden > 0 {
        let hidden = count(layout.hidden as u64);
        writeln!(w, "  hidden [label=\"and {hidden} more\", shape=plaintext];")?;
    }
    writeln!(w, "}}")
}

/// Inside a quoted string of DOT, where labels know escapes of their own.
pub(crate) fn escape(text: &str) -> String {
    sanitize(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_label() {
        assert_eq!(escape(r#"a"];x\"#), r#"a\"];x\\"#);
        assert_eq!(escape("\n\u{1b}"), r"\\n\\x1b");
    }
}
