//! Building the eBPF objects, reproducibly.
//!
//! The objects are checked in so that building forktrace needs stable Rust alone. That is only worth
//! something if anybody can prove where its bytes come from: the same source, the pinned compiler
//! and the pinned linker give the same bytes in any folder.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{output, root, status};

/// The last release whose default links the LLVM of the pinned compiler; later ones want a newer.
const LINKER: &str = "0.10.3";

/// The processors of which there is an object: the programs read saved registers.
const ARCHES: [&str; 2] = ["x86_64", "aarch64"];

pub(crate) fn run(check: bool) -> Result<()> {
    tools()?;
    // An empty folder of its own, so that nothing left from before can take part.
    let target = tempfile::tempdir()?;
    ARCHES.into_iter().try_for_each(|arch| one(arch, target.path(), check))
}

/// The object of one processor.
fn one(arch: &str, target: &Path, check: bool) -> Result<()> {
    let built = build(arch, target)?;
    let kernel = root().join("crates/forktrace-collect/src/kernel");
    let object = kernel.join(format!("forktrace-{arch}.bpf.o"));
    if check {
        let present = fs::read(&object).with_context(|| format!("reading {}", object.display()))?;
        ensure!(
            present == built,
            "{} is not what the source builds; run `cargo xtask ebpf` and commit the result",
            object.display()
        );
        println!("{} comes from the source: {} bytes, all equal", object.display(), built.len());
    } else {
        fs::write(&object, &built).with_context(|| format!("writing {}", object.display()))?;
        println!("{}: {} bytes", object.display(), built.len());
    }
    Ok(())
}

/// Makes sure of the compiler's library source and of the linker, and installs what is missing.
fn tools() -> Result<()> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()))?;
    let source = format!("{}/lib/rustlib/src/rust/library/core/Cargo.toml", sysroot.trim());
    if !fs::exists(&source)? {
        status(Command::new("rustup").args(["component", "add", "rust-src"]).current_dir(root()))?;
    }
    let version = output(Command::new("bpf-linker").arg("--version")).unwrap_or_default();
    if version.trim() != format!("bpf-linker {LINKER}") {
        status(Command::new("cargo").args([
            "install",
            "--locked",
            "--force",
            "bpf-linker",
            "--version",
            LINKER,
        ]))?;
    }
    Ok(())
}

fn build(arch: &str, target: &Path) -> Result<Vec<u8>> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--package", "forktrace-ebpf", "--profile", "bpf", "--locked"])
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(root())
        // -Z build-std on the stable compiler: core for the eBPF target is not distributed.
        .env("RUSTC_BOOTSTRAP", "1")
        // Otherwise aya takes the machine that builds.
        .env("AYA_BPF_TARGET_ARCH", arch)
        // A caller's flags must not change the bytes.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR");
    status(&mut cargo)?;
    let object = target.join("bpfel-unknown-none/bpf/forktrace-ebpf");
    fs::read(&object).with_context(|| format!("reading {}", object.display()))
}
