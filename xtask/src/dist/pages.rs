//! Manual pages, completions, and what Debian wants beside them.

use std::{fs, process::Command};

use anyhow::{Result, ensure};

use super::{Dist, write};
use crate::{output, root, status};

/// Shells, and the name of the file that each looks for.
const SHELLS: [(&str, &str); 3] =
    [("bash", "forktrace.bash"), ("zsh", "_forktrace"), ("fish", "forktrace.fish")];

/// Lets the program write them.
pub(super) fn write_all(dist: &Dist) -> Result<()> {
    let program = dist.stage.join("forktrace");
    let man = dist.stage.join("man");
    fs::create_dir_all(&man)?;
    status(Command::new(&program).args(["man", "--dir"]).arg(&man))?;
    let mut pages: Vec<_> = fs::read_dir(&man)?.collect::<Result<_, _>>()?;
    pages.sort_by_key(fs::DirEntry::file_name);
    ensure!(pages.len() > 5, "only {} manual pages", pages.len());
    for page in pages {
        // Debian and Fedora want them compressed; without a time in them they are the same each time.
        status(Command::new("gzip").args(["-9nk"]).arg(page.path()))?;
        let name = page.file_name().to_string_lossy().into_owned() + ".gz";
        let gz = dist.stage.join("man.gz").join(&name);
        fs::create_dir_all(dist.stage.join("man.gz"))?;
        fs::rename(man.join(&name), gz)?;
    }
    for (shell, name) in SHELLS {
        let text = output(Command::new(&program).args(["completions", shell]))?;
        write(&dist.stage.join("completions").join(name), text.as_bytes())?;
    }
    changelog(dist)
}

/// The changelog of the package in Debian's form (deb-changelog(5)), which tells where the program's is.
fn changelog(dist: &Dist) -> Result<()> {
    let when = format!("--date=@{}", dist.epoch);
    let date = output(Command::new("date").args(["-uR", &when]).env("LC_ALL", "C"))?;
    let text = format!(
        "forktrace ({}-1) unstable; urgency=medium\n\n  * The changes are in \
         /usr/share/doc/forktrace/changelog.gz.\n\n -- The forktrace developers \
         <forktrace@localhost.localdomain>  {date}",
        dist.version
    );
    write(&dist.stage.join("changelog"), text.as_bytes())?;
    let all = dist.stage.join("changelog.gz");
    let gzip = Command::new("gzip").args(["-9nc"]).arg(root().join("CHANGELOG.md")).output()?;
    ensure!(gzip.status.success(), "gzip failed: {}", gzip.status);
    write(&all, &gzip.stdout)
}
