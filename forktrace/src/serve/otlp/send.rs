//! One request.

use std::{fs, io, io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use prost::Message as _;
use ureq::{
    Agent,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{
    record::{Host, Message, request},
    settings::Settings,
};

/// The most bytes of an answer that are read.
const ANSWER: u64 = 64 << 10;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has it.
    Taken,
    /// Not now: it is to be sent again, after so long if the receiver says that.
    Later(String, Option<Duration>),
    /// The receiver will not take it.
    Refused(String),
}

/// Sends requests.
#[derive(Debug)]
pub(super) struct Sender {
    agent: Agent,
    settings: Settings,
    host: Host,
}

impl Sender {
    pub(super) fn new(settings: &Settings, offset_ns: i64) -> io::Result<Self> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &settings.certificate {
            let pem = fs::read(path)?;
            let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
            let certificates: Vec<_> = items
                .into_iter()
                .filter_map(|item| match item {
                    PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                })
                .collect();
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(settings.timeout))
            .http_status_as_error(false)
            // A redirect would send a finding, and the headers, to somebody else.
            .max_redirects(0)
            .user_agent(concat!("forktrace/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let text = |path: &str| {
            let text = fs::read_to_string(path).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let host = Host {
            name: text("/proc/sys/kernel/hostname"),
            // As `host.id` of the semantic conventions asks for on Linux without a cloud.
            id: text("/etc/machine-id"),
            resource: settings.resource.clone(),
            offset_ns,
        };
        Ok(Sender { agent, settings: settings.clone(), host })
    }

    /// Sends these, within the time limit.
    pub(super) fn send(&self, messages: &[Message]) -> Outcome {
        let mut body = request(messages, &self.host).encode_to_vec();
        let mut post =
            self.agent.post(&self.settings.url).header("content-type", "application/x-protobuf");
        if self.settings.gzip {
            match gzipped(&body) {
                Ok(packed) => body = packed,
                Err(error) => return Outcome::Refused(error.to_string()),
            }
            post = post.header("content-encoding", "gzip");
        }
        for (name, value) in &self.settings.headers {
            post = post.header(name, value);
        }
        match post.send(&body[..]) {
            Err(error) => Outcome::Later(error.to_string(), None),
            Ok(mut response) => {
                let after = response.headers().get("retry-after");
                let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                let status = response.status();
                // An answer that is read to its end leaves the connection for the next request.
                let _ = response.body_mut().with_config().limit(ANSWER).read_to_vec();
                outcome(status.as_u16(), after.map(Duration::from_secs))
            }
        }
    }
}

/// Which answers are to be followed by the same request: "OTLP/HTTP Response", OTLP specification 1.9.
fn outcome(status: u16, after: Option<Duration>) -> Outcome {
    match status {
        200..=299 => Outcome::Taken,
        429 | 502..=504 => Outcome::Later(format!("status {status}"), after),
        _ => Outcome::Refused(format!("status {status}")),
    }
}

fn gzipped(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(body)?;
    packer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent_again_is_and_the_rest_is_not() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(outcome(200, None), Outcome::Taken);
        assert_eq!(outcome(503, second), Outcome::Later("status 503".into(), second));
        for status in [301, 400, 401, 404, 413, 500] {
            assert!(matches!(outcome(status, None), Outcome::Refused(_)), "{status}");
        }
    }
}
