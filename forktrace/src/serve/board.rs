//! What requests are answered from. Judging writes it and never waits for a reader: who encodes a response
//! holds nothing meanwhile that judging needs for longer than it takes to read a number.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::registry::Registry;

use super::metrics::Format;
use forktrace_collect::clock;

/// Without a turn of the loop, or with a look at processes that does not come back, for this long a service
/// is not healthy, ns.
const SILENT_NS: u64 = 30_000_000_000;
/// A text of the metrics is given to all who ask within this time: a flood of requests costs little.
const FRESH: Duration = Duration::from_millis(500);

/// A text, and when it was made.
type Kept = Option<(Instant, Arc<str>)>;

/// The state that requests see.
#[derive(Debug)]
pub struct Board {
    registry: Registry,
    texts: [Mutex<Kept>; 2],
    reads: AtomicU64,
    findings: Mutex<Arc<str>>,
    ready: AtomicBool,
    turned_ns: AtomicU64,
    looking_ns: AtomicU64,
}

/// The lock's value; a thread that panicked in it has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// Not ready yet.
    pub fn new(registry: Registry) -> Self {
        Board {
            registry,
            texts: [Mutex::new(None), Mutex::new(None)],
            reads: AtomicU64::new(0),
            findings: Mutex::new("{\"findings\":[]}\n".into()),
            ready: AtomicBool::new(false),
            turned_ns: AtomicU64::new(clock::boot_ns()),
            looking_ns: AtomicU64::new(0),
        }
    }

    /// The metrics as text; `None`: they cannot be read.
    pub fn metrics(&self, format: Format) -> Option<Arc<str>> {
        let [open, other] = &self.texts;
        let mut kept = lock(if format == Format::OpenMetrics { open } else { other });
        if let Some((_, text)) = kept.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Some(Arc::clone(text));
        }
        let text: Arc<str> = format.text(&self.registry).ok()?.into();
        self.reads.fetch_add(1, Ordering::Relaxed);
        *kept = Some((Instant::now(), Arc::clone(&text)));
        Some(text)
    }

    /// How often the metrics have been read.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The findings that stand, as JSON.
    pub fn findings(&self) -> Arc<str> {
        Arc::clone(&lock(&self.findings))
    }

    /// Sets them.
    pub fn set_findings(&self, text: String) {
        *lock(&self.findings) = text.into();
    }

    /// Everything that was alive at the attach is traced.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The loop has turned at `now_ns` (`CLOCK_BOOTTIME`). `looking_ns`: for how long the look at processes
    /// that is under way has lasted.
    pub fn turned(&self, now_ns: u64, looking_ns: u64) {
        self.turned_ns.store(now_ns, Ordering::Relaxed);
        self.looking_ns.store(looking_ns, Ordering::Relaxed);
    }

    /// Why the service does not do what it is for, if so.
    pub fn ill(&self) -> Option<&'static str> {
        self.ill_at(clock::boot_ns())
    }

    fn ill_at(&self, now_ns: u64) -> Option<&'static str> {
        let turned_ns = self.turned_ns.load(Ordering::Relaxed);
        if now_ns.saturating_sub(turned_ns) > SILENT_NS {
            return Some("events were not read for 30 s");
        }
        let looking_ns = self.looking_ns.load(Ordering::Relaxed);
        (looking_ns > SILENT_NS).then_some("a look at processes has not come back for 30 s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_look_is_ill() {
        let board = Board::new(Registry::default());
        board.turned(1_000, 0);
        assert_eq!(board.ill_at(1_000 + SILENT_NS), None);
        assert!(board.ill_at(1_001 + SILENT_NS).is_some());
        board.turned(1_000, SILENT_NS + 1);
        assert!(board.ill_at(1_000).is_some());
    }

    #[test]
    fn who_asks_again_at_once_gets_the_same_text() {
        let board = Board::new(Registry::default());
        let first = board.metrics(Format::Prometheus);
        let second = board.metrics(Format::Prometheus);
        assert!(first.zip(second).is_some_and(|(first, second)| Arc::ptr_eq(&first, &second)));
        assert_eq!(board.reads(), 1);
    }
}
