//! What this process itself uses, under the names that Prometheus's client libraries share.

use std::{fmt, fs};

use procfs::process::Process;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// Reads it at each scrape.
#[derive(Debug)]
pub(super) struct Own;

/// CPU time in seconds, resident memory in bytes, open descriptors, start in seconds since 1970.
fn read() -> Option<(f64, u64, u64, f64)> {
    let process = Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let ticks = procfs::ticks_per_second() as f64;
    let cpu = (stat.utime + stat.stime) as f64 / ticks;
    let resident = stat.rss.saturating_mul(procfs::page_size());
    let descriptors = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    let boot = procfs::boot_time_secs().ok()?;
    Some((cpu, resident, descriptors, boot as f64 + stat.starttime as f64 / ticks))
}

fn put(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, kind)?)
}

impl Collector for Own {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some((cpu, resident, descriptors, start)) = read() else { return Ok(()) };
        let encoder = &mut encoder;
        let cpu = ConstCounter::new(cpu);
        let help = "CPU time that forktrace has used.";
        put(encoder, "process_cpu_seconds", help, MetricType::Counter, &cpu)?;
        let gauge = MetricType::Gauge;
        let help = "Memory of forktrace that is resident.";
        put(encoder, "process_resident_memory_bytes", help, gauge, &ConstGauge::new(resident))?;
        let help = "Open descriptors of forktrace.";
        put(encoder, "process_open_fds", help, gauge, &ConstGauge::new(descriptors))?;
        let help = "When forktrace was started, seconds since 1970.";
        put(encoder, "process_start_time_seconds", help, gauge, &ConstGauge::new(start))
    }
}
