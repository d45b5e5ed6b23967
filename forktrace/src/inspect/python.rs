//! Python frames of a blocked thread, read by py-spy without stopping the process.

use crate::event::Python;

/// Frames of thread `tid`, innermost first, or why there are none in a few words.
#[cfg(feature = "python")]
pub fn frames(pid: u32, tid: u32) -> Python {
    pyspy::frames(pid, tid).map_or_else(Python::None, Python::Frames)
}

/// Frames of thread `tid`, innermost first, or why there are none in a few words.
#[cfg(not(feature = "python"))]
pub fn frames(_pid: u32, _tid: u32) -> Python {
    Python::None("built without Python support".into())
}

#[cfg(feature = "python")]
mod pyspy {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use procfs::process::MMapPath;
    use py_spy::{Config, PythonSpy, StackTrace, config::LockingStrategy};

    use crate::{event::PythonFrame, inspect::processes::process};

    /// More frames than anybody reads, and a bound on what a damaged stack can give.
    const MOST_FRAMES: usize = 64;

    pub(super) fn frames(pid: u32, tid: u32) -> Result<Vec<PythonFrame>, String> {
        if !is_python(pid) {
            return Err("not a Python process".into());
        }
        let traces = traces(pid)?;
        let trace = of_thread(traces, pid, tid).ok_or("the thread runs no Python code")?;
        let frames: Vec<PythonFrame> = trace
            .frames
            .into_iter()
            .filter(|frame| !frame.is_shim_entry)
            .take(MOST_FRAMES)
            .map(|frame| PythonFrame {
                file: frame.filename,
                line: u32::try_from(frame.line).unwrap_or(0),
                function: frame.name,
            })
            .collect();
        if frames.is_empty() { Err("the thread runs no Python code".into()) } else { Ok(frames) }
    }

    /// Spares every other process the search for an interpreter's symbols.
    fn is_python(pid: u32) -> bool {
        let Some(maps) = process(pid).and_then(|process| process.maps().ok()) else {
            return false;
        };
        maps.into_iter().any(|map| match map.pathname {
            MMapPath::Path(path) => path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                name.starts_with("python") || name.starts_with("libpython")
            }),
            _ => false,
        })
    }

    /// py-spy walks the memory of a process that is not stopped: what it finds may be damaged, so
    /// that a panic of its is taken for "could not be read".
    fn traces(pid: u32) -> Result<Vec<StackTrace>, String> {
        let pid = py_spy::Pid::try_from(pid).map_err(|_| "no such process".to_owned())?;
        let config = Config {
            blocking: LockingStrategy::NonBlocking,
            full_filenames: true,
            // The names are read from Python objects, which costs time and is not used.
            collect_thread_names: false,
            ..Config::default()
        };
        let read = || PythonSpy::new(pid, &config).and_then(|mut spy| spy.get_stack_traces());
        match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(traces)) => Ok(traces),
            Ok(Err(error)) => {
                let text = error.to_string();
                Err(text.lines().next().unwrap_or("the interpreter could not be read").to_owned())
            }
            Err(_) => Err("the interpreter could not be read".into()),
        }
    }

    /// The thread's trace. A forked child's record of its thread's number may still be the
    /// parent's (CPython up to 3.11), so that the only thread, or the main one, is taken as well.
    fn of_thread(mut traces: Vec<StackTrace>, pid: u32, tid: u32) -> Option<StackTrace> {
        let exact = traces.iter().position(|trace| trace.os_thread_id == Some(u64::from(tid)));
        let index = match exact {
            Some(index) => index,
            None if traces.len() == 1 => 0,
            // The interpreter lists its newest thread first.
            None if pid == tid => traces.len().checked_sub(1)?,
            None => return None,
        };
        Some(traces.swap_remove(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_python_process_says_so() {
        let own = std::process::id();
        let expected = match cfg!(feature = "python") {
            true => "not a Python process",
            false => "built without Python support",
        };
        assert_eq!(frames(own, own), Python::None(expected.into()));
    }
}
