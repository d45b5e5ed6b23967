//! `--help` of every command, and the list of demos.

use super::{assert_is, forktrace};

fn help(command: &[&str]) -> String {
    let output = |flag| {
        let output = forktrace(command).arg(flag).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        String::from_utf8(output.stdout).unwrap()
    };
    let long_lines = |text: &str| text.lines().any(|line| line.chars().count() > 100);
    let (short, long) = (output("-h"), output("--help"));
    assert!(!long_lines(&short) && !long_lines(&long), "lines are longer than 100 columns");
    format!("{short}\n======== --help\n{long}")
}

#[test]
fn trace() {
    assert_is("help-trace", &help(&[]));
}

#[test]
fn report() {
    assert_is("help-report", &help(&["report"]));
}

#[test]
#[cfg(feature = "parquet")]
fn export() {
    assert_is("help-export", &help(&["export"]));
}

#[test]
fn the_other_commands() {
    let text: Vec<String> =
        ["demo", "doctor", "schema", "man", "completions"].map(|name| help(&[name])).into();
    assert_is("help-others", &text.join("\n\n"));
}

#[test]
#[cfg(feature = "top")]
fn top() {
    assert_is("help-top", &help(&["top"]));
}

#[test]
#[cfg(feature = "serve")]
fn serve() {
    assert_is("help-serve", &help(&["serve"]));
}

#[test]
fn the_demos() {
    let output = forktrace(&["demo"]).output().unwrap();
    assert_is("demo-list", &String::from_utf8(output.stdout).unwrap());
}
