//! What fuzz targets call of this room, see `fuzzing` in the crate `forktrace`.

use std::io::Write as _;

use procfs::{FromRead as _, process::Syscall};

use super::{
    ancestry, file_lock, memory,
    module::{Places, loads},
    open_files, proc_text, scan, signals, stacks, symbol, threads,
};

/// A file of `/proc`, taken for each that is read.
pub fn proc(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let status = proc_text::Status::parse(&text);
    assert!(status.switches.is_none() || text.contains("nonvoluntary_ctxt_switches"));
    let uid = proc_text::uid_in(&text);
    assert!(uid.is_none_or(|uid| text.contains(&uid.to_string())));
    if let Some(cgroup) = proc_text::cgroup_in(&text) {
        assert!(text.contains(&cgroup) && !cgroup.contains('\n'));
    }
    scan::flags_in(&text);
    let mut places = Places::default();
    for line in text.split('\n') {
        let Some(mapping) = memory::parse(line) else { continue };
        assert!(line.ends_with(&mapping.path));
        for address in [mapping.start, mapping.end.wrapping_sub(1), 0] {
            places.take(&mapping, address);
        }
    }
    scan::stat_in(data);
    if let Ok(Syscall::Blocked { syscall_number, argument_registers, .. }) =
        Syscall::from_read(data)
    {
        threads::decode(syscall_number, argument_registers);
    }
    ancestry::random_at(data);
    file_lock::parse(data);
    signals::parse(&text);
    for load in loads(data).into_iter().flatten() {
        assert!(load.start <= load.end);
    }
}

/// What is read of the files of a thread that does not move.
pub fn stall(data: &[u8]) {
    super::stall::fuzzed::files(data);
    let text = String::from_utf8_lossy(data);
    let offset = open_files::offset_in(&text);
    assert!(offset.is_none_or(|offset| offset.reads || offset.writes));
    open_files::bytes_in(&text);
    for line in text.lines() {
        open_files::tcp_listens(line, 0);
        open_files::unix_listens(line, 0);
    }
}

/// A program or library, as a hostile process may map one, with memory to unwind over that says
/// nothing true.
pub fn elf(data: &[u8]) {
    for offset in [0, 64, 0x1000, u64::MAX] {
        symbol::find(data, offset);
    }
    let Ok(mut file) = stacks::image::empty() else { return };
    if file.write_all(data).is_ok() {
        stacks::image::fuzzed::read(file);
    }
}

/// The name of a symbol.
pub fn name(data: &[u8]) {
    let shown = stacks::symbols::demangled(&String::from_utf8_lossy(data));
    assert!(shown.chars().count() <= stacks::symbols::MAX_NAME);
}
