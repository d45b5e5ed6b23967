//! forktrace's eBPF programs: what the kernel is asked to tell, and nothing more.
//!
//! The programs hold no policy. They follow forks, note who waits on which futex word, keep the
//! pages of a forked child as it inherited them, and count what they could not keep. What any of
//! it means is decided in user space. Tracepoint layouts differ between kernels, so every offset
//! comes from the collector ([`forktrace_common::config`]), also that of a field of `task_struct`.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod arch;
#[cfg(target_arch = "bpf")]
mod config;
#[cfg(target_arch = "bpf")]
mod fault;
#[cfg(target_arch = "bpf")]
mod file_lock;
#[cfg(target_arch = "bpf")]
mod futex;
#[cfg(target_arch = "bpf")]
mod lock;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod pid_bitmap;
#[cfg(target_arch = "bpf")]
mod places;
#[cfg(target_arch = "bpf")]
mod registers;
#[cfg(target_arch = "bpf")]
mod ring;
#[cfg(target_arch = "bpf")]
mod socket;
#[cfg(target_arch = "bpf")]
mod task;

/// Required by the language; the verifier rejects any program that could reach it.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers such as `bpf_probe_read_user` are for programs under a licence compatible with the GPL.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Says how to build what this crate is for.
#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("these programs run in the kernel; build them with: cargo xtask ebpf");
}
