//! Buffers whose content several processes write.

use crate::event::Buffer;

/// What a finding tells of buffers that fork copied with something in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuffersDetail {
    /// The buffers, the surest first.
    pub found: Vec<Buffer>,
    /// The process ended, and this was seen then.
    pub ended: bool,
}
