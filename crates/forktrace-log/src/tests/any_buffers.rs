//! Strategies: any buffers.

use forktrace_model::event::*;
use proptest::{collection::vec, option, prelude::*};

use super::any::text;

/// Any buffers of a process.
pub(super) fn buffers() -> impl Strategy<Value = Buffers> {
    let state = prop::sample::select(&[
        BufferState::Same,
        BufferState::Touched,
        BufferState::Added,
        BufferState::Emptied,
        BufferState::Written,
        BufferState::Unknown,
    ]);
    let side = (any::<u32>(), text(), state).prop_map(|(pid, comm, state)| BufferSide {
        pid,
        comm,
        state,
    });
    let kind = prop::sample::select(BufferKind::ALL);
    let buffer =
        (kind, any::<[u64; 2]>(), option::of(any::<i32>()), option::of(text()), vec(side, 0..3));
    let buffer = buffer.prop_map(|(kind, [address, bytes], fd, file, sides)| Buffer {
        kind,
        address,
        bytes,
        fd,
        file,
        sides,
    });
    (vec(buffer, 0..2), any::<[bool; 3]>()).prop_map(|(found, [exits, ended, cut])| Buffers {
        found,
        exits,
        ended,
        cut,
    })
}
