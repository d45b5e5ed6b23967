//! Where results go: text or JSON on stdout, a log in a file, diagnostics on stderr.

use std::{
    collections::BTreeSet,
    io::{self, BufWriter, IsTerminal as _, Write},
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

use rustc_hash::FxHashSet;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::{
    args::{Color, Events, OutputArgs},
    failure::{Failure, cause},
    sinks::{Json, Out, Outputs, Recording, Text, Visible},
};
use crate::{
    pipeline::{Follow, Pipeline, caveats::Caveat, conclusion::Coverage},
    report::{
        self, Clock, Style,
        summary::{self, Summary},
    },
};
use forktrace_collect::{arch, kernel};
use forktrace_log::Recorder;
use forktrace_model::{
    event::{Body, Event, TraceStart},
    judge::Judged,
};

/// Bytes buffered before a write; a flush follows at every tick and finding.
const BUFFER: usize = 1 << 16;

/// Sends the library's and the eBPF programs' diagnostics to stderr, as many as asked for.
pub(super) fn init_diagnostics(args: &OutputArgs) {
    init(args.verbose, args.color);
}

/// The same for a command without these options.
#[cfg(feature = "top")]
pub(super) fn init_plain_diagnostics(color: Color) {
    init(0, color);
}

fn init(verbose: u8, color: Color) {
    let level = match verbose {
        0 | 1 => tracing::Level::WARN,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    // py-spy warns of every process that it cannot read; why that is so is part of the finding. aya
    // warns of a limit that it cannot lift; the consequences are reported when they occur.
    let others = if verbose >= 2 { Some(level) } else { None };
    let readers = ["py_spy", "remoteprocess", "proc_maps", "goblin", "aya::sys"];
    let filter = Targets::new()
        .with_default(level)
        .with_targets(readers.map(|target| (target, LevelFilter::from(others))));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(is_colored(color, io::stderr().is_terminal()));
    tracing_subscriber::registry().with(lines).with(filter).init();
}

/// Whether escape codes for colour are written. `terminal`: the output is a terminal.
pub(super) fn is_colored(color: Color, terminal: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            terminal && !dumb && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        }
    }
}

/// How text looks on stdout.
pub(super) fn style(args: &OutputArgs) -> Style {
    let terminal = io::stdout().is_terminal();
    let size = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| asked_width(&columns));
    let width = asked.or_else(|| size().filter(|_| terminal));
    let whole_stacks = args.verbose >= 1;
    let counts_lines = terminal && !whole_stacks;
    Style {
        color: is_colored(args.color, terminal),
        ascii: args.ascii,
        width,
        whole_stacks,
        counts_lines,
    }
}

/// Whether a descriptor of this process is a pipe or a socket: somebody may wait for its end.
pub(super) fn is_pipe(fd: u32) -> bool {
    let kind = std::fs::metadata(format!("/proc/self/fd/{fd}")).map(|file| file.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

/// The width that `COLUMNS` asks for. Shells keep the terminal's in a variable of this name, but do not
/// export it: where it is in the environment somebody put it there.
fn asked_width(columns: &str) -> Option<usize> {
    columns.trim().parse().ok().filter(|width| *width > 0)
}

/// Outputs to stdout, as asked, and to a file.
pub(super) fn outputs(
    args: &OutputArgs,
    events: Events,
    start: &Event,
    recorder: Option<Recorder>,
) -> Outputs {
    let stdout: Out = Box::new(BufWriter::with_capacity(BUFFER, io::stdout()));
    Outputs {
        recording: recorder.map(Recording::new),
        ..outputs_to(stdout, args, style(args), events, start)
    }
}

/// Outputs to `out` in the place of stdout.
pub(super) fn outputs_to(
    out: Out,
    args: &OutputArgs,
    style: Style,
    events: Events,
    start: &Event,
) -> Outputs {
    let (offset_ns, asked) = match &start.body {
        Body::TraceStart(start) => (start.clock_offset_ns, start.asked.iter().copied().collect()),
        _ => (0, FxHashSet::default()),
    };
    let visible = Visible { suspects: args.suspects, asked };
    let (text, json) = if args.json {
        (None, Some(Json::new(forktrace_log::Writer::new(out, offset_ns))))
    } else {
        let quiet = args.quiet || events == Events::Findings;
        let clock = Clock { offset_ns, zone: jiff::tz::TimeZone::system() };
        let text = report::text::Text::new(out, style, clock, quiet);
        (Some(Text::new(text, visible.clone())), None)
    };
    Outputs { json, recording: None, text, visible, reasons: args.verbose >= 1 }
}

/// Everything right of the source of events, with these outputs.
pub(super) fn pipeline(outputs: Outputs) -> Pipeline<Outputs> {
    let mut follow = Follow::default();
    if outputs.recording.is_some() {
        follow.keep_evidence();
    }
    Pipeline::new(follow, outputs)
}

/// Opens a file to record to.
pub(super) fn open_log(
    path: &Path,
    format: forktrace_log::Format,
    rotation: forktrace_log::Rotation,
) -> Result<Recorder, Failure> {
    let cannot = |cause: String| Failure::CannotWrite { path: path.to_owned(), cause };
    Recorder::open(path, format, rotation, sudo_user()).map_err(|error| cannot(cause(&error)))
}

/// Who ran sudo: a log made for them is theirs to read. `None` where nobody did.
pub(super) fn sudo_user() -> Option<(u32, u32)> {
    let id = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let (user, group) = (id("SUDO_UID")?, id("SUDO_GID")?);
    nix::unistd::geteuid().is_root().then_some((user, group))
}

/// The first event of a live trace. `began_ns` (`CLOCK_BOOTTIME`) is before the first program was
/// attached, so that no event is older.
pub(super) fn start_event(
    kernel: &kernel::Kernel,
    began_ns: u64,
    min_wait_ns: u64,
    filter: String,
    asked: Vec<u32>,
) -> Event {
    let release = nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default();
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let trace_id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    let machine = arch::machine();
    let start = TraceStart {
        version: env!("CARGO_PKG_VERSION").into(),
        command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        kernel: release,
        arch: machine.arch.name.into(),
        page_size: machine.page_size,
        boot_id: boot_id.trim().into(),
        clock_offset_ns: forktrace_collect::clock::clock_offset_ns(),
        min_wait_ns,
        filter,
        asked: asked.into(),
        snapshots: kernel.snapshots,
        lean: kernel.lean,
        calls: true,
        connections: kernel.connections,
        file_locks: kernel.file_locks,
        offsets: kernel.offsets.clone(),
        trace_id: trace_id.trim().into(),
        part: 0,
        carried: 0,
    };
    Event { boot_ns: began_ns, task: None, body: Body::TraceStart(Box::new(start)) }
}

/// The summary, after the last event; with `quiet` the conclusion alone.
///
/// # Errors
/// When the output cannot be written.
pub(super) fn summary(
    pipeline: &mut Pipeline<Outputs>,
    caveats: &[Caveat],
    style: Style,
    quiet: bool,
) -> io::Result<()> {
    let visible = pipeline.sink.visible.clone();
    let findings = pipeline.judge().findings().iter().cloned();
    let (shown, hidden): (Vec<Judged>, Vec<Judged>) =
        findings.partition(|judged| visible.shows(&judged.finding));
    let hidden: BTreeSet<u32> = hidden.iter().map(|judged| judged.finding.subject.pid).collect();
    let (earlier, earlier_hidden) = visible.forgotten(pipeline.judge());
    let recorded = pipeline.sink.recording.as_ref().map(Recording::recorded);
    let recorded: Vec<(String, bool)> = recorded.into_iter().collect();
    let shortfalls: Vec<String> = caveats.iter().map(report::caveats::text).collect();
    let Some(mut text) = pipeline.sink.text.take() else { return Ok(()) };
    let model = pipeline.model();
    let (unjudged, total) = pipeline.unaccounted();
    let unjudged = report::unjudged::lines(&unjudged, total, model.span_ns().1, model.machine());
    let summary = Summary {
        processes: model.all(),
        seen: model.seen(),
        forgotten: model.forgotten_roots(),
        counts: model.counts(),
        span_ns: model.span_ns(),
        findings: &shown,
        earlier,
        hidden: hidden.len() as u64 + earlier_hidden,
        quiet,
        shortfalls: &shortfalls,
        unjudged: (&unjudged, total),
        coverage: Coverage::of(model, pipeline.judge()),
        threaded_forks: &model.threaded_forks(),
        recorded: &recorded,
    };
    let written = text.write(|text| {
        if !quiet {
            text.set_apart()?;
        }
        summary::write(text.out(), &summary, style)?;
        text.out().flush()
    });
    pipeline.sink.text = Some(text);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_is_asked_for_by_a_number() {
        assert_eq!(asked_width("60"), Some(60));
        for none in ["", "0", "-1", "wide"] {
            assert_eq!(asked_width(none), None, "{none:?}");
        }
    }
}
