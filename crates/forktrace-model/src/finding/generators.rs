//! Generators that several processes draw from.

use crate::event::Generator;

/// What a finding tells of random number generators that several processes draw the same numbers from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneratorsDetail {
    /// The generators, the surest first.
    pub found: Vec<Generator>,
    /// How long after the fork this was seen, ns.
    pub drawn_ns: u64,
}
