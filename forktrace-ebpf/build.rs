//! Says for which processor's kernel the programs are built, the way aya's own crates take it.

use std::env;

fn main() {
    println!("cargo::rerun-if-env-changed=AYA_BPF_TARGET_ARCH");
    println!("cargo::rustc-check-cfg=cfg(bpf_target_arch, values(\"aarch64\", \"x86_64\"))");
    // `emit_bpf_target_arch_cfg`, aya-build 0.2.0: without a name, the machine that builds.
    let host = || env::var("HOST").ok()?.split('-').next().map(str::to_owned);
    if let Some(arch) = env::var("AYA_BPF_TARGET_ARCH").ok().or_else(host) {
        println!("cargo::rustc-cfg=bpf_target_arch=\"{arch}\"");
    }
}
