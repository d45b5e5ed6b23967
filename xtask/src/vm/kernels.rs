//! Debian's kernels: which there are, and their images, downloaded and not installed.
//!
//! apt works in folders of its own here, so that nothing of the machine's is changed and root is not
//! needed; how the machine reaches Debian (a proxy for example) is read from its configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{output, pythons::mirror, root, status};

/// Suites that have kernels, oldest first; and whether each is one of security updates.
const SUITES: [(&str, bool); 4] = [
    ("bullseye-security", true),
    ("bookworm-security", true),
    ("trixie-security", true),
    ("trixie-backports", false),
];

/// Tested without being named: long-term kernels of Debian's releases.
const ALWAYS: [&str; 3] = ["5.10", "6.1", "6.12"];

/// So many of the newest are tested without being named.
const NEWEST: usize = 3;

/// How long it is believed which kernels there are.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// A kernel to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// Its first two numbers, as in `6.12`.
    pub(crate) series: String,
    /// The bootable image.
    pub(crate) image: PathBuf,
}

/// The first two numbers of a series, to compare.
pub(crate) fn number(series: &str) -> Vec<u32> {
    series.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// The kernels that are asked for by series or as `newest`; without any, those that are always tested.
pub(crate) fn get(wanted: &[String]) -> Result<Vec<Kernel>> {
    let folder = super::folder().join("kernels");
    let mut series: Vec<String> = wanted.iter().filter(|name| *name != "newest").cloned().collect();
    let newest = match wanted.iter().any(|name| name == "newest") {
        true => 1,
        false if wanted.is_empty() => NEWEST,
        false => 0,
    };
    if wanted.is_empty() {
        series.extend(ALWAYS.map(str::to_owned));
    }
    let kept = |series: &String| folder.join(series).join("vmlinuz").exists();
    if newest > 0 || !series.iter().all(kept) {
        let packages = packages()?;
        series.extend(packages.iter().rev().take(newest).map(|package| package.series.clone()));
        for series in series.iter().filter(|series| !kept(series)) {
            let there: Vec<&str> = packages.iter().map(|one| one.series.as_str()).collect();
            let package = packages.iter().find(|package| package.series == *series);
            let package = package.with_context(|| {
                format!("Debian has no kernel {series}; it has {}", there.join(", "))
            })?;
            download(package, &folder.join(series))?;
        }
    }
    series.sort_by_key(|series| number(series));
    series.dedup();
    let of = |series: String| Kernel { image: folder.join(&series).join("vmlinuz"), series };
    Ok(series.into_iter().map(of).collect())
}

/// A package with a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    name: String,
    series: String,
    /// The numbers in its version.
    version: Vec<u32>,
}

/// The newest package of each series, oldest series first.
fn packages() -> Result<Vec<Package>> {
    update()?;
    let mut names = String::new();
    // From 6.19 on, the kernel itself is in linux-binary.
    for start in ["linux-image-", "linux-binary-"] {
        names.push_str(&output(apt("apt-cache")?.args(["pkgnames", start]))?);
    }
    Ok(newest_of_each(&names))
}

fn newest_of_each(names: &str) -> Vec<Package> {
    let mut packages: Vec<Package> = names.lines().filter_map(package).collect();
    // Of the same version, linux-binary is last.
    let rank = |package: &Package| {
        let binary = package.name.starts_with("linux-binary-");
        (number(&package.series), package.version.clone(), binary)
    };
    packages.sort_by_key(rank);
    packages.reverse();
    packages.dedup_by(|one, other| one.series == other.series);
    packages.reverse();
    packages
}

/// `linux-image-6.12.118+deb13-cloud-amd64`; not what only depends on the newest
/// (`linux-image-6.12-cloud-amd64`).
fn package(name: &str) -> Option<Package> {
    let version = name.strip_prefix("linux-image-").or(name.strip_prefix("linux-binary-"))?;
    let version = version.strip_suffix("-cloud-amd64")?;
    let numbers: Vec<u32> = version
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect();
    let [major, minor, _, ..] = numbers.as_slice() else { return None };
    version.starts_with(&format!("{major}.{minor}.")).then(|| Package {
        name: name.to_owned(),
        series: format!("{major}.{minor}"),
        version: numbers.clone(),
    })
}

/// apt or one of its kin, in folders of our own.
fn apt(program: &str) -> Result<Command> {
    let folder = super::folder().join("apt");
    for inner in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(folder.join(inner))?;
    }
    let status = folder.join("status");
    if !status.exists() {
        fs::write(&status, "")?;
    }
    let mut command = Command::new(program);
    let mut set = |option: &str, path: &Path| {
        command.arg("-o").arg(format!("{option}={}", path.display()));
    };
    set("Dir::State", &folder);
    set("Dir::State::lists", &folder.join("lists"));
    set("Dir::State::status", &status);
    set("Dir::Cache", &folder);
    set("Dir::Cache::archives", &folder.join("archives"));
    set("Dir::Etc::SourceList", &folder.join("sources.list"));
    set("Dir::Etc::SourceParts", Path::new("/dev/null"));
    // Descriptions for software shops, which some machines ask for.
    command.args(["-q", "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"]);
    command.args(["-o", "APT::Architecture=amd64", "-o", "APT::Update::Post-Invoke-Success::="]);
    Ok(command)
}

/// Asks Debian which kernels there are, unless that was done today.
fn update() -> Result<()> {
    let folder = super::folder().join("apt");
    let stamp = folder.join("updated");
    let age = fs::metadata(&stamp).and_then(|data| data.modified()).ok();
    if age.and_then(|at| at.elapsed().ok()).is_some_and(|age| age < FRESH) {
        return Ok(());
    }
    let main = mirror();
    let security = format!("{}-security", main.trim_end_matches('/'));
    let line = |(suite, is_security): (&str, bool)| {
        let from = if is_security { &security } else { &main };
        format!("deb [arch=amd64] {from} {suite} main\n")
    };
    let mut command = apt("apt-get")?;
    fs::write(folder.join("sources.list"), SUITES.map(line).concat())?;
    println!("asking {main} and {security} which kernels there are");
    // Without this, lists that could not be had are a warning.
    command.args(["-o", "APT::Update::Error-Mode=any", "update"]);
    status(&mut command).context(
        "Debian's archive cannot be reached, so there is no kernel to test on; \
         FORKTRACE_DEBIAN_MIRROR names another mirror",
    )?;
    Ok(fs::write(stamp, "")?)
}

/// Puts the image of a package into a folder.
fn download(package: &Package, folder: &Path) -> Result<()> {
    println!("downloading {}", package.name);
    let partial = tempfile::tempdir_in(super::folder())?;
    let mut command = apt("apt-get")?;
    status(command.args(["download", &package.name]).current_dir(partial.path()))?;
    let archive = only_file(partial.path())?;
    let unpacked = partial.path().join("unpacked");
    status(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))?;
    let image = image(&unpacked).with_context(|| format!("no kernel in {}", package.name))?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("package"), format!("{}\n", package.name))?;
    let whole = folder.join("vmlinuz.partial");
    fs::copy(image, &whole)?;
    Ok(fs::rename(whole, folder.join("vmlinuz"))?)
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let files: Vec<PathBuf> =
        fs::read_dir(folder)?.flatten().map(|entry| entry.path()).filter(|p| p.is_file()).collect();
    match files.as_slice() {
        [one] => Ok(one.clone()),
        other => bail!("apt-get download left {other:?} in {}", folder.display()),
    }
}

/// `boot/vmlinuz-VERSION`, or `usr/lib/modules/VERSION/vmlinuz` from 7.2 on.
fn image(unpacked: &Path) -> Option<PathBuf> {
    let boot = fs::read_dir(unpacked.join("boot")).into_iter().flatten().flatten();
    let mut boot = boot.map(|entry| entry.path());
    let named = boot.find(|path| path.to_string_lossy().contains("/vmlinuz-"));
    named.or_else(|| {
        let modules = fs::read_dir(unpacked.join("usr/lib/modules")).ok()?.flatten();
        modules.map(|entry| entry.path().join("vmlinuz")).find(|path| path.exists())
    })
}

/// Fails unless the programs that virtual machines need are there.
pub(crate) fn check_tools() -> Result<()> {
    let tools = [
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("cpio", "cpio"),
        ("debootstrap", "debootstrap"),
        ("apt-get", "apt"),
        ("dpkg-deb", "dpkg"),
    ];
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let missing: Vec<&str> =
        tools.iter().filter(|(program, _)| !there(program)).map(|(_, package)| *package).collect();
    ensure!(
        missing.is_empty(),
        "virtual machines need more programs; on Debian: apt install {}",
        missing.join(" ")
    );
    ensure!(root().exists(), "the workspace is gone");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_series_is_taken() {
        let names = "linux-image-6.1.0-9-cloud-amd64\nlinux-image-6.1.0-56-cloud-amd64\n\
                     linux-image-6.1-cloud-amd64\nlinux-image-6.1.0-0.deb11.52-cloud-amd64\n\
                     linux-image-6.1.0-57-cloud-amd64-unsigned\nlinux-image-6.1.0-58-amd64\n\
                     linux-image-7.1.13+deb13-cloud-amd64\nlinux-binary-7.1.13+deb13-cloud-amd64\n\
                     linux-image-5.10.0-46-cloud-amd64\nlinux-image-cloud-amd64\n";
        let packages = newest_of_each(names);
        let found: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        let wanted = [
            "linux-image-5.10.0-46-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-binary-7.1.13+deb13-cloud-amd64",
        ];
        assert_eq!(found, wanted);
    }
}
