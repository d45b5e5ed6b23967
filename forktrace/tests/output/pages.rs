//! Manual pages and completions: they come from the flags, so only their form is looked at.

use std::fs;

use super::forktrace;

fn printed(arguments: &[&str]) -> String {
    let output = forktrace(arguments).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn there_is_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    printed(&["man", "--dir", folder.path().to_str().unwrap()]);
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    for name in ["forktrace.1", "forktrace-dump.1", "forktrace-report.1", "forktrace-man.1"] {
        assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
    }
    for name in &names {
        let page = fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}");
    }
    let whole = fs::read_to_string(folder.path().join("forktrace.1")).unwrap();
    assert_eq!(printed(&["man"]), whole);
    let dump = fs::read_to_string(folder.path().join("forktrace-dump.1")).unwrap();
    assert_eq!(printed(&["man", "dump"]), dump);
}

#[test]
fn completions_name_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish"] {
        let text = printed(&["completions", shell]);
        for word in ["dump", "report", "min-wait", "exit-code"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
}
