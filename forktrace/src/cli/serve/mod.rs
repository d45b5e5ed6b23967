//! `forktrace serve`: the whole host, until it is stopped.

mod archive;
mod config;
mod options;
mod served;

use std::{
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::Args;
use listenfd::ListenFd;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    archive::Archive,
    config::{Config, Source},
    options::Options,
    served::{Served, Sinks},
};
use super::{
    args::{Color, OutputArgs},
    failure::{Failure, cause},
    output, trace,
};
use crate::{
    pipeline::{Follow, Pipeline, filter::Narrowed},
    report,
    serve::{Service, http, http::Bound, journal::Journal, systemd},
};
use forktrace_collect::{
    arch, doctor,
    engine::{Consumer as _, Engine, Scope, Until},
    kernel::{self, Kernel, Ring},
};

/// Options of `forktrace serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// The configuration file [default: /etc/forktrace/forktrace.toml, if it is there]
    ///
    /// SIGHUP reads it again. A file that is wrong changes nothing.
    #[arg(long, env = "FORKTRACE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print what is in force and where it comes from, and exit
    #[arg(long)]
    check_config: bool,

    #[command(flatten)]
    options: Options,
}

pub(super) fn run(args: ServeArgs) -> Result<u8, Failure> {
    let source = Source::new(args.options, args.config);
    let config = source.read()?;
    if args.check_config {
        io::stdout().write_all(config.text(&source).as_bytes())?;
        return Ok(0);
    }
    arch::check_host().map_err(kernel::Error::from)?;
    kernel::check_pid_namespace()?;
    // All of this before privileges are given up, and before anything is loaded.
    let sockets = sockets(&config)?;
    output::init_diagnostics(&quiet());
    let capabilities = doctor::examine();
    let journal = Journal::start(config.log_format(is_journald()))?;
    let archive = archive(&config, &journal)?;
    let began_ns = forktrace_collect::clock::boot_ns();
    let (kernel, ring) = kernel::load(&kernel_options(&config))?;

    let words = match &config.filter {
        Some(filter) => format!("all processes; of these {}", report::filter::text(filter)),
        None => "all processes".to_owned(),
    };
    let min_wait_ns = kernel_options(&config).min_wait_ns;
    let start = output::start_event(&kernel, began_ns, min_wait_ns, words, Vec::new());
    let offset_ns = forktrace_collect::clock::clock_offset_ns();
    let build = build(&config);
    let mut service = Service::new(config.settings.clone(), build, journal, offset_ns);
    service.set_capabilities(&capabilities);
    // From here on threads have no more privileges than judging needs.
    http::start(sockets, Arc::clone(service.board()))?;
    let mut exporters = served::Exporters::default();
    service.set_exporters(exporters.start(&config, service.journal())?);

    let mut follow = Follow::default();
    if archive.is_some() {
        follow.keep_evidence();
    }
    let narrowed = config.filter.clone().map(Narrowed::new);
    let pipeline = Pipeline::new(follow, Sinks { service, archive }).narrowed(narrowed);
    let mut served = Served::new(pipeline, source, config, exporters);
    served.event(&start)?;
    serve((kernel, ring), served, min_wait_ns)
}

fn serve((kernel, ring): (Kernel, Ring), served: Served, min_wait_ns: u64) -> Result<u8, Failure> {
    let scope = Scope { all: true, follow: true, min_wait_ns, audit: false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        watch_hangups(served.hangup())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stopped = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let mut live = Engine::new(kernel, ring, served, scope)?;
        live.adopt_all()?;
        let reason = live.run(&Until::default(), stopped).await?;
        systemd::stopping();
        kernel::restore_interrupt();
        live.finish(reason)?;
        live.consumer.end()?;
        Ok(0)
    });
    // A thread that reads a process may never end.
    runtime.shutdown_background();
    result
}

/// A signal that asks for the configuration to be read again is noted.
fn watch_hangups(hangup: Arc<AtomicBool>) -> io::Result<()> {
    let mut signals = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            hangup.store(true, Ordering::Relaxed);
        }
    });
    Ok(())
}

fn kernel_options(config: &Config) -> kernel::Options {
    let options = &config.options;
    let min_wait = options.min_wait.as_ref().map(|written| written.value);
    kernel::Options {
        trace_all: true,
        follow: true,
        min_wait_ns: min_wait.map_or(1_000_000_000, trace::nanoseconds),
        stream: false,
        snapshots: true,
        fault_events: false,
        locks: false,
        lean: !options.exact.unwrap_or(false),
        snapshot_limit: options.snapshot_limit.as_ref().map_or(128 << 20, |limit| limit.value.0),
        ring_bytes: None,
        table_sizes: Vec::new(),
        diagnostics: false,
        late: true,
        new_files: config.records(),
    }
}

/// What the metrics say of this program.
fn build(config: &Config) -> Vec<(&'static str, String)> {
    let exact = config.options.exact.unwrap_or(false);
    vec![
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("revision", env!("FORKTRACE_COMMIT").into()),
        ("arch", arch::machine().arch.name.into()),
        ("mode", if exact { "exact" } else { "lean" }.into()),
    ]
}

/// Where to answer requests: the sockets that the service manager hands over, or the one that is asked for.
fn sockets(config: &Config) -> Result<Vec<Bound>, Failure> {
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        let tcp = given.take_tcp_listener(index).ok().flatten().map(Bound::Tcp);
        let unix = || given.take_unix_listener(index).ok().flatten().map(Bound::Unix);
        sockets.extend(tcp.or_else(unix));
    }
    if sockets.is_empty() || config.says_address() {
        let address = config.address();
        let bound = Bound::bind(&address).map_err(|error| {
            let cause = cause(&error);
            Failure::CannotListen { address: address.to_string(), cause }
        })?;
        sockets.extend(bound);
    }
    Ok(sockets)
}

fn archive(config: &Config, journal: &Journal) -> Result<Option<Archive>, Failure> {
    config.archive().map(|limits| Archive::open(limits, journal.clone())).transpose()
}

/// Whether journald reads stderr: it names the socket that it gave (`$JOURNAL_STREAM`, systemd.exec(5)).
fn is_journald() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}

/// Diagnostics as without any flag.
fn quiet() -> OutputArgs {
    OutputArgs {
        json: false,
        suspects: false,
        audit: false,
        quiet: true,
        verbose: 0,
        color: Color::Never,
        ascii: false,
    }
}
