//! How text looks, and how it is made harmless.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style as Look};

/// Width of a block where the terminal's is not known or larger, columns.
const BLOCK_WIDTH: usize = 100;
/// Below this, wrapping makes text harder to read instead of easier.
const LEAST_WIDTH: usize = 40;

/// How text is to look. The caller knows the terminal; nothing here asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether escape codes for colour are written.
    pub color: bool,
    /// Whether everything must be ASCII.
    pub ascii: bool,
    /// The width that is wanted, columns. `None`: any, as where no terminal is; then a lifecycle line is
    /// one line.
    pub width: Option<usize>,
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Dim,
    Strong,
    Good,
    Warning,
    Alarm,
}

impl Tone {
    /// The tone in a word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Dim => "dim",
            Tone::Strong => "strong",
            Tone::Good => "good",
            Tone::Warning => "warning",
            Tone::Alarm => "alarm",
        }
    }
}

impl Style {
    /// Columns of a block of text.
    pub(crate) fn block_width(self) -> usize {
        self.width.unwrap_or(BLOCK_WIDTH).clamp(LEAST_WIDTH, BLOCK_WIDTH)
    }

    /// `text` in the colour of `tone`.
    pub(crate) fn paint<'a>(self, tone: Tone, text: &'a str) -> Cow<'a, str> {
        if !self.color || tone == Tone::Plain {
            return Cow::Borrowed(text);
        }
        let look = match tone {
            Tone::Plain => Look::new(),
            Tone::Dim => Look::new().dimmed(),
            Tone::Strong => Look::new().bold(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warning => AnsiColor::Yellow.on_default().bold(),
            Tone::Alarm => AnsiColor::Red.on_default().bold(),
        };
        Cow::Owned(format!("{look}{text}{look:#}"))
    }

    /// `text` of a traced program, harmless and in the wanted character set.
    pub(crate) fn clean(self, text: &str) -> Cow<'_, str> {
        escape(text, |c| is_hostile(c) || (self.ascii && !c.is_ascii()))
    }
}

/// Makes a text harmless for terminals and line-based tools: control characters, line ends,
/// invisible characters and changes of direction become visible escapes such as `\x1b`.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    escape(text, is_hostile)
}

fn escape(text: &str, hostile: impl Fn(char) -> bool) -> Cow<'_, str> {
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
pub(crate) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Breaks `text` at spaces so that its first line has at most `first` characters and every other
/// one at most `rest`. A word longer than a line is left whole: it may be a path to be copied.
pub(crate) fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
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
