//! What a process uses, seen from outside.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::{Duration, Instant},
};

use nix::unistd::{SysconfVar, sysconf};

/// What a process has used up to one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Seconds since the first look.
    pub(crate) at: f64,
    /// Seconds of CPU.
    pub(crate) cpu: f64,
    /// Resident memory, MiB.
    pub(crate) mib: f64,
    /// The most that was ever resident, MiB.
    pub(crate) peak_mib: f64,
}

impl Usage {
    /// Of a living process; `None`: it is gone.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may have blanks and brackets in it; `utime` and `stime` are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')')?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        let second = sysconf(SysconfVar::CLK_TCK).ok()??;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: f64 = line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().ok()?;
            Some(kib / 1024.0)
        };
        // A zombie has no memory.
        let (mib, peak_mib) = (mib("VmRSS")?, mib("VmHWM")?);
        Some(Usage { at: 0.0, cpu: ticks as f64 / second as f64, mib, peak_mib })
    }
}

/// Looks at a process again and again.
#[derive(Debug)]
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Usage>>,
}

impl Watch {
    /// Begins to look, this often.
    pub(crate) fn start(pid: u32, period: Duration) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = spawn(move || {
            let start = Instant::now();
            let mut samples = Vec::new();
            while let (false, Some(usage)) = (seen.load(Ordering::Relaxed), Usage::of(pid)) {
                samples.push(Usage { at: start.elapsed().as_secs_f64(), ..usage });
                sleep(period);
            }
            samples
        });
        Watch { over, thread }
    }

    /// Everything that was seen.
    pub(crate) fn stop(self) -> Vec<Usage> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Some of many samples, evenly: for a curve.
pub(crate) fn thinned(samples: &[Usage], count: usize) -> Vec<Usage> {
    let step = samples.len().div_ceil(count.max(1)).max(1);
    let mut some: Vec<Usage> = samples.iter().copied().step_by(step).collect();
    if let (Some(last), Some(end)) = (some.last().copied(), samples.last().copied())
        && last != end
    {
        some.push(end);
    }
    some
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let before = Usage::of(std::process::id()).unwrap();
        assert!(before.mib > 0.5 && before.peak_mib >= before.mib, "{before:?}");
        let mut sum = 0u64;
        let cpu = loop {
            sum = (0..1_000_000u64).fold(sum, |sum, n| sum.wrapping_mul(31) ^ n);
            let now = Usage::of(std::process::id()).unwrap().cpu;
            if now > before.cpu {
                break now;
            }
        };
        assert!(cpu > before.cpu && sum != 1);
    }

    #[test]
    fn a_thinned_curve_keeps_its_end() {
        let samples: Vec<Usage> =
            (0..25).map(|at| Usage { at: f64::from(at), ..Usage::default() }).collect();
        let some = thinned(&samples, 10);
        assert_eq!(some.first().unwrap().at, 0.0);
        assert_eq!(some.last().unwrap().at, 24.0);
        assert!(some.len() <= 11);
        assert!(thinned(&[], 10).is_empty());
    }
}
