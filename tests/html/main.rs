//! The HTML report in a real browser: what is shown, what can be done with it, and that nothing of a
//! traced program ever becomes more than text.

mod logs;
mod page;
mod size;

use std::process::ExitCode;

use forktrace_tests::conclude;

fn main() -> ExitCode {
    conclude(|| [page::trials(), size::trials()].into_iter().flatten().collect())
}
