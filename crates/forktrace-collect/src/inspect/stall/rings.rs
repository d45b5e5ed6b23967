//! What the kernel does with files in the name of a process. Files that are registered with an io_uring
//! (io_uring_register(2)) stay open there when the descriptors are closed, and the kernel reads and writes them
//! in the name of who has the ring.

use std::{thread::sleep, time::Duration};

use super::{
    files::{self, Link},
    host::Open,
};
use crate::inspect::memory;

/// How often it is read: the kernel tells nothing of a ring that is being used, or not all (it tries to
/// take the ring's lock; `io_uring_show_fdinfo`, `io_uring/fdinfo.c`, Linux 6.18).
const TRIES: u32 = 3;

/// What is registered with the ring of a descriptor; `None`: not known.
pub(super) fn registered_with(ring: Open) -> Option<Vec<Link>> {
    (0..TRIES).find_map(|tried| {
        sleep(Duration::from_millis(1) * tried);
        registered(&files::text(ring.pid, ring.tid, ring.fd)?)
    })
}

/// The same by its `fdinfo`: a line `UserFiles:` with the size of the table, and a line for each file. Older
/// kernels write the last part of each path alone: nothing is learnt of a pipe there
/// (`__io_uring_show_fdinfo`, `fs/io_uring.c`, Linux 5.15).
pub(super) fn registered(text: &str) -> Option<Vec<Link>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("UserFiles:"));
    let size: u64 = lines.next()?.strip_prefix("UserFiles:")?.trim().parse().ok()?;
    let entry = |line: &str| {
        let (number, path) = line.split_once(':')?;
        number.trim().parse::<u64>().ok().map(|_| Link::parse(path.trim()))
    };
    let links: Vec<Link> = lines.map_while(entry).collect();
    let known = size == 0 || !links.is_empty() && !links.contains(&Link::Other);
    known.then_some(links)
}

/// Whether a process has a context of the kernel's own asynchronous input and output (io_setup(2)), which may
/// write to an eventfd (`IOCB_FLAG_RESFD`); its ring is mapped (`aio_setup_ring`, `fs/aio.c`, Linux 6.18).
pub(super) fn has_aio(pid: u32) -> bool {
    memory::any_mapping(pid, |mapping| mapping.path.starts_with("/[aio]")).unwrap_or(false)
}
