//! What a native frame is: part of the program, or of what a program stands on.

mod layer;
mod python;
mod symbol;

pub use layer::Layer;
pub use symbol::shortened;

use std::borrow::Cow;

use crate::event::stacks::Frame;

/// Where a call was made: the first of `calls` that is the program's own. `None`: no function is
/// known. `Some(None)`: all are of Python itself or of a library beneath the program.
pub fn call_site<'a>(calls: impl Iterator<Item = &'a Frame>) -> Option<Option<&'a Frame>> {
    let mut named = calls.filter(|frame| frame.symbol.is_some()).peekable();
    named.peek()?;
    Some(named.find(|frame| !frame.is_python() && !frame.is_beneath()))
}

impl Frame {
    /// `take (cache.c:41)`, `take (libcache.so)` or `libcache.so+0x1a2b`, generics shortened. Not
    /// sanitised.
    pub fn short(&self) -> String {
        self.named(|symbol| shortened(symbol))
    }

    /// The same with the whole name of the function.
    pub fn whole(&self) -> String {
        self.named(Cow::Borrowed)
    }

    fn named<'a>(&'a self, name: impl Fn(&'a str) -> Cow<'a, str>) -> String {
        let module = last_part(self.module.as_deref().unwrap_or("?"));
        let Some(symbol) = &self.symbol else {
            let offset = self.offset.unwrap_or(self.address);
            return format!("{module}+{offset:#x}");
        };
        if self.is_library() {
            return public_name(symbol).to_owned();
        }
        let symbol = name(symbol);
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{symbol} ({}:{line})", last_part(file)),
            (Some(file), None) => format!("{symbol} ({})", last_part(file)),
            (None, _) => format!("{symbol} ({module})"),
        }
    }

    /// Whether it is of the C library or the dynamic linker.
    pub fn is_library(&self) -> bool {
        is_libc(self.module.as_deref().unwrap_or_default())
    }

    /// Whether it is of what a program stands on: the C library, or the library of its language,
    /// which is mostly part of the program's own file.
    pub fn is_beneath(&self) -> bool {
        self.is_library() || self.symbol.as_deref().is_some_and(is_of_language)
    }

    /// Whether it is of the Python interpreter.
    pub fn is_python(&self) -> bool {
        let name = last_part(self.module.as_deref().unwrap_or_default());
        name.starts_with("python") || name.starts_with("libpython")
    }

    /// Whether it is the interpreter's own loop: what called it is Python code.
    pub fn is_interpreting(&self) -> bool {
        self.symbol.as_deref().is_some_and(|symbol| symbol.starts_with("_PyEval_"))
    }

    /// Whether it is where the program begins.
    pub fn is_start(&self) -> bool {
        self.symbol.as_deref() == Some("_start")
    }
}

/// Whether a file is the C library or the dynamic linker: glibc's, before and since 2.34, or musl's.
pub fn is_libc(path: &str) -> bool {
    let name = last_part(path);
    ["libc.so", "libc-2.", "libpthread", "ld-linux", "ld-musl", "libc.musl", "[vdso]"]
        .iter()
        .any(|begin| name.starts_with(begin))
}

/// The name under which programs know a function of glibc: its own ones begin with underscores, are
/// marked as one of several versions, or are the part that is split off for the case of a wait.
pub(crate) fn public_name(symbol: &str) -> &str {
    let name = symbol.trim_start_matches('_');
    let name = name.strip_prefix("GI_").unwrap_or(name).trim_start_matches('_');
    let name = name.strip_prefix("new_").unwrap_or(name);
    let name = name.strip_prefix("libc_").unwrap_or(name);
    let mut name = name;
    for end in ["64", "_slow", "_full", "_impl"] {
        name = name.strip_suffix(end).unwrap_or(name);
    }
    name
}

fn last_part(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a demangled function belongs to the library of Rust or C++, or to the crates of Rust's
/// other locks; also as a method of their types (`<std::sync::…>::lock`).
fn is_of_language(symbol: &str) -> bool {
    let symbol = symbol.trim_start_matches(['<', '&']);
    ["std::", "core::", "alloc::", "parking_lot::", "parking_lot_core::", "lock_api::", "__rust_"]
        .iter()
        .any(|begin| symbol.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHON: &str = "/usr/lib/libpython3.11.so.1.0";

    /// An empty `symbol` is an unknown one.
    fn frame(symbol: &str, module: &str, line: Option<(&str, u32)>) -> Frame {
        Frame {
            symbol: Some(symbol.to_owned()).filter(|symbol| !symbol.is_empty()),
            module: Some(module.into()),
            file: line.map(|(file, _)| file.into()),
            line: line.map(|(_, line)| line),
            ..Frame::default()
        }
    }

    #[test]
    fn functions_of_glibc_have_the_names_that_programs_use() {
        for (inner, public) in [
            ("___pthread_mutex_lock", "pthread_mutex_lock"),
            ("__GI___pthread_mutex_lock", "pthread_mutex_lock"),
            ("__new_sem_wait_slow64", "sem_wait"),
            ("__pthread_rwlock_wrlock_full64", "pthread_rwlock_wrlock"),
            ("__GI___libc_read", "read"),
            ("__GI___clock_nanosleep", "clock_nanosleep"),
            ("localtime_r", "localtime_r"),
            ("_", ""),
        ] {
            assert_eq!(public_name(inner), public);
        }
    }

    #[test]
    fn a_call_is_named_where_it_is_the_programs_own() {
        let site = |frame: Frame| call_site([frame].iter()).map(|site| site.map(Frame::short));
        let own = frame("hold", "/srv/app/server", Some(("cache.c", 7)));
        assert_eq!(site(own), Some(Some("hold (cache.c:7)".into())));
        assert_eq!(site(frame("PyThread_acquire_lock_timed", PYTHON, None)), Some(None));
        assert_eq!(site(frame("", "/srv/app/server", None)), None);
    }
}
