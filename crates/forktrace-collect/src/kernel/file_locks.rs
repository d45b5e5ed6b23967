//! The programs that see locks on files.

use forktrace_common::file_lock::LockOffsets;

use super::btf::Types;

/// Program and tracepoint (`include/trace/events/filelock.h`, Linux 5.10 and 6.18).
pub(crate) const FILE_LOCKS: [(&str, &str); 2] = [
    ("flock_lock_inode", "filelock/flock_lock_inode"),
    ("posix_lock_inode", "filelock/posix_lock_inode"),
];

/// Where this kernel's structures have their fields; `None`: it does not say.
pub(super) fn offsets(types: &Types<'_>) -> Option<LockOffsets> {
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
