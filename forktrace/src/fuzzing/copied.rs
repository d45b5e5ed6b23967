//! Memory that a fork copied, as inherited and now: for the search of generators and of buffers.

use forktrace_model::{
    buffers::{self, EXTENT, Wrote},
    generators::{self, Memory, PAGE, When},
};

/// Where the memory begins: in the middle of all that a process may have, and at the end of it.
const STARTS: [u64; 2] = [0x7f00_0000_0000, 0x7fff_ffff_d000];

/// Two pages of each time.
struct Pages<'a> {
    start: u64,
    inherited: &'a [u8],
    now: &'a [u8],
}

impl Memory for Pages<'_> {
    fn read(&mut self, when: When, address: u64, bytes: &mut [u8]) -> bool {
        let source = match when {
            When::Fork => self.inherited,
            When::Now => self.now,
        };
        let Some(at) = address.checked_sub(self.start).filter(|at| *at < 2 * PAGE as u64) else {
            return false;
        };
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if at.saturating_add(bytes.len()) > 2 * PAGE {
            return false;
        }
        // What was not given is zero.
        for (offset, byte) in bytes.iter_mut().enumerate() {
            *byte = source.get(at + offset).copied().unwrap_or_default();
        }
        true
    }
}

/// The first half is memory as inherited, the other as it is now: no generator is found where nothing has
/// changed.
pub fn generators(data: &[u8]) {
    let (inherited, now) = data.split_at(data.len() / 2);
    for start in STARTS {
        let pages = [start, start.saturating_add(PAGE as u64)];
        let found = generators::search(&mut Pages { start, inherited, now }, &pages);
        for hit in found.hits {
            assert!(hit.steps > 0 && hit.address >= start, "{hit:?}");
        }
        let same = generators::search(&mut Pages { start, inherited, now: inherited }, &pages);
        assert!(same.hits.is_empty(), "nothing has changed: {:?}", same.hits);
    }
}

/// The same of buffers: what is found is in the memory, and not empty.
pub fn buffers(data: &[u8]) {
    let (inherited, now) = data.split_at(data.len() / 2);
    for start in STARTS {
        for buffer in buffers::within(start, inherited) {
            let at = usize::try_from(buffer.address - start).unwrap_or(usize::MAX);
            assert!(buffer.bytes > 0 && at < inherited.len(), "{buffer:?}");
            let rest = inherited.get(at..).unwrap_or_default();
            assert!(buffers::may_begin(rest) && buffers::at(buffer.address, rest) == Some(buffer));
            let rest = &rest[..rest.len().min(EXTENT)];
            assert_eq!(buffers::state(&buffer, rest), forktrace_model::event::BufferState::Same);
            buffers::state(&buffer, now.get(at..).unwrap_or_default());
            for function in [Wrote::Flush, Wrote::Purge, Wrote::Other] {
                buffers::by_first_write(
                    &buffer,
                    buffer.address.wrapping_add(now.len() as u64),
                    function,
                );
            }
        }
    }
}
