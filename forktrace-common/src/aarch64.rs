//! Code of arm64, as far as the programs look at it.

/// `ret` by way of the link register.
const RETURN: u32 = 0xd65f_03c0;
/// `dmb ish`, which the helpers of `__sync` functions have before that.
const BARRIER: u32 = 0xd503_3bbf;

/// Whether these four instructions, of which the first made an access, are the end of a helper for atomic
/// operations: one such operation, then the return.
///
/// Compilers call helpers for them, so that a program runs on processors with and without instructions of
/// Armv8.1 (`-moutline-atomics`, the default of GCC from 10 on; `libgcc/config/aarch64/lse.S`, GCC 12). No
/// table of symbols names them. Encodings: Arm Architecture Reference Manual, C4.1, "Loads and Stores"; what
/// is looked at is the same for every size, order and register.
#[inline(always)]
pub fn is_end_of_atomic_helper(code: &[u32; 4]) -> bool {
    let [first, second, third, fourth] = *code;
    // CAS; CASP; SWP, LDADD, LDCLR, LDEOR, LDSET.
    if first & 0x3fa0_7c00 == 0x08a0_7c00
        || first & 0xbfa0_7c00 == 0x0820_7c00
        || first & 0x3f20_0c00 == 0x3820_0000
    {
        return second == RETURN;
    }
    // STXR or STXP, then CBNZ back to the load.
    let stored = first & 0x3fc0_0000 == 0x0800_0000 && second & 0x7f00_0000 == 0x3500_0000;
    stored && (third == RETURN || third == BARRIER && fourth == RETURN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As libgcc of GCC 12 has them, each from the access on; what follows is of another function.
    #[test]
    fn helpers_of_libgcc_are_known() {
        for (name, code) in [
            ("__aarch64_cas8_rel, casl", [0xc8a0_fc41, RETURN, 0xaa00_03f0, 0xc85f_7c40]),
            ("__aarch64_cas8_rel, stlxr", [0xc811_fc41, 0x35ff_ff91, RETURN, 0]),
            ("__aarch64_cas4_sync, casal", [0x88e0_fc41, RETURN, 0x2a00_03f0, 0x885f_7c40]),
            ("__aarch64_cas4_sync, stlxr", [0x8811_fc41, 0x35ff_ff91, BARRIER, RETURN]),
            ("__aarch64_cas16_acq, caspa", [0x4860_7c82, RETURN, 0xaa00_03f0, 0xaa01_03f1]),
            ("__aarch64_cas16_acq, stxp", [0xc82f_0c82, 0x35ff_ff6f, RETURN, 0]),
            ("__aarch64_ldadd4_relax, ldadd", [0xb820_0020, RETURN, 0x2a00_03f0, 0x885f_7c20]),
            ("__aarch64_ldadd4_relax, stxr", [0x880f_7c31, 0x35ff_ffaf, RETURN, 0]),
            ("__aarch64_swp1_acq, swpab", [0x38a0_8020, RETURN, 0x2a00_03f0, 0x085f_fc20]),
            ("__aarch64_swp1_acq, stxrb", [0x0811_7c30, 0x35ff_ffd1, RETURN, 0]),
            ("__aarch64_ldclr8_acq_rel, ldclral", [0xf8e0_1020, RETURN, 0xaa00_03f0, 0xc85f_fc20]),
        ] {
            assert!(is_end_of_atomic_helper(&code), "{name}");
        }
    }

    #[test]
    fn other_code_is_no_helper() {
        const NOTHING: u32 = 0xd503_201f;
        for (name, code) in [
            ("a store before the return", [0xb900_0001, RETURN, 0, 0]),
            ("a store with release", [0x889f_fc01, RETURN, 0, 0]),
            ("a pair of registers on the stack", [0xa9bf_7bfd, RETURN, 0, 0]),
            ("an atomic operation in the middle", [0xb820_0020, NOTHING, RETURN, 0]),
            ("a store that is not tried again", [0x8811_fc41, NOTHING, RETURN, 0]),
            ("one in the middle", [0x8811_fc41, 0x35ff_ff91, NOTHING, RETURN]),
            ("nothing", [0; 4]),
        ] {
            assert!(!is_end_of_atomic_helper(&code), "{name}");
        }
    }
}
