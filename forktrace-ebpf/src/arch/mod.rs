//! What the programs must know of the processor that they run on. Another one gets a file of its own
//! with the same items; the build chooses by `bpf_target_arch`, which aya's build takes from
//! `AYA_BPF_TARGET_ARCH`.

mod x86_64;

pub(crate) use x86_64::{
    FAULT_IP, WRITE_TO_PRESENT, caller, preserved_registers, sampled_instruction, socket_call,
};
