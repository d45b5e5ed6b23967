//! The programs that see locks on files.

use aya::Ebpf;
use forktrace_common::file_lock::LockOffsets;

use super::{btf::Described, loader, tracefs::Tracefs};

/// Program and tracepoint (`include/trace/events/filelock.h`, Linux 5.10 and 6.18).
pub(crate) const FILE_LOCKS: [(&str, &str); 2] = [
    ("flock_lock_inode", "filelock/flock_lock_inode"),
    ("posix_lock_inode", "filelock/posix_lock_inode"),
];

/// Attaches the programs; false: this kernel lacks something that they need, or refuses them. The rest does
/// without them.
pub(super) fn attach(ebpf: &mut Ebpf, tracefs: &Tracefs, possible: bool) -> bool {
    if !possible || !FILE_LOCKS.iter().all(|(_, event)| tracefs.has(event)) {
        return false;
    }
    FILE_LOCKS.iter().all(|(program, event)| {
        let attached = loader::attach_raw(ebpf, program, event);
        if let Err(error) = &attached {
            tracing::debug!("locks on files are not followed: {error}");
        }
        attached.is_ok()
    })
}

/// Where this kernel's structures have their fields; `None`: it does not say.
pub(crate) fn offsets() -> Option<LockOffsets> {
    let kernel = Described::open()?;
    let types = kernel.types()?;
    let lock = |field| types.offset("file_lock", field);
    // From Linux 6.9 on, locks and leases have their beginning in common.
    let field = |newer, older| {
        let core = types.offset("file_lock_core", newer).zip(lock("c"));
        core.and_then(|(field, core)| core.checked_add(field)).or_else(|| lock(older))
    };
    Some(LockOffsets {
        owner: field("flc_owner", "fl_owner")?,
        flags: field("flc_flags", "fl_flags")?,
        kind: field("flc_type", "fl_type")?,
        file: field("flc_file", "fl_file")?,
        start: lock("fl_start")?,
        end: lock("fl_end")?,
        inode: types.offset("inode", "i_ino")?,
        superblock: types.offset("inode", "i_sb")?,
        device: types.offset("super_block", "s_dev")?,
        reserved: 0,
    })
}
