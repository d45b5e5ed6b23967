//! `forktrace schema`: the JSON Schema of the event log.

use std::io::{self, Write as _};

use super::failure::Failure;

/// Prints it.
pub(super) fn run() -> Result<u8, Failure> {
    let text = serde_json::to_string_pretty(&forktrace_log::schema()).map_err(io::Error::from)?;
    writeln!(io::stdout(), "{text}")?;
    Ok(0)
}
