//! A receiver of OTLP over HTTP that keeps what it gets.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};

/// A request, and how it was answered.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    pub(super) status: u16,
}

/// Answers until it is stopped.
pub(super) struct Receiver {
    requests: Arc<Mutex<Vec<Request>>>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Receiver {
    /// Answers with these statuses, and with the last of them from there on.
    pub(super) fn start(port: u16, statuses: &[u16]) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let over = Arc::<AtomicBool>::default();
        let (kept, ends, statuses) = (Arc::clone(&requests), Arc::clone(&over), statuses.to_vec());
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(20));
                    continue;
                };
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let status = statuses.get(kept.len()).or(statuses.last()).copied().unwrap_or(200);
                if let Ok((head, body)) = answer(stream, status) {
                    kept.push(Request { head, body, status });
                }
            }
        });
        Ok(Receiver { requests, over, thread })
    }

    /// What came.
    pub(super) fn stop(self) -> Vec<Request> {
        self.over.store(true, Ordering::Relaxed);
        // It ends by itself.
        let _ = self.thread.join();
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn answer(mut stream: TcpStream, status: u16) -> Result<(String, Vec<u8>)> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    let (head, start) = loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            break (text[..end + 2].to_owned(), end + 4);
        }
        let read = stream.read(&mut part)?;
        anyhow::ensure!(read > 0, "cut off");
        bytes.extend_from_slice(&part[..read]);
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.context("no length")?;
    while bytes.len() < start + length {
        let read = stream.read(&mut part)?;
        anyhow::ensure!(read > 0, "cut off");
        bytes.extend_from_slice(&part[..read]);
    }
    let head_of_answer = "content-length: 0\r\nconnection: close\r\n\r\n";
    write!(stream, "HTTP/1.1 {status} X\r\n{head_of_answer}")?;
    Ok((head, bytes[start..].to_vec()))
}
