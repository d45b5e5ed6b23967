//! Chores of the workspace: `cargo xtask ebpf [--check]`, `cargo xtask pythons`, `cargo xtask test`.

mod ebpf;
mod pythons;
mod test;

use anyhow::Result;
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
    /// Make the Pythons of other versions that some tests need, with debootstrap, as root.
    Pythons,
    /// Run every test, as root on this machine's kernel, and print what was skipped and why.
    Test {
        /// Fail when anything is skipped.
        #[arg(long)]
        no_skip: bool,
        /// Run only the tests whose name contains this.
        filter: Option<String>,
    },
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::Ebpf { check } => ebpf::run(check),
        Chore::Pythons => pythons::run(),
        Chore::Test { no_skip, filter } => test::run(no_skip, filter.as_deref()),
    }
}

/// The workspace's root folder.
fn root() -> std::path::PathBuf {
    let xtask = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}
