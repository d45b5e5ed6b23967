//! The names of a log's files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::part::Format;

/// How the name says to store it.
///
/// # Errors
/// A sentence, where it says nothing that is known.
pub fn format(path: &Path) -> Result<Format, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match () {
        () if name.ends_with(".jsonl") => Ok(Format::Plain),
        () if name.ends_with(".jsonl.zst") => Ok(Format::Zstd),
        () => Err("the name must end in .jsonl or .jsonl.zst; `-` is stdout".into()),
    }
}

/// The name of one part of a log: `trace.jsonl` is written to `trace.1.jsonl`, `trace.2.jsonl`, …
pub(super) fn part_path(path: &Path, part: u32) -> PathBuf {
    let (stem, end) = stem_and_end(path);
    path.with_file_name(format!("{stem}.{part}{end}"))
}

/// `trace` and `.jsonl` of `trace.jsonl`.
fn stem_and_end(path: &Path) -> (String, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let at = name.rfind(".jsonl").unwrap_or(name.len());
    let (stem, end) = name.split_at(at);
    (stem.to_owned(), end.to_owned())
}

/// The first part with this name that is there already. A folder that cannot be listed has none:
/// what is wrong with it shows when a file is opened in it.
pub(super) fn earlier_part(path: &Path) -> Option<PathBuf> {
    let (stem, end) = stem_and_end(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let number = |name: &str| -> Option<u32> {
        let rest = name.strip_prefix(&stem)?.strip_prefix('.')?;
        rest.strip_suffix(&end)?.parse().ok()
    };
    let names = fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?.flatten();
    let first = names.filter_map(|entry| number(&entry.file_name().to_string_lossy())).min()?;
    Some(part_path(path, first))
}
