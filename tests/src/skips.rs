//! Tests that were skipped: how many, why, and the command that brings what they lack.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{
    is_root,
    need::{Install, Missing},
};

/// The skipped tests of one test program or of several.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skips {
    /// How many tests, by the reason.
    reasons: BTreeMap<String, usize>,
    /// Debian's packages that bring what is missing.
    packages: BTreeSet<String>,
    /// Whether `cargo xtask pythons` brings some of it.
    pythons: bool,
}

/// What test programs hand on in the file that `FORKTRACE_TESTS_SKIPPED` names.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sum {
    skips: Skips,
    /// What is to be said of them, for `cargo xtask test`.
    line: String,
    /// What is to be said of tests that failed or were done again.
    again: Vec<String>,
}

impl Skips {
    /// Counts one test, by the first thing that it lacks.
    pub(crate) fn add(&mut self, missing: &[Missing]) {
        let Some(first) = missing.first() else { return };
        *self.reasons.entry(first.why.clone()).or_default() += 1;
        for install in missing.iter().flat_map(|missing| &missing.install) {
            match install {
                Install::Package(name) => {
                    self.packages.insert((*name).to_owned());
                }
                Install::Pythons => self.pythons = true,
            }
        }
    }

    /// One line: how many tests, why, and the command.
    pub(crate) fn line(&self) -> String {
        self.line_for(if is_root() { "" } else { "sudo " })
    }

    fn line_for(&self, sudo: &str) -> String {
        if self.reasons.is_empty() {
            return "skipped: 0".into();
        }
        let count: usize = self.reasons.values().sum();
        let reasons: Vec<_> = self.reasons.iter().map(|(why, of)| format!("{why}: {of}")).collect();
        let packages: Vec<_> = self.packages.iter().map(String::as_str).collect();
        let install =
            (!packages.is_empty()).then(|| format!("{sudo}apt install {}", packages.join(" ")));
        let pythons = self.pythons.then(|| "cargo xtask pythons".to_owned());
        let commands: Vec<_> = install.into_iter().chain(pythons).collect();
        let command = match commands.is_empty() {
            true => String::new(),
            false => format!(". To install what is missing: {}", commands.join(" && ")),
        };
        let tests = if count == 1 { "test" } else { "tests" };
        format!("skipped: {count} {tests} ({}){command}", reasons.join("; "))
    }

    /// Adds these, and what is said of tests that were done again, to what earlier test programs have
    /// left in a file.
    pub(crate) fn add_to(self, again: Vec<String>, file: &Path) -> Result<()> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let mut sum: Sum =
            if text.is_empty() { Sum::default() } else { serde_json::from_str(&text)? };
        for (why, count) in self.reasons {
            *sum.skips.reasons.entry(why).or_default() += count;
        }
        sum.skips.packages.extend(self.packages);
        sum.skips.pythons |= self.pythons;
        sum.line = sum.skips.line();
        sum.again.extend(again);
        Ok(fs::write(file, serde_json::to_vec(&sum)?)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::need::lacks;

    fn missing(why: &str, install: &[Install]) -> Missing {
        Missing { install: install.to_vec(), ..lacks(why) }
    }

    fn some() -> Skips {
        let mut skips = Skips::default();
        let musl = missing("no musl-gcc", &[Install::Package("musl-tools")]);
        let python = missing("no Python 3.13", &[Install::Pythons]);
        skips.add(&[musl.clone(), python]);
        skips.add(&[musl]);
        skips.add(&[missing("no chromium", &[Install::Package("chromium")])]);
        skips.add(&[]);
        skips
    }

    #[test]
    fn one_line_says_what_is_missing_and_what_brings_it() {
        assert_eq!(
            some().line_for("sudo "),
            "skipped: 3 tests (no chromium: 1; no musl-gcc: 2). To install what is missing: \
             sudo apt install chromium musl-tools && cargo xtask pythons"
        );
        assert_eq!(Skips::default().line_for(""), "skipped: 0");
        let mut kernel = Skips::default();
        kernel.add(&[lacks("not on this kernel: no Landlock")]);
        assert_eq!(kernel.line_for(""), "skipped: 1 test (not on this kernel: no Landlock: 1)");
    }

    #[test]
    fn several_programs_are_added_up() {
        let file = tempfile::NamedTempFile::new().unwrap();
        some().add_to(Vec::new(), file.path()).unwrap();
        Skips::default().add_to(Vec::new(), file.path()).unwrap();
        some().add_to(Vec::new(), file.path()).unwrap();
        let sum: Sum = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
        assert!(
            sum.line.starts_with("skipped: 6 tests (no chromium: 2; no musl-gcc: 4)"),
            "{sum:?}"
        );
        assert!(sum.skips.pythons && sum.skips.packages.len() == 2);
    }
}
