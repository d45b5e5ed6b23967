//! Tables of `top`, of a recorded log. Its screen is compared where it is made.

use super::{assert_is, file, forktrace, session};

#[test]
fn tables_of_a_log() {
    let golden = file("golden/prefork.jsonl");
    let lines: &[&[&str]] = &[
        &["top", "{dir}", "-b"],
        &["top", "{dir}", "-b", "-n", "3", "--flat", "--ascii"],
        &["top", "{dir}", "-b", "--hangs", "--json"],
        &["top", "{dir}", "-b", "--comm", "nothing"],
        &["top", "{dir}"],
        &["top", "{dir}", "-n", "3"],
        &["top", "{dir}", "--json"],
        &["top", "{dir}", "-p", "1"],
        &["top", "/no/such/file", "-b"],
    ];
    let dir = golden.to_str().unwrap();
    let texts: Vec<String> = lines.iter().map(|line| session(line, dir)).collect();
    assert_is("top-of-a-log", &texts.join("\n"));
}

#[test]
fn json_has_an_object_on_each_line() {
    let golden = file("golden/prefork.jsonl");
    let arguments = ["top", golden.to_str().unwrap(), "-b", "--json", "-n", "16"];
    let output = forktrace(&arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let states: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(states.len(), 16);
    let hanging = |state: &serde_json::Value| {
        let processes = state["processes"].as_array().unwrap();
        processes.iter().filter(|process| process["state"] == "HANGS").count()
    };
    assert_eq!(states.first().map(hanging), Some(0));
    assert_eq!(states.last().map(hanging), Some(3));
}
