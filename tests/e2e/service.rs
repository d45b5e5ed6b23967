//! `forktrace serve`, started for real: what it tells whom, and that no reader holds it up.

mod client;
mod otlp;
mod receiver;

use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    run::{Job, check_log},
    trial, workload,
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use self::client::{Address, get, request};
use crate::{check::hang_blocks, packaging};

const START: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(30);

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc];
    let python = [Need::Tracing, Need::Python];
    let reader = [Need::Tracing, Need::Cc, Need::Reader("opentelemetry.proto")];
    vec![
        trial("service_counts_a_hang_from_its_begin_to_its_end", &needs, a_hang),
        trial("service_has_the_metrics_of_rules_and_dashboards", &needs, metrics_of_dashboards),
        trial("service_reports_one_fault_once", &needs, one_fault),
        trial("service_takes_a_new_configuration_whole_or_not", &needs, reload),
        trial("service_judges_while_it_is_flooded", &needs, flood),
        trial("service_runs_a_program_for_a_finding", &needs, on_finding),
        trial("service_keeps_what_was_recorded_around_a_finding", &needs, recording),
        trial("service_sends_findings_once_the_receiver_is_there", &needs, otlp::late),
        trial("service_findings_are_read_by_opentelemetry", &reader, otlp::decoded),
        trial("service_with_a_receiver_that_hangs_judges_on", &needs, otlp::hangs),
        trial("service_tells_its_manager_and_takes_its_socket", &python, manager),
        trial("service_metrics_pass_promtool", &[Need::Tracing, Need::Promtool], promtool),
    ]
}

/// A service, and where it answers.
struct Service {
    job: Job,
    address: Address,
    folder: TempDir,
}

impl Service {
    /// Starts one that reports processes with names that begin with `name`, and waits until it is ready.
    fn start(name: &str, flags: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("forktrace-service-").tempdir()?;
        let socket = folder.path().join("s");
        let listen = format!("unix:{}", socket.display());
        let comm = format!("{name}*");
        let mut command = vec![forktrace_tests::forktrace()?.display().to_string()];
        let ours = ["serve", "--comm", &comm, "--listen", &listen, "--log-format", "json"];
        command.extend(ours.into_iter().chain(flags.iter().copied()).map(str::to_owned));
        let job = Job::start(&command, environment)?;
        let mut service = Service { job, address: Address::Unix(socket), folder };
        service.until("ready", START, |service| {
            get(&service.address, "/readyz").is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(service)
    }

    fn until(
        &mut self,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&Service) -> bool,
    ) -> Result<()> {
        let began = Instant::now();
        while !is_so(self) {
            let ended = self.job.has_ended()?;
            ensure!(!ended, "it ended before {what}:\n{}", self.job.stderr());
            ensure!(began.elapsed() < limit, "not {what} in {limit:?}:\n{}", self.job.stderr());
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn metrics(&self) -> Vec<String> {
        let answer = get(&self.address, "/metrics").map(|answer| answer.body).unwrap_or_default();
        answer.lines().map(str::to_owned).collect()
    }

    /// The sum of the series of this name whose labels have this.
    fn metric(&self, name: &str, labels: &str) -> f64 {
        let lines = self.metrics();
        let begin = format!("{name}{{");
        let of = lines.iter().filter(|line| line.starts_with(&begin) && line.contains(labels));
        of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The pids of the findings that stand.
    fn found(&self) -> Vec<u64> {
        let answer = get(&self.address, "/findings").map(|answer| answer.body);
        let json: Value = serde_json::from_str(&answer.unwrap_or_default()).unwrap_or_default();
        let findings = json["findings"].as_array().cloned().unwrap_or_default();
        findings.iter().filter_map(|one| one["finding"]["pid"].as_u64()).collect()
    }

    /// The lines about findings so far.
    fn lines(&self, event: &str) -> Vec<Value> {
        let stderr = self.job.stderr();
        let lines = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }

    /// Stops it, which must go well.
    fn stop(self) -> Result<()> {
        self.job.signal(Signal::SIGTERM)?;
        let ended = self.job.wait(SOON)?;
        ended.expect_code(0)?;
        drop(self.folder);
        Ok(())
    }
}

/// Programs of a name of their own that hang.
struct Hang {
    jobs: Vec<Job>,
    _folder: TempDir,
}

/// A name that no other test has.
fn name(of: &str) -> String {
    format!("fts{of}{}", std::process::id())
}

impl Hang {
    fn start(name: &str) -> Result<Self> {
        Hang::several(name, 1)
    }

    fn several(name: &str, count: usize) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("forktrace-hang-").tempdir()?;
        let args = ["normal", "thread", "keep", "single", "60"];
        let mut command = workload::command("inherited_mutex.c", &args)?;
        let program = command.first_mut().context("no program")?;
        let copy = folder.path().join(name);
        fs::copy(&*program, &copy)?;
        *program = copy.display().to_string();
        let jobs = (0..count).map(|_| Job::start(&command, &[])).collect::<Result<_>>()?;
        Ok(Hang { jobs, _folder: folder })
    }

    /// Ends them and their children.
    fn end(self) -> Result<()> {
        for job in self.jobs {
            job.signal(Signal::SIGKILL)?;
            // The child stays behind, and is ended.
            job.wait_and_leave(SOON)?;
        }
        Ok(())
    }
}

fn a_hang() -> Result<()> {
    let name = name("a");
    let mut service = Service::start(&name, &[], &[])?;
    let labels = format!("executable=\"{name}\"");
    ensure!(service.metric("forktrace_hung_processes", &labels) == 0.0);
    let hang = Hang::start(&name)?;
    service.until("found", SOON, |service| service.found().len() == 1)?;
    service.until("counted", SOON, |service| {
        let certain = format!("confidence=\"certain\",{labels}");
        service.metric("forktrace_hung_processes", &certain) == 1.0
            && service.metric("forktrace_findings_total", &labels) >= 1.0
    })?;
    let lines = service.lines("finding");
    let first = lines.first().context("no line")?;
    ensure!(first["finding"]["executable"] == *name && first["level"] == "error", "{first}");
    ensure!(get(&service.address, "/healthz")?.status == 200);
    hang.end()?;
    service.until("over", SOON, |service| {
        service.metric("forktrace_hang_ended_total", &labels) >= 1.0
            && service.metric("forktrace_hung_processes", &labels) == 0.0
            && service.found().is_empty()
    })?;
    ensure!(service.lines("finding-ended").len() == 1);
    service.stop()
}

/// Nothing that a rule or a dashboard asks for is mistyped.
fn metrics_of_dashboards() -> Result<()> {
    let name = name("d");
    let mut service = Service::start(&name, &["--on-finding", "/bin/true"], &[])?;
    let hang = Hang::start(&name)?;
    service.until("found", SOON, |service| service.found().len() == 1)?;
    hang.end()?;
    let labels = format!("executable=\"{name}\"");
    service.until("over", SOON, |service| {
        service.metric("forktrace_hang_ended_total", &labels) >= 1.0
    })?;
    let lines = service.metrics();
    let has = |name: &String| {
        lines.iter().any(|line| {
            let rest = line.strip_prefix(name.as_str());
            // A histogram has no series of its own name.
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']) || rest.starts_with("_count "))
        })
    };
    let missing: Vec<String> =
        packaging::metrics_asked_for()?.into_iter().filter(|name| !has(name)).collect();
    ensure!(missing.is_empty(), "{missing:?} are not in {lines:#?}");
    let named = packaging::metrics_asked_for()?;
    let described = lines.iter().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let of_ours: Vec<&str> = described.filter(|name| name.starts_with("forktrace_")).collect();
    let unnamed: Vec<&&str> = of_ours.iter().filter(|name| !named.contains(**name)).collect();
    ensure!(of_ours.len() > 20 && unnamed.is_empty(), "docs/service.md does not name {unnamed:?}");
    service.stop()
}

fn one_fault() -> Result<()> {
    let name = name("o");
    let mut service = Service::start(&name, &["--repeat", "8s"], &[])?;
    let hangs = Hang::several(&name, 3)?;
    service.until("all found", SOON, |service| service.found().len() == 3)?;
    let reported = service.lines("finding").len();
    ensure!(reported == 1, "{reported} were reported:\n{}", service.job.stderr());
    ensure!(service.metric("forktrace_findings_held_back_total", "repeat") == 2.0);
    service.until("the others counted", SOON, |service| service.lines("held-back").len() == 1)?;
    let text = service.lines("held-back").remove(0)["message"].to_string();
    ensure!(text.contains("2 more findings of this fault"), "{text}");
    hangs.end()?;
    service.stop()
}

fn reload() -> Result<()> {
    let (name, folder) = (name("r"), tempfile::tempdir()?);
    let file = folder.path().join("f.toml");
    fs::write(&file, "repeat = \"2h\"\n")?;
    let path = file.display().to_string();
    let mut service = Service::start(&name, &["--config", &path], &[])?;
    let hang = Hang::start(&name)?;
    service.until("found", SOON, |service| service.found().len() == 1)?;
    let hangup = |service: &mut Service, text: &str, says: &str| -> Result<()> {
        fs::write(&file, text)?;
        service.job.signal(Signal::SIGHUP)?;
        service.until(says, SOON, |service| service.job.stderr().contains(says))
    };
    let good = |service: &Service| {
        let lines = service.metrics();
        lines.contains(&"forktrace_config_last_reload_successful 1".to_owned())
    };
    hangup(&mut service, "repeat = 5\n", "f.toml, line 1: invalid type")?;
    ensure!(!good(&service) && service.found().len() == 1, "nothing has changed");
    hangup(&mut service, "exact = true\n", "a change of exact needs a restart")?;
    let out = format!("exclude-comm = [\"{name}\"]\n");
    hangup(&mut service, &out, "the configuration was read again")?;
    service.until("left out", SOON, |service| service.found().is_empty() && good(service))?;
    fs::write(&file, "")?;
    service.job.signal(Signal::SIGHUP)?;
    service.until("found again", SOON, |service| service.found().len() == 1)?;
    hang.end()?;
    service.stop()
}

/// Clients that say nothing, clients that say it slowly, and many that ask at once.
fn flood() -> Result<()> {
    let name = name("f");
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let listen = format!("127.0.0.1:{port}");
    let mut service = Service::start(&name, &[], &[("FORKTRACE_LISTEN", &listen)])?;
    // The flag has won over the environment: this one is a second service.
    ensure!(TcpStream::connect(&listen).is_err(), "the flag wins");
    let Address::Unix(path) = service.address.clone() else { return Ok(()) };
    let idle: Vec<_> = (0..300)
        .filter_map(|_| std::os::unix::net::UnixStream::connect(&path).ok())
        .map(|mut stream| {
            // A part of a request, and then nothing.
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-");
            stream
        })
        .collect();
    ensure!(idle.len() > 50, "{} connections", idle.len());
    let hang = Hang::start(&name)?;
    let began = Instant::now();
    service.job.until("reported", SOON, |job| job.stderr().contains("\"event\":\"finding\""))?;
    ensure!(began.elapsed() < Duration::from_secs(15), "it took {:?}", began.elapsed());
    // All of these are cut off by and by.
    service.until("answered", Duration::from_secs(120), |service| service.found().len() == 1)?;
    drop(idle);
    for _ in 0..500 {
        let answer = get(&service.address, "/metrics")?;
        ensure!(answer.status == 200, "{}", answer.status);
    }
    for bad in ["POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n"] {
        ensure!(request(&service.address, bad)?.status >= 400);
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20));
    // Its end may be cut off before it is read.
    let _ = request(&service.address, &long);
    ensure!(get(&service.address, "/healthz")?.status == 200);
    hang.end()?;
    service.stop()
}

fn on_finding() -> Result<()> {
    let (name, folder) = (name("c"), tempfile::tempdir()?);
    let out = folder.path().join("out");
    let command = format!("/usr/bin/tee {}", out.display());
    let mut service = Service::start(&name, &["--on-finding", &command], &[])?;
    let hang = Hang::start(&name)?;
    service.until("run", SOON, |service| {
        service.metric("forktrace_export_records_total", "exporter=\"command\",result=\"sent\"")
            >= 1.0
    })?;
    let json: Value = serde_json::from_str(&fs::read_to_string(&out)?)?;
    ensure!(json["workload"]["executable"] == *name, "{json}");
    ensure!(json["finding"]["kind"] == "inherited-lock", "{json}");
    hang.end()?;
    service.stop()
}

fn recording() -> Result<()> {
    let (name, folder) = (name("k"), tempfile::tempdir()?);
    let path = folder.path().display().to_string();
    let flags = ["--record-on", "finding", "--record-dir", &path, "--record-time", "4s"];
    let mut service = Service::start(&name, &flags, &[])?;
    let hang = Hang::start(&name)?;
    service.until("found", SOON, |service| service.found().len() == 1)?;
    let kept = |folder: &Path| -> Result<Vec<PathBuf>> {
        let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        let mut files: Vec<PathBuf> = files.collect::<Result<_>>()?;
        files.retain(|path| path.to_string_lossy().contains("/finding-"));
        files.sort();
        Ok(files)
    };
    service.until("kept", SOON, |_| kept(folder.path()).is_ok_and(|files| files.len() >= 2))?;
    hang.end()?;
    service.stop()?;
    let files = kept(folder.path())?;
    check_log(&files)?;
    let mut args = vec!["report".to_owned()];
    args.extend(files.iter().map(|file| file.display().to_string()));
    let ended = Job::forktrace(&args)?.wait(SOON)?;
    ensure!(hang_blocks(&ended.stdout).len() == 1, "{}", ended.said());
    let all = fs::read_dir(folder.path())?.count();
    ensure!(all == files.len(), "only what is kept stays: {all}");
    Ok(())
}

fn manager() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let notify = folder.path().join("notify");
    let socket = UnixDatagram::bind(&notify)?;
    socket.set_read_timeout(Some(START))?;
    let script = "import os, socket, sys\n\
                  s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(8)\n\
                  print(s.getsockname()[1], flush=True)\n\
                  os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n\
                  os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n\
                  os.execv(sys.argv[1], sys.argv[1:])\n";
    let binary = forktrace_tests::forktrace()?.display().to_string();
    let command = ["python3", "-c", script, &binary, "serve"].map(str::to_owned);
    let path = notify.display().to_string();
    let environment = [("NOTIFY_SOCKET", &*path), ("WATCHDOG_USEC", "60000000")];
    let mut job = Job::start(&command, &environment)?;
    job.until("listening", START, |job| job.stdout().contains('\n'))?;
    let port: u16 = job.stdout().trim().parse()?;
    let mut said = Vec::new();
    let mut until = |word: &str| -> Result<()> {
        while !said.iter().any(|text: &String| text.contains(word)) {
            let mut bytes = [0; 1024];
            let length = socket.recv(&mut bytes).with_context(|| format!("{word}: {said:?}"))?;
            said.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        Ok(())
    };
    until("READY=1")?;
    until("STATUS=")?;
    until("WATCHDOG=1")?;
    let address = Address::Tcp(port);
    ensure!(get(&address, "/readyz")?.status == 200, "it answers on the socket that it was given");
    job.signal(Signal::SIGTERM)?;
    until("STOPPING=1")?;
    job.wait(SOON)?.expect_code(0)
}

fn promtool() -> Result<()> {
    let name = name("m");
    let service = Service::start(&name, &[], &[])?;
    let text = get(&service.address, "/metrics")?.body;
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no stdin")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "promtool: {said}\n{text}");
    service.stop()
}
