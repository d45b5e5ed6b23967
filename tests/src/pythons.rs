//! Pythons of other versions than this machine's, each in a root folder of its own, made by
//! `cargo xtask pythons`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};

use crate::{
    need::{Install, Missing, Need, not_found},
    workload,
};

/// A Python that is run in its own root folder, with `chroot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rooted {
    /// 3.13: `threading.Lock` is a `PyMutex`.
    V313,
    /// 3.14: `threading.RLock` is, too.
    V314,
}

impl Rooted {
    /// Its version, which is also its folder's name.
    fn version(self) -> &'static str {
        match self {
            Rooted::V313 => "3.13",
            Rooted::V314 => "3.14",
        }
    }

    fn program(self) -> String {
        format!("python{}", self.version())
    }

    fn root(self) -> PathBuf {
        let pythons = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pythons");
        pythons.join(self.version())
    }

    /// What is not there, or `None` if it can be used.
    pub(crate) fn missing(self) -> Option<Missing> {
        Need::Root.missing().or_else(|| self.not_made())
    }

    fn not_made(self) -> Option<Missing> {
        let mut command = Command::new("chroot");
        let output = command.arg(self.root()).args([&self.program(), "--version"]).output();
        if output.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let maker = not_found("debootstrap", &["debootstrap"]).map(|maker| maker.install);
        let install = maker.into_iter().flatten().chain([Install::Pythons]).collect();
        Some(Missing { why: format!("no Python {}", self.version()), install })
    }

    /// The command line that runs a workload (`name.py`), copied to where it is seen.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn command(self, program: &str, args: &[&str]) -> Result<Vec<String>> {
        static COPYING: Mutex<()> = Mutex::new(());
        // Held while copying, so that nobody runs half a file.
        let _copying = COPYING.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.root().join("workloads");
        for file in [program, workload::LONGER] {
            let copy = folder.join(file);
            let parent = copy.parent().unwrap_or(&folder);
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
            fs::copy(workload::source(file), &copy)?;
        }
        let root = self.root().canonicalize()?.display().to_string();
        let mut command =
            vec!["chroot".into(), root, self.program(), format!("/workloads/{program}")];
        command.extend(args.iter().map(|arg| (*arg).to_owned()));
        Ok(command)
    }
}
