//! `html`: one file that shows a trace, for a browser that is offline.
//!
//! The page asks nobody for anything and says so to the browser: its policy forbids every load, and
//! lets only the one style and the one script run whose hashes it names. What comes from traced
//! programs is in the page once, as JSON without any `<`, and the script puts it into the document
//! as text alone; the policy also forbids it to do otherwise (Trusted Types).

mod data;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Timeline;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
/// The zoom of d3 with what it is made from (vendor/README.md), then the page's own parts.
const SCRIPT: &str = concat!(
    "/*\n",
    include_str!("vendor/LICENSE"),
    "*/\n",
    include_str!("vendor/d3-dispatch.min.js"),
    include_str!("vendor/d3-timer.min.js"),
    include_str!("vendor/d3-ease.min.js"),
    include_str!("vendor/d3-color.min.js"),
    include_str!("vendor/d3-interpolate.min.js"),
    include_str!("vendor/d3-selection.min.js"),
    include_str!("vendor/d3-transition.min.js"),
    include_str!("vendor/d3-drag.min.js"),
    include_str!("vendor/d3-zoom.min.js"),
    "\n(() => {\n\"use strict\";\n",
    include_str!("script/words.js"),
    include_str!("script/data.js"),
    include_str!("script/tree.js"),
    include_str!("script/scale.js"),
    include_str!("script/draw.js"),
    include_str!("script/rows.js"),
    include_str!("script/findings.js"),
    include_str!("script/details.js"),
    include_str!("script/main.js"),
    "})();\n",
);

/// Writes the page.
///
/// # Errors
/// When `w` fails.
pub fn write(w: &mut impl Write, story: &Timeline) -> io::Result<()> {
    let policy = policy();
    let mut rest = PAGE;
    for (mark, text) in [("{{policy}}", policy.as_str()), ("{{style}}", STYLE)] {
        rest = before(w, rest, mark)?;
        w.write_all(text.as_bytes())?;
    }
    rest = before(w, rest, "{{data}}")?;
    data_island(w, story)?;
    rest = before(w, rest, "{{script}}")?;
    w.write_all(SCRIPT.as_bytes())?;
    w.write_all(rest.as_bytes())
}

/// Writes the one place of the page that holds what comes from traced programs.
pub(crate) fn data_island(w: &mut impl Write, story: &Timeline) -> io::Result<()> {
    island(w, &data::Data::new(story))
}

/// Writes a value as JSON that nothing in it leaves.
pub(crate) fn island(w: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    Ok(serde_json::to_writer(NoTags(w), value)?)
}

/// Writes what stands before the mark, and returns what stands behind it.
fn before<'a>(w: &mut impl Write, text: &'a str, mark: &str) -> io::Result<&'a str> {
    // Each mark is in the page: a test reads it.
    let (head, tail) = text.split_once(mark).unwrap_or((text, ""));
    w.write_all(head.as_bytes())?;
    Ok(tail)
}

fn policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(SCRIPT),
        hash(STYLE),
    )
}

/// JSON for inside of a `script` element, which nothing but a `<` could end or change the meaning of
/// (HTML, "restrictions for contents of script elements"). In JSON it occurs in strings alone.
struct NoTags<W>(W);

impl<W: Write> Write for NoTags<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
            let (head, tail) = rest.split_at(at);
            self.0.write_all(head)?;
            self.0.write_all(b"\\u003c")?;
            rest = tail.get(1..).unwrap_or_default();
        }
        self.0.write_all(rest)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
