//! What the page shows and does.

use anyhow::{Result, ensure};
use forktrace_tests::{Need, browser::Browser, trial};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::logs;

const DESKTOP: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);
const HOSTILE: &str = "</script><img src=x onerror=alert(1)>&amp;\u{202e}";

pub(crate) fn trials() -> Vec<Trial> {
    type Test = fn() -> Result<()>;
    let all: [(&str, Test); 12] = [
        ("html_says_what_the_text_report_says", says_the_same),
        ("html_asks_nobody_and_may_not", asks_nobody),
        ("html_shows_hostile_names_as_text", hostile_names),
        ("html_draws_a_hang_in_red_to_its_end", hang_in_red),
        ("html_collapses_and_selects", collapses_and_selects),
        ("html_filters", filters),
        ("html_hides_suspects_until_asked", suspects),
        ("html_tells_one_fault_once", one_fault),
        ("html_tells_how_long_it_was_stuck_in_all", stuck_in_all),
        ("html_zooms_and_pans_by_key_and_mouse", zooms),
        ("html_is_dark_or_light", themes),
        ("html_fits_a_phone", fits_a_phone),
    ];
    all.map(|(name, test)| trial(name, &[Need::Browser], test)).into()
}

/// The page of a recorded log, opened.
fn opened(log: &str, size: (u32, u32), phone: bool) -> Result<(logs::Page, Browser)> {
    let page = logs::page(log)?;
    let mut browser = Browser::start()?;
    browser.open(&page.file, size, phone)?;
    quiet(&browser)?;
    Ok((page, browser))
}

fn mutex() -> Result<(logs::Page, Browser)> {
    opened(&logs::recorded("mutex_of_thread")?, DESKTOP, false)
}

fn quiet(browser: &Browser) -> Result<()> {
    ensure!(browser.complaints.is_empty(), "the console says {:?}", browser.complaints);
    Ok(())
}

fn is(browser: &mut Browser, expression: &str, expected: &Value) -> Result<()> {
    let value = browser.eval(expression)?;
    ensure!(value == *expected, "{expression} is {value}, not {expected}");
    Ok(())
}

fn says_the_same() -> Result<()> {
    let (page, mut browser) = mutex()?;
    let log = page.file.with_file_name("trace.jsonl");
    let report = std::process::Command::new(forktrace_tests::forktrace()?)
        .arg("report")
        .arg(log)
        .env("TZ", "UTC")
        .output()?;
    // Line ends and columns are the terminal's affair.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let report = words(&String::from_utf8_lossy(&report.stdout));
    let rows = "[...document.querySelectorAll('.rows dd, h1, #totals dd, .head')].map((e) => e.textContent)";
    let rows = browser.eval(rows)?;
    let rows: Vec<&str> = rows.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ensure!(rows.len() > 8, "{rows:?}");
    for row in rows {
        ensure!(report.contains(&words(row)), "the report does not say {row:?}:\n{report}");
    }
    quiet(&browser)
}

fn asks_nobody() -> Result<()> {
    let (page, mut browser) = mutex()?;
    let own = format!("file://{}", page.file.display());
    ensure!(browser.requests == [own], "it asked for {:?}", browser.requests);
    // The policy holds against the page's own script, too.
    let load = "new Promise((done) => { addEventListener('securitypolicyviolation', \
                (event) => done(event.effectiveDirective)); const image = new Image(); \
                image.src = 'https://127.0.0.1:9/x.png'; })";
    is(&mut browser, load, &json!("img-src"))?;
    let ask = "fetch('https://127.0.0.1:9/').then(() => 'asked', () => 'refused')";
    is(&mut browser, ask, &json!("refused"))?;
    let markup = "(() => { try { document.body.innerHTML = '<b>x</b>'; return 'taken'; } \
                  catch (error) { return error.name; } })()";
    is(&mut browser, markup, &json!("TypeError"))?;
    let style = "(() => { const style = document.createElement('style'); \
                 style.textContent = 'body { color: rgb(1, 2, 3) }'; document.head.append(style); \
                 return getComputedStyle(document.body).color === 'rgb(1, 2, 3)'; })()";
    is(&mut browser, style, &json!(false))
}

fn hostile_names() -> Result<()> {
    let log = logs::with_names(&logs::recorded("python_lock")?, HOSTILE)?;
    let (_page, mut browser) = opened(&log, DESKTOP, false)?;
    is(&mut browser, "document.querySelectorAll('img').length", &json!(0))?;
    is(&mut browser, "document.scripts.length", &json!(2))?;
    // The change of direction is shown as what it is.
    let shown = HOSTILE.replace('\u{202e}', "\\u{202e}");
    is(&mut browser, "document.querySelector('.row .name').textContent", &json!(shown))?;
    let head = browser.text(".finding .head")?;
    ensure!(head.starts_with(&shown), "{head}");
    browser.click(".row")?;
    let details = browser.text("#details h2")?;
    ensure!(details.starts_with(&shown), "{details}");
    for button in ["stack", "inside"] {
        browser.eval(&format!(
            "document.querySelectorAll('.{button} summary').forEach((e) => e.click())"
        ))?;
    }
    is(&mut browser, "document.querySelectorAll('img').length", &json!(0))?;
    quiet(&browser)
}

/// Counts the red pixels of the canvas in one row, from a share of its width to another.
fn red_pixels(row: u32, from: f64, until: f64) -> String {
    format!(
        "(() => {{ const c = document.getElementById('time'); const s = c.height / c.clientHeight; \
         const x = Math.floor(c.width * {from}), w = Math.floor(c.width * ({until} - {from})); \
         const p = c.getContext('2d').getImageData(x, ({row} * 26 + 13) * s, w, 1).data; \
         let n = 0; for (let i = 0; i < p.length; i += 4) if (p[i] > 180 && p[i + 1] < 110) n += 1; \
         return n / w; }})()"
    )
}

fn hang_in_red() -> Result<()> {
    let (_page, mut browser) = mutex()?;
    let share = |browser: &mut Browser, row, from, until| -> Result<f64> {
        Ok(browser.eval(&red_pixels(row, from, until))?.as_f64().unwrap_or(-1.0))
    };
    let (parent, child) = (share(&mut browser, 0, 0.0, 1.0)?, share(&mut browser, 1, 0.3, 0.96)?);
    ensure!(parent < 0.01, "{parent} of the parent's row is red");
    ensure!(child > 0.99, "{child} of the stuck child's row is red");
    Ok(())
}

fn collapses_and_selects() -> Result<()> {
    let (_page, mut browser) = mutex()?;
    let rows = "[...document.querySelectorAll('.row .pid')].map((e) => e.textContent)";
    is(&mut browser, rows, &json!(["29770", "29773"]))?;
    browser.click(".row .twist")?;
    is(&mut browser, rows, &json!(["29770"]))?;
    is(&mut browser, "document.querySelector('.row').ariaExpanded", &json!("false"))?;
    browser.click(".row")?;
    ensure!(browser.text("#details h2")?.contains("pid 29770"), "the parent is not selected");
    browser.eval("document.getElementById('chart').focus()")?;
    browser.key("ArrowRight", 0)?;
    is(&mut browser, rows, &json!(["29770", "29773"]))?;
    browser.key("ArrowDown", 0)?;
    ensure!(browser.text("#details h2")?.contains("pid 29773"), "the child is not selected");
    let details = browser.text("#details")?;
    ensure!(details.contains("other thread was not copied"), "{details}");
    browser.key("ArrowLeft", 0)?;
    ensure!(browser.text("#details h2")?.contains("pid 29770"), "not up to the parent");
    // A finding leads to its process, also where that is hidden.
    browser.click("#fold")?;
    is(&mut browser, rows, &json!(["29770"]))?;
    browser.click(".finding .inside > button")?;
    is(&mut browser, rows, &json!(["29770", "29773"]))?;
    is(&mut browser, "document.querySelector('.row.picked .pid').textContent", &json!("29773"))?;
    quiet(&browser)
}

fn filters() -> Result<()> {
    let (_page, mut browser) = mutex()?;
    let matches =
        "[...document.querySelectorAll('.row:not(.beside) .pid')].map((e) => e.textContent)";
    browser.key("/", 0)?;
    browser.write("29773")?;
    // What matches, below the parents that do not.
    is(&mut browser, matches, &json!(["29773"]))?;
    is(&mut browser, "document.querySelectorAll('.row').length", &json!(2))?;
    ensure!(browser.text("#count")? == "1 of 2 processes", "{}", browser.text("#count")?);
    browser.eval("document.getElementById('search').select()")?;
    browser.write("INHERITED mutex")?;
    is(&mut browser, matches, &json!(["29770", "29773"]))?;
    browser.eval("document.getElementById('search').select()")?;
    browser.write("nginx")?;
    is(&mut browser, "document.querySelectorAll('.row').length", &json!(0))?;
    ensure!(browser.text("#empty")?.contains("No process"), "an empty list without a word");
    let choose = |confidence: &str| {
        format!(
            "(() => {{ const s = document.getElementById('confidence'); s.value = '{confidence}'; \
             s.dispatchEvent(new Event('change')); }})()"
        )
    };
    browser.eval("document.getElementById('search').select()")?;
    browser.key("Delete", 0)?;
    browser.eval("document.getElementById('search').value = ''")?;
    for (confidence, expected) in [("certain", json!(["29773"])), ("likely", json!([]))] {
        browser.eval(&choose(confidence))?;
        browser.drawn()?;
        is(&mut browser, matches, &expected)?;
    }
    quiet(&browser)
}

fn suspects() -> Result<()> {
    let page = logs::page(&logs::recorded("mutex_of_thread")?)?;
    page.edit(|data| {
        data["findings"][0]["shown"] = json!(false);
        data["findings"][0]["confidence"] = json!("suspect");
    })?;
    let mut browser = Browser::start()?;
    browser.open(&page.file, DESKTOP, false)?;
    let seen =
        "[document.querySelectorAll('.finding').length, document.querySelectorAll('.mark').length]";
    is(&mut browser, seen, &json!([0, 0]))?;
    browser.click("#suspects input")?;
    is(&mut browser, seen, &json!([1, 1]))?;
    let red = browser.eval(&red_pixels(1, 0.3, 0.9))?.as_f64().unwrap_or_default();
    ensure!(red > 0.99, "{red} of the suspect's row is red");
    quiet(&browser)
}

fn stuck_in_all() -> Result<()> {
    let page = logs::page(&logs::recorded("mutex_of_thread")?)?;
    page.edit(|data| {
        data["findings"][0]["since"] = json!(1_000_000);
        data["findings"][0]["until"] = json!(251_000_000);
    })?;
    let mut browser = Browser::start()?;
    browser.open(&page.file, DESKTOP, false)?;
    let said = "document.querySelector('.finding .lasted').textContent";
    is(&mut browser, said, &json!("4 min 10 s in all"))?;
    page.edit(|data| {
        data["trace"]["end"] = json!(61_500_000);
        let process = data["findings"][0]["process"].as_u64().unwrap_or_default() as usize;
        // When it ended.
        data["processes"][process][5] = json!(null);
        data["findings"][0]["until"] = json!(null);
    })?;
    browser.open(&page.file, DESKTOP, false)?;
    is(&mut browser, said, &json!("60.5 s when the trace ended"))?;
    quiet(&browser)
}

fn one_fault() -> Result<()> {
    let page = logs::page(&logs::recorded("mutex_of_thread")?)?;
    page.edit(|data| {
        let Some(findings) = data["findings"].as_array_mut() else { return };
        let mut again = findings.first().cloned().unwrap_or_default();
        again["again"] = json!(0);
        findings.extend(std::iter::repeat_n(again, 150));
    })?;
    let mut browser = Browser::start()?;
    browser.open(&page.file, DESKTOP, false)?;
    is(&mut browser, "document.querySelectorAll('.finding').length", &json!(1))?;
    ensure!(
        browser.text(".finding > summary")?.contains("and 150 more"),
        "the others are not counted"
    );
    browser.click(".same > summary")?;
    is(&mut browser, "document.querySelectorAll('.same .finding').length", &json!(100))?;
    browser.click(".same > button")?;
    is(&mut browser, "document.querySelectorAll('.same .finding').length", &json!(150))?;
    is(&mut browser, "document.querySelector('.same > button').hidden", &json!(true))?;
    // From the process to the block of the very task.
    browser.click(".row:last-child")?;
    browser.click("#details .links button:nth-of-type(2)")?;
    is(&mut browser, "document.activeElement.closest('.finding') !== null", &json!(true))?;
    quiet(&browser)
}

fn zooms() -> Result<()> {
    let (_page, mut browser) = mutex()?;
    browser.eval("document.getElementById('chart').focus()")?;
    let whole = browser.text("#range")?;
    browser.key("+", 0)?;
    let closer = browser.text("#range")?;
    ensure!(closer != whole, "plus does not zoom: {closer}");
    browser.key("d", 0)?;
    let panned = browser.text("#range")?;
    ensure!(panned != closer, "d does not pan: {panned}");
    browser.key("a", 0)?;
    ensure!(browser.text("#range")? == closer, "a does not pan back: {}", browser.text("#range")?);
    browser.key("0", 0)?;
    ensure!(browser.text("#range")? == whole, "0 does not show all: {}", browser.text("#range")?);
    browser.click("#in")?;
    ensure!(browser.text("#range")? == closer, "the button zooms otherwise than the key");
    browser.click("#all")?;
    // The wheel with control zooms, and without it scrolls.
    let at = browser.eval(
        "(() => { const r = document.getElementById('time').getBoundingClientRect(); \
         return [r.x + r.width / 2, r.y + 20]; })()",
    )?;
    let wheel = |modifiers: u32| json!({"type": "mouseWheel", "x": at[0], "y": at[1], "deltaX": 0, "deltaY": -300, "modifiers": modifiers});
    browser.call("Input.dispatchMouseEvent", wheel(0))?;
    browser.drawn()?;
    ensure!(browser.text("#range")? == whole, "the plain wheel zooms");
    browser.call("Input.dispatchMouseEvent", wheel(2))?;
    browser.drawn()?;
    let wheeled = browser.text("#range")?;
    ensure!(wheeled != whole, "control and the wheel do not zoom");
    // Dragging pans, and selects nothing.
    let x = at[0].as_f64().unwrap_or_default();
    for (kind, x) in [("mousePressed", x), ("mouseMoved", x - 80.0), ("mouseReleased", x - 80.0)] {
        let event = json!({"type": kind, "x": x, "y": at[1], "button": "left", "buttons": 1, "clickCount": 1});
        browser.call("Input.dispatchMouseEvent", event)?;
    }
    browser.drawn()?;
    ensure!(browser.text("#range")? != wheeled, "dragging does not pan");
    is(&mut browser, "document.getElementById('details').hidden", &json!(true))?;
    quiet(&browser)
}

fn themes() -> Result<()> {
    let (_page, mut browser) = mutex()?;
    let light = "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).slice(0, 3) \
                 .reduce((sum, n) => sum + Number(n), 0) > 384";
    for (system, expected) in [("dark", false), ("light", true)] {
        let features = json!([
            {"name": "prefers-color-scheme", "value": system},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        browser.call("Emulation.setEmulatedMedia", json!({"features": features}))?;
        browser.drawn()?;
        is(&mut browser, light, &json!(expected))?;
        browser.picture(system)?;
    }
    browser.click("#theme")?;
    browser.click("#theme")?;
    ensure!(browser.text("#theme")? == "Theme: dark", "{}", browser.text("#theme")?);
    is(&mut browser, light, &json!(false))?;
    quiet(&browser)
}

fn fits_a_phone() -> Result<()> {
    let (_page, mut browser) = opened(&logs::recorded("python_rlock")?, PHONE, true)?;
    let overflow = "document.documentElement.scrollWidth - innerWidth";
    is(&mut browser, overflow, &json!(0))?;
    browser.click(".row")?;
    is(&mut browser, overflow, &json!(0))?;
    // Small, but to be hit by a finger and to be read.
    let small = "[...document.querySelectorAll('button, select, input')].filter((e) => \
                 e.offsetParent && !e.closest('.row') && e.offsetHeight < 36 && e.type !== 'checkbox').length";
    is(&mut browser, small, &json!(0))?;
    let names = "[...document.querySelectorAll('.row .name')].every((e) => e.clientWidth > 40)";
    is(&mut browser, names, &json!(true))?;
    is(&mut browser, "document.getElementById('time').clientWidth > 180", &json!(true))?;
    // One finger drags the time; what was zoomed into moves.
    browser.click("#in")?;
    let before = browser.eval("document.getElementById('range').textContent")?;
    let at = browser.eval(
        "(() => { const r = document.getElementById('time').getBoundingClientRect(); \
         return [r.x + r.width / 2, r.y + 20]; })()",
    )?;
    let x = at[0].as_f64().unwrap_or_default();
    for (kind, x) in [
        ("touchStart", Some(x)),
        ("touchMove", Some(x - 30.0)),
        ("touchMove", Some(x - 60.0)),
        ("touchEnd", None),
    ] {
        let points: Vec<Value> = x.map(|x| json!({"x": x, "y": at[1]})).into_iter().collect();
        browser.call("Input.dispatchTouchEvent", json!({"type": kind, "touchPoints": points}))?;
    }
    browser.drawn()?;
    let after = browser.eval("document.getElementById('range').textContent")?;
    ensure!(after != before, "a finger does not pan: {after}");
    browser.eval("scrollTo(0, 0)")?;
    browser.drawn()?;
    browser.picture("phone")?;
    browser.eval("document.getElementById('picture').scrollIntoView()")?;
    browser.drawn()?;
    browser.picture("phone-timeline")?;
    quiet(&browser)
}
