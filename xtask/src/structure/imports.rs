//! Which rooms a source file names.
//!
//! The file is taken apart into tokens, so that words in texts and comments (a link in
//! documentation, for one) do not count, and paths in the arguments of macros do. Names are followed
//! from `crate::` and `super::` alone: an item that a room re-exports counts as that room's.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// One place that names something right under the crate's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) line: usize,
    /// The first name after the root, `*` for all of them.
    pub(super) room: String,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) imports: Vec<Import>,
    /// Its modules in files of their own that only tests build.
    pub(super) tests: Vec<String>,
}

/// Reads a file of the module at this depth: 0 for the root of the crate. Code that only tests
/// build is passed over.
pub(super) fn read(text: &str, depth: usize) -> Result<Source> {
    let tokens: TokenStream = text.parse().map_err(|error| anyhow!("no Rust: {error}"))?;
    let mut source = Source::default();
    source.walk(tokens, depth);
    Ok(source)
}

impl Source {
    fn walk(&mut self, tokens: TokenStream, depth: usize) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let Some((token, after)) = rest.split_first() {
            rest = after;
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if let Some((TokenTree::Group(attribute), after)) = rest.split_first()
                        && is_for_tests(attribute.stream())
                    {
                        rest = self.skip_item(after);
                    }
                }
                TokenTree::Ident(word) if word == "crate" => rest = self.path(rest, 0, word),
                TokenTree::Ident(word) if word == "super" => {
                    rest = self.path(rest, depth.saturating_sub(1), word);
                }
                TokenTree::Ident(word) if word == "mod" => {
                    if let [TokenTree::Ident(_), TokenTree::Group(body), after @ ..] = rest {
                        self.walk(body.stream(), depth + 1);
                        rest = after;
                    }
                }
                TokenTree::Group(group) => self.walk(group.stream(), depth),
                _ => {}
            }
        }
    }

    /// What follows a path's first word, which stands for the module at this depth. Gives what is
    /// left after the path.
    fn path<'a>(&mut self, rest: &'a [TokenTree], depth: usize, word: &Ident) -> &'a [TokenTree] {
        match rest {
            [TokenTree::Punct(a), TokenTree::Punct(b), after @ ..]
                if a.as_char() == ':' && b.as_char() == ':' =>
            {
                self.name(after, depth)
            }
            // Under another name it would be lost sight of.
            [TokenTree::Ident(next), ..] if next == "as" && depth == 0 => {
                self.imports.push(Import { line: word.span().start().line, room: "*".into() });
                rest
            }
            _ => rest,
        }
    }

    /// The part of a path that is looked up in the module at this depth.
    fn name<'a>(&mut self, rest: &'a [TokenTree], depth: usize) -> &'a [TokenTree] {
        let Some((token, after)) = rest.split_first() else { return rest };
        let room = match token {
            TokenTree::Ident(word) if word == "super" => {
                return self.path(after, depth.saturating_sub(1), word);
            }
            TokenTree::Ident(word) if word == "self" => return self.path(after, depth, word),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
                for tree in tokens.split(is_comma) {
                    self.name(tree, depth);
                }
                return after;
            }
            TokenTree::Ident(word) => word.to_string(),
            TokenTree::Punct(punct) if punct.as_char() == '*' => "*".into(),
            _ => return rest,
        };
        if depth == 0 {
            self.imports.push(Import { line: token.span().start().line, room });
        }
        after
    }

    /// Passes over the item that an attribute gives to tests: up to a semicolon or its body.
    fn skip_item<'a>(&mut self, mut rest: &'a [TokenTree]) -> &'a [TokenTree] {
        let mut module = None;
        while let Some((token, after)) = rest.split_first() {
            match (token, after) {
                (TokenTree::Ident(word), [TokenTree::Ident(name), ..]) if word == "mod" => {
                    module = Some(name.to_string());
                }
                (TokenTree::Punct(punct), _) if punct.as_char() == ';' => {
                    self.tests.extend(module);
                    return after;
                }
                (TokenTree::Group(group), _) if group.delimiter() == Delimiter::Brace => {
                    return after;
                }
                _ => {}
            }
            rest = after;
        }
        rest
    }
}

/// Whether an attribute is a `cfg` that holds in tests alone: `cfg(test)` or `cfg(all(test, ..))`.
fn is_for_tests(attribute: TokenStream) -> bool {
    let named = |tokens: &[TokenTree], name: &str| {
        tokens.iter().any(|token| matches!(token, TokenTree::Ident(word) if word == name))
    };
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    let [TokenTree::Ident(cfg), TokenTree::Group(condition)] = tokens.as_slice() else {
        return false;
    };
    let condition: Vec<TokenTree> = condition.stream().into_iter().collect();
    cfg == "cfg"
        && match condition.as_slice() {
            [TokenTree::Ident(all), TokenTree::Group(parts)] if all == "all" => {
                named(&parts.stream().into_iter().collect::<Vec<_>>(), "test")
            }
            [only] => named(std::slice::from_ref(only), "test"),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn rooms(text: &str, depth: usize) -> Vec<String> {
        read(text, depth).unwrap().imports.into_iter().map(|import| import.room).collect()
    }

    #[test]
    fn every_way_to_name_a_room_is_seen() {
        let cases: &[(&str, &[&str])] = &[
            ("use crate::event::Event;", &["event"]),
            ("use crate::{event::{self, Event}, log, model::*};", &["event", "log", "model"]),
            ("fn f() -> crate::log::Log { crate::event::now() }", &["log", "event"]),
            ("fn f() { assert_eq!(vec![crate::event::now()], []); }", &["event"]),
            ("macro_rules! m { () => { $crate::event::now() } }", &["event"]),
            ("use super::other::Thing;", &["other"]),
            ("use super::{own, super::kept};", &["own", "kept"]),
            ("mod inner { use super::super::other; use super::own; }", &["other"]),
            ("use self::super::other::Thing;", &["other"]),
            ("use crate::*; use crate as all;", &["*", "*"]),
            ("pub(in crate::event) fn f() {}", &["event"]),
            ("pub(crate) fn f() { self::g(); g(); own::crate_(); }", &[]),
            ("/// See [`crate::event`].\nfn f() { g(\"crate::event\") } // crate::event", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(rooms(text, 1), *expected, "{text}");
        }
    }

    #[test]
    fn what_is_above_is_counted_by_the_depth_of_the_file() {
        assert_eq!(rooms("use super::sibling;", 2), [""; 0]);
        assert_eq!(rooms("use super::super::other;", 2), ["other"]);
    }

    #[test]
    fn code_of_tests_is_passed_over() {
        let text = "#[cfg(test)] use crate::log;\n\
                    #[cfg(test)] #[path = \"x\"] mod tests;\n\
                    #[cfg(all(test, unix))] pub(crate) mod more;\n\
                    #[cfg(test)] mod inline { use crate::log; }\n\
                    #[cfg(any(test, unix))] use crate::event;\n\
                    #[cfg(not(test))] use crate::event;\n\
                    #[cfg(feature = \"test\")]\nuse crate::model;";
        let source = read(text, 1).unwrap();
        let lines: Vec<usize> = source.imports.iter().map(|import| import.line).collect();
        assert_eq!(lines, [5, 6, 8], "{source:?}");
        assert_eq!(source.tests, ["tests", "more"]);
    }

    #[test]
    fn what_is_no_rust_is_an_error() {
        assert!(read("fn f( {", 1).is_err());
    }
}
