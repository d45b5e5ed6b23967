//! How text looks, and how it is made harmless.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style as Look};
use forktrace_model::text;

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
        text::escape(text, |c| text::is_hostile(c) || (self.ascii && !c.is_ascii()))
    }
}
