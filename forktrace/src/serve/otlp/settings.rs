//! Where to send, by the variables of OpenTelemetry ("OpenTelemetry Protocol Exporter", specification 1.50).

use std::{path::PathBuf, time::Duration};

/// The time limit of a request where none is said.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The path of logs below a base URL.
const PATH: &str = "v1/logs";

/// Where to send, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The whole URL.
    pub(super) url: String,
    /// Names and values. They may be secret: never shown.
    pub(super) headers: Vec<(String, String)>,
    /// Compress with gzip.
    pub(super) gzip: bool,
    /// Of one request.
    pub(super) timeout: Duration,
    /// Certificates to trust, PEM.
    pub(super) certificate: Option<PathBuf>,
    /// What every resource has.
    pub(super) resource: Vec<(String, String)>,
}

impl Settings {
    /// `endpoint`: a base URL that wins over that of the environment. `variable`: the value of a variable of
    /// the environment. `None`: nothing is to be sent.
    ///
    /// # Errors
    /// A sentence, where something cannot be done or understood.
    pub fn new(
        endpoint: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        // That of logs wins over the one of all signals.
        let of_logs = |name: &str| {
            let of = |signal: &str| variable(&format!("OTEL_EXPORTER_OTLP_{signal}{name}"));
            of("LOGS_").or_else(|| of(""))
        };
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let below = |base: &str| format!("{}/{PATH}", base.trim_end_matches('/'));
        let url = endpoint
            .map(below)
            .or_else(|| variable("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"))
            .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| below(&base)));
        let Some(url) = url else { return Ok(None) };
        if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(format!(
                "the OTLP endpoint `{}` is no http:// or https:// URL",
                url.escape_debug()
            ));
        }
        if let Some(protocol) = of_logs("PROTOCOL").filter(|protocol| protocol != "http/protobuf") {
            return Err(format!(
                "the OTLP protocol `{}` is not supported: use http/protobuf",
                protocol.escape_debug()
            ));
        }
        let gzip = match of_logs("COMPRESSION").as_deref() {
            None | Some("none") => false,
            Some("gzip") => true,
            Some(other) => {
                return Err(format!(
                    "the OTLP compression `{}` is not supported: use gzip or none",
                    other.escape_debug()
                ));
            }
        };
        let timeout = match of_logs("TIMEOUT") {
            Some(text) => match text.trim().parse() {
                Ok(ms) if ms > 0 => Duration::from_millis(ms),
                _ => return Err("OTEL_EXPORTER_OTLP_TIMEOUT is no number of milliseconds".into()),
            },
            None => TIMEOUT,
        };
        Ok(Some(Settings {
            url,
            headers: pairs("HEADERS", of_logs("HEADERS"))?,
            gzip,
            timeout,
            certificate: of_logs("CERTIFICATE").map(PathBuf::from),
            resource: pairs("RESOURCE_ATTRIBUTES", variable("OTEL_RESOURCE_ATTRIBUTES"))?,
        }))
    }
}

/// `a=1,b=2`, with `%20` and the like (W3C Baggage).
fn pairs(what: &str, text: Option<String>) -> Result<Vec<(String, String)>, String> {
    let text = text.unwrap_or_default();
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((decoded(name.trim())?, decoded(value.trim())?))
    };
    // The values may be secret.
    let wrong = || format!("OTEL_…_{what} is no list of NAME=VALUE with commas");
    pairs.map(|text| pair(text).ok_or_else(wrong)).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (*first, after.get(..2)) {
            (b'%', Some(digits)) => {
                let digits = std::str::from_utf8(digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after.get(2..)?;
            }
            (b'%', None) => return None,
            (other, _) => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn settings(
        endpoint: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Option<Settings>, String> {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::new(endpoint, get)
    }

    #[test]
    fn the_endpoint_of_logs_is_taken_as_it_is_and_the_others_are_bases() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let logs = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://x/otlp");
        let url = |endpoint, variables: &[_]| settings(endpoint, variables).unwrap().unwrap().url;
        assert_eq!(url(None, &[base]), "http://collector:4318/v1/logs");
        assert_eq!(url(None, &[base, logs]), "https://x/otlp");
        assert_eq!(url(Some("http://y"), &[base, logs]), "http://y/v1/logs");
        assert_eq!(settings(None, &[]), Ok(None));
        assert_eq!(settings(None, &[base, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
        assert_eq!(settings(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(None));
    }

    #[test]
    fn what_else_is_said_is_taken_or_refused() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        let all = settings(
            None,
            &[
                base,
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, y=z"),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
                ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
                ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod"),
            ],
        );
        let all = all.unwrap().unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(all.headers, [pair("authorization", "Bearer x"), pair("y", "z")]);
        assert!(all.gzip && all.timeout == Duration::from_millis(250));
        assert_eq!(all.resource, [pair("deployment.environment.name", "prod")]);
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1s"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz"),
        ] {
            let why = settings(None, &[(name, value), base]).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
