//! One HTTP request.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};

const LIMIT: Duration = Duration::from_secs(20);

/// Where a service answers.
#[derive(Clone, Debug)]
pub(super) enum Address {
    /// At a path.
    Unix(PathBuf),
    /// At a port of this host.
    Tcp(u16),
}

/// What it says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Asks for a path.
pub(super) fn get(address: &Address, path: &str) -> Result<Answer> {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// Sends this, and reads the answer.
pub(super) fn request(address: &Address, text: &str) -> Result<Answer> {
    match address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_write_timeout(Some(LIMIT))?;
            talk(stream, text)
        }
        Address::Tcp(port) => {
            let stream = TcpStream::connect(("127.0.0.1", *port))?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_write_timeout(Some(LIMIT))?;
            talk(stream, text)
        }
    }
}

fn talk(mut stream: impl Read + Write, text: &str) -> Result<Answer> {
    stream.write_all(text.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok(Answer { status, body: body.to_owned() })
}
