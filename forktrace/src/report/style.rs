//! Colour, width and character set of text.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style as Look};
use forktrace_model::text;

/// Widest block of text, columns. Also its width if the width of the terminal is unknown.
const BLOCK_WIDTH: usize = 100;
/// Narrowest block of text, columns: narrower text is hard to read.
const LEAST_WIDTH: usize = 40;

/// How text looks. The caller knows the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether escape codes for colour are written.
    pub color: bool,
    /// Whether only ASCII characters are written.
    pub ascii: bool,
    /// Width, columns. `None`: no limit, so that a lifecycle line is one line.
    pub width: Option<usize>,
    /// Whether a block has the whole stacks, however long they are.
    pub whole_stacks: bool,
    /// Whether lifecycle lines beyond some ten a second are counted instead of printed.
    pub counts_lines: bool,
}

/// The meaning of a text, which decides its colour.
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
    /// The name of the tone.
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

    /// What stands for something that is left out.
    pub(crate) fn dots(self) -> &'static str {
        if self.ascii { "..." } else { "…" }
    }

    /// The shortened name of a function, cleaned.
    pub(crate) fn name(self, name: &str) -> String {
        match self.ascii {
            true => self.clean(&name.replace('…', "...")).into_owned(),
            false => self.clean(name).into_owned(),
        }
    }

    /// `text` of a traced program, with control characters escaped, and others too if only ASCII is
    /// written.
    pub(crate) fn clean(self, text: &str) -> Cow<'_, str> {
        text::escape(text, |c| text::is_hostile(c) || (self.ascii && !c.is_ascii()))
    }
}
