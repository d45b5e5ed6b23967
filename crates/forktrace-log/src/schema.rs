//! The JSON Schema of a line, from the types that lines are made of.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{FINDING, SCHEMA, finding_line::FindingLine};
use forktrace_model::{
    event::{
        BlockedSignals, Buffers, EventsLost, Evidence, FileLock, FileUse, FutexWait, FutexWake,
        Generators, LostThreads, ProcessExec, ProcessExit, ProcessFork, ProcessOwner,
        ProcessSnapshot, Resync, Rotated, SocketUse, Stall, Task, ThreadExit, ThreadStart,
        TraceEnd, TraceStart, UnjudgedWait,
    },
    json_number,
};

/// The JSON Schema (draft 2020-12) of one line of a log.
///
/// Types and fields that it does not name are allowed, as later versions may add them; what later
/// versions have added is not required.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let number = reference::<json_number::Number>(&mut generator);
    let task = reference::<Task>(&mut generator);
    let mut lines = Vec::new();
    for (name, body, with_task) in bodies(&mut generator) {
        let parts = if with_task { json!([body, task]) } else { json!([body]) };
        lines.push(json!({
            "if": { "properties": { "type": { "const": name } }, "required": ["type"] },
            "then": { "allOf": parts },
        }));
    }
    let definitions: Map<String, Value> = generator.take_definitions(true);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of a forktrace event log",
        "type": "object",
        "required": ["schema", "type", "seq", "ts", "boot_ns"],
        "properties": {
            "schema": { "const": SCHEMA, "description": "Version of the format." },
            "type": { "type": "string", "description": "Type of the line: an event or a finding." },
            "seq": { "type": "integer", "minimum": 1, "description": "Number of the line." },
            "ts": {
                "type": "string",
                "pattern": "^-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z$",
                "description": "Wall clock time, RFC 3339, UTC, ns.",
            },
            "boot_ns": {
                "allOf": [number],
                "description": "Time on CLOCK_BOOTTIME, ns. It never decreases.",
            },
            "proc_uid": { "type": "string", "description": "Unique id of the task's process." },
            "parent_uid": { "type": "string", "description": "Unique id of the parent of that process." },
        },
        "allOf": lines,
        "$defs": definitions,
    })
}

fn reference<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// Each type of line: its name, its fields, and whether it is about a task.
fn bodies(generator: &mut SchemaGenerator) -> Vec<(&'static str, Value, bool)> {
    let mut of = Vec::new();
    let mut add = |name, body, with_task| of.push((name, body, with_task));
    add("trace.start", reference::<TraceStart>(generator), false);
    add("process.snapshot", reference::<ProcessSnapshot>(generator), true);
    add("process.fork", reference::<ProcessFork>(generator), true);
    add("thread.start", reference::<ThreadStart>(generator), true);
    add("process.exec", reference::<ProcessExec>(generator), true);
    add("process.owner", reference::<ProcessOwner>(generator), true);
    add("process.exit", reference::<ProcessExit>(generator), true);
    add("thread.exit", reference::<ThreadExit>(generator), true);
    add("futex.wait", reference::<FutexWait>(generator), true);
    add("futex.wake", reference::<FutexWake>(generator), true);
    add("evidence", reference::<Evidence>(generator), true);
    add("stall", reference::<Stall>(generator), true);
    add("generators", reference::<Generators>(generator), true);
    add("buffers", reference::<Buffers>(generator), true);
    add("socket.use", reference::<SocketUse>(generator), true);
    add("file.lock", reference::<FileLock>(generator), true);
    add("signals.blocked", reference::<BlockedSignals>(generator), true);
    add("file.use", reference::<FileUse>(generator), true);
    add("wait.unjudged", reference::<UnjudgedWait>(generator), true);
    add("threads.lost", reference::<LostThreads>(generator), true);
    add(FINDING, reference::<FindingLine>(generator), false);
    add("events.lost", reference::<EventsLost>(generator), false);
    add("trace.resync", reference::<Resync>(generator), false);
    add("trace.rotated", reference::<Rotated>(generator), false);
    add("trace.end", reference::<TraceEnd>(generator), false);
    of
}
