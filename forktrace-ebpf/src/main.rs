//! forktrace's eBPF programs: what the kernel is asked to tell, and nothing more.
//!
//! The programs hold no policy. They follow forks, note who waits on which futex word, keep the
//! pages of a forked child as it inherited them, and count what they could not keep. What any of
//! it means is decided in user space. Tracepoint layouts differ between kernels, so every offset
//! comes from the collector (see [`forktrace_common::config`]); `task_struct` is never read.
#![no_std]
#![no_main]

mod config;
mod fault;
mod futex;
mod maps;
mod ring;
mod task;

/// Required by the language; the verifier rejects any program that could reach it.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers such as `bpf_probe_read_user` are for programs under a licence compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
