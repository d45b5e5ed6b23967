//! Programs that make packages, and the list of what the program is built of.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Dist, TARGET};
use crate::{output, root, status};

/// cargo-deb.
pub(super) const DEB: &str = "3.8.0";
/// cargo-generate-rpm.
pub(super) const RPM: &str = "0.21.1";

/// Installs a subcommand of cargo, unless this version of it is there.
pub(super) fn install(name: &str, version: &str) -> Result<()> {
    let found = output(Command::new(name).arg("--version")).unwrap_or_default();
    if found.split_whitespace().any(|word| word == version) {
        return Ok(());
    }
    status(Command::new("cargo").args([
        "install",
        "--locked",
        "--force",
        name,
        "--version",
        version,
    ]))
}

/// Writes the bill of materials in the CycloneDX form (1.6): every crate in the program, with its version and
/// licence.
pub(super) fn bill(dist: &Dist) -> Result<PathBuf> {
    let mut components = Vec::new();
    for Crate { name, version, licence } in crates()? {
        let purl = format!("pkg:cargo/{name}@{version}");
        components.push(json!({
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
            "licenses": [{ "expression": licence }],
        }));
    }
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": { "type": "application", "name": "forktrace", "version": dist.version },
        },
        "components": components,
    });
    let path = dist.folder.join(format!("forktrace-{}.cdx.json", dist.version));
    fs::write(&path, serde_json::to_string_pretty(&bill)? + "\n")?;
    Ok(path)
}

/// A crate in the program.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    licence: String,
}

/// The crates in the program, other than its own, by name.
fn crates() -> Result<Vec<Crate>> {
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "tree",
            "--locked",
            "--package",
            "forktrace",
            "--edges",
            "normal",
            "--target",
            TARGET,
        ])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"])
        .current_dir(root());
    let lines = output(&mut cargo)?;
    let mut crates = Vec::new();
    for line in lines.lines() {
        let (package, licence) =
            line.split_once('|').with_context(|| format!("no licence: {line}"))?;
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        if name.starts_with("forktrace") {
            continue;
        }
        // Before there were expressions, a slash stood for a choice.
        crates.push(Crate {
            name: name.to_owned(),
            version: version.trim_start_matches('v').to_owned(),
            licence: licence.replace('/', " OR "),
        });
    }
    crates.sort();
    crates.dedup();
    Ok(crates)
}
