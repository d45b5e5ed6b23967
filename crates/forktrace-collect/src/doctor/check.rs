//! What a check of the host came to (`forktrace doctor`).

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is there.
    Ok,
    /// Tracing works, but something is lost.
    Limited,
    /// Nothing can be traced.
    Missing,
}

/// One thing that forktrace needs or makes use of.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What was checked; a tracepoint by its own name.
    pub name: &'static str,
    /// How it came out.
    pub status: Status,
    /// What was found, and what is lost.
    pub detail: String,
    /// What can be done about it; empty if nothing need be.
    pub remedy: String,
}

impl Check {
    /// All is there.
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Check { name, status: Status::Ok, detail: detail.into(), remedy: String::new() }
    }

    /// Something is lost.
    pub fn limited(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Check { name, status: Status::Limited, detail: detail.into(), remedy: remedy.into() }
    }

    /// Nothing can be traced.
    pub fn missing(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Check { name, status: Status::Missing, detail: detail.into(), remedy: remedy.into() }
    }
}
