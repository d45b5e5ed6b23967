//! The service: what `forktrace serve` does with events and findings, for as long as the host runs.
//!
//! ```text
//!  Pipeline ─► Service (a Sink) ─► Open ─► Throttle ─► Journal (stderr)
//!                 │                  │               ├► --on-finding CMD
//!                 ▼                  ▼               └► OTLP
//!              Metrics ─► Board ◄── findings
//!                           ▲
//!                       HTTP thread
//! ```
//!
//! Whatever leaves the process leaves by a thread of its own with a bounded queue ([`queue`]), so that no
//! reader holds up judging.

pub mod alert;
pub mod board;
pub mod http;
pub mod journal;
mod memory;
pub mod metrics;
pub mod on_finding;
mod open;
pub mod otlp;
pub mod queue;
mod service;
pub mod systemd;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod workload;

pub use self::service::{Exporter, Service, Settings};
