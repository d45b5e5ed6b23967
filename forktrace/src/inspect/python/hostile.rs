//! What fuzz targets call of this room, see [`crate::fuzzing`].

use std::{cell::OnceCell, fs::File, os::unix::fs::FileExt as _};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{frames, kept, remote::Remote};

/// Where the memory begins: the lowest address that an object may have.
const START: u64 = 0x1_0000;
/// Most bytes of it.
const MOST: usize = 1 << 16;

/// Most reads: enough for every path through it.
const READS: u32 = 20_000;

thread_local! {
    /// A file that is read as memory: made once, for that costs more than the reading.
    static MEMORY: OnceCell<Option<File>> = const { OnceCell::new() };
}

fn memory() -> Option<File> {
    memfd_create("forktrace-memory", MFdFlags::MFD_CLOEXEC).ok().map(File::from)
}

/// Memory of a Python process, which may lay out its interpreter as it likes.
pub fn python(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    MEMORY.with(|memory| {
        let Some(file) = memory.get_or_init(self::memory) else { return };
        let end = START.saturating_add(data.len() as u64);
        if file.set_len(0).is_err()
            || file.set_len(end).is_err()
            || file.write_all_at(data, START).is_err()
        {
            return;
        }
        let Ok(memory) = file.try_clone() else { return };
        let remote = &Remote::of_file(memory, READS);
        let lock = START + 64;
        let uses = frames::lock_uses(remote, START, lock);
        assert!(!uses.are_all() || uses.of_threads.len() < 256);
        for place in [START + 8, START + 200, end, u64::MAX] {
            frames::owner_of_slot(remote, place);
            kept::method(remote, place);
            remote.type_name(place);
        }
    });
}
