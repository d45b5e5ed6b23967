#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn host(arch: &str, built_for: &'static str, page_size: u64, big_endian: bool) -> HostMachine {
    HostMachine { arch: arch.into(), built_for, page_size, big_endian }
}

#[test]
fn only_a_machine_that_is_known_is_traced() {
    host("x86_64", "x86_64", 4096, false).check().unwrap();
    host("aarch64", "aarch64", 4096, false).check().unwrap();
    for (host, cause) in [
        (host("x86_64", "x86_64", 16384, false), "this kernel has 16384;"),
        (host("x86_64", "x86_64", 0, false), "this kernel has 0;"),
        (host("x86_64", "x86_64", 4096, true), "big-endian"),
        (host("x86_64", "x86", 4096, false), "built for x86,"),
        (host("aarch64", "aarch64", 16384, false), "this kernel has 16384;"),
        (host("aarch64", "aarch64", 65536, false), "this kernel has 65536;"),
        (host("aarch64", "aarch64", 4096, true), "big-endian"),
        // An emulator runs the program.
        (host("aarch64", "x86_64", 4096, false), "built for x86_64, this machine is aarch64;"),
        (host("x86_64", "aarch64", 4096, false), "built for aarch64, this machine is x86_64;"),
        (host("s390x", "s390x", 4096, true), "this machine is s390x;"),
        (host("riscv64", "riscv64", 4096, false), "this machine is riscv64;"),
    ] {
        let text = host.check().unwrap_err().to_string();
        assert!(text.contains(cause) && text.contains("; ") && !text.contains('\n'), "{text}");
    }
}

#[test]
fn a_machine_is_traced_where_its_waits_are_judged() {
    for known in forktrace_model::arch::ARCHES {
        let kept = forktrace_common::maps::PAGE_SIZE as u64;
        assert!(known.page_sizes.iter().all(|size| *size == kept), "{}", known.name);
        for page_size in [4096, 16384, 65536] {
            let judged = forktrace_model::arch::Machine::new(known.name, page_size).is_judged();
            let traced = host(known.name, known.name, page_size, false).check().is_ok();
            assert_eq!(traced, judged, "{} {page_size}", known.name);
        }
    }
}

#[test]
fn the_table_of_this_processor_is_in_use() {
    let host = HostMachine::here();
    assert_eq!(HOST.facts.name, host.built_for);
    assert_eq!(machine().page_size, host.page_size);
    assert!(host.page_size.is_power_of_two());
    assert_eq!(HOST.calls.futex, libc::SYS_futex);
    assert_eq!(HOST.calls.futex_waitv, libc::SYS_futex_waitv);
}

#[test]
fn unwinding_begins_with_what_a_function_preserves() {
    use forktrace_common::maps::Registers;
    use framehop::x86_64::Reg;

    let start = Registers { ip: 1, sp: 2, frame: 3, preserved: [4, 5, 6, 7, 8] };
    let registers = x86_64::unwind_registers(&start);
    assert_eq!((registers.ip(), registers.sp(), registers.bp()), (1, 2, 3));
    let preserved = [Reg::RBX, Reg::R12, Reg::R13, Reg::R14, Reg::R15];
    assert_eq!(preserved.map(|name| registers.get(name)), start.preserved);

    let registers = aarch64::unwind_registers(&start);
    assert_eq!((registers.lr(), registers.sp(), registers.fp()), (4, 2, 3));
    // As `pacia` leaves it.
    let signed = Registers { preserved: [0x005a_ffff_a320_6004, 0, 0, 0, 0], ..start };
    assert_eq!(aarch64::unwind_registers(&signed).lr(), 0xffff_a320_6004);
}
