//! Tracers of somebody else: while one is at work, nothing on this machine is "alone".

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use forktrace_tests::run::is_of_a_job;

/// Waits for them, for so long in all: some never end.
#[derive(Debug)]
pub(crate) struct Patience {
    left: Duration,
}

impl Patience {
    pub(crate) fn new(left: Duration) -> Self {
        Patience { left }
    }

    /// Waits until no process but those of this program's jobs holds a program for tracepoints;
    /// whether that came to be.
    pub(crate) fn wait_until_gone(&mut self) -> bool {
        let begin = Instant::now();
        let mut here = are_here();
        while here && begin.elapsed() < self.left {
            sleep(Duration::from_millis(200));
            here = are_here();
        }
        self.left = self.left.saturating_sub(begin.elapsed());
        !here
    }
}

/// Whether such a process is at work now.
pub(crate) fn are_here() -> bool {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.any(|pid| traces(Path::new(&format!("/proc/{pid}"))) && !is_of_a_job(pid))
}

/// Whether a process has eBPF programs of a type that hangs on what others do.
fn traces(process: &Path) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut programs = files.filter(|file| {
        fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == "anon_inode:bpf-prog")
    });
    programs.any(|file| {
        let info = fs::read_to_string(process.join("fdinfo").join(file.file_name()));
        info.is_ok_and(|info| info.lines().any(is_tracing))
    })
}

/// `enum bpf_prog_type` (`include/uapi/linux/bpf.h`, Linux 6.18): kprobe 2, tracepoint 5, perf event
/// 7, raw tracepoint 17 and 24, tracing 26.
fn is_tracing(line: &str) -> bool {
    let kind = line.strip_prefix("prog_type:").and_then(|kind| kind.trim().parse().ok());
    matches!(kind, Some(2 | 5 | 7 | 17 | 24 | 26))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_that_trace_count() {
        assert!(is_tracing("prog_type:\t5"));
        assert!(!is_tracing("prog_type:\t8"), "a control group's");
        assert!(!is_tracing("prog_jited:\t5"));
    }
}
