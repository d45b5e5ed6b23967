//! How numbers are written in the event log.
//!
//! JSON readers keep integers exactly only up to 2^53, so larger ones are strings; addresses and
//! flags are strings of hexadecimal digits with `0x`. Readers take either form.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Largest integer that every JSON reader keeps exactly.
const EXACT: u64 = 1 << 53;

#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    Unsigned(u64),
    Signed(i64),
    Text(String),
}

macro_rules! form {
    ($(#[$doc:meta])* $name:ident, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

form!(
    /// The schema of a number: an integer, or beyond 2^53 a decimal string.
    Number,
    { "anyOf": [{ "type": "integer" }, { "type": "string", "pattern": "^-?[0-9]+$" }] }
);
form!(
    /// The schema of an address, mask or value in hexadecimal digits.
    Hex,
    { "type": "string", "pattern": "^0x[0-9a-f]+$" }
);
form!(
    /// The schema of memory.
    HexBytes,
    { "type": "string", "pattern": "^([0-9a-f]{2})*$" }
);

/// Writes `value` as a number where it is exact, as a decimal string where it is not.
pub fn serialize<S: Serializer>(value: &u64, s: S) -> Result<S::Ok, S::Error> {
    if *value <= EXACT { s.serialize_u64(*value) } else { s.collect_str(value) }
}

/// Reads a number, a decimal string or a `0x` string.
pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    match Raw::deserialize(d)? {
        Raw::Unsigned(n) => Ok(n),
        Raw::Signed(_) => Err(D::Error::custom("negative number")),
        Raw::Text(text) => parse(&text).ok_or_else(|| D::Error::custom("not a number")),
    }
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The same for signed numbers.
pub mod signed {
    use super::{Deserialize, Deserializer, EXACT, Error, Raw, Serializer};

    /// Writes `value` as a number where it is exact, as a decimal string where it is not.
    pub fn serialize<S: Serializer>(value: &i64, s: S) -> Result<S::Ok, S::Error> {
        if value.unsigned_abs() <= EXACT { s.serialize_i64(*value) } else { s.collect_str(value) }
    }

    /// Reads a number or a decimal string.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
        match Raw::deserialize(d)? {
            Raw::Unsigned(n) => i64::try_from(n).map_err(D::Error::custom),
            Raw::Signed(n) => Ok(n),
            Raw::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

/// Addresses and flags: `"0x7f21c4003a10"`.
pub mod hex {
    use super::Serializer;

    pub use super::deserialize;

    /// Writes `value` as a `0x` string.
    pub fn serialize<S: Serializer>(value: &u64, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{value:#x}"))
    }
}

/// A number that may be unknown (`null`).
pub mod opt {
    use super::{Deserialize, Deserializer, Serializer};

    /// Writes a number, a decimal string or null.
    pub fn serialize<S: Serializer>(value: &Option<u64>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, s),
            None => s.serialize_none(),
        }
    }

    /// Reads a number, a decimal string or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
        #[derive(Deserialize)]
        struct Number(#[serde(with = "super")] u64);
        Ok(Option::<Number>::deserialize(d)?.map(|Number(number)| number))
    }
}

/// An address or mask that may be unknown (`null`).
pub mod opt_hex {
    use super::{Deserialize, Deserializer, Error, Serializer, parse};

    /// Writes a `0x` string or null.
    pub fn serialize<S: Serializer>(value: &Option<u64>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::hex::serialize(value, s),
            None => s.serialize_none(),
        }
    }

    /// Reads a `0x` string or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
        match Option::<String>::deserialize(d)? {
            None => Ok(None),
            Some(text) => parse(&text).map(Some).ok_or_else(|| D::Error::custom("not a number")),
        }
    }
}

/// Memory: two hexadecimal digits a byte, without prefix.
pub mod hex_bytes {
    use super::{Deserialize, Deserializer, Error, Serializer};

    /// Writes the digits.
    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        s.serialize_str(&text)
    }

    /// Reads the digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        let digits = text.as_bytes();
        if digits.len() % 2 != 0 {
            return Err(D::Error::custom("odd number of hexadecimal digits"));
        }
        digits
            .chunks(2)
            .map(|pair| {
                let pair = std::str::from_utf8(pair).map_err(D::Error::custom)?;
                u8::from_str_radix(pair, 16).map_err(D::Error::custom)
            })
            .collect()
    }
}
