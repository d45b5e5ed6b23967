//! The result of one check of `forktrace doctor`.

/// The status of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing is missing.
    Ok,
    /// forktrace can trace, but with a limit.
    Limited,
    /// forktrace cannot trace without it.
    Missing,
}

/// One property of the host that forktrace needs or uses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// Name of the check. For a tracepoint, the name of the tracepoint.
    pub name: &'static str,
    /// Whether forktrace can trace with it.
    pub status: Status,
    /// What was found, and what does not work.
    pub detail: String,
    /// What to do. Empty if `status` is [`Status::Ok`].
    pub remedy: String,
}

impl Check {
    /// A check with [`Status::Ok`].
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Check { name, status: Status::Ok, detail: detail.into(), remedy: String::new() }
    }

    /// A check with [`Status::Limited`].
    pub fn limited(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Check { name, status: Status::Limited, detail: detail.into(), remedy: remedy.into() }
    }

    /// A check with [`Status::Missing`].
    pub fn missing(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Check { name, status: Status::Missing, detail: detail.into(), remedy: remedy.into() }
    }
}
