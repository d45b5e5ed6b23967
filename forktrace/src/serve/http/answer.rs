//! The answer to one request.

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};

use crate::serve::{board::Board, metrics::Format};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const INDEX: &str = "forktrace: /metrics /findings /healthz /readyz\n";

/// What is said.
struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: Bytes,
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    Answer { status, kind, body: body.into() }
}

/// The answer. No request changes anything.
pub(super) fn to<B>(request: &Request<B>, board: &Board) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let Answer { status, kind, body } = match is_read {
        true => read(request, board),
        false => answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n"),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !is_read {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn read<B>(request: &Request<B>, board: &Board) -> Answer {
    let health = |ill: Option<&str>| match ill {
        None => answer(StatusCode::OK, TEXT, "ok\n"),
        Some(why) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
    };
    match request.uri().path() {
        "/metrics" => {
            let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
            let format = Format::accepted(accept.unwrap_or_default());
            match board.metrics(format) {
                Some(text) => answer(StatusCode::OK, format.content_type(), text.to_string()),
                None => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "no metrics\n"),
            }
        }
        "/findings" => answer(StatusCode::OK, JSON, board.findings().to_string()),
        "/healthz" => health(board.ill()),
        "/readyz" if board.is_ready() => health(board.ill()),
        "/readyz" => health(Some("not attached yet")),
        "/" => answer(StatusCode::OK, TEXT, INDEX),
        _ => answer(StatusCode::NOT_FOUND, TEXT, INDEX),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use prometheus_client::registry::Registry;

    use super::*;

    fn status(board: &Board, method: &str, path: &str) -> u16 {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        to(&request, board).status().as_u16()
    }

    #[test]
    fn paths_and_methods() {
        let board = Board::new(Registry::default());
        for (method, path, wanted) in [
            ("GET", "/metrics", 200),
            ("HEAD", "/metrics", 200),
            ("GET", "/findings?x=1", 200),
            ("GET", "/healthz", 200),
            ("GET", "/readyz", 503),
            ("POST", "/metrics", 405),
            ("GET", "/../etc/passwd", 404),
        ] {
            assert_eq!(status(&board, method, path), wanted, "{method} {path}");
        }
        board.set_ready();
        assert_eq!(status(&board, "GET", "/readyz"), 200);
        board.turned(0, u64::MAX);
        assert_eq!(status(&board, "GET", "/healthz"), 503);
        assert_eq!(status(&board, "GET", "/readyz"), 503);
    }
}
