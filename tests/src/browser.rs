//! A headless Chromium, spoken to by its DevTools protocol over two pipes: no port, no driver.
//!
//! The protocol is <https://chromedevtools.github.io/devtools-protocol/>; over pipes each message ends
//! with a zero byte.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Names under which distributions have it.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// How long an answer may take: it is a browser on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// The browser with one page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    calls: u64,
    session: Option<String>,
    /// Errors and warnings of the page, and policy violations.
    pub complaints: Vec<String>,
    /// What the page asked for.
    pub requests: Vec<String>,
    _profile: TempDir,
}

/// The browser's program, if there is one.
pub fn program() -> Option<&'static str> {
    PROGRAMS.into_iter().find(|program| {
        let output = Command::new(program).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    })
}

impl Browser {
    /// Starts it with an empty page.
    ///
    /// # Errors
    /// When it does not start or answer.
    pub fn start() -> Result<Self> {
        let program = program().context("no Chromium")?;
        let profile = tempfile::tempdir()?;
        // It reads descriptor 3 and writes 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", program])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--hide-scrollbars"])
            .args(["--force-color-profile=srgb", "--lang=en-US", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting Chromium")?;
        let to = child.stdin.take().context("no pipe to Chromium")?;
        let mut answers = BufReader::new(child.stdout.take().context("no pipe from Chromium")?);
        let (send, from) = channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let value = serde_json::from_slice(&message).unwrap_or_default();
                message.clear();
                if send.send(value).is_err() {
                    break;
                }
            }
        });
        let mut browser = Browser {
            child,
            to,
            from,
            calls: 0,
            session: None,
            complaints: Vec::new(),
            requests: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach)?;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        // So that a test need not wait for anything to move.
        let calm = json!([{"name": "prefers-reduced-motion", "value": "reduce"}]);
        browser.call("Emulation.setEmulatedMedia", json!({"features": calm}))?;
        Ok(browser)
    }

    /// Calls a method of the protocol and returns its result.
    ///
    /// # Errors
    /// When the browser refuses, is gone, or does not answer.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        self.to.write_all(&bytes).with_context(|| format!("calling {method}"))?;
        loop {
            let message = self.from.recv_timeout(PATIENCE);
            let message = message.with_context(|| format!("no answer to {method}"))?;
            if message["id"] == self.calls {
                ensure!(message["error"].is_null(), "{method}: {}", message["error"]);
                return Ok(message["result"].clone());
            }
            self.heard(&message);
        }
    }

    fn heard(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
            }
            Some("Runtime.exceptionThrown") => {
                let exception = &params["exceptionDetails"]["exception"]["description"];
                self.complaints.push(exception.to_string());
            }
            Some("Runtime.consoleAPICalled") => self.complaints.push(params["args"].to_string()),
            Some("Log.entryAdded") => self.complaints.push(params["entry"]["text"].to_string()),
            Some("Page.javascriptDialogOpening") => self.complaints.push("a dialog".to_owned()),
            _ => {}
        }
    }

    /// Opens a file in a window of this size, CSS pixels, and waits until it is drawn.
    ///
    /// # Errors
    /// As [`Browser::call`].
    pub fn open(&mut self, file: &Path, (width, height): (u32, u32), phone: bool) -> Result<()> {
        self.complaints.clear();
        self.requests.clear();
        let metrics = json!({
            "width": width, "height": height, "mobile": phone,
            "deviceScaleFactor": if phone { 2 } else { 1 },
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics)?;
        self.call("Emulation.setTouchEmulationEnabled", json!({"enabled": phone}))?;
        let url = format!("file://{}", file.display());
        self.call("Page.navigate", json!({"url": url}))?;
        let loaded = "document.readyState === 'complete' && location.href !== 'about:blank'";
        for _ in 0..PATIENCE.as_millis() / 20 {
            if self.eval(loaded)? == true {
                return self.drawn();
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(anyhow!("{url} did not load"))
    }

    /// Memory of the processes that show pages, bytes; what they share with others is counted in
    /// parts (Pss of `/proc/<pid>/smaps_rollup`).
    ///
    /// # Errors
    /// As [`Browser::call`].
    pub fn memory(&mut self) -> Result<u64> {
        let session = self.session.take();
        let processes = self.call("SystemInfo.getProcessInfo", json!({}));
        self.session = session;
        let mut kib = 0;
        for process in processes?["processInfo"].as_array().into_iter().flatten() {
            if process["type"] == "renderer" {
                let rollup = format!("/proc/{}/smaps_rollup", process["id"]);
                let rollup = fs::read_to_string(rollup).unwrap_or_default();
                let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
                let pss = pss.and_then(|pss| pss.trim().strip_suffix(" kB")?.parse::<u64>().ok());
                kib += pss.unwrap_or_default();
            }
        }
        Ok(kib * 1024)
    }

    /// Waits until what was changed is drawn.
    ///
    /// # Errors
    /// As [`Browser::call`].
    pub fn drawn(&mut self) -> Result<()> {
        let frames = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))";
        self.eval(frames).map(drop)
    }

    /// Keeps a picture of the window as `DIR/NAME.png`, if `FORKTRACE_TESTS_PICTURES` names a folder:
    /// whether a page is good to look at is for people to say.
    ///
    /// # Errors
    /// When it cannot be written, and as [`Browser::call`].
    pub fn picture(&mut self, name: &str) -> Result<()> {
        let Some(folder) = std::env::var_os("FORKTRACE_TESTS_PICTURES") else { return Ok(()) };
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}))?;
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap_or_default())?;
        Ok(fs::write(Path::new(&folder).join(format!("{name}.png")), picture)?)
    }

    /// What an expression in JavaScript is worth in the page; a promise is waited for.
    ///
    /// # Errors
    /// When it throws, and as [`Browser::call`].
    pub fn eval(&mut self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.call("Runtime.evaluate", params)?;
        let thrown = &result["exceptionDetails"];
        ensure!(thrown.is_null(), "{expression}: {thrown}");
        Ok(result["result"]["value"].clone())
    }

    /// The text of the first element that a CSS selector finds.
    ///
    /// # Errors
    /// When there is none, and as [`Browser::call`].
    pub fn text(&mut self, selector: &str) -> Result<String> {
        let text = self.eval(&format!("document.querySelector({}).innerText", json!(selector)))?;
        text.as_str().map(str::to_owned).with_context(|| format!("{selector} has no text"))
    }

    /// Clicks in the middle of the first element that a selector finds.
    ///
    /// # Errors
    /// When there is none, and as [`Browser::call`].
    pub fn click(&mut self, selector: &str) -> Result<()> {
        let middle = format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()",
            json!(selector)
        );
        let at = self.eval(&middle)?;
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event)?;
        }
        self.drawn()
    }

    /// Presses a key, by its name in `KeyboardEvent.key`, with these modifiers (8: shift, 2: control).
    ///
    /// # Errors
    /// As [`Browser::call`].
    pub fn key(&mut self, key: &str, modifiers: u32) -> Result<()> {
        let mut down = json!({"type": "keyDown", "key": key, "modifiers": modifiers});
        if key.chars().count() == 1 {
            down["text"] = json!(key);
        }
        self.call("Input.dispatchKeyEvent", down)?;
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}))?;
        self.drawn()
    }

    /// Types into the field that has the focus.
    ///
    /// # Errors
    /// As [`Browser::call`].
    pub fn write(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({"text": text}))?;
        self.drawn()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to, it ends its own processes first.
        self.session = None;
        let asked = self.call("Browser.close", json!({}));
        for _ in 0..100 {
            if asked.is_err() || !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
