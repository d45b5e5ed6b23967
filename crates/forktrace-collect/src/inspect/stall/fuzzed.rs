//! What fuzz targets call of this room, see `fuzzing` in the crate `forktrace`.

use rustc_hash::FxHashMap;

use super::{
    call::{Call, Target},
    file_locks,
    files::{self, Info, Link},
    host, look, polled, tcp_sockets, transfers, unix_sockets,
};

/// A `fdinfo`, a link of a descriptor, `/proc/locks`, `maps`, `schedstat`, `io`, a list of TCP connections, an answer of the kernel
/// about Unix sockets, an array of `poll`, a set of `select`, the arguments of a call: taken for each.
pub fn files(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let info = Info::parse(&text);
    assert!(info.mode.is_none_or(|mode| mode <= 3));
    assert!(info.locks.iter().all(|lock| files::is_file(lock) && text.contains(lock)));
    assert!(info.watched.iter().all(|watched| watched.ways().count() > 0));
    for line in text.lines() {
        Link::parse(line);
        host::shared_file(line);
        if let Some(lock) = file_locks::parse(line) {
            assert!(files::is_file(&lock.file) && line.contains(&lock.file));
            assert!(lock.pid != Some(0));
        }
    }
    let mut lists = tcp_sockets::Lists::default();
    text.lines().for_each(|line| lists.add(line));
    assert!(lists.peers().values().all(|peer| peer.inode != 0));
    look::schedstat(&text);
    transfers(&text);
    let mut sockets = FxHashMap::default();
    unix_sockets::parse(data, &mut sockets);
    // A header and a message for each.
    assert!(sockets.len() <= data.len() / 32 && sockets.values().all(|one| one.peer != Some(0)));
    let polled = polled::in_array(data);
    assert!(polled.len() <= data.len() / 4);
    assert!(polled.iter().all(|target| matches!(target, Target::File(0.., _))));
    assert!(polled::in_set(data, 1024).all(|fd| (0..1024).contains(&fd)));
    let (words, _) = data.as_chunks::<8>();
    if let [number, arguments @ ..] = words {
        let mut words = arguments.iter().map(|word| u64::from_le_bytes(*word));
        let arguments = std::array::from_fn(|_| words.next().unwrap_or_default());
        let call = Call::of(i64::from_le_bytes(*number), arguments);
        assert!(call.timed || !call.targets.is_empty(), "something ends every call");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{fs, path::Path};

    use proptest::prelude::*;

    use super::files;

    fn seeds() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/stall");
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn no_bytes_of_files_break_a_promise(
            seed in prop::sample::select(seeds()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = seed;
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            files(&bytes);
            files(&bytes[..cut.index(bytes.len())]);
        }
    }
}
