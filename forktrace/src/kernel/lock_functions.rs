//! Where a process's lock functions are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};

use crate::{event::Mapping, inspect::memory};

/// Functions that take the lock of their first argument and return 0 for success. Those of
/// semaphores are complete. Of the others, which say themselves who owns them or are seldom timed,
/// the timed ones are left out: a hold that is not seen is unknown, and every probe costs time when
/// a process begins and ends.
const TAKE: [&str; 8] = [
    "sem_wait",
    "sem_trywait",
    "sem_timedwait",
    "sem_clockwait",
    "pthread_mutex_lock",
    "pthread_mutex_trylock",
    "pthread_rwlock_rdlock",
    "pthread_rwlock_wrlock",
];

/// Functions after which nobody has the lock of their first argument.
const RELEASE: [&str; 4] =
    ["sem_post", "sem_init", "pthread_mutex_unlock", "pthread_rwlock_unlock"];

/// The largest library that is read for its symbols, bytes.
const MAX_LIBRARY: u64 = 64 << 20;

/// A file as the kernel tells it from others: device and inode.
pub(super) type FileId = (u64, u64);

/// The lock functions of a library, as offsets in its file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Functions {
    pub(super) take: BTreeSet<u64>,
    pub(super) release: BTreeSet<u64>,
}

/// Those of a file; `None`: it has none.
pub(super) fn functions(path: &Path) -> Option<Functions> {
    let size = fs::metadata(path).ok()?.len();
    if size > MAX_LIBRARY {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let file = object::File::parse(bytes.as_slice()).ok()?;
    let mut found = Functions::default();
    for symbol in file.dynamic_symbols().chain(file.symbols()) {
        let Ok(name) = symbol.name() else { continue };
        // Static symbol tables carry the version in the name.
        let name = name.split('@').next().unwrap_or(name);
        if !symbol.is_definition() || symbol.kind() != object::SymbolKind::Text {
            continue;
        }
        let set = match name {
            name if TAKE.contains(&name) => &mut found.take,
            name if RELEASE.contains(&name) => &mut found.release,
            _ => continue,
        };
        let offset = file.segments().find_map(|segment| {
            let (start, length) = segment.file_range();
            let inside = symbol.address().checked_sub(segment.address())?;
            (inside < length).then(|| start.saturating_add(inside))
        });
        set.extend(offset);
    }
    (!found.take.is_empty()).then_some(found)
}

/// The files mapped by a process that can hold lock functions, by paths that this process can open:
/// the C library, or a program linked statically.
pub(super) fn libraries(pid: u32) -> Vec<(FileId, PathBuf)> {
    let mut paths = BTreeSet::new();
    // The answer "none" makes the search go through every mapping.
    let _ = memory::any_mapping(pid, |mapping| {
        if is_library(mapping) {
            paths.insert(PathBuf::from(format!("/proc/{pid}/root{}", mapping.path)));
        }
        false
    });
    if paths.is_empty() {
        paths.insert(PathBuf::from(format!("/proc/{pid}/exe")));
    }
    let identify = |path: PathBuf| {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::metadata(&path).ok()?;
        Some(((metadata.dev(), metadata.ino()), path))
    };
    paths.into_iter().filter_map(identify).collect()
}

fn is_library(mapping: &Mapping) -> bool {
    let name = mapping.path.rsplit('/').next().unwrap_or_default();
    let starts =
        ["libc.so.", "libc-2.", "libpthread.so.", "libpthread-2.", "ld-musl-", "libc.musl"];
    mapping.perms.contains('x') && starts.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn this_process_has_a_library_with_lock_functions() {
        let found = libraries(std::process::id());
        let functions: Vec<_> = found.iter().filter_map(|(_, path)| functions(path)).collect();
        assert!(
            functions
                .iter()
                .any(|f| f.take.len() == TAKE.len() && f.release.len() == RELEASE.len())
        );
    }

    #[test]
    fn files_that_are_no_libraries_have_none() {
        assert_eq!(functions(Path::new("/proc/self/status")), None);
        assert_eq!(functions(Path::new("/no/such/file")), None);
        assert!(libraries(u32::MAX).is_empty());
    }

    #[test]
    fn libraries_are_told_by_name() {
        let mapping = |path: &str, perms: &str| Mapping {
            path: path.into(),
            perms: perms.into(),
            ..Mapping::default()
        };
        for path in ["/usr/lib/libc.so.6", "/lib/ld-musl-x86_64.so.1", "/lib/libpthread-2.31.so"] {
            assert!(is_library(&mapping(path, "r-xp")), "{path}");
        }
        assert!(!is_library(&mapping("/usr/lib/libc.so.6", "r--p")));
        assert!(!is_library(&mapping("/usr/lib/libcap.so.2", "r-xp")));
        assert!(!is_library(&mapping("/tmp/libc.so.6/x", "r-xp")));
    }
}
