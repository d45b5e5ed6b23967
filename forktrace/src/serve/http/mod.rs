//! `/metrics`, `/healthz`, `/readyz` and `/findings` over HTTP/1.1.
//!
//! All of it is on one thread of its own. So many connections are open at most, each for so long at most, and
//! each is for one request: clients that are slow, or many, wait for each other, and never for judging, nor
//! judging for them.

mod answer;
mod listen;

use std::{convert::Infallible, io, sync::Arc, thread, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    time::{sleep, timeout},
};

pub use self::listen::{Address, Bound};
use super::board::Board;

/// Connections that are open at once.
const MOST: usize = 32;
/// A request's head must be there within this time.
const HEAD: Duration = Duration::from_secs(3);
/// And its answer must have been taken within this time.
const ALL: Duration = Duration::from_secs(10);
/// Bytes of a request's head: the least that hyper takes.
const BUFFER: usize = 8_192;
/// After an error of accept(2), as where there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers requests from here on.
///
/// # Errors
/// When there can be no further thread, or the sockets cannot be used.
pub fn start(sockets: Vec<Bound>, board: Arc<Board>) -> io::Result<()> {
    if sockets.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("http".into()).spawn(move || {
        runtime.block_on(async {
            let open = Arc::new(Semaphore::new(MOST));
            let served = sockets.into_iter().map(|socket| {
                let (open, board) = (Arc::clone(&open), Arc::clone(&board));
                tokio::spawn(serve(socket, open, board))
            });
            for one in served.collect::<Vec<_>>() {
                if let Ok(Err(error)) = one.await {
                    tracing::warn!("cannot answer HTTP requests: {error}");
                }
            }
        });
    })?;
    Ok(())
}

async fn serve(socket: Bound, open: Arc<Semaphore>, board: Arc<Board>) -> io::Result<()> {
    let socket = socket.ready()?;
    loop {
        // A semaphore that nobody closes.
        let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return Ok(()) };
        let stream = match socket.accept().await {
            Ok(stream) => stream,
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        let board = Arc::clone(&board);
        tokio::spawn(async move {
            // Who takes too long is cut off.
            let _ = timeout(ALL, answer(stream, &board)).await;
            drop(permit);
        });
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, board: &Board) {
    let service = service_fn(|request| {
        let response = answer::to(&request, board);
        async { Ok::<_, Infallible>(response) }
    });
    // A client that goes away is no error.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
