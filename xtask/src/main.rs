//! Chores of the workspace: `cargo xtask ebpf [--check]`, `cargo xtask pythons`, `cargo xtask test`,
//! `cargo xtask score`, `cargo xtask bench`, `cargo xtask fuzz`, `cargo xtask soak`,
//! `cargo xtask structure`, `cargo xtask dist`.

mod bench;
mod dist;
mod ebpf;
mod fuzz;
mod pythons;
mod score;
mod soak;
mod structure;
mod test;
mod vm;

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the forktrace workspace")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Rebuild the eBPF object that the forktrace crate embeds.
    Ebpf {
        /// Change nothing; fail unless the object checked in is what the source builds.
        #[arg(long)]
        check: bool,
    },
    /// Make the Pythons that some tests need: other versions, with debootstrap as root, and one with
    /// packages that read exports.
    Pythons,
    /// Run every test, as root on this machine's kernel, and print what was skipped and why.
    Test {
        /// Fail when anything is skipped.
        #[arg(long)]
        no_skip: bool,
        /// Run end-to-end tests in virtual machines with kernels of Debian instead, and print a table.
        #[arg(long)]
        vm: bool,
        /// Only those of them that are run on every change.
        #[arg(long, requires = "vm")]
        quick: bool,
        /// Boot nothing: look at what the guests said the last time.
        #[arg(long, requires = "vm")]
        again: bool,
        /// Write the table to docs/kernels.md.
        #[arg(long, requires = "vm")]
        doc: bool,
        /// Run only the tests whose name contains this; with --vm, kernels (5.10, newest) instead of
        /// all that are supported.
        #[arg(value_name = "FILTER|KERNEL")]
        names: Vec<String>,
    },
    /// Measure the verdicts against the truth, as root on this machine's kernel, and write
    /// docs/scoreboard.md.
    #[command(disable_help_flag = true)]
    Score {
        /// See `cargo xtask score --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Measure what forktrace costs and how it holds at scale, as root on this machine's kernel,
    /// and compare with the last run.
    #[command(disable_help_flag = true)]
    Bench {
        /// See `cargo xtask bench --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Feed the fuzz targets with what no program would write, see docs/fuzzing.md.
    Fuzz {
        /// The target; without it all, one after the other.
        target: Option<String>,
        /// How many inputs each target is given.
        #[arg(long, default_value_t = 1_000_000)]
        runs: u64,
        /// Add what reached something new to the corpus that is checked in.
        #[arg(long)]
        keep: bool,
    },
    /// Trace this host for an hour under a mixed load, as root, and say whether memory, descriptors
    /// or maps grow.
    #[command(disable_help_flag = true)]
    Soak {
        /// See `cargo xtask soak --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Make what users install, in target/packages: a static program, an archive, packages, checksums.
    Dist {
        /// Then install each, as root, where nothing of the build is, and find the demo's hang there.
        #[arg(long)]
        install: bool,
        /// Do not build the program: take the one that the last run built.
        #[arg(long)]
        built: bool,
    },
    /// Check the sizes of files, and the directions in which the rooms of a crate use each other.
    Structure,
}

fn main() -> ExitCode {
    match run(Cli::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Ebpf { check } => ebpf::run(check),
        Chore::Pythons => pythons::run(),
        Chore::Test { vm: true, quick, again, doc, names, .. } => {
            vm::run(&names, vm::How { quick, again, doc })
        }
        Chore::Test { no_skip, names, .. } => test::run(no_skip, &names),
        Chore::Score { args } => score::run(&args),
        Chore::Bench { args } => bench::run(&args),
        Chore::Fuzz { target, runs, keep } => fuzz::run(target.as_deref(), runs, keep),
        Chore::Soak { args } => soak::run(&args),
        Chore::Dist { install, built } => dist::run(install, built),
        Chore::Structure => structure::run(),
    }
}

/// Lets cargo start the programs that it builds as root: building as root would leave root's files
/// in the target folder.
fn as_root(cargo: &mut Command) -> Result<()> {
    if !is_root()? {
        println!("tracing on the real kernel needs root: sudo may ask for your password");
        let arch = std::env::consts::ARCH.to_uppercase();
        let runner = format!("CARGO_TARGET_{arch}_UNKNOWN_LINUX_GNU_RUNNER");
        cargo.env(runner, "sudo --preserve-env");
    }
    Ok(())
}

fn is_root() -> Result<bool> {
    let id = Command::new("id").arg("-u").output().context("running id")?;
    Ok(id.stdout.trim_ascii() == b"0")
}

/// The workspace's root folder.
fn root() -> std::path::PathBuf {
    let xtask = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Runs a command and gives what it printed.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command.
fn status(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("running {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}
