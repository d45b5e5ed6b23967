//! The values of options, as they are typed.

use std::time::Duration;

use forktrace_common::maps;

/// One value of `-p`: a list of process ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pids(pub Vec<u32>);

pub(super) fn pids(text: &str) -> Result<Pids, String> {
    let list: Vec<u32> = text
        .split([',', ' ', '\n', '\t'])
        .filter(|part| !part.is_empty())
        .map(|part| match part.parse() {
            Ok(0) | Err(_) => Err(format!("`{}` is not a process id", part.escape_debug())),
            Ok(pid) => Ok(pid),
        })
        .collect::<Result<_, _>>()?;
    match list.is_empty() {
        true => Err("the list is empty (did pgrep find no process?)".into()),
        false => Ok(Pids(list)),
    }
}

pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("use a time such as 500ms, 30s, 5m or 1h".into()),
    };
    let seconds: f64 =
        number.parse().map_err(|_| "use a time such as 500ms, 30s, 5m or 1h".to_owned())?;
    let duration = Duration::try_from_secs_f64(seconds * scale).map_err(|e| e.to_string())?;
    match duration.is_zero() {
        true => Err("the time must be longer than zero".into()),
        false => Ok(duration),
    }
}

/// The kernel takes the size of a ring buffer in 32 bits, as a power of two from one page on
/// (`ringbuf_map_alloc`, `kernel/bpf/ringbuf.c`, Linux 6.18).
pub(super) fn ring_size(text: &str) -> Result<u64, String> {
    within(text, 4 << 10, 2 << 30, "4K to 2G")
}

/// From one page of 4 KiB on.
pub(in crate::cli) fn snapshot_limit(text: &str) -> Result<u64, String> {
    within(text, 4 << 10, 64 << 30, "4K to 64G")
}

pub(in crate::cli) fn memory(text: &str) -> Result<u64, String> {
    within(text, 32 << 20, 1 << 40, "32M to 1024G")
}

/// The name and size of a table that may be made smaller.
pub(super) fn table_size(text: &str) -> Result<(String, u32), String> {
    let (name, entries) = text.split_once('=').ok_or("use a table and a number: WAITS=16")?;
    let entries = entries.parse().ok().filter(|entries: &u32| *entries > 0);
    let entries = entries.ok_or("use a number greater than zero")?;
    match maps::TABLES.contains(&name) {
        true => Ok((name.to_owned(), entries)),
        false => Err(format!("the tables are {}", maps::TABLES.join(", "))),
    }
}

pub(in crate::cli) fn rotate_size(text: &str) -> Result<u64, String> {
    within(text, 64 << 10, 1 << 40, "64K to 1024G")
}

/// One file a second is already too many.
pub(super) fn rotate_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    match time >= Duration::from_secs(1) {
        true => Ok(time),
        false => Err("use a time of at least 1s".into()),
    }
}

fn within(text: &str, least: u64, most: u64, range: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    match (least..=most).contains(&bytes) {
        true => Ok(bytes),
        false => Err(format!("use a size from {range}")),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.trim().trim_end_matches(['B', 'b']).trim_end_matches('i') {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return Err("use a size such as 64M or 1G".into()),
    };
    let number: u64 = number.parse().map_err(|_| "use a size such as 64M or 1G".to_owned())?;
    number
        .checked_shl(shift)
        .filter(|bytes| bytes >> shift == number && *bytes > 0)
        .ok_or_else(|| "the size is out of range".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        crate::cli::Cli::command().debug_assert();
    }

    #[test]
    fn pid_lists_take_commas_spaces_and_lines() {
        assert_eq!(pids("1,2 3\n4").unwrap(), Pids(vec![1, 2, 3, 4]));
        for bad in ["", " ", "0", "x", "1,-2", "99999999999"] {
            assert!(pids(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_and_sizes() {
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1.5").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for bad in ["", "s", "-1s", "1d", "0", "1e400s", "..s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert_eq!(ring_size("4K").unwrap(), 4096);
        assert_eq!(ring_size("2G").unwrap(), 1 << 31);
        for bad in ["3", "4095", "3G", "999999G"] {
            assert!(ring_size(bad).unwrap_err().contains("4K to 2G"), "{bad:?}");
        }
        assert!(snapshot_limit("1K").is_err() && snapshot_limit("65G").is_err());
        assert_eq!(size("64M").unwrap(), 64 << 20);
        assert_eq!(size("1GiB").unwrap(), 1 << 30);
        for bad in ["", "M", "0", "99999999999999999999", "18446744073709551615G", "1T"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
    }
}
