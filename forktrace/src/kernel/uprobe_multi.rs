//! All probes of one kind on one library in one process, by one link of the kernel.
//!
//! Each end of a probe that has a perf event of its own waits for a grace period, up to a tenth of a
//! second, one after the other. A link of many probes waits once for all of them, and links that end
//! together wait together (`bpf_uprobe_unregister`, `kernel/trace/bpf_trace.c`, Linux 6.18). Such links
//! came with Linux 6.6; before 6.10 those for one process saw its main thread alone (`uprobe_prog_run`).
//! aya 0.14 has no such links, and what type of link a program is for is told when it is loaded, so
//! that the programs are loaded here once more, over the maps of those that aya has loaded.

use std::{
    collections::{HashMap, HashSet},
    ffi::CStr,
    io,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use aya::{
    Ebpf,
    maps::{MapFd, MapInfo},
    util::KernelVersion,
};
use aya_obj::{
    Object,
    generated::{
        bpf_attach_type::BPF_TRACE_UPROBE_MULTI,
        bpf_cmd::{BPF_LINK_CREATE, BPF_PROG_LOAD},
        bpf_prog_type::BPF_PROG_TYPE_KPROBE,
    },
};

/// `BPF_F_UPROBE_MULTI_RETURN`, `include/uapi/linux/bpf.h`.
const RETURN: u32 = 1;
/// Longest name of a map in the kernel: `BPF_OBJ_NAME_LEN` less its end.
const NAME: usize = 15;
/// Most links that are ended at the same time.
const AT_ONCE: usize = 64;

/// Programs for such links, by name.
pub(super) struct Programs(HashMap<&'static str, OwnedFd>);

impl Programs {
    /// Loads the named programs of an object whose other programs aya has loaded.
    ///
    /// # Errors
    /// Why this kernel or this object has none, in a few words.
    pub(super) fn load(object: &[u8], ebpf: &Ebpf, names: &[&'static str]) -> Result<Self, String> {
        if KernelVersion::current().map_err(|error| error.to_string())?
            < KernelVersion::new(6, 10, 0)
        {
            return Err("links of many probes need Linux 6.10".into());
        }
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let mut object = Object::parse(object).map_err(|error| words(&error))?;
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        // What other programs need may not be here. Functions that are called are kept.
        let is_other = |name: &String| !names.contains(&name.as_str());
        let others = object.programs.iter().filter(|(name, _)| is_other(name));
        let others: HashSet<_> = others.map(|(_, program)| program.function_key()).collect();
        object.programs.retain(|name, _| !is_other(name));
        object.functions.retain(|key, _| !others.contains(key));
        let maps = maps(ebpf);
        let known = object.maps.clone();
        let known = known.iter().filter_map(|(name, map)| {
            let fd = maps.get(name.get(..NAME).unwrap_or(name))?;
            Some((name.as_str(), fd.as_fd().as_raw_fd(), map))
        });
        object.relocate_maps(known, &text).map_err(|error| words(&error))?;
        object.relocate_calls(&text).map_err(|error| words(&error))?;
        let load = |name: &&'static str| {
            let program = object.programs.get(*name)?;
            let function = object.functions.get(&program.function_key())?;
            Some((*name, program.license.as_c_str(), function.instructions.as_slice()))
        };
        let found = names.iter().filter_map(load);
        let loaded = found.map(|(name, license, code)| Ok((name, load_program(license, code)?)));
        let loaded: io::Result<HashMap<_, _>> = loaded.collect();
        Ok(Programs(loaded.map_err(|error| words(&error))?))
    }

    /// Attaches a program at offsets of a file; of one process if `pid` is not 0. The probes end with
    /// the link that is returned.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn attach(
        &self,
        name: &str,
        path: &CStr,
        offsets: &[u64],
        pid: u32,
        at_return: bool,
    ) -> io::Result<OwnedFd> {
        let program = self.0.get(name).ok_or(io::ErrorKind::NotFound)?;
        let attr = LinkCreate {
            program: program.as_raw_fd(),
            attach_type: BPF_TRACE_UPROBE_MULTI as u32,
            path: path.as_ptr().addr() as u64,
            offsets: offsets.as_ptr().addr() as u64,
            count: u32::try_from(offsets.len()).map_err(io::Error::other)?,
            multi_flags: if at_return { RETURN } else { 0 },
            pid,
            ..LinkCreate::default()
        };
        bpf(BPF_LINK_CREATE as i64, &attr)
    }
}

/// Ends links, many at the same time.
pub(super) fn end(mut links: Vec<OwnedFd>) {
    let share = links.len().div_ceil(AT_ONCE).max(1);
    std::thread::scope(|scope| {
        while !links.is_empty() {
            let some = links.split_off(links.len().saturating_sub(share));
            scope.spawn(move || drop(some));
        }
    });
}

/// The maps of the loaded programs, by the names that the kernel knows.
fn maps(ebpf: &Ebpf) -> HashMap<String, MapFd> {
    let used = ebpf.programs().filter_map(|(_, program)| program.info().ok()?.map_ids().ok()?);
    let named = used.flatten().filter_map(|id| {
        let info = MapInfo::from_id(id).ok()?;
        Some((info.name_as_str()?.to_owned(), info.fd().ok()?))
    });
    named.collect()
}

/// `struct { … } /* BPF_PROG_LOAD */` of `union bpf_attr`, `include/uapi/linux/bpf.h`, to its
/// `expected_attach_type`.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    attach_type: u32,
}

/// `struct { … } link_create` of the same, with its `uprobe_multi`.
#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    program: RawFd,
    target: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    reference_counters: u64,
    cookies: u64,
    count: u32,
    multi_flags: u32,
    pid: u32,
    padding: u32,
}

fn load_program(license: &CStr, code: &[aya_obj::generated::bpf_insn]) -> io::Result<OwnedFd> {
    let attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_KPROBE as u32,
        count: u32::try_from(code.len()).map_err(io::Error::other)?,
        instructions: code.as_ptr().addr() as u64,
        license: license.as_ptr().addr() as u64,
        attach_type: BPF_TRACE_UPROBE_MULTI as u32,
        ..ProgLoad::default()
    };
    bpf(BPF_PROG_LOAD as i64, &attr)
}

/// One of the two calls above; both return a descriptor.
fn bpf<T>(command: i64, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are of the form that the command has, and what they point to is borrowed
    // by the callers until the call is over.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    match RawFd::try_from(fd) {
        // SAFETY: a new descriptor, which nobody else has.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}
