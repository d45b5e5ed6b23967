//! The `forktrace` command.

fn main() -> std::process::ExitCode {
    forktrace::cli::main()
}
