//! Findings for code hosts and editors: SARIF 2.1.0, the Static Analysis Results Interchange Format
//! (OASIS standard, 27 March 2020). Names in the comments are those of its sections.
//!
//! Each finding is a result at a line of the source: of the stuck frame, or of the fork. Files below the
//! folder in which the export runs are named relative to it (`SRCROOT`), as code hosts need it. Results of
//! one rule at one place are one result with a count.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use serde::Serialize;

use super::Timeline;
use crate::report::{Clock, Style, hang::Block, hazards, places};
use forktrace_model::{
    finding::{Confidence, Finding, HazardId, Severity},
    text::sanitize,
};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// The name under which the folder of the sources is known (`run.originalUriBaseIds`).
const ROOT: &str = "SRCROOT";
/// Most other places that a result names.
const MOST_RELATED: usize = 16;

/// `sarifLog`.
#[derive(Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

/// `run`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    original_uri_base_ids: BTreeMap<&'static str, ArtifactLocation>,
    column_kind: &'static str,
    results: Vec<Outcome>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

/// `toolComponent`.
#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<RuleText>,
}

/// `reportingDescriptor`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleText {
    id: String,
    short_description: Message,
}

/// `result`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    rule_id: String,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: Vec<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
    occurrence_count: u64,
    partial_fingerprints: BTreeMap<&'static str, String>,
    properties: Properties,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

/// `location`.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<PhysicalLocation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageOfPlace>,
}

#[derive(Clone, Serialize)]
struct MessageOfPlace {
    text: String,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_base_id: Option<&'static str>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    fully_qualified_name: String,
    kind: &'static str,
}

/// What forktrace says beyond the standard (`propertyBag`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    confidence: &'static str,
    severity: Severity,
    pid: u32,
    command: String,
}

/// Writes the findings of a trace. `root`: the folder of the sources, absolute. `suspects`: also those.
///
/// # Errors
/// When the output cannot be written.
pub fn write(w: &mut impl Write, story: &Timeline, root: &Path, suspects: bool) -> io::Result<()> {
    let zone = jiff::tz::TimeZone::UTC;
    let clock = Clock { offset_ns: story.trace.clock_offset_ns, zone };
    let shown: Vec<&Finding> = story.shown(suspects).map(|(_, found)| &found.finding).collect();
    let mut rules: Vec<HazardId> = shown.iter().map(|finding| finding.hazard).collect();
    rules.sort_unstable();
    rules.dedup();
    let mut results: Vec<Outcome> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for finding in shown {
        let Some(index) = rules.iter().position(|rule| *rule == finding.hazard) else { continue };
        let outcome = outcome(finding, index, &clock, root);
        let print = outcome.partial_fingerprints.get(FINGERPRINT).cloned().unwrap_or_default();
        let before = known.get(&print).and_then(|at| results.get_mut(*at));
        match before {
            Some(before) if !print.is_empty() => before.occurrence_count += 1,
            _ => {
                known.insert(print, results.len());
                results.push(outcome);
            }
        }
    }
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "forktrace",
                    version: env!("CARGO_PKG_VERSION"),
                    rules: rules.into_iter().map(rule).collect(),
                },
            },
            original_uri_base_ids: [(ROOT, folder(root))].into(),
            column_kind: "utf16CodeUnits",
            results,
        }],
    };
    serde_json::to_writer_pretty(&mut *w, &log)?;
    writeln!(w)
}

/// `partialFingerprints`: the rule and the places, so that a code host knows a result again.
const FINGERPRINT: &str = "forktracePlaces/v1";

fn outcome(finding: &Finding, rule_index: usize, clock: &Clock, root: &Path) -> Outcome {
    let block = Block::new(finding, Style::default(), clock);
    let rows = block.rows.iter().map(|row| match row.label {
        "" => format!("  {}", row.text),
        label => format!("{label}: {}", row.text),
    });
    let lines: Vec<String> = std::iter::once(block.header.clone()).chain(rows).collect();
    let mut places = places::of(finding).into_iter();
    let locations: Vec<Location> =
        places.next().map(|place| location(&place, root, false)).into_iter().collect();
    let related: Vec<Location> =
        places.take(MOST_RELATED).map(|place| location(&place, root, true)).collect();
    let print = locations.iter().map(Location::print).collect::<Vec<_>>().join(" ");
    let prints =
        (!print.is_empty()).then(|| (FINGERPRINT, format!("{} {print}", id(finding.hazard))));
    Outcome {
        rule_id: id(finding.hazard),
        rule_index,
        level: level(finding),
        message: Message { text: lines.join("\n") },
        locations,
        related_locations: related,
        occurrence_count: 1,
        partial_fingerprints: prints.into_iter().collect(),
        properties: Properties {
            confidence: block.sure,
            severity: finding.severity,
            pid: finding.subject.pid,
            command: sanitize(&finding.subject.comm).into_owned(),
        },
    }
}

/// `level`: what certainly or likely hangs or spoils data is an error.
fn level(finding: &Finding) -> &'static str {
    match (finding.severity, finding.confidence) {
        (_, Confidence::Suspect) => "note",
        (Severity::Risk, _) => "warning",
        (Severity::Hang | Severity::Corruption, _) => "error",
    }
}

fn id(hazard: HazardId) -> String {
    match serde_json::to_value(hazard) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

fn rule(hazard: HazardId) -> RuleText {
    let text = hazards::words(hazard).headline.to_owned();
    RuleText { id: id(hazard), short_description: Message { text } }
}

impl Location {
    /// The place in a word.
    fn print(&self) -> String {
        let file = self.physical_location.as_ref().map(|physical| {
            let line = physical.region.as_ref().map_or(0, |region| region.start_line);
            format!("{}:{line}", physical.artifact_location.uri)
        });
        let name = self.logical_locations.first().map(|one| one.fully_qualified_name.clone());
        file.or(name).unwrap_or_default()
    }
}

fn location(place: &places::Place, root: &Path, with_message: bool) -> Location {
    let physical_location = place.file.as_ref().map(|file| PhysicalLocation {
        artifact_location: artifact(file, root),
        region: place.line.filter(|line| *line > 0).map(|start_line| Region { start_line }),
    });
    let name = |function: &String| LogicalLocation {
        fully_qualified_name: sanitize(function).into_owned(),
        kind: "function",
    };
    Location {
        physical_location,
        logical_locations: place.function.as_ref().map(name).into_iter().collect(),
        message: with_message.then(|| MessageOfPlace { text: place.what.clone() }),
    }
}

/// A file: relative to the folder of the sources where it is below, otherwise whole.
fn artifact(file: &str, root: &Path) -> ArtifactLocation {
    let path = Path::new(file);
    match path.strip_prefix(root) {
        Ok(below) => {
            ArtifactLocation { uri: encoded(&below.to_string_lossy()), uri_base_id: Some(ROOT) }
        }
        Err(_) if path.is_absolute() => {
            ArtifactLocation { uri: format!("file://{}", encoded(file)), uri_base_id: None }
        }
        Err(_) => ArtifactLocation { uri: encoded(file), uri_base_id: Some(ROOT) },
    }
}

fn folder(root: &Path) -> ArtifactLocation {
    let path = root.to_string_lossy();
    let uri = format!("file://{}/", encoded(path.trim_end_matches('/')));
    ArtifactLocation { uri, uri_base_id: None }
}

/// A path in a URI: everything but unreserved characters and slashes is written as `%` and two digits
/// (RFC 3986, 2.3).
fn encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_the_folder_of_the_sources_are_relative_to_it() {
        let root = Path::new("/srv/app");
        let of = |file| {
            let artifact = artifact(file, root);
            (artifact.uri, artifact.uri_base_id)
        };
        assert_eq!(of("/srv/app/a b/x.py"), ("a%20b/x.py".into(), Some(ROOT)));
        assert_eq!(of("/usr/lib/x.py"), ("file:///usr/lib/x.py".into(), None));
        assert_eq!(of("x.c"), ("x.c".into(), Some(ROOT)));
        assert_eq!(folder(root).uri, "file:///srv/app/");
        assert_eq!(folder(Path::new("/")).uri, "file:///");
    }
}
