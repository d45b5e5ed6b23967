//! `cargo xtask dist`: what users install, in `target/packages`.
//!
//! Every file is made of the same static program, and a second run from the same commit gives the same
//! bytes: times are those of the commit, and no path of this machine is in the program.

mod pages;
mod tools;
mod wheel;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::{is_root, output, root, status};

/// The machine that is built for.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The largest program that is distributed, bytes.
const LARGEST: u64 = 14_000_000;

/// What is made, and of what.
pub(super) struct Dist {
    /// `target/packages`.
    folder: PathBuf,
    /// What packages are made of: the program, pages, completions.
    stage: PathBuf,
    /// Of the workspace.
    version: String,
    /// Time of the commit, seconds since 1970.
    epoch: String,
}

pub(crate) fn run(install: bool, built: bool) -> Result<()> {
    let folder = root().join("target/packages");
    let dist = Dist {
        stage: folder.join("stage"),
        version: version()?,
        epoch: output(git().args(["log", "-1", "--format=%ct"]))?.trim().to_owned(),
        folder,
    };
    if dist.folder.exists() {
        fs::remove_dir_all(&dist.folder)?;
    }
    fs::create_dir_all(&dist.stage)?;
    dist.program(built)?;
    pages::write_all(&dist)?;
    let made = [dist.tarball()?, dist.deb()?, dist.rpm()?, dist.wheel()?, tools::bill(&dist)?];
    dist.checksums(&made)?;
    for file in &made {
        println!("{:>9} bytes  {}", fs::metadata(file)?.len(), file.display());
    }
    match install {
        true => dist.install(),
        false => Ok(()),
    }
}

impl Dist {
    /// Builds the program, and checks what is promised of it. `built`: takes the one that is there.
    fn program(&self, built: bool) -> Result<()> {
        let home = std::env::var("CARGO_HOME")
            .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))?;
        let flags = [
            "-Ctarget-feature=+crt-static".to_owned(),
            format!("--remap-path-prefix={}=/forktrace", root().display()),
            format!("--remap-path-prefix={home}=/cargo"),
        ];
        let mut cargo = Command::new("cargo");
        cargo
            .args(["rustc", "--locked", "--profile", "dist", "--package", "forktrace"])
            .args(["--bin", "forktrace", "--target", TARGET])
            // 0.3 MB less. It takes the glibc that is linked in to be 2.36 or later: an older one would not
            // relocate the program, which then does not even print its manual page.
            .args(["--", "-Clink-arg=-Wl,-z,pack-relative-relocs"])
            .current_dir(root())
            .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", flags.join(" "))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_TARGET_DIR");
        if !built {
            status(&mut cargo)?;
        }
        let built = root().join("target").join(TARGET).join("dist/forktrace");
        let program = self.stage.join("forktrace");
        fs::copy(&built, &program).with_context(|| format!("copying {}", built.display()))?;
        // The C library that is linked in brings names of its own.
        status(Command::new("strip").arg(&program))?;
        let size = fs::metadata(&program)?.len();
        ensure!(size <= LARGEST, "the program has {size} bytes, and may have {LARGEST}");
        let headers = output(Command::new("readelf").arg("-lW").arg(&program))?;
        ensure!(!headers.contains("INTERP"), "the program is not static");
        println!("{size:>9} bytes  {}", program.display());
        Ok(())
    }

    /// A folder in a compressed archive.
    fn tarball(&self) -> Result<PathBuf> {
        let name = format!("forktrace-{}-{TARGET}", self.version);
        let folder = self.folder.join(&name);
        for (from, to) in self.files() {
            let to = folder.join(to);
            fs::create_dir_all(to.parent().unwrap_or(&folder))?;
            fs::copy(from, to)?;
        }
        let file = self.folder.join(format!("{name}.tar.gz"));
        let mut tar = Command::new("tar");
        tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
            .args(["--format=ustar", "--mode=u+rw,go=rX", "--use-compress-program=gzip -9n"])
            .arg(format!("--mtime=@{}", self.epoch))
            .arg(format!("--file={}", file.display()))
            .current_dir(&self.folder)
            .arg(&name);
        status(&mut tar)?;
        fs::remove_dir_all(folder)?;
        Ok(file)
    }

    /// What the archive holds: files, and their names in it.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let mut files = vec![(self.stage.join("forktrace"), "forktrace".to_owned())];
        for name in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-GPL-2.0"] {
            files.push((root().join(name), name.to_owned()));
        }
        for folder in ["man", "completions"] {
            let entries = fs::read_dir(self.stage.join(folder)).into_iter().flatten().flatten();
            files.extend(entries.map(|entry| {
                (entry.path(), format!("{folder}/{}", entry.file_name().to_string_lossy()))
            }));
        }
        files
    }

    fn deb(&self) -> Result<PathBuf> {
        tools::install("cargo-deb", tools::DEB)?;
        let file = self.folder.join(format!("forktrace_{}-1_amd64.deb", self.version));
        let mut cargo = self.cargo("deb");
        cargo.args(["--package", "forktrace", "--no-build", "--no-strip", "--target", TARGET]);
        status(cargo.arg("--output").arg(&file))?;
        Ok(file)
    }

    fn rpm(&self) -> Result<PathBuf> {
        tools::install("cargo-generate-rpm", tools::RPM)?;
        let file = self.folder.join(format!("forktrace-{}-1.x86_64.rpm", self.version));
        let mut cargo = self.cargo("generate-rpm");
        cargo.args(["--package", "forktrace", "--target", TARGET, "--payload-compress", "xz"]);
        status(cargo.arg("--source-date").arg(&self.epoch).arg("--output").arg(&file))?;
        Ok(file)
    }

    fn wheel(&self) -> Result<PathBuf> {
        wheel::write(&self.folder, &self.stage.join("forktrace"), &self.version)
    }

    /// A subcommand of cargo that makes a package. No flags of a caller's own change it.
    fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.arg(subcommand).current_dir(root()).env("SOURCE_DATE_EPOCH", &self.epoch);
        cargo
    }

    /// `SHA256SUMS`, as `sha256sum --check` reads it.
    fn checksums(&self, made: &[PathBuf]) -> Result<()> {
        let mut text = String::new();
        for file in made {
            let digest = Sha256::digest(fs::read(file)?);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            text.push_str(&format!("{digest}  {name}\n"));
        }
        fs::write(self.folder.join("SHA256SUMS"), text)?;
        Ok(())
    }

    /// Installs each package where nothing of the build is, and finds the demo's hang there.
    fn install(&self) -> Result<()> {
        ensure!(is_root()?, "to install packages in folders of their own takes root");
        let mut shell = Command::new("sh");
        shell.arg(root().join("xtask/src/dist/install.sh")).arg(&self.folder).arg(&self.version);
        status(shell.arg(root().join("target/pythons")))
    }
}

/// The version of the workspace.
fn version() -> Result<String> {
    let metadata = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
        .current_dir(root())
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let forktrace = packages.iter().find(|package| package["name"] == "forktrace");
    let version = forktrace.and_then(|package| package["version"].as_str());
    Ok(version.context("no package forktrace")?.to_owned())
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(root());
    git
}

/// Writes a file, with the folder that it is in.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
