//! The bytes of a log, compressed or not.

use std::{
    cell::RefCell,
    io::{self, BufRead, BufReader, Chain, Cursor, Read},
    rc::Rc,
};

use zstd::stream::read::Decoder;

/// First bytes of a zstd frame (RFC 8878, 3.1.1).
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The largest window that is taken, as a power of two: 8 MiB, which every reader must take
/// (RFC 8878, 3.1.1.1.2). A frame may ask for gigabytes.
const WINDOW_LOG: u32 = 23;
/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

type Raw<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// What is wrong with the compression of a file, known once it was read.
pub type Damage = Rc<RefCell<Option<String>>>;

/// A log's bytes as they were before any compression. Where they cannot be decompressed they end,
/// and [`Input::damage`] says why.
pub struct Input<R: Read> {
    bytes: Bytes<R>,
    damage: Damage,
}

enum Bytes<R: Read> {
    Plain(Raw<R>),
    Zstd(Box<BufReader<Frames<R>>>),
}

/// The content of all frames, one after the other.
struct Frames<R: Read> {
    decoder: Decoder<'static, Raw<R>>,
    damage: Damage,
}

impl<R: Read> Input<R> {
    /// Finds out by the first bytes whether they are compressed.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(mut source: R) -> io::Result<Self> {
        let mut head = Vec::with_capacity(MAGIC.len());
        source.by_ref().take(MAGIC.len() as u64).read_to_end(&mut head)?;
        let compressed = head == MAGIC;
        let raw = BufReader::with_capacity(BUFFER, Cursor::new(head).chain(source));
        let damage = Damage::default();
        let bytes = match compressed {
            false => Bytes::Plain(raw),
            true => {
                let mut decoder = Decoder::with_buffer(raw)?;
                decoder.window_log_max(WINDOW_LOG)?;
                let frames = Frames { decoder, damage: Rc::clone(&damage) };
                Bytes::Zstd(Box::new(BufReader::with_capacity(BUFFER, frames)))
            }
        };
        Ok(Input { bytes, damage })
    }

    /// To learn of damage when everything was read.
    pub fn damage(&self) -> Damage {
        Rc::clone(&self.damage)
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.damage.borrow().is_some() {
            return Ok(0);
        }
        let error = match self.decoder.read(buffer) {
            Err(error) => error,
            read => return read,
        };
        // Errors of the file itself have a number, those of the decoder have none.
        if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
            return Err(error);
        }
        let why = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the compressed file is cut off: all that can be decompressed was read".into()
            }
            _ => format!(
                "the compressed file is damaged: nothing after the damage is shown ({})",
                printable(&error.to_string())
            ),
        };
        *self.damage.borrow_mut() = Some(why);
        Ok(0)
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect()
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.bytes {
            Bytes::Plain(bytes) => bytes.read(buffer),
            Bytes::Zstd(bytes) => bytes.read(buffer),
        }
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.bytes {
            Bytes::Plain(bytes) => bytes.fill_buf(),
            Bytes::Zstd(bytes) => bytes.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match &mut self.bytes {
            Bytes::Plain(bytes) => bytes.consume(amount),
            Bytes::Zstd(bytes) => bytes.consume(amount),
        }
    }
}

impl<R: Read> std::fmt::Debug for Input<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let compressed = matches!(self.bytes, Bytes::Zstd(_));
        f.debug_struct("Input").field("compressed", &compressed).finish()
    }
}
