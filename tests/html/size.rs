//! A report of many processes stays usable. What it costs is printed, and told in docs/export.md.

use std::fs;

use anyhow::{Result, ensure};
use forktrace_tests::{Need, browser::Browser, trial};
use libtest_mimic::Trial;
use serde_json::json;

use crate::logs;

const PROCESSES: u32 = 10_000;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("html_of_ten_thousand_processes", &[Need::Browser], ten_thousand)]
}

fn ten_thousand() -> Result<()> {
    let page = logs::page(&logs::busy(PROCESSES - 2)?)?;
    let mut browser = Browser::start()?;
    let small = logs::page(&logs::recorded("mutex_of_thread")?)?;
    browser.open(&small.file, (1280, 900), false)?;
    let of_two = browser.memory()?;
    browser.open(&page.file, (1280, 900), false)?;
    ensure!(browser.complaints.is_empty(), "the console says {:?}", browser.complaints);
    ensure!(browser.text("#count")? == "10,000 processes", "{}", browser.text("#count")?);
    // Only what can be seen is in the document.
    let rows = "document.querySelectorAll('.row').length";
    let in_view = browser.eval(rows)?.as_u64().unwrap_or_default();
    ensure!((5..60).contains(&in_view), "{in_view} rows are in the document");
    browser.eval("document.getElementById('chart').focus()")?;
    browser.key("End", 0)?;
    let last = "[...document.querySelectorAll('.row .pid')].at(-1).textContent";
    ensure!(browser.eval(last)? == "29773", "the end of the list is not reached");
    browser.picture("ten-thousand")?;
    browser.key("/", 0)?;
    browser.write("helper-7")?;
    let some = browser.text("#count")?;
    ensure!(!some.starts_with("0 of") && some.ends_with(" of 10,000 processes"), "{some}");
    browser.eval("document.getElementById('search').select()")?;
    browser.write("1004242")?;
    ensure!(browser.text("#count")? == "1 of 10,000 processes", "{}", browser.text("#count")?);
    tell(&mut browser, fs::metadata(&page.file)?.len(), of_two)
}

/// Prints what it costs; `of_two` is the memory with a page of two processes, bytes.
fn tell(browser: &mut Browser, bytes: u64, of_two: u64) -> Result<()> {
    let paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime";
    let paint = browser.eval(paint)?.as_f64().unwrap_or_default();
    let drawn = browser.eval("performance.getEntriesByName('drawn')[0].startTime")?;
    let drawn = drawn.as_f64().unwrap_or_default();
    browser.call("HeapProfiler.collectGarbage", json!({}))?;
    let heap = browser.call("Runtime.getHeapUsage", json!({}))?["usedSize"].clone();
    // Scrolling and zooming: the time to lay out and draw a frame.
    browser.eval("(() => { const s = document.getElementById('search'); s.value = ''; s.dispatchEvent(new Event('input')); })()")?;
    let frame = "(async () => { const chart = document.getElementById('chart'); let sum = 0; \
                 for (let n = 0; n < 60; n += 1) { chart.scrollTop = n * 4000; \
                 await new Promise((done) => requestAnimationFrame(done)); const from = performance.now(); \
                 await new Promise((done) => { const port = new MessageChannel(); port.port1.onmessage = done; port.port2.postMessage(0); }); \
                 sum += performance.now() - from; } return sum / 60; })()";
    let frame = browser.eval(frame)?.as_f64().unwrap_or_default();
    let memory = browser.memory()?;
    println!(
        "html: {PROCESSES} processes: file {:.1} MB, first paint {paint:.0} ms, all drawn {drawn:.0} ms, \
         JavaScript heap {:.1} MB, the browser's memory for pages {:.0} MB (with two processes {:.0} MB), a frame {frame:.1} ms",
        bytes as f64 / 1e6,
        heap.as_f64().unwrap_or_default() / 1e6,
        memory as f64 / 1e6,
        of_two as f64 / 1e6,
    );
    Ok(())
}
