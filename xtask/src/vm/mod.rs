//! End-to-end tests in virtual machines: forktrace on kernels that this machine does not have.
//!
//! Kernels are Debian's. QEMU emulates the processor, so that nothing but its package is needed, in
//! CI or in another virtual machine.

mod guest;
mod image;
mod kernels;
mod plan;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use self::{kernels::Kernel, table::Seen};
use crate::root;

/// Guests that run at the same time: each takes a whole processor. `FORKTRACE_TESTS_VMS` sets another
/// number.
const AT_ONCE: usize = 2;

/// The longest that a guest may run: some ten times what it takes on an idle machine.
const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);
const QUICK_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How the tests are run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// Some of them.
    pub(crate) quick: bool,
    /// Not at all: what the guests said the last time is looked at.
    pub(crate) again: bool,
    /// The table is written to docs/kernels.md.
    pub(crate) doc: bool,
}

/// Runs the tests on these kernels, or on all that are supported, and prints the table.
pub(crate) fn run(wanted: &[String], how: How) -> Result<()> {
    kernels::check_tools()?;
    fs::create_dir_all(folder())?;
    let kernels = kernels::get(wanted)?;
    let seen: Vec<Seen> = match how.again {
        true => kernels
            .into_iter()
            .map(|kernel| (kernel.clone(), words(guest::said(&kernel))))
            .collect(),
        false => run_all(kernels, &image::build()?, how.quick),
    };
    print!("{}", table::summary(&seen, how.quick));
    if how.doc {
        let text = table::markdown(&seen, how.quick);
        fs::write(root().join("docs/kernels.md"), format!("{}{text}", include_str!("head.md")))?;
    }
    let said = folder().join("kernels/*/said");
    ensure!(
        table::good(&seen, how.quick),
        "not as it should be; all that the guests said is in {}",
        said.display()
    );
    println!("all as it should be on {} kernels", seen.len());
    Ok(())
}

fn words<T>(result: Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:#}"))
}

/// Where everything is kept, for the next time too.
fn folder() -> PathBuf {
    root().join("target/vm")
}

fn run_all(kernels: Vec<Kernel>, initramfs: &Path, quick: bool) -> Vec<Seen> {
    let queue = Mutex::new(kernels.into_iter());
    let seen = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let number = std::env::var("FORKTRACE_TESTS_VMS").ok().and_then(|number| number.parse().ok());
    thread::scope(|scope| {
        for _ in 0..number.unwrap_or(AT_ONCE) {
            scope.spawn(|| {
                while let Some(kernel) = next() {
                    let start = Instant::now();
                    let told = words(one(&kernel, initramfs, quick));
                    println!("{}: {:.0} s", kernel.series, start.elapsed().as_secs_f64());
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push((kernel, told));
                }
            });
        }
    });
    let mut seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    seen.sort_by_key(|(kernel, _)| kernels::number(&kernel.series));
    seen
}

fn one(kernel: &Kernel, initramfs: &Path, quick: bool) -> Result<guest::Told> {
    let own = tempfile::NamedTempFile::new_in(folder())?;
    image::with_plan(initramfs, &plan::text(quick), own.path())?;
    guest::run(kernel, own.path(), if quick { QUICK_LIMIT } else { LIMIT })
}
