//! The `forktrace` command.
fn main() {}
