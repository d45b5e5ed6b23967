//! The page as text; what it does is for a browser, in the end-to-end tests.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::export::timeline::{Process, Trace};

const HOSTILE: &str = "</script><img src=x onerror=alert(1)><!--";

fn page(story: &Timeline) -> String {
    let mut page = Vec::new();
    write(&mut page, story).unwrap();
    String::from_utf8(page).unwrap()
}

fn between<'a>(text: &'a str, from: &str, until: &str) -> &'a str {
    text.split_once(from).unwrap().1.split_once(until).unwrap().0
}

/// A process whose every text is hostile.
fn hostile() -> Timeline {
    let process = Process {
        pid: 7,
        comm: HOSTILE.into(),
        exe: Some(format!("/bin/{HOSTILE}")),
        ..Process::default()
    };
    let trace = Trace { command: vec![HOSTILE.into()], filter: HOSTILE.into(), ..Trace::default() };
    Timeline { trace, processes: vec![process], ..Timeline::default() }
}

#[test]
fn every_mark_of_the_template_is_filled() {
    let page = page(&Timeline::default());
    assert!(!page.contains("{{"), "{page}");
    assert!(page.ends_with("</html>\n"));
}

#[test]
fn texts_of_programs_stay_within_the_data() {
    let (plain, page) = (page(&Timeline::default()), page(&hostile()));
    let data = between(&page, "id=\"data\">", "</script>");
    assert!(!data.contains('<'), "{data}");
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["names"][0], HOSTILE);
    // Nothing else of the page depends on them.
    let around = |page: &str| {
        let (head, rest) = page.split_once("id=\"data\">").unwrap();
        (head.to_owned(), rest.split_once("</script>").unwrap().1.to_owned())
    };
    assert_eq!(around(&page), around(&plain));
}

#[test]
fn only_the_own_style_and_script_may_run_and_nothing_may_load() {
    let page = page(&Timeline::default());
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    for (from, until) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let digest = Sha256::digest(between(&page, from, until));
        assert!(policy.contains(&BASE64_STANDARD.encode(digest)), "{from} {policy}");
    }
}

#[test]
fn the_licences_of_what_is_bundled_are_in_the_page() {
    let page = page(&Timeline::default());
    assert!(page.contains("Copyright 2010-2026 Mike Bostock") && page.contains("Robert Penner"));
}
