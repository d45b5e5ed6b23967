//! Which signal handlers count: what a handler does cannot be seen, so that one that may run could end
//! a wait. Those that run in nobody's favour are left out.

use crate::event::stall::Runtime;

/// Signals whose handlers do not count: those that a fault raises in the running thread (a blocked one
/// runs nothing), which crash reporters handle; and glibc's internal 32 and 33
/// (`sysdeps/unix/sysv/linux/internal-signals.h`, glibc 2.36).
const HARMLESS: u64 = bit(libc::SIGSEGV)
    | bit(libc::SIGBUS)
    | bit(libc::SIGFPE)
    | bit(libc::SIGILL)
    | bit(libc::SIGABRT)
    | bit(32)
    | bit(33);

/// `signal_install_handlers`, `Modules/signalmodule.c`, CPython 3.8 to 3.14.
const OF_PYTHON: u64 = bit(libc::SIGINT);

/// `install_sighandler` in `Init_signal`, `signal.c`, Ruby 2.7 to 3.4.
pub(super) const OF_RUBY: u64 = bit(libc::SIGINT)
    | bit(libc::SIGHUP)
    | bit(libc::SIGQUIT)
    | bit(libc::SIGTERM)
    | bit(libc::SIGALRM)
    | bit(libc::SIGUSR1)
    | bit(libc::SIGUSR2)
    | bit(libc::SIGCHLD)
    | bit(libc::SIGPIPE)
    | bit(libc::SIGSYS);

/// `initialize_jdk_signal_support` and `PosixSignals::install_signal_handlers`
/// (`src/hotspot/os/posix/signals_posix.cpp`, OpenJDK 21): those that end the machine or dump its
/// threads, and its own `SR_signum`, `SIGUSR2`.
pub(super) const OF_JVM: u64 = bit(libc::SIGINT)
    | bit(libc::SIGHUP)
    | bit(libc::SIGTERM)
    | bit(libc::SIGQUIT)
    | bit(libc::SIGUSR2)
    | bit(libc::SIGPIPE)
    | bit(libc::SIGXFSZ);

/// The same, and SIGTRAP, for traps of compiled code.
const OF_JAVA: u64 = OF_JVM | bit(libc::SIGTRAP);

/// `InitializeSignalHandlingCore`, `src/native/libs/System.Native/pal_signal.c`, .NET 8.
const OF_DOTNET: u64 =
    OF_JAVA | bit(libc::SIGCHLD) | bit(libc::SIGCONT) | bit(libc::SIGWINCH) | bit(34);

/// `RegisterSignalHandler` for those that end the process and for the inspector (`src/node.cc`,
/// `src/inspector_agent.cc`, Node.js 22).
const OF_NODE: u64 = bit(libc::SIGINT) | bit(libc::SIGTERM) | bit(libc::SIGUSR1);

/// Signals of timers that cannot be seen from outside (alarm(2), setitimer(2)): what handles one is there to end a
/// wait.
pub(super) const ALARMS: u64 = bit(libc::SIGALRM) | bit(libc::SIGVTALRM) | bit(libc::SIGPROF);

/// The bit of a signal in a set of signals.
pub(super) const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// The signals of a set, by number.
pub(super) fn numbers(mask: u64) -> Vec<i32> {
    (1..=64).filter(|signal| mask & bit(*signal) != 0).collect()
}

/// Those of these handlers (bit n-1 for signal n) that count in a process with such a runtime.
pub(super) fn that_count(handlers: u64, runtime: Option<Runtime>) -> u64 {
    handlers & !HARMLESS & !by_default(runtime)
}

/// Those that may end a wait in which the main thread of a program rests until somebody ends the
/// program: also those that a runtime has installed.
pub(super) fn that_end_a_rest(handlers: u64) -> u64 {
    handlers & !HARMLESS
}

/// The handlers that a runtime installs unasked.
fn by_default(runtime: Option<Runtime>) -> u64 {
    match runtime {
        None => 0,
        Some(Runtime::Python) => OF_PYTHON,
        Some(Runtime::Ruby) => OF_RUBY,
        // `initsig`, `runtime/signal_unix.go`, Go 1.22: all of them.
        Some(Runtime::Go) => u64::MAX,
        Some(Runtime::Java) => OF_JAVA,
        Some(Runtime::Dotnet) => OF_DOTNET,
        Some(Runtime::Node) => OF_NODE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runtime_installs_does_not_count_and_what_a_program_does() {
        let (int, term, fault) = (bit(libc::SIGINT), bit(libc::SIGTERM), bit(libc::SIGSEGV));
        assert_eq!(that_count(int | fault, Some(Runtime::Python)), 0);
        assert_eq!(that_count(int | term, Some(Runtime::Python)), term);
        assert_eq!(that_count(int | fault, None), int);
        assert_eq!(that_count(u64::MAX, Some(Runtime::Go)), 0);
        assert_eq!(that_end_a_rest(int | fault), int);
    }
}
