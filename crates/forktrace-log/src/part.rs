//! One file of a log while it is written: in blocks of whole lines, each a zstd frame of its own
//! where the file is compressed.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write},
};

use zstd::{bulk::Compressor, zstd_safe::CParameter};

/// The most bytes of lines in a block. A file that is cut loses at most its last one.
const BLOCK: usize = 256 << 10;
/// zstd's own default: 10 to 20 times smaller at some 300 MB/s.
const LEVEL: i32 = 3;

/// How a log is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines as they are.
    Plain,
    /// Independent zstd frames.
    Zstd,
}

/// A file being written. Writing to it never fails: after an error whole lines are kept, the others
/// are counted, and the error is there to be taken.
pub struct Part {
    file: File,
    compressor: Option<Compressor<'static>>,
    block: Vec<u8>,
    block_lines: u64,
    /// Bytes of the file that are whole blocks.
    len: u64,
    /// Bytes of lines, before compression.
    raw: u64,
    written: u64,
    unwritten: u64,
    broken: bool,
    error: Option<io::Error>,
}

impl Part {
    /// Writes to an empty file.
    ///
    /// # Errors
    /// When there is no memory for a compressor.
    pub fn new(file: File, format: Format) -> io::Result<Self> {
        let compressor = match format {
            Format::Plain => None,
            Format::Zstd => {
                let mut compressor = Compressor::new(LEVEL)?;
                compressor.set_parameter(CParameter::ChecksumFlag(true))?;
                Some(compressor)
            }
        };
        Ok(Part {
            file,
            compressor,
            block: Vec::with_capacity(BLOCK),
            block_lines: 0,
            len: 0,
            raw: 0,
            written: 0,
            unwritten: 0,
            broken: false,
            error: None,
        })
    }

    /// Bytes in the file, and about as many as are still to come to it.
    pub fn size(&self) -> u64 {
        let pending = self.block.len() as u64;
        self.len + if self.compressor.is_some() { pending / 8 } else { pending }
    }

    /// Whether no line is in the file.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lines written, their bytes, and the bytes that they take in the file.
    pub fn totals(&self) -> (u64, u64, u64) {
        (self.written, self.raw, self.len)
    }

    /// Lines that could not be written.
    pub fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// Whether the latest write failed: lines are counted and not kept until [`Part::retry`].
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Takes lines again.
    pub fn retry(&mut self) {
        self.broken = false;
    }

    /// The state now, for [`Part::back_to`]. All must have been flushed.
    pub fn mark(&self) -> Mark {
        Mark { len: self.len, raw: self.raw, written: self.written, unwritten: self.unwritten }
    }

    /// Takes back all that was written since, as if it had never been tried.
    pub fn back_to(&mut self, mark: &Mark) {
        let Mark { len, raw, written, unwritten } = *mark;
        cut(&mut self.file, len);
        (self.len, self.raw, self.written, self.unwritten) = (len, raw, written, unwritten);
    }

    /// The error of the latest write that failed, once.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Keeps an error of the file before this one, to be taken from here.
    pub fn keep_error(&mut self, error: io::Error) {
        self.error = Some(error);
    }

    fn put(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let (kept, result) = match &mut self.compressor {
            None => put_lines(&mut self.file, self.len, &self.block),
            Some(compressor) => match compressor.compress(&self.block) {
                Ok(frame) => match put_whole(&mut self.file, self.len, &frame) {
                    Ok(()) => (Kept { bytes: frame.len(), lines: self.block_lines }, Ok(())),
                    Err(error) => (Kept::default(), Err(error)),
                },
                Err(error) => (Kept::default(), Err(error)),
            },
        };
        self.len += kept.bytes as u64;
        self.written += kept.lines;
        self.unwritten += self.block_lines.saturating_sub(kept.lines);
        match result {
            Ok(()) => self.raw += self.block.len() as u64,
            Err(error) => {
                if self.compressor.is_none() {
                    self.raw += kept.bytes as u64;
                }
                self.broken = true;
                self.error = Some(error);
            }
        }
        self.block.clear();
        self.block_lines = 0;
    }
}

/// A state of a file to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    len: u64,
    raw: u64,
    written: u64,
    unwritten: u64,
}

/// What of a block is in the file.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    bytes: usize,
    lines: u64,
}

/// Writes as much as can be written; says how much that was.
fn put(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(written) => done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

/// Takes back what is in the file beyond `len`.
fn cut(file: &mut File, len: u64) {
    // Where that is refused too, a reader passes over what is torn.
    let _ = file.set_len(len).and_then(|()| file.seek(SeekFrom::Start(len)));
}

fn put_whole(file: &mut File, len: u64, bytes: &[u8]) -> io::Result<()> {
    let (_, result) = put(file, bytes);
    if result.is_err() {
        cut(file, len);
    }
    result
}

/// Writes lines; if they cannot all be written, as many as can.
fn put_lines(file: &mut File, len: u64, lines: &[u8]) -> (Kept, io::Result<()>) {
    let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    let (done, result) = put(file, lines);
    let written = lines.get(..done).unwrap_or(lines);
    let whole = match result {
        Ok(()) => done,
        Err(_) => written.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1),
    };
    if result.is_err() {
        cut(file, len + whole as u64);
    }
    let lines = count(lines.get(..whole).unwrap_or_default());
    (Kept { bytes: whole, lines }, result)
}

/// Takes one line a call, as [`super::Writer`] gives them.
impl Write for Part {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.broken {
            self.unwritten += 1;
            return Ok(line.len());
        }
        if !self.block.is_empty() && self.block.len() + line.len() > BLOCK {
            self.put();
            if self.broken {
                self.unwritten += 1;
                return Ok(line.len());
            }
        }
        self.block.extend_from_slice(line);
        self.block_lines += 1;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put();
        Ok(())
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("file", &self.file).field("len", &self.len).finish()
    }
}
