//! What must hold of everything that is written, whatever was read. Looked at with rules of their
//! own: nothing here calls what does the escaping.

use serde_json::Value;

/// Text for a terminal: lines of characters that a terminal shows. `colour`: with the codes of
/// colours and weights, and no other.
pub(crate) fn terminal(bytes: &[u8], colour: bool) {
    let Ok(text) = std::str::from_utf8(bytes) else { panic(bytes, "not UTF-8") };
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '\u{1b}' && colour {
            let code = rest.strip_prefix('[').and_then(|code| code.split_once('m'));
            match code {
                Some((code, after)) if code.bytes().all(|b| b.is_ascii_digit() || b == b';') => {
                    rest = after;
                }
                _ => panic(bytes, "an escape code that is no colour"),
            }
        } else if c != '\n' && is_unseen(c) {
            panic(bytes, &format!("the character {:#x}", u32::from(c)));
        }
    }
}

/// Controls (C0, DEL, C1), line and paragraph separators, and what changes the direction (UAX #9).
fn is_unseen(c: char) -> bool {
    matches!(u32::from(c),
        0..=0x1f | 0x7f..=0x9f | 0x61c | 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x2069)
}

/// JSON inside of a `script` element: valid, without `<`, and every text in it harmless.
pub(super) fn island(bytes: &[u8]) {
    assert!(!bytes.contains(&b'<'), "a < in the page's data");
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { panic(bytes, "no JSON") };
    texts(&value);
}

fn texts(value: &Value) {
    match value {
        Value::String(text) => terminal(text.as_bytes(), false),
        Value::Array(all) => all.iter().for_each(texts),
        Value::Object(all) => {
            for (name, value) in all {
                terminal(name.as_bytes(), false);
                texts(value);
            }
        }
        _ => {}
    }
}

/// DOT: one graph, texts in quotes that end where they should, and outside of them nothing but what
/// forktrace itself writes.
pub(super) fn dot(bytes: &[u8]) {
    terminal(bytes, false);
    let text = String::from_utf8_lossy(bytes);
    let (mut quoted, mut escaped, mut depth) = (false, false, 0);
    let mut outside = String::new();
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '\n' => assert!(!quoted, "a text that goes on in the next line"),
            _ if quoted => {}
            '{' => depth += 1,
            '}' => depth -= 1,
            c => outside.push(c),
        }
    }
    assert!(!quoted && !escaped && depth == 0 && text.trim_end().ends_with('}'), "{text}");
    assert_eq!(
        text.lines().filter(|line| line.contains('{') && line.starts_with("digraph")).count(),
        1
    );
    const WORDS: [&str; 15] = [
        "digraph",
        "forktrace",
        "rankdir",
        "LR",
        "node",
        "shape",
        "box",
        "style",
        "filled",
        "fillcolor",
        "white",
        "fontname",
        "label",
        "hidden",
        "plaintext",
    ];
    for word in outside.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
    {
        let number = word.strip_prefix('p').unwrap_or(word);
        let known = WORDS.contains(&word) || number.bytes().all(|b| b.is_ascii_digit());
        assert!(known, "{word:?} outside of any text:\n{text}");
    }
}

/// Inside of a label of DOT: a `\\` before every other `\\` and every `"`. Gives what it says.
pub(super) fn dot_label(escaped: &str) -> String {
    let (mut said, mut rest) = (String::new(), escaped.chars());
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('\\', Some(c @ ('\\' | '"'))) => {
                rest.next();
                said.push(c);
            }
            ('\\' | '"' | '\n', _) => panic(escaped.as_bytes(), "what ends or changes a label"),
            (c, _) => said.push(c),
        }
    }
    said
}

/// Inside of an element or attribute of XML 1.0: characters that it has, and references. Gives what
/// it says.
pub(super) fn xml_text(escaped: &str) -> String {
    references(escaped);
    for c in escaped.chars() {
        let known = matches!(c, ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert!(known && !matches!(c, '<' | '>' | '"' | '\''), "{c:?} in {escaped:?}");
    }
    // The ampersand last: what it makes is no reference.
    let all = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    all.iter().fold(escaped.to_owned(), |text, (name, c)| text.replace(name, c))
}

/// SVG: elements that forktrace writes, each closed, with attributes in quotes; nothing else.
pub(super) fn svg(bytes: &[u8]) {
    terminal(bytes, false);
    let text = String::from_utf8_lossy(bytes);
    let mut open = Vec::new();
    let mut rest = &*text;
    while let Some((before, after)) = rest.split_once('<') {
        references(before);
        let Some((tag, after)) = after.split_once('>') else { panic(bytes, "an open tag") };
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{text}");
            continue;
        }
        let (tag, alone) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split(' ').next().unwrap_or_default();
        assert!(["svg", "rect", "path", "text", "title"].contains(&name), "<{tag}>");
        assert!(!tag.contains('<') && tag.matches('"').count() % 2 == 0, "<{tag}>");
        for attribute in tag.split('"').step_by(2).flat_map(str::split_whitespace) {
            assert!(!attribute.starts_with("on") && !attribute.starts_with("href"), "<{tag}>");
        }
        if !alone {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{text}");
}

/// Every `&` begins one of the five that XML has, or a number.
fn references(text: &str) {
    for after in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
        assert!(known.iter().any(|name| after.starts_with(name)), "&{after}");
    }
}

/// CSV: a line for each row, each with all cells, none of which is a formula.
pub(super) fn csv(bytes: &[u8], rows: usize, columns: usize) {
    terminal(bytes, false);
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), rows + 1);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let mut read = 0;
    for row in reader.records() {
        let Ok(row) = row else { panic(bytes, "no CSV") };
        assert_eq!(row.len(), columns);
        for cell in &row {
            let number =
                cell.strip_prefix('-').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
            // A time before the year 0.
            let time = cell.strip_prefix('-').is_some_and(|n| n.ends_with('Z') && n.contains('T'));
            assert!(
                number || time || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
                "{cell:?}"
            );
        }
        read += 1;
    }
    assert_eq!(read, rows);
}

#[expect(clippy::panic, reason = "what a fuzzer looks for")]
fn panic(bytes: &[u8], what: &str) -> ! {
    panic!("{what} in {:?}", String::from_utf8_lossy(bytes))
}
