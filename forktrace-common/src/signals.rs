//! Numbers of signals, and sets of them with a bit for each from 1 on (`include/uapi/asm-generic/signal.h`,
//! the same on x86-64 and arm64).

/// `SIGHUP`.
pub const HUP: i32 = 1;
/// `SIGINT`.
pub const INT: i32 = 2;
/// `SIGQUIT`.
pub const QUIT: i32 = 3;
/// `SIGTERM`.
pub const TERM: i32 = 15;
/// `SIGCHLD`.
pub const CHLD: i32 = 17;

/// Those by which services are ended, reloaded, and told of their children.
pub const ENDING: [i32; 5] = [HUP, INT, QUIT, TERM, CHLD];

/// Those that cannot be blocked (`SIGKILL`, `SIGSTOP`), and 32 and 33, which C libraries keep for themselves
/// and leave out of their sets (`sysdeps/unix/sysv/linux/internal-signals.h`, glibc 2.36).
const NOT_BLOCKED: u64 = bit(9) | bit(19) | bit(32) | bit(33);

/// The bit of a signal; 0: there is none such.
pub const fn bit(signal: i32) -> u64 {
    match signal {
        1..=64 => 1 << (signal - 1),
        _ => 0,
    }
}

/// Whether a set has every signal that can be blocked.
pub const fn is_every(set: u64) -> bool {
    set | NOT_BLOCKED == u64::MAX
}
