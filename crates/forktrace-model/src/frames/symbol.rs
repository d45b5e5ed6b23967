//! Names of functions for people: what generic functions were made for is left out.

use std::borrow::Cow;

/// Most characters of a name. A longer one loses its outer modules.
const MOST: usize = 96;

/// A demangled name without what makes it long: the arguments of generics become `<…>`, hashes go, and
/// of a very long name the last parts stay. Names of Go, whose generics are in brackets, stay as they
/// are.
pub fn shortened(symbol: &str) -> Cow<'_, str> {
    let short = match symbol.contains(['<', '[']) || symbol.contains("::h") {
        true => Cow::Owned(without_hash(&without_arguments(symbol)).to_owned()),
        false => Cow::Borrowed(symbol),
    };
    match short.chars().count() > MOST {
        true => Cow::Owned(last_parts(&short)),
        false => short,
    }
}

/// Leaves out the arguments of generics, and the hash of a crate (`core[846817f741e54dfd]`).
fn without_arguments(symbol: &str) -> String {
    let mut text = String::with_capacity(symbol.len());
    let mut rest = symbol;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            // `operator<`, `operator<<`, `operator<=>`.
            '<' if text.ends_with("operator") => {
                let end = after.find(|c| !matches!(c, '<' | '=' | '>')).unwrap_or(after.len());
                text.push('<');
                text.push_str(after.get(..end).unwrap_or_default());
                after.get(end..).unwrap_or_default()
            }
            // The type of a method, as in `<Mutex<T>>::lock` and `<T as Trait>::call`: it stays.
            '<' if text.is_empty() => {
                let (inside, end) = split_at_end(after);
                text.push('<');
                text.push_str(&without_arguments(inside));
                text.push('>');
                end
            }
            '<' => {
                let (_, end) = split_at_end(after);
                text.push_str("<…>");
                end
            }
            '[' if let Some((inside, end)) = after.split_once(']')
                && inside.len() >= 12
                && inside.chars().all(|c| c.is_ascii_hexdigit()) =>
            {
                end
            }
            c => {
                text.push(c);
                after
            }
        };
    }
    text
}

/// What is before the `>` that ends a list of arguments, and what is after it.
fn split_at_end(text: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            // Of `->`.
            '>' if before == '-' => {}
            '>' if depth == 0 => {
                return (
                    text.get(..at).unwrap_or_default(),
                    text.get(at + 1..).unwrap_or_default(),
                );
            }
            '>' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    (text, "")
}

/// Without the hash that ends a name of Rust's earlier mangling (`::h0123456789abcdef`).
fn without_hash(symbol: &str) -> &str {
    match symbol.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()) => {
            name
        }
        _ => symbol,
    }
}

/// The last parts of a name that fit.
fn last_parts(symbol: &str) -> String {
    // `<…::Stdout as …::Write>::write` of the type and the trait of a method.
    if let Some(after) = symbol.strip_prefix('<') {
        let (inside, method) = split_at_end(after);
        let last = |path: &str| match path.rsplit_once("::") {
            Some((_, name)) => format!("…::{name}"),
            None => path.to_owned(),
        };
        let names: Vec<_> = inside.split(" as ").map(last).collect();
        let short = format!("<{}>{method}", names.join(" as "));
        if short.chars().count() <= MOST {
            return short;
        }
    }
    let length = symbol.chars().count();
    let cut = symbol.char_indices().nth(length.saturating_sub(MOST - 3)).map_or(0, |(at, _)| at);
    let end = symbol.get(cut..).unwrap_or_default();
    match end.split_once("::") {
        Some((_, parts)) => format!("…::{parts}"),
        None => format!("…{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_generics_and_hashes_are_left_out() {
        for (whole, short) in [
            ("pthread_mutex_lock", "pthread_mutex_lock"),
            ("<std::sync::Mutex<T>>::lock", "<std::sync::Mutex<…>>::lock"),
            (
                "<rayon::vec::IntoIter<app::Job<u8>> as rayon::iter::Parallel>::with::<F<fn() -> u8>>",
                "<rayon::vec::IntoIter<…> as rayon::iter::Parallel>::with::<…>",
            ),
            ("core[846817f741e54dfd]::slice::sort", "core::slice::sort"),
            ("app::pool::run::h0123456789abcdef", "app::pool::run"),
            ("app::pool::handle", "app::pool::handle"),
            ("std::vector<int, std::allocator<int>>::push_back", "std::vector<…>::push_back"),
            ("app::operator<< <int>", "app::operator<< <…>"),
            ("app::Key::operator<", "app::Key::operator<"),
            ("std::function<void (int)>::operator()", "std::function<…>::operator()"),
            ("app::Ptr<T>::operator->", "app::Ptr<…>::operator->"),
            ("main.Map[go.shape.int]", "main.Map[go.shape.int]"),
            ("main.(*Server).Serve", "main.(*Server).Serve"),
            ("<unclosed", "<unclosed>"),
        ] {
            assert_eq!(shortened(whole), short);
        }
    }

    #[test]
    fn a_very_long_name_keeps_its_last_parts() {
        let long = format!("{}::worker::run", "module::".repeat(30));
        let short = shortened(&long).into_owned();
        assert!(short.chars().count() <= MOST && short.ends_with("::worker::run"), "{short}");
        assert!(short.starts_with("…::module"), "{short}");
        let method = format!("<{}::Log as {}::Write>::write", "a".repeat(50), "b".repeat(50));
        assert_eq!(shortened(&method), "<…::Log as …::Write>::write");
        let plain = "x".repeat(4096);
        assert_eq!(shortened(&plain).chars().count(), MOST - 2);
    }
}
