//! This host as it is now.

use std::{
    io::{self, stdout},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Told, batch::Tables, kept::Kept, screen, view};
use crate::{
    cli::{
        args::TopArgs,
        failure::Failure,
        filter::filter,
        live::{self, Live, Watched, Watches},
        output,
        trace::{nanoseconds, traceable},
    },
    pipeline::{At, Follow, Pipeline, Sink, filter::Narrowed},
    report,
    top::{Ruler, Seek, State},
};
use forktrace_collect::{
    arch, clock as clocks,
    engine::{Consumer as _, Scope, Until},
    kernel::{self, Kernel, Ring},
};
use forktrace_model::{
    event::{Body, Event},
    judge::Judge,
};

/// Tables of what goes on.
pub(super) fn batch(args: &TopArgs) -> Result<u8, Failure> {
    output::init_plain_diagnostics(args.color);
    let traced = Traced::begin(args, false)?;
    let tables = Tables::new(stdout(), Told::of(&traced.start, args), args);
    traced.run(args, tables)
}

/// A screen of what goes on.
pub(super) fn watch(args: &TopArgs) -> Result<u8, Failure> {
    let traced = Traced::begin(args, true)?;
    let told = Told::of(&traced.start, args);
    let view = view(args, told.offset_ns);
    let shared = Arc::new(Mutex::new(Shared::default()));
    let feed = Feed {
        shared: Arc::clone(&shared),
        told,
        delay: args.delay,
        due: Instant::now(),
        kept: Kept::new(traced.start.clone()),
    };
    let screen = screen::Shown::begin(Tap(shared), view)?;
    let traced = traced.run(args, feed);
    let shown = screen.end();
    traced.and(shown)
}

/// A trace that has its programs attached.
struct Traced {
    kernel: (Kernel, Ring),
    start: Event,
    pids: Vec<u32>,
}

impl Traced {
    /// `writes`: files are made later.
    fn begin(args: &TopArgs, writes: bool) -> Result<Self, Failure> {
        arch::check_host().map_err(kernel::Error::from)?;
        kernel::check_pid_namespace()?;
        let mut pids: Vec<u32> = args.pid.iter().flat_map(|list| list.0.iter().copied()).collect();
        pids.sort_unstable();
        pids.dedup();
        let pids = traceable(&pids)?;
        let began_ns = clocks::boot_ns();
        let (kernel, ring) = kernel::load(&options(args, pids.is_empty(), writes))?;
        let words = scope(&pids, args)?;
        let min_wait_ns = nanoseconds(args.min_wait);
        let start = output::start_event(&kernel, began_ns, min_wait_ns, words, pids.clone());
        Ok(Traced { kernel: (kernel, ring), start, pids })
    }

    /// Traces until the sink, or a signal, ends it.
    fn run<S: Watches>(self, args: &TopArgs, sink: S) -> Result<u8, Failure> {
        let Traced { kernel, start, pids } = self;
        let narrowed = filter(&args.filter)?.map(Narrowed::new);
        let mut follow = Follow::default();
        follow.keep_evidence();
        let pipeline = Pipeline::new(follow, sink).narrowed(narrowed);
        let scope = Scope {
            all: pids.is_empty(),
            follow: true,
            min_wait_ns: nanoseconds(args.min_wait),
            audit: false,
        };
        let begin = |live: &mut Live<S>| {
            live.consumer.event(&start)?;
            match pids.is_empty() {
                true => live.adopt_all()?,
                false => live.adopt(&pids, false)?,
            }
            Ok(())
        };
        let watched = Watched::new(pipeline, None);
        live::run(kernel, watched, scope, &Until::default(), begin, || {}, |_, _| Ok(0))
    }
}

fn options(args: &TopArgs, trace_all: bool, new_files: bool) -> kernel::Options {
    kernel::Options {
        trace_all,
        follow: true,
        min_wait_ns: nanoseconds(args.min_wait),
        stream: false,
        snapshots: true,
        fault_events: false,
        locks: false,
        lean: true,
        snapshot_limit: args.snapshot_limit,
        ring_bytes: None,
        table_sizes: Vec::new(),
        diagnostics: false,
        late: true,
        new_files,
    }
}

/// What is traced, in words.
fn scope(pids: &[u32], args: &TopArgs) -> Result<String, Failure> {
    let list: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let target = match pids {
        [] => "all processes".to_owned(),
        _ => format!("processes {} and their children", list.join(", ")),
    };
    Ok(match filter(&args.filter)? {
        Some(filter) => format!("{target}; of these {}", report::filter::text(&filter)),
        None => target,
    })
}

/// What the thread of the trace and that of the screen tell each other.
#[derive(Default)]
struct Shared {
    /// What is known now, until the screen has taken it.
    state: Option<State>,
    messages: Vec<String>,
    /// Where a report is to be written to.
    export: Option<PathBuf>,
    /// The screen has ended.
    quit: bool,
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // What another thread left there when it panicked is as good as before.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The side of the trace.
struct Feed {
    shared: Arc<Mutex<Shared>>,
    told: Told,
    delay: Duration,
    due: Instant,
    kept: Kept,
}

impl Sink for Feed {
    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        if !matches!(at.event.body, Body::TraceStart(_)) {
            self.kept.push(at.event);
        }
        Ok(())
    }

    fn settled(&mut self, follow: &Follow) -> io::Result<()> {
        self.kept.forget(follow);
        Ok(())
    }

    fn tick(&mut self, follow: &Follow) -> io::Result<()> {
        if Instant::now() >= self.due {
            self.due = Instant::now() + self.delay;
            let state = self.told.state(follow, clocks::boot_ns());
            locked(&self.shared).state = Some(state);
        }
        let export = locked(&self.shared).export.take();
        if let Some(path) = export {
            let (events, shared) = (self.kept.events(), Arc::clone(&self.shared));
            thread::spawn(move || {
                let said = super::files::write_report(&path, events.iter().map(AsRef::as_ref));
                locked(&shared).messages.push(said);
            });
        }
        Ok(())
    }

    fn is_gone(&self) -> bool {
        locked(&self.shared).quit
    }
}

impl Watches for Feed {
    fn has_found(&self, _: &Judge) -> bool {
        false
    }

    /// A key is to be answered soon.
    fn may_rest(&self) -> bool {
        false
    }

    fn say(&mut self, message: &str) {
        locked(&self.shared).messages.push(message.to_owned());
    }
}

/// The side of the screen. However its thread ends, the trace does.
struct Tap(Arc<Mutex<Shared>>);

impl Drop for Tap {
    fn drop(&mut self) {
        locked(&self.0).quit = true;
    }
}

impl screen::Source for Tap {
    fn newest(&mut self) -> Option<State> {
        locked(&self.0).state.take()
    }

    fn seek(&mut self, _: Seek) -> Option<Ruler> {
        None
    }

    fn export(&mut self, path: PathBuf) {
        locked(&self.0).export = Some(path);
    }

    fn message(&mut self) -> Option<String> {
        let mut shared = locked(&self.0);
        match shared.messages.is_empty() {
            true => None,
            false => Some(shared.messages.remove(0)),
        }
    }
}
