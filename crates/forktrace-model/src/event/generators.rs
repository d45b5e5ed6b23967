//! Random number generators that a fork copied and that more than one process has drawn from since.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json_number;

/// Generators of a forked process whose state is a step of the inherited one, and that of another process
/// too. The event's task is the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Generators {
    /// The generators, by address.
    pub found: Vec<Generator>,
    /// How many pages that the process has written since the fork were searched.
    pub pages: u32,
    /// Not everything was searched: there was too much to do.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// One generator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// Its algorithm.
    pub kind: GeneratorKind,
    /// Address of its state.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// The processes that have drawn since the fork, all from the same inherited state; the event's own
    /// first.
    pub sides: Vec<GeneratorSide>,
    /// The type of the object that it belongs to, as its runtime names it: `_random.Random`. Chosen by the
    /// traced program: hostile until sanitised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
    /// Path of the file in whose data it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Path of the program that the process runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// A process that has drawn from a generator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorSide {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// How many steps lead from the inherited state to that of the process, at least.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub steps: u64,
    /// How many bits of its state are as these steps make them, beyond what chance explains. Zero: only a
    /// position moved.
    pub bits: u32,
}

macro_rules! kinds {
    ($($(#[doc = $doc:expr])+ $name:ident $kebab:literal $words:literal,)+) => {
        /// The algorithm of a generator; in the log in kebab case, of a later version perhaps an unknown one.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum GeneratorKind {
            $($(#[doc = $doc])+ #[serde(rename = $kebab)] $name,)+
            /// One that a later version knows.
            #[serde(other)]
            Unknown,
        }

        impl GeneratorKind {
            /// All that are known.
            pub const ALL: &[GeneratorKind] = &[$(GeneratorKind::$name),+];

            /// Its name in the log.
            pub fn id(self) -> &'static str {
                match self { $(GeneratorKind::$name => $kebab,)+ GeneratorKind::Unknown => "unknown" }
            }
        }

        impl fmt::Display for GeneratorKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(GeneratorKind::$name => $words,)+
                    GeneratorKind::Unknown => "unknown generator",
                })
            }
        }
    };
}

kinds! {
    /// A Mersenne Twister of 32-bit words.
    Mt19937 "mt19937" "Mersenne Twister (MT19937)",
    /// A Mersenne Twister of 64-bit words.
    Mt19937x64 "mt19937-64" "Mersenne Twister (MT19937-64)",
    /// PCG with 128 bits of state, the usual multiplier.
    Pcg64 "pcg64" "PCG64",
    /// The same with the multiplier of 64 bits.
    Pcg64Dxsm "pcg64-dxsm" "PCG64DXSM",
    /// PCG with 64 bits of state.
    Pcg32 "pcg32" "PCG32",
    /// Philox 4x64 with ten rounds.
    Philox "philox4x64" "Philox 4x64",
    /// SFC64.
    Sfc64 "sfc64" "SFC64",
    /// xoshiro with four words of 64 bits.
    Xoshiro256 "xoshiro256" "xoshiro256",
    /// xoshiro with four words of 32 bits.
    Xoshiro128 "xoshiro128" "xoshiro128",
    /// xoroshiro with two words of 64 bits.
    Xoroshiro128 "xoroshiro128" "xoroshiro128",
    /// xorshift128+ with the shifts of JavaScript engines.
    Xorshift128Plus "xorshift128-plus" "xorshift128+",
    /// Marsaglia's xorshift with four words of 32 bits.
    Xorshift128 "xorshift128" "xorshift128",
    /// The additive generator of C's `random()` and `rand()`.
    Additive "additive" "additive feedback generator",
    /// The linear congruential generator of C's `drand48()`, with 48 bits.
    Lcg48 "lcg48" "48-bit linear congruential generator",
    /// A linear congruential generator with 64 bits.
    Lcg64 "lcg64" "64-bit linear congruential generator",
    /// ChaCha with a counter of 64 bits.
    ChaCha "chacha" "ChaCha",
}
