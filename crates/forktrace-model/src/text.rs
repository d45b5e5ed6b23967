//! Text for people, in its smallest parts: characters made harmless, lengths of time, numbers with
//! their nouns, lines of a width. What is said with them is made in the `report` room of `forktrace`.

use std::borrow::Cow;

/// Makes a text harmless for terminals and line-based tools: control characters, line ends,
/// invisible characters and changes of direction become visible escapes such as `\x1b`.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    escape(text, is_hostile)
}

/// Writes every character that is `hostile` as a visible escape.
pub fn escape(text: &str, hostile: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hostile) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            c if !hostile(c) => clean.push(c),
            c if c.is_ascii() => clean.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => clean.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(clean)
}

/// Unicode 16: controls; the bidirectional marks, embeddings and isolates of UAX #9; line and
/// paragraph separators; zero-width and other invisible format characters; tag characters.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Breaks `text` at spaces so that its first line has at most `first` characters and every other
/// one at most `rest`. A word longer than a line is left whole: it may be a path to be copied.
pub fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        let room = if lines.is_empty() { first } else { rest };
        if used > 0 && used + 1 + length > room {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A length of time: `450 ms`, `12.3 s`, `3 min 12 s`, `5 h 12 min`, `2 d 3 h`.
pub fn duration(ns: u64) -> String {
    let ms = ns / 1_000_000;
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..120 => format!("{s}.{} s", ms % 1000 / 100),
        120..7_200 => format!("{} min {} s", s / 60, s % 60),
        7_200..172_800 => format!("{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

/// A length of time in the same form, but none that is too short by what the form leaves out.
pub fn rounded_up(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    let last_figure_ms = match s {
        0 => 1,
        1..120 => 100,
        120..7_200 => 1_000,
        7_200..172_800 => 60_000,
        _ => 3_600_000,
    };
    duration(ns.saturating_add(last_figure_ms * 1_000_000 - 1))
}

/// A number with commas: `10,000`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun: `1 thread`, `10,000 threads`.
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_rounded_up_and_a_length_down() {
        const S: u64 = 1_000_000_000;
        for (ns, down, up) in [
            (1_000_000, "1 ms", "1 ms"),
            (1_000_001, "1 ms", "2 ms"),
            (1_340_000_000, "1.3 s", "1.4 s"),
            (119 * S + 950_000_000, "119.9 s", "2 min 0 s"),
            (200 * S + 1, "3 min 20 s", "3 min 21 s"),
            (7_201 * S, "2 h 0 min", "2 h 1 min"),
            (172_800 * S, "2 d 0 h", "2 d 0 h"),
        ] {
            assert_eq!((duration(ns).as_str(), rounded_up(ns).as_str()), (down, up), "{ns} ns");
        }
    }
}
