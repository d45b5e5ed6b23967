//! What the programs must know of the processor that they run on. Another one gets a file of its own
//! with the same items; the build chooses by `bpf_target_arch`, which `build.rs` takes from
//! `AYA_BPF_TARGET_ARCH`, as aya's crates do.

#[cfg(bpf_target_arch = "aarch64")]
mod aarch64;
#[cfg(bpf_target_arch = "x86_64")]
mod x86_64;

#[cfg(bpf_target_arch = "aarch64")]
pub(crate) use aarch64::{
    SavedRegisters, caller, lock_call, preserved_registers, socket_call, writer,
};
#[cfg(bpf_target_arch = "x86_64")]
pub(crate) use x86_64::{
    SavedRegisters, caller, lock_call, preserved_registers, socket_call, writer,
};
