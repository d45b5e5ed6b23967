//! The latest events of a live trace, for a report of them.

use std::sync::Arc;

use forktrace_model::event::Event;

use crate::{cli::sinks, pipeline::Follow};

/// Most events of one generation. There are two, so that a report has at least so many.
const MOST: usize = 50_000;

/// The latest events, and what was known before them.
#[derive(Debug)]
pub(super) struct Kept {
    start: Arc<Event>,
    older: Generation,
    newer: Generation,
    most: usize,
}

/// Events that follow each other.
#[derive(Clone, Debug, Default)]
struct Generation {
    /// What was known before them.
    known: Arc<[Event]>,
    events: Vec<Arc<Event>>,
}

impl Kept {
    /// `start`: the first event of the trace.
    pub(super) fn new(start: Event) -> Self {
        let (older, newer) = Default::default();
        Kept { start: Arc::new(start), older, newer, most: MOST }
    }

    /// Takes the next event.
    pub(super) fn push(&mut self, event: &Event) {
        self.newer.events.push(Arc::new(event.clone()));
    }

    /// Forgets the older half, if there are too many. The models have taken what was pushed last.
    pub(super) fn forget(&mut self, follow: &Follow) {
        if self.newer.events.len() < self.most {
            return;
        }
        let now_ns = self.newer.events.last().map_or(0, |event| event.boot_ns);
        let known = sinks::known(follow, now_ns, false).into();
        self.older = std::mem::replace(&mut self.newer, Generation { known, events: Vec::new() });
    }

    /// All that is kept, in the order of time.
    pub(super) fn events(&self) -> Vec<Arc<Event>> {
        let known = self.older.known.iter().cloned().map(Arc::new);
        let events = self.older.events.iter().chain(&self.newer.events).cloned();
        [Arc::clone(&self.start)].into_iter().chain(known).chain(events).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io;

    use forktrace_log::{Input, LineKind, Reader};
    use forktrace_model::event::Body;

    use super::*;
    use crate::pipeline::{At, Pipeline, Sink};

    /// A recorded run of a server, with findings.
    static LOG: &[u8] = include_bytes!("../../../tests/golden/prefork.jsonl");

    impl Sink for Kept {
        fn event(&mut self, at: &At<'_>) -> io::Result<()> {
            self.push(at.event);
            Ok(())
        }

        fn settled(&mut self, follow: &Follow) -> io::Result<()> {
            self.forget(follow);
            Ok(())
        }
    }

    fn run(events: &[Arc<Event>], most: usize) -> Pipeline<Kept> {
        let mut follow = Follow::default();
        follow.keep_evidence();
        let start = (**events.first().unwrap()).clone();
        let mut pipeline = Pipeline::new(follow, Kept { most, ..Kept::new(start) });
        for event in events.iter().skip(1) {
            pipeline.event(event).unwrap();
        }
        pipeline
    }

    #[test]
    fn what_is_kept_leads_to_the_same_findings() {
        let lines = Reader::new(Input::new(LOG).unwrap());
        let events = lines.filter_map(|line| match line.unwrap().kind {
            LineKind::Event(event) => Some(Arc::new(event)),
            _ => None,
        });
        let events: Vec<Arc<Event>> = events.collect();
        let stuck = |pipeline: &Pipeline<Kept>| -> Vec<_> {
            let found = pipeline.judge().findings().iter();
            found.map(|judged| (judged.finding.subject.pid, judged.finding.confidence)).collect()
        };
        let wanted = stuck(&run(&events, usize::MAX));
        assert_eq!(wanted.len(), 3);
        for most in [1, 2, 3, 5, 8] {
            let kept = run(&events, most).sink.events();
            assert!(matches!(kept.first().unwrap().body, Body::TraceStart(_)));
            assert_eq!(stuck(&run(&kept, usize::MAX)), wanted, "at most {most}");
        }
    }
}
