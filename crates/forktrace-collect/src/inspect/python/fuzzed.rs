//! What fuzz targets call of this room, see `fuzzing` in the crate `forktrace`.

use super::{frames, kept, lines, remote::Remote};

/// Where the memory begins: the lowest address that an object may have.
const START: u64 = 0x1_0000;
/// Most bytes of it.
const MOST: usize = 1 << 16;

/// Most reads: enough for every path through it.
const READS: u32 = 20_000;

/// Memory of a Python process, which may lay out its interpreter as it likes.
pub fn python(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    let end = START.saturating_add(data.len() as u64);
    let remote = &Remote::of_bytes(START, data.to_vec(), READS);
    let lock = START + 64;
    let uses = frames::lock_uses(remote, START, lock);
    assert!(!uses.are_all() || uses.of_threads.len() < 256);
    for place in [START + 8, START + 200, end, u64::MAX] {
        frames::owner_of_slot(remote, place);
        lines::at(remote, place);
        kept::method(remote, place);
        remote.type_name(place);
    }
}
