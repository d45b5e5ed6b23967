//! Futex words: who has the memory that they are in.

use std::{fs::Metadata, os::unix::fs::MetadataExt as _};

use forktrace_common::futex::FUTEX_PRIVATE_FLAG;
use forktrace_model::event::{
    Window,
    stall::{On, Runtime, Thing, ThingKind, Way},
};

use super::{
    host::Whose,
    process, semaphores,
    things::{Key, Things, Waiter, Waits},
    users::one_who_writes,
};
use crate::inspect::{
    evidence, fuse,
    memory::{self, Origin},
    python,
};

impl Things<'_> {
    /// A wake comes only from who has the word's memory: a futex in private memory, or one that is said to
    /// be private, is known by the memory of its process (`get_futex_key`, `kernel/futex/core.c`, Linux
    /// 6.18).
    pub(super) fn word(
        &mut self,
        waiter: Waiter,
        uaddr: u64,
        op: u32,
        waits: &mut Waits,
    ) -> Option<()> {
        let pid = waiter.pid;
        let mapping = memory::mapping(pid, uaddr)?;
        let said_private = op < forktrace_common::futex::OP_WAITV && op & FUTEX_PRIVATE_FLAG != 0;
        let window = || {
            let (start, len) = evidence::clip(uaddr, Some(&mapping));
            let bytes = memory::read(pid, start, len).ok()?;
            Some(Window { address: start, bytes })
        };
        let thing = |kind, users: Vec<u32>| Thing {
            kind,
            name: mapping.path.clone(),
            users: users.into_iter().map(one_who_writes).collect(),
            word: Some(uaddr),
            op: Some(op),
            now: window(),
            mapping: Some(mapping.clone()),
            ..Thing::default()
        };
        let place = if said_private || !mapping.shared {
            let mut users = self.sharing(waiter);
            users.push(pid);
            let runtime = *self.runtimes.entry(pid).or_insert_with(|| process::runtime_of(pid));
            let make = |_: &Self| {
                let made = thing(ThingKind::PrivateWord, users);
                let owner = (runtime == Some(Runtime::Python))
                    .then(|| python::rlock_owner(pid, waiter.tid, uaddr));
                Some(Thing { owner: owner.flatten(), ..made })
            };
            self.place(Key::PrivateWord(pid, uaddr), make)?
        } else {
            let origin = memory::origin(pid, uaddr)?;
            let offset = (uaddr - mapping.start).checked_add(mapping.offset)?;
            let file = (origin.device, origin.inode);
            let status = fuse::status_of_mapped(pid, &origin);
            let (users, known) = self.that_may_map(pid, &origin, status.as_ref());
            let key = Key::SharedWord(file, offset);
            let by = (pid, waiter.tid);
            self.place(key, |_| {
                let mut made = known.then(|| thing(ThingKind::SharedWord, users))?;
                made.by_name = has_name(&mapping.path, status.as_ref());
                semaphores::add_records(&mut made.users, (file, offset), &mapping.path, by);
                Some(made)
            })?
        };
        waits.on.push(On { thing: place, fd: None, way: Way::Wake });
        Some(())
    }

    /// The processes that have a file of memory mapped, or open so that they may map it, and whether they are
    /// all that have it without asking for it by name.
    fn that_may_map(
        &self,
        pid: u32,
        origin: &Origin,
        status: Option<&Metadata>,
    ) -> (Vec<u32>, bool) {
        let file = (origin.device, origin.inode);
        let mut users = self.host.memory().of(file).to_vec();
        let all = self.host.are_all(users.iter().copied(), Whose::Memory);
        let known = all && users.contains(&pid);
        let device = status.map(|status| status.dev());
        users.extend(self.host.files().that_have(origin.inode, device, &origin.path));
        users.sort_unstable();
        users.dedup();
        (users, known)
    }

    /// Processes that run in the very memory of the waiter.
    fn sharing(&mut self, waiter: Waiter) -> Vec<u32> {
        let host = self.host;
        let find = || host.sharing(waiter.pid, waiter.stack);
        self.sharing.entry(waiter.pid).or_insert_with(find).clone()
    }
}

/// Whether others may open a file that is mapped by its name. A segment of System V shared memory is attached
/// by its number, though it has no name in a directory (`newseg`, `ipc/shm.c`, Linux 6.18).
pub(super) fn has_name(path: &str, status: Option<&Metadata>) -> bool {
    let linked = status.map(|status| status.nlink() > 0);
    path.starts_with("/SYSV") || linked.unwrap_or(!path.ends_with(" (deleted)"))
}
