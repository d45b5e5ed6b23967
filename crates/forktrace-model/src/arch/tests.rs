use super::*;

#[test]
fn only_a_known_processor_with_pages_of_4_kib_is_judged() {
    for (arch, page_size, judged) in [
        ("x86_64", 4096, true),
        ("x86_64", 16384, false),
        ("x86_64", 0, false),
        ("X86_64", 4096, false),
        ("i686", 4096, false),
        ("aarch64", 4096, true),
        ("aarch64", 16384, false),
        ("aarch64", 65536, false),
        ("armv7l", 4096, false),
        ("riscv64", 4096, false),
        ("", 4096, false),
    ] {
        assert_eq!(Machine::new(arch, page_size).is_judged(), judged, "{arch} {page_size}");
    }
}

#[test]
fn a_log_without_a_machine_is_of_x86_64() {
    assert_eq!(Machine::default(), Machine::new("x86_64", 4096));
    assert_eq!(Machine::default().to_string(), "x86_64, pages of 4096 bytes");
}

#[test]
fn facts_of_this_processor_are_those_of_its_c_library() {
    let own = Machine::new(std::env::consts::ARCH, 4096).arch;
    if own != &UNKNOWN && cfg!(target_env = "gnu") {
        assert_eq!(own.glibc_mutex_size, size_of::<libc::pthread_mutex_t>() as u64);
    }
}
