//! The sizes of files.

use std::{fs, path::Path};

use anyhow::Result;

use super::files;

/// The longest that a source file may be, in lines.
const LIMIT: usize = 500;

/// The kinds of files that are counted: Rust, and what the HTML report is made of.
const KINDS: [&str; 3] = ["rs", "js", "css"];

/// Files that are still longer.
const STILL_LONG: [&str; 0] = [];

/// Files that are too long.
pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    // Hidden folders, what is built, and code of other projects.
    for path in files(root, |name| name.starts_with('.') || ["target", "vendor"].contains(&name))? {
        if !path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known)) {
            continue;
        }
        let name = path.strip_prefix(root)?.display().to_string();
        let lines = fs::read_to_string(&path)?.lines().count();
        match (lines > LIMIT, STILL_LONG.contains(&&*name)) {
            (true, false) => {
                problems.push(format!("{name}: {lines} lines, {LIMIT} are allowed; split the file"))
            }
            (false, true) => {
                problems.push(format!("{name}: it is short now; say so in {}", file!()))
            }
            _ => {}
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn long_source_files_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, lines: usize| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "\n".repeat(lines)).unwrap();
        };
        put("src/long.rs", LIMIT + 1);
        put("src/page/long.css", LIMIT + 1);
        put("src/short.rs", LIMIT);
        put("src/long.txt", LIMIT + 1);
        put("target/made.rs", LIMIT + 1);
        put("src/page/vendor/other.js", LIMIT + 1);
        let problems = problems(folder.path()).unwrap();
        let names: Vec<_> = problems.iter().filter_map(|text| text.split(':').next()).collect();
        assert_eq!(names, ["src/long.rs", "src/page/long.css"]);
    }
}
