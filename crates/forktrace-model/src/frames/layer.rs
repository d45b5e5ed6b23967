//! To what a native frame belongs: the program, its language's library, or another known library.
//!
//! One table, [`LIBRARIES`]. A library that is linked into the program is known by its functions, one
//! with a file of its own by that file.

use std::borrow::Cow;

use super::last_part;
use crate::event::stacks::Frame;

/// To what a frame belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer<'a> {
    /// The program itself, or a library that is not known.
    Program,
    /// The C library, the loader, or the library of a language: [`Frame::is_beneath`], and where a
    /// program begins.
    Language,
    /// A library or an interpreter, by this name.
    Library(Cow<'a, str>),
}

/// A library, and how to know its frames.
struct Library {
    /// Its name.
    name: &'static str,
    /// How its functions begin, demangled and without `<` and `&` before them.
    functions: &'static [&'static str],
    /// How the names of its files begin.
    files: &'static [&'static str],
}

const fn library(
    name: &'static str,
    functions: &'static [&'static str],
    files: &'static [&'static str],
) -> Library {
    Library { name, functions, files }
}

/// The known libraries. Crates of Rust go by their root module, libraries of C++ by their namespace, Go's
/// own packages by their import path, and files by the names that their projects install.
#[rustfmt::skip]
static LIBRARIES: &[Library] = &[
    // Runtimes and interpreters.
    library("Python", &["pyo3::", "pybind11::"], &["libpython", "python"]),
    library("Ruby", &[], &["libruby", "ruby"]),
    library("V8", &["v8::", "node::"], &["libnode"]),
    library("JVM", &[], &["libjvm", "libjli", "libjava", "libnio", "libnet."]),
    library(".NET", &[], &["libcoreclr", "libclrjit", "libhostfxr", "libhostpolicy"]),
    library("PHP", &[], &["php", "libphp"]),
    library("Perl", &[], &["libperl", "perl"]),
    library("Go's runtime", &["runtime.", "runtime/", "internal/runtime/", "sync.", "internal/sync."], &[]),
    // Rust.
    library("rayon", &["rayon::", "rayon_core::"], &[]),
    library("tokio", &["tokio::", "mio::"], &[]),
    library("crossbeam", &["crossbeam::", "crossbeam_channel::", "crossbeam_deque::",
                           "crossbeam_epoch::", "crossbeam_utils::"], &[]),
    library("futures", &["futures::", "futures_util::", "futures_executor::", "futures_core::"], &[]),
    library("async-std", &["async_std::", "async_executor::", "async_io::"], &[]),
    library("once_cell", &["once_cell::"], &[]),
    library("hyper", &["hyper::", "hyper_util::", "h2::"], &[]),
    // C and C++.
    library("folly", &["folly::"], &["libfolly"]),
    library("Abseil", &["absl::"], &["libabsl_"]),
    library("Boost", &["boost::"], &["libboost_"]),
    library("TBB", &["tbb::", "oneapi::tbb::"], &["libtbb"]),
    library("OpenMP", &["GOMP_", "gomp_", "__kmp", "__kmpc_"], &["libgomp", "libomp", "libiomp"]),
    library("gRPC", &["grpc::", "grpc_core::", "grpc_event_engine::"], &["libgrpc", "cygrpc."]),
    library("Qt", &[], &["libQt"]),
    library("GLib", &[], &["libglib-", "libgio-", "libgobject-", "libgthread-"]),
    library("jemalloc", &["je_", "_rjem_"], &["libjemalloc"]),
    library("spdlog", &["spdlog::"], &["libspdlog"]),
];

/// Folders of libraries that a system or a distribution installs.
const SYSTEM: [&str; 4] = ["/usr/lib", "/lib", "/usr/local/lib", "/nix/store"];

impl Frame {
    /// To what it belongs.
    pub fn layer(&self) -> Layer<'_> {
        let is_of_language = self.file.as_deref().is_some_and(is_source_of_language);
        if self.is_beneath() || self.is_start() || is_runtime_of_cxx(self) || is_of_language {
            return Layer::Language;
        }
        let symbol = self.symbol.as_deref().unwrap_or_default().trim_start_matches(['<', '&']);
        let path = self.module.as_deref().unwrap_or_default();
        let file = last_part(path);
        let known = LIBRARIES.iter().find(|library| {
            library.functions.iter().any(|begin| symbol.starts_with(begin))
                || library.files.iter().any(|begin| is_file(file, begin))
        });
        if let Some(known) = known {
            return Layer::Library(Cow::Borrowed(known.name));
        }
        if let Some(name) = self.file.as_deref().and_then(of_registry) {
            return Layer::Library(Cow::Borrowed(name));
        }
        match SYSTEM.iter().any(|folder| path.starts_with(folder)) {
            true => of_system(file).map_or(Layer::Program, |name| Layer::Library(name.into())),
            false => Layer::Program,
        }
    }
}

/// Whether a source file is of the library of Rust, as it was built or as rustup installs it, or of that
/// of C++. Debug information has the names of inlined functions without their modules.
fn is_source_of_language(file: &str) -> bool {
    let rust = file.starts_with("/rustc/") && file.contains("/library/");
    rust || file.contains("/rustlib/src/rust/library/") || file.contains("/include/c++/")
}

/// Whether a file's name begins with these words: `python3.11` does with `python`, `pythonic` does not.
fn is_file(file: &str, begin: &str) -> bool {
    let ends_word = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphabetic());
    let open = begin.ends_with(['_', '.']);
    file.strip_prefix(begin).is_some_and(|rest| open || ends_word(rest))
}

/// Whether it is of the library of C++, by its file.
fn is_runtime_of_cxx(frame: &Frame) -> bool {
    let name = last_part(frame.module.as_deref().unwrap_or_default());
    ["libstdc++", "libc++", "libgcc_s"].iter().any(|begin| name.starts_with(begin))
}

/// The crate or module of a source file that a package manager fetched: Cargo's
/// `registry/src/index…/rayon-1.10.0/src/…`, Go's `pkg/mod/github.com/a/b@v1.2.3/…`.
fn of_registry(file: &str) -> Option<&str> {
    if let Some((_, rest)) = file.split_once("/registry/src/") {
        let package = rest.split('/').nth(1)?;
        let is_version = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        let dash = package
            .match_indices('-')
            .find(|(at, _)| package.get(at + 1..).is_some_and(is_version))?;
        return package.get(..dash.0);
    }
    let (_, rest) = file.split_once("/pkg/mod/")?;
    let module = rest.split('@').next()?;
    module.rsplit('/').next()
}

/// `glib-2.0` of `libglib-2.0.so.0`; `None` for a program.
fn of_system(file: &str) -> Option<String> {
    let (name, rest) = file.split_once(".so")?;
    let is_library = rest.is_empty() || rest.starts_with('.');
    is_library.then(|| name.strip_prefix("lib").unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(symbol: &str, module: &str, file: Option<&str>) -> String {
        let frame = Frame {
            symbol: Some(symbol.to_owned()),
            module: Some(module.to_owned()),
            file: file.map(str::to_owned),
            ..Frame::default()
        };
        match frame.layer() {
            Layer::Program => "program".into(),
            Layer::Language => "language".into(),
            Layer::Library(name) => name.into_owned(),
        }
    }

    #[test]
    fn frames_belong_to_the_program_or_to_what_is_below_it() {
        const APP: &str = "/srv/app/server";
        for (symbol, module, expected) in [
            ("server::main", APP, "program"),
            ("handle", "/srv/app/libcache.so", "program"),
            ("main", "/usr/lib/postgresql/15/bin/postgres", "program"),
            ("<rayon::vec::IntoIter<T> as rayon::iter::ParallelIterator>::drive", APP, "rayon"),
            ("<server::Job as rayon_core::job::Job>::execute", APP, "program"),
            ("rayon_core::join::join_context::<A, B>", APP, "rayon"),
            ("crossbeam_channel::context::Context::wait_until", APP, "crossbeam"),
            ("std::thread::park", APP, "language"),
            ("std::condition_variable::wait", "/usr/lib/libstdc++.so.6", "language"),
            ("__gxx_personality", "/usr/lib/libstdc++.so.6", "language"),
            ("folly::EventBase::loop", APP, "folly"),
            ("runtime.futex", APP, "Go's runtime"),
            ("main.worker", APP, "program"),
            ("synchronise", APP, "program"),
            ("main", "/srv/app/pythonic", "program"),
            ("g_main_loop_run", "/usr/lib/x86_64-linux-gnu/libglib-2.0.so.0", "GLib"),
            ("rd_kafka_flush", "/usr/lib/librdkafka.so.1", "rdkafka"),
            ("_PyEval_EvalFrameDefault", "/usr/bin/python3.11", "Python"),
            ("pyo3::impl_::trampoline::trampoline", "/x/_polars.abi3.so", "Python"),
            ("polars_stream::execute", "/x/_polars.abi3.so", "program"),
            ("pthread_mutex_lock", "/usr/lib/x86_64-linux-gnu/libc.so.6", "language"),
        ] {
            assert_eq!(layer(symbol, module, None), expected, "{symbol} of {module}");
        }
    }

    #[test]
    fn fetched_sources_name_their_package() {
        let of = |file: &str| layer("x::y", "/srv/app/server", Some(file));
        let index = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
        assert_eq!(of(&format!("{index}/async-channel-2.3.1/src/lib.rs")), "async-channel");
        assert_eq!(of("/home/u/go/pkg/mod/github.com/segmentio/kafka-go@v0.4.1/w.go"), "kafka-go");
        assert_eq!(of("/src/server/registry.rs"), "program");
        assert_eq!(of("/rustc/59807616e1/library/std/src/panicking.rs"), "language");
        assert_eq!(of("/usr/include/c++/12/bits/std_mutex.h"), "language");
    }
}
