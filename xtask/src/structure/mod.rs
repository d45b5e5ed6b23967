//! How the tree is kept in shape: the sizes of files, and the directions in which the rooms of a crate
//! use each other (`rooms.rs` has the table). The compiler sees to the directions between crates, and
//! clippy to the sizes of functions.

mod directions;
mod imports;
mod rooms;
mod sizes;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::root;

/// Checks this tree.
pub(crate) fn run() -> Result<()> {
    let root = root();
    let mut problems = sizes::problems(&root)?;
    problems.extend(directions::problems(&root)?);
    problems.iter().for_each(|problem| println!("{problem}"));
    ensure!(problems.is_empty(), "{} problems in the structure of the tree", problems.len());
    println!("sizes of files, directions of imports: no problem");
    Ok(())
}

/// All files below a folder, in order, but for those in the folders that `skip` names.
fn files(folder: &Path, skip: impl Copy + Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && !skip(&entry.file_name().to_string_lossy()) {
            found.extend(files(&entry.path(), skip)?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_tree_has_no_problem() {
        assert_eq!(super::run().map_err(|error| error.to_string()), Ok(()));
    }
}
