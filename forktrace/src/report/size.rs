//! Sizes as people read them.

use super::plural;

/// A size: `812 bytes`, `4.1 MB`.
pub fn bytes(n: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match units.into_iter().find(|(_, size)| n >= *size) {
        Some((unit, size)) => format!("{}.{} {unit}", n / size, n % size * 10 / size),
        None => plural(n, "byte", "bytes"),
    }
}
