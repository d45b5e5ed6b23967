//! Where the running kernel keeps a field of one of its structures, by its own description (BTF).
//!
//! The format: `Documentation/bpf/btf.rst` and `include/uapi/linux/btf.h`, Linux 6.18.

use std::fs::{self, File};

use memmap2::Mmap;

/// The running kernel's description.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// `BTF_MAGIC`, little endian.
const MAGIC: u32 = 0xeb9f;

/// `BTF_KIND_*`.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const ENUM64: u32 = 19;
}

/// The running kernel's description of itself.
pub(super) struct Described(Bytes);

/// Its bytes.
enum Bytes {
    /// As the kernel keeps them (from 6.16, "btf: Allow mmap of vmlinux btf").
    Mapped(Mmap),
    /// Copied, a page with each call.
    Read(Vec<u8>),
}

impl Described {
    /// `None`: the kernel does not describe itself.
    pub(super) fn open() -> Option<Self> {
        let file = File::open(VMLINUX).ok()?;
        // SAFETY: the kernel never changes these bytes.
        let bytes = match unsafe { Mmap::map(&file) } {
            Ok(map) => Bytes::Mapped(map),
            Err(_) => Bytes::Read(fs::read(VMLINUX).ok()?),
        };
        Some(Described(bytes))
    }

    /// Its types, for several questions.
    pub(super) fn types(&self) -> Option<Types<'_>> {
        Types::of(match &self.0 {
            Bytes::Mapped(map) => map,
            Bytes::Read(bytes) => bytes,
        })
    }
}

/// Most unions and structures without a name that are looked into, one inside of the other.
const DEPTH: u32 = 8;

/// The types of a description.
pub(super) struct Types<'a> {
    bytes: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins, from the first on, which has the number 1.
    places: Vec<usize>,
}

impl<'a> Types<'a> {
    fn of(btf: &'a [u8]) -> Option<Self> {
        if word(btf, 0)? & 0xffff != MAGIC {
            return None;
        }
        let header = word(btf, 4)?;
        let section = |at: usize| {
            let start = usize::try_from(header.checked_add(word(btf, at)?)?).ok()?;
            let length = usize::try_from(word(btf, at + 4)?).ok()?;
            btf.get(start..start.checked_add(length)?)
        };
        let (bytes, strings) = (section(8)?, section(16)?);
        let (mut places, mut at) = (Vec::new(), 0);
        while let (Some(_), Some(info)) = (word(bytes, at), word(bytes, at + 4)) {
            places.push(at);
            let (kind, count) = (info >> 24 & 0x1f, usize::try_from(info & 0xffff).ok()?);
            at += 12
                + match kind {
                    kind::INT | kind::VAR | kind::DECL_TAG => 4,
                    kind::ARRAY => 12,
                    kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => count * 12,
                    kind::ENUM | kind::FUNC_PROTO => count * 8,
                    _ => 0,
                };
        }
        Some(Types { bytes, strings, places })
    }

    fn is(&self, offset: u32, name: &str) -> bool {
        let rest = usize::try_from(offset).ok().and_then(|at| self.strings.get(at..));
        rest.and_then(|rest| rest.split(|byte| *byte == 0).next()) == Some(name.as_bytes())
    }

    fn kind(&self, at: usize) -> Option<u32> {
        Some(word(self.bytes, at + 4)? >> 24 & 0x1f)
    }

    /// Byte offset of a field of a structure, one of its unions and structures without a name included;
    /// `None`: it has none such.
    pub(super) fn offset(&self, structure: &str, field: &str) -> Option<u32> {
        let mut structures = self.places.iter().copied().filter(|at| {
            self.kind(*at) == Some(kind::STRUCT)
                && word(self.bytes, *at).is_some_and(|name| self.is(name, structure))
        });
        structures.find_map(|at| self.field(at, field, DEPTH)).map(|bits| bits / 8)
    }

    /// Where a field of the structure or union at `at` begins, bits.
    fn field(&self, at: usize, field: &str, depth: u32) -> Option<u32> {
        let info = word(self.bytes, at + 4)?;
        let has_bit_fields = info >> 31 != 0;
        let count = usize::try_from(info & 0xffff).ok()?;
        (0..count).map(|index| at + 12 + index * 12).find_map(|member| {
            let (name, of) = (word(self.bytes, member)?, word(self.bytes, member + 4)?);
            let bits = word(self.bytes, member + 8)?;
            // The upper byte is the size of a bit field then.
            let bits = if has_bit_fields { bits & 0xff_ffff } else { bits };
            if self.is(name, field) {
                return Some(bits);
            }
            let inner = usize::try_from(of).ok()?.checked_sub(1);
            let inner = inner.and_then(|of| self.places.get(of).copied());
            let inner = inner.filter(|_| name == 0 && depth > 0)?;
            let nested = matches!(self.kind(inner)?, kind::STRUCT | kind::UNION);
            let within = nested.then(|| self.field(inner, field, depth - 1))??;
            bits.checked_add(within)
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(btf: &[u8], structure: &str, field: &str) -> Option<u32> {
        Types::of(btf)?.offset(structure, field)
    }

    /// An integer, a structure of another name and `struct s { int a; int b; }`.
    fn described(flag: u32) -> Vec<u8> {
        let strings = b"\0int\0s\0a\0b\0t\0";
        let structure = |name: u32, second: u32| {
            let info = flag << 31 | kind::STRUCT << 24 | 2;
            vec![name, info, 8, 7, 1, 0, 9, 1, second]
        };
        let int = vec![1, kind::INT << 24, 4, 32];
        let types = [int, structure(11, 64), structure(5, flag << 29 | 32)].concat();
        let length = types.len() as u32 * 4;
        let header = [MAGIC | 1 << 16, 24, 0, length, length, strings.len() as u32];
        let words = header.iter().chain(&types).flat_map(|word| word.to_le_bytes());
        words.chain(*strings).collect()
    }

    #[test]
    fn a_field_is_found_in_its_structure() {
        for flag in [0, 1] {
            let btf = described(flag);
            assert_eq!(find(&btf, "s", "a"), Some(0));
            assert_eq!(find(&btf, "s", "b"), Some(4));
            assert_eq!(find(&btf, "t", "b"), Some(8));
            assert_eq!(find(&btf, "s", "c"), None);
            assert_eq!(find(&btf, "u", "a"), None);
        }
    }

    #[test]
    fn what_is_cut_or_no_description_is_refused() {
        let btf = described(0);
        assert_eq!(find(b"\x7fELF", "s", "a"), None);
        for length in 0..btf.len() {
            assert!(find(&btf[..length], "s", "b").is_none(), "cut to {length} bytes");
        }
        let mut far = described(0);
        far[8..16].copy_from_slice(&[0xff; 8]);
        assert_eq!(find(&far, "s", "b"), None);
    }
}
