use std::io::{self, BufReader, Cursor, Read, Write as _};

use proptest::prelude::*;

use super::{any, end, fork, start};
use crate::{Format, Input, Line, Part, ReadError, Reader, Writer};
use forktrace_model::event::Event;

/// The log of these events as it is in a compressed file, a frame for every `each` lines.
fn packed(events: &[Event], each: usize) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let part = Part::new(file.reopen().unwrap(), Format::Zstd).unwrap();
    let mut writer = Writer::new(part, 0);
    for (n, event) in events.iter().enumerate() {
        writer.event(event, None).unwrap();
        if (n + 1) % each == 0 {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    let (lines, raw, stored) = writer.get_ref().totals();
    let bytes = std::fs::read(file.path()).unwrap();
    assert_eq!((lines, stored), (events.len() as u64, bytes.len() as u64));
    assert_eq!(raw == 0, events.is_empty());
    bytes
}

fn read(bytes: &[u8]) -> (Vec<Result<Line, ReadError>>, Option<String>) {
    let input = Input::new(bytes).unwrap();
    let damage = input.damage();
    let lines = Reader::new(input).collect();
    let damage = damage.borrow().clone();
    (lines, damage)
}

fn events(n: usize) -> Vec<Event> {
    let mut events = vec![start()];
    events.extend((0..n).map(|_| fork()));
    events.push(end());
    events
}

#[test]
fn a_compressed_log_is_read_like_any_other() {
    let (lines, damage) = read(&packed(&events(100), 7));
    assert_eq!((lines.len(), damage), (102, None));
    assert!(lines.iter().all(Result::is_ok));
}

#[test]
fn a_cut_file_loses_at_most_its_last_frame() {
    let events = events(30);
    let bytes = packed(&events, 4);
    // 32 lines in 8 frames, each of which begins where the packing of those before it ends.
    let ends: Vec<usize> = (0..=8).map(|frames| packed(&events[..frames * 4], 4).len()).collect();
    for cut in 5..bytes.len() {
        let (lines, damage) = read(&bytes[..cut]);
        let good = lines.iter().filter(|line| line.is_ok()).count();
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert!(good >= whole * 4, "{cut}: {good} lines of {whole} frames");
        assert_eq!(damage.is_none(), ends.contains(&cut), "{cut}: {damage:?}");
    }
}

#[test]
fn damage_in_the_middle_is_told_and_what_was_before_is_read() {
    let mut bytes = packed(&events(30), 4);
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 8] {
        *byte ^= 0x5a;
    }
    let (lines, damage) = read(&bytes);
    assert!(lines.iter().filter(|line| line.is_ok()).count() >= 8);
    assert!(damage.unwrap().contains("damaged"));
}

#[test]
fn a_file_that_ends_in_zeroes_is_told() {
    let mut bytes = packed(&events(4), 4);
    bytes.extend([0; 4096]);
    let (lines, damage) = read(&bytes);
    assert!(lines.iter().all(Result::is_ok));
    assert_eq!(lines.len(), 6);
    assert!(damage.unwrap().contains("damaged"));
}

/// A frame that would need a window of 128 MiB.
#[test]
fn a_frame_with_a_huge_window_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    for _ in 0..64 {
        encoder.write_all(&[b'x'; 1 << 18]).unwrap();
    }
    let bytes = encoder.finish().unwrap();
    let (lines, damage) = read(&bytes);
    assert_eq!(lines.len(), 1, "there is no line in it");
    assert!(damage.unwrap().contains("damaged"));
}

/// A few kilobytes that become gigabytes without a newline.
#[test]
fn a_frame_that_grows_without_end_ends_the_reading() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    io::copy(&mut io::repeat(b'x').take(200 << 20), &mut encoder).unwrap();
    let bytes = encoder.finish().unwrap();
    assert!(bytes.len() < 100_000);
    let (lines, _) = read(&bytes);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].as_ref().unwrap_err().to_string().contains("80 MiB"));
}

#[test]
fn short_files_and_slow_pipes_are_told_apart_by_their_first_bytes() {
    /// Gives a byte at a time.
    struct Slow<R>(R);
    impl<R: Read> Read for Slow<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.by_ref().take(1).read(buffer)
        }
    }
    for bytes in [&b""[..], b"{", b"\x28\xb5", b"{}\n"] {
        let mut all = Vec::new();
        Input::new(bytes).unwrap().read_to_end(&mut all).unwrap();
        assert_eq!(all, bytes);
    }
    let packed = packed(&events(5), 2);
    let input = Input::new(Slow(Cursor::new(packed))).unwrap();
    assert_eq!(Reader::new(BufReader::new(input)).count(), 7);
}

proptest! {
    #[test]
    fn any_bytes_after_the_magic_are_read_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        read(&[&[0x28, 0xb5, 0x2f, 0xfd], bytes.as_slice()].concat());
    }

    #[test]
    fn mutated_compressed_logs_are_read_without_panic(
        events in prop::collection::vec(any::event(), 1..4),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = packed(&[vec![start()], events].concat(), 2);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read(&bytes);
    }
}
