//! What happens to every event, live or recorded: filter, model, judge, sinks.
//!
//! A live trace, `report` and every export use this one [`Pipeline`], so that they cannot differ. What
//! is done with events and findings is up to its [`Sink`].

pub mod caveats;
pub mod conclusion;
pub mod filter;
mod follow;
mod sink;
mod standing;
#[cfg(test)]
mod tests;

use std::io;

use forktrace_model::{
    event::{Body, Event, TraceEnd},
    judge::{Judge, Outcome, Unaccounted},
    model::{Change, Model},
};

pub use follow::{Follow, Step};
pub use sink::{At, Sink};
pub use standing::Standing;

use caveats::{Caveat, TraceLimits};
use filter::{Filter, Narrowed};

/// Everything right of the source of events.
#[derive(Debug)]
pub struct Pipeline<S> {
    follow: Follow,
    narrowed: Option<Narrowed>,
    limits: TraceLimits,
    end: Option<TraceEnd>,
    /// Takes events and findings.
    pub sink: S,
}

impl<S: Sink> Pipeline<S> {
    /// With a model and a judge that have seen nothing yet, or not by this pipeline.
    pub fn new(follow: Follow, sink: S) -> Self {
        Pipeline { follow, narrowed: None, limits: TraceLimits::default(), end: None, sink }
    }

    /// Only what this lets through is judged and reaches the sink.
    pub fn narrowed(self, narrowed: Option<Narrowed>) -> Self {
        Pipeline { narrowed, ..self }
    }

    /// Takes another filter while the trace goes on; `None`: nothing is left out. What was judged under the
    /// filter before and is not asked for any more is followed to its end, and not reported.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn set_filter(&mut self, filter: Option<Filter>, boot_ns: u64) -> io::Result<()> {
        let new = match (&mut self.narrowed, filter) {
            (None, None) => Vec::new(),
            (None, Some(filter)) => {
                let model = self.follow.model().clone();
                self.narrowed = Some(Narrowed::from_here_on(filter, model));
                Vec::new()
            }
            (Some(narrowed), filter) => narrowed.replace(filter.unwrap_or_default(), boot_ns),
        };
        for event in new {
            self.hand_on(&event)?;
        }
        Ok(())
    }

    /// Whether findings about a process are left out, since another filter was set or the process has become
    /// one that is excluded.
    pub fn leaves_out(&self, pid: u32) -> bool {
        self.narrowed.as_ref().is_some_and(|narrowed| narrowed.leaves_out(pid))
    }

    /// Makes forks beside other threads findings.
    pub fn audited(mut self, audit: bool) -> Self {
        self.follow.set_audit(audit);
        self
    }

    /// Takes the next event, in the order of time. Returns what it changed in
    /// [`Pipeline::everything`].
    ///
    /// # Errors
    /// When a sink fails.
    pub fn event(&mut self, event: &Event) -> io::Result<Vec<Change>> {
        let Some(narrowed) = &mut self.narrowed else { return self.hand_on(event) };
        let (changes, events) = narrowed.take(event);
        for event in &events {
            self.hand_on(event)?;
        }
        Ok(changes)
    }

    fn hand_on(&mut self, event: &Event) -> io::Result<Vec<Change>> {
        let concluded;
        let event = match &event.body {
            Body::TraceStart(start) => {
                self.limits = TraceLimits::of(start);
                event
            }
            Body::TraceEnd(end) => {
                concluded = Event { body: Body::TraceEnd(self.concluded(end)), ..event.clone() };
                &concluded
            }
            body => {
                self.limits.take(body);
                event
            }
        };
        let step = self.follow.event(event, self.sink.needs_identity());
        let at = At { event, step: &step, follow: &self.follow };
        self.sink.event(&at)?;
        match &step.outcome {
            Some(Outcome::Found(finding) | Outcome::Ended { finding, .. })
                if self.leaves_out(finding.subject.pid) => {}
            Some(Outcome::Found(finding)) => self.sink.finding(finding, &at)?,
            Some(Outcome::Ended { finding, waited_ns }) => {
                self.sink.resumed(finding, *waited_ns, &at)?;
            }
            Some(Outcome::Silent(reason)) => self.sink.no_finding(*reason, &at)?,
            None => {}
        }
        self.follow.forget(&step, event);
        self.sink.settled(&self.follow)?;
        Ok(step.changes)
    }

    /// The trace has ended: adds what it says of hangs.
    fn concluded(&mut self, end: &TraceEnd) -> TraceEnd {
        self.end = Some(end.clone());
        let conclusion = conclusion::of(self.judge(), self.model(), &self.caveats(true));
        let threaded_forks = self.model().threaded_forks();
        TraceEnd { conclusion: Some(conclusion), threaded_forks, ..end.clone() }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn tick(&mut self) -> io::Result<()> {
        self.sink.tick(&self.follow)
    }

    /// Writes out everything that is buffered, after the last event.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn end(&mut self) -> io::Result<()> {
        self.sink.end(&self.follow)
    }

    /// The sink, what it may read, and the filter, if there is one.
    pub fn parts(&mut self) -> (&mut S, &Follow, Option<&Narrowed>) {
        (&mut self.sink, &self.follow, self.narrowed.as_ref())
    }

    /// Model and judge, and the sink.
    pub fn into_parts(self) -> (Follow, S) {
        (self.follow, self.sink)
    }

    /// Model and judge, as they are now.
    pub fn follow(&self) -> &Follow {
        &self.follow
    }

    /// All processes that events were about.
    pub fn everything(&self) -> &Model {
        self.narrowed.as_ref().map_or_else(|| self.follow.model(), Narrowed::model)
    }

    /// Those of them that the filter lets through.
    pub fn model(&self) -> &Model {
        self.follow.model()
    }

    /// The findings so far.
    pub fn judge(&self) -> &Judge {
        self.follow.judge()
    }

    /// The filter, if there is one.
    pub fn filter(&self) -> Option<&Narrowed> {
        self.narrowed.as_ref()
    }

    /// What makes the result incomplete, as far as the events say. `ended`: the last of them was the
    /// trace's last; otherwise only what was judged counts.
    pub fn caveats(&self, ended: bool) -> Vec<Caveat> {
        let unended = TraceEnd::default();
        let end = self.end.as_ref().filter(|_| ended).unwrap_or(&unended);
        let (waits, counts) = self.judge().unaccounted(self.model());
        let pages = conclusion::are_pages_missing(self.judge(), &waits);
        caveats::of(end, self.limits, &counts, pages)
    }

    /// The waits that were not judged, the longest first, and how many there are: of very many not all
    /// are kept, or told by name.
    pub fn unaccounted(&self) -> (Vec<Unaccounted>, u64) {
        let (waits, counts) = self.judge().unaccounted(self.model());
        let known = counts.values().sum::<u64>().max(waits.len() as u64);
        let counted = self.end.as_ref().map_or(0, caveats::not_read);
        let total = known.saturating_add(counted.saturating_sub(self.judge().told_by_tracer()));
        (waits, total)
    }

    /// That nothing was what the filter asks for, if so.
    pub fn nothing_fitted(&self) -> Option<Caveat> {
        let filter = self.narrowed.as_ref().filter(|_| self.model().seen() == 0)?.filter();
        Some(Caveat::NothingFitted { filter: filter.clone() })
    }
}
