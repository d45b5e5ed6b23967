//! What the tracer takes, as the kernel counts it.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use forktrace_tests::run::Job;
use nix::unistd::{SysconfVar, sysconf};
use serde_json::Value;

/// The tables that grow and shrink. None is allocated in advance, so that the kernel counts the
/// memory of the entries that it holds (`htab_map_mem_usage`, `kernel/bpf/hashtab.c`, Linux 6.18).
/// To read them out would take long while others delete from them.
const TABLES: [&str; 5] = ["AT_RISK", "SNAPSHOTS", "FORKERS", "WAKES", "NEW_TASKS"];
/// The array that says whose each chunk of pages is.
const OWNERS: &str = "OWNERS";
/// What the kernel adds to key and value of an entry, bytes: `struct htab_elem` and a list node.
const ENTRY: u64 = 48 + 8;
/// `struct bucket`, of which there are as many as entries at most, rounded up to a power of two.
const BUCKET: u64 = 16;

/// One look at the tracer.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Since the start, s.
    pub(crate) at_s: f64,
    /// Resident memory, KiB.
    pub(crate) rss_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// Maps, programs and links that it has open.
    pub(crate) bpf_objects: u64,
    /// Kernel memory of its maps, KiB.
    pub(crate) map_kib: u64,
    /// Entries by table.
    pub(crate) entries: BTreeMap<String, u64>,
    /// Of one core since the sample before, percent.
    pub(crate) cpu_percent: f64,
    /// Records made by the programs since the sample before, each second.
    pub(crate) events_per_s: f64,
    /// Records lost so far.
    pub(crate) lost: u64,
}

impl Sample {
    /// Entries in all tables.
    pub(crate) fn all_entries(&self) -> u64 {
        self.entries.values().sum()
    }
}

/// The tracer and its maps.
pub(crate) struct Tracer {
    pid: u32,
    /// Ids by name.
    maps: BTreeMap<String, u64>,
    ticks_per_s: f64,
    before: Counts,
}

#[derive(Clone, Copy)]
struct Counts {
    at: Instant,
    cpu_ticks: u64,
    records: u64,
}

impl Tracer {
    /// Waits until the programs are loaded and their maps can be read.
    pub(crate) fn attach(job: &mut Job, limit: Duration) -> Result<Self> {
        let pid = job.pid();
        job.until("attached", limit, |_| bpf_fds(pid).is_ok_and(|fds| fds.links >= 8))?;
        let mut maps = BTreeMap::new();
        for id in bpf_fds(pid)?.maps.into_keys() {
            let map = bpftool(&["map", "show", "id", &id.to_string()])?;
            let name = map.get("name").and_then(Value::as_str).unwrap_or_default();
            maps.insert(name.to_owned(), id);
        }
        let known = |table: &str| maps.contains_key(table);
        ensure!(TABLES.iter().chain([&OWNERS]).all(|table| known(table)), "unknown maps: {maps:?}");
        let ticks_per_s = sysconf(SysconfVar::CLK_TCK)?.context("no CLK_TCK")? as f64;
        let before = Counts { at: Instant::now(), cpu_ticks: 0, records: 0 };
        let mut tracer = Tracer { pid, maps, ticks_per_s, before };
        tracer.before = tracer.counts()?;
        Ok(tracer)
    }

    pub(crate) fn sample(&mut self, since: Duration) -> Result<Sample> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let fds = bpf_fds(self.pid)?;
        let (before, now) = (self.before, self.counts()?);
        self.before = now;
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let mut entries = BTreeMap::new();
        for table in TABLES {
            let id = self.maps.get(table).with_context(|| format!("no map {table}"))?;
            let map = fds.maps.get(id).with_context(|| format!("{table} is closed"))?;
            entries.insert(table.to_owned(), map.entries());
        }
        entries.insert(OWNERS.to_owned(), self.owned()?);
        Ok(Sample {
            at_s: since.as_secs_f64(),
            rss_kib: field(&status, "VmRSS:")?,
            descriptors: fds.all,
            threads: field(&status, "Threads:")?,
            bpf_objects: fds.maps.len() as u64 + fds.links + fds.programs,
            map_kib: fds.maps.values().map(|map| map.bytes).sum::<u64>() >> 10,
            entries,
            cpu_percent: 100.0 * rate(now.cpu_ticks, before.cpu_ticks) / self.ticks_per_s,
            events_per_s: rate(now.records, before.records),
            lost: self.per_cpu_sum("DROPS")?,
        })
    }

    fn counts(&self) -> Result<Counts> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // After the name, which may have anything in it: utime and stime are fields 14 and 15.
        let fields = stat.rsplit_once(')').context("no name in stat")?.1;
        let fields: Vec<u64> =
            fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
        let cpu_ticks = fields.iter().sum();
        Ok(Counts { at: Instant::now(), cpu_ticks, records: self.per_cpu_sum("SEQUENCE")? })
    }

    fn dump(&self, table: &str) -> Result<Value> {
        let id = self.maps.get(table).with_context(|| format!("no map {table}"))?;
        bpftool(&["map", "dump", "id", &id.to_string()])
    }

    /// Chunks that are a child's: the time of its fork, which comes first, is not zero.
    fn owned(&self) -> Result<u64> {
        let dump = self.dump(OWNERS)?;
        let entries = dump.as_array().into_iter().flatten();
        let times = entries.filter_map(|entry| Some(entry["value"].as_array()?.get(..8)?.to_vec()));
        Ok(times.filter_map(|bytes| number(&bytes.into())).filter(|time| *time != 0).count() as u64)
    }

    /// The sum of all numbers of 64 bits in an array with one value for each CPU.
    fn per_cpu_sum(&self, table: &str) -> Result<u64> {
        let dump = self.dump(table)?;
        let values = dump.as_array().into_iter().flatten();
        let values = values.filter_map(|entry| entry["values"].as_array()).flatten();
        Ok(values.filter_map(|one| number(&one["value"])).sum())
    }
}

/// Eight bytes, least first, as bpftool shows them: `["0x01","0x00",…]`.
fn number(bytes: &Value) -> Option<u64> {
    let byte = |text: &Value| u64::from_str_radix(text.as_str()?.trim_start_matches("0x"), 16).ok();
    let bytes = bytes.as_array()?;
    bytes.iter().rev().try_fold(0u64, |sum, text| Some(sum << 8 | byte(text)?))
}

fn field(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).with_context(|| format!("no {name} in status"))
}

/// The descriptors of a process that are about eBPF.
#[derive(Debug, Default)]
struct Fds {
    all: u64,
    /// By id.
    maps: BTreeMap<u64, Map>,
    links: u64,
    programs: u64,
}

#[derive(Debug)]
struct Map {
    /// Kernel memory.
    bytes: u64,
    key_size: u64,
    value_size: u64,
    max_entries: u64,
}

impl Map {
    /// How many entries a hash table holds; a few too many, and always as many, for the kernel's
    /// description of the table itself.
    fn entries(&self) -> u64 {
        let buckets = self.max_entries.next_power_of_two() * BUCKET;
        let entry = self.key_size.next_multiple_of(8) + self.value_size.next_multiple_of(8) + ENTRY;
        self.bytes.saturating_sub(buckets) / entry
    }
}

/// As `fdinfo` tells them (`bpf_map_show_fdinfo`, `kernel/bpf/syscall.c`, Linux 6.18).
fn bpf_fds(pid: u32) -> Result<Fds> {
    let mut fds = Fds::default();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
        // It may have been closed just now.
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        fds.all += 1;
        let of = |name: &str| field(&text, name).ok();
        match (of("map_id:"), of("link_id:"), of("prog_id:")) {
            (Some(id), ..) => {
                let [bytes, key_size, value_size, max_entries] =
                    ["memlock:", "key_size:", "value_size:", "max_entries:"]
                        .map(|name| of(name).unwrap_or(0));
                fds.maps.insert(id, Map { bytes, key_size, value_size, max_entries });
            }
            (None, Some(_), _) => fds.links += 1,
            (None, None, Some(_)) => fds.programs += 1,
            // A program attached to a tracepoint before there were links.
            (None, None, None) => {}
        }
    }
    Ok(fds)
}

fn bpftool(args: &[&str]) -> Result<Value> {
    let output = Command::new("bpftool").arg("-j").args(args).output();
    let output = output.context("running bpftool (install it: apt install bpftool)")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        bail!("bpftool {args:?}: {}", said.trim());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("bpftool {args:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_bpftool_shows_them() {
        let value =
            serde_json::json!(["0x02", "0x01", "0x00", "0x00", "0x00", "0x00", "0x00", "0x00"]);
        assert_eq!(number(&value), Some(0x102));
        assert_eq!(number(&serde_json::json!(["x"])), None);
    }
}
