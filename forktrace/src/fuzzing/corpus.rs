//! The corpora as ordinary tests: what fuzzing has reached stays reached, without a fuzzer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{fs, path::Path};

/// Runs a target over its corpus, and over what once broke it.
fn run(name: &str, target: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut ran = 0;
    for folder in ["corpus", "regressions"] {
        let Ok(entries) = fs::read_dir(fuzz.join(folder).join(name)) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let data = fs::read(&path).unwrap();
            let done = std::panic::catch_unwind(|| target(&data));
            assert!(done.is_ok(), "{name} fails on {}", path.display());
            ran += 1;
        }
    }
    assert!(ran > 0, "{name} has no corpus");
}

macro_rules! corpora {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name), super::$name);
            }
        )*
    };
}

corpora!(
    wire, tracefs, proc, stall, locks, elf, name, line, escape, picture, log, replay, page, table,
    generators, buffers
);
#[cfg(feature = "python")]
corpora!(python);
