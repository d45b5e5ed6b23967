//! Many entries of a hash map in one system call, which aya does not offer.
//!
//! Hash maps have it from Linux 5.6 on (`generic_map_delete_batch`, `kernel/bpf/syscall.c`, and
//! `__htab_map_lookup_and_delete_batch`, `kernel/bpf/hashtab.c`; both as read in Linux 6.18).

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use aya::Ebpf;
use zerocopy::{Immutable, IntoBytes};

use super::{Error, handles::fd_of};

/// `BPF_MAP_LOOKUP_BATCH` and `BPF_MAP_DELETE_BATCH` (`include/uapi/linux/bpf.h`).
const LOOKUP: libc::c_long = 24;
const DELETE: libc::c_long = 27;

/// How many entries are asked for at once, and the most if the kernel finds that too few for what has
/// one hash.
const ENTRIES: usize = 256;
const MOST_ENTRIES: usize = 1 << 16;

/// The part of `union bpf_attr` for batches.
#[derive(Default, IntoBytes, Immutable)]
#[repr(C)]
struct Attr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// One more handle of a map that stays where it is.
pub(super) struct Batch(OwnedFd);

impl Batch {
    pub(super) fn open(ebpf: &Ebpf, name: &str) -> Result<Self, Error> {
        fd_of(ebpf, name).map(Batch)
    }

    /// Deletes the entries with these keys, `N` bytes each. Returns the keys that had none.
    pub(super) fn delete<const N: usize>(&self, keys: &[[u8; N]]) -> io::Result<Vec<[u8; N]>> {
        let (mut rest, mut missing) = (keys, Vec::new());
        while !rest.is_empty() {
            let mut attr = Attr { keys: address(rest.as_ptr()), ..self.attr(rest.len()) };
            let result = bpf(DELETE, &mut attr);
            let count = attr.count as usize;
            let next = match result {
                Ok(()) => count,
                // The first one that is missing ends the call.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                    missing.extend(rest.get(count));
                    count + 1
                }
                Err(error) => return Err(error),
            };
            // Never without progress, whatever the kernel says.
            rest = rest.get(next.max(1)..).unwrap_or_default();
        }
        Ok(missing)
    }

    /// The values of all entries, with keys of `K` bytes and values of `V`, which must be the map's. One
    /// that is added or deleted meanwhile may be among them or not.
    pub(super) fn values<const K: usize, const V: usize>(&self) -> io::Result<Vec<[u8; V]>> {
        let mut all = Vec::new();
        let (mut keys, mut values) = (vec![[0; K]; ENTRIES], vec![[0; V]; ENTRIES]);
        let (mut from, mut to): (Option<u32>, u32) = (None, 0);
        loop {
            let mut attr = Attr {
                in_batch: from.as_ref().map_or(0, |from| address(from)),
                out_batch: std::ptr::from_mut(&mut to).addr() as u64,
                keys: keys.as_mut_ptr().addr() as u64,
                values: values.as_mut_ptr().addr() as u64,
                ..self.attr(keys.len())
            };
            let result = bpf(LOOKUP, &mut attr);
            match result.as_ref().map_err(io::Error::raw_os_error) {
                Ok(()) | Err(Some(libc::ENOENT)) => {
                    all.extend(values.iter().take(attr.count as usize));
                }
                Err(Some(libc::ENOSPC)) if keys.len() < MOST_ENTRIES => {
                    keys.resize(keys.len() * 2, [0; K]);
                    values.resize(values.len() * 2, [0; V]);
                    continue;
                }
                Err(_) => {}
            }
            match result {
                Ok(()) => from = Some(to),
                // That was the end.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(all),
                Err(error) => return Err(error),
            }
        }
    }

    fn attr(&self, count: usize) -> Attr {
        Attr {
            count: u32::try_from(count).unwrap_or(u32::MAX),
            map_fd: u32::try_from(self.0.as_raw_fd()).unwrap_or(u32::MAX),
            ..Attr::default()
        }
    }
}

fn address<T>(place: *const T) -> u64 {
    place.addr() as u64
}

/// The system call. Every address in `attr` must be of as many entries as `count` says, or of a `u32`,
/// that outlive the call.
fn bpf(command: libc::c_long, attr: &mut Attr) -> io::Result<()> {
    // SAFETY: the kernel reads and writes `attr` and, as its doc demands, memory that the caller has.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<Attr>())
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
