//! From events to a [`Timeline`].

use std::{collections::BTreeMap, io};

use rustc_hash::FxHashSet;

use super::{
    Exec, Fork, Loss, MAX_ITEMS, Origin, Process, Timeline, Trace, WaitEnd, lives::Lives,
    waits::Waits,
};
use crate::{
    export::{
        ancestors,
        spans::{Span, Spans},
    },
    pipeline::{At, Follow, Pipeline, Sink, conclusion::Coverage},
    report::cut_circles,
};
use forktrace_model::{event::Body, model};

/// Gathers a story, event by event.
#[derive(Debug, Default)]
pub struct TimelineBuilder {
    trace: Trace,
    asked: FxHashSet<u32>,
    lives: Lives,
    waits: Waits,
    execs: Vec<Exec>,
    losses: Vec<Loss>,
    left_out: BTreeMap<&'static str, u64>,
}

/// What only the reader of the log knows.
#[derive(Clone, Debug, Default)]
pub struct LogEnd {
    /// What makes the result incomplete, a sentence each.
    pub shortfalls: Vec<String>,
}

impl TimelineBuilder {
    /// A pipeline that gathers a timeline.
    pub fn pipeline() -> Pipeline<Self> {
        Pipeline::new(Follow::keeping_all(), TimelineBuilder::default())
    }
}

impl Pipeline<TimelineBuilder> {
    /// The timeline, after the last event.
    pub fn finish(self, end: LogEnd) -> Timeline {
        let (follow, builder) = self.into_parts();
        builder.finish(&follow, end)
    }
}

impl Sink for TimelineBuilder {
    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        let At { event, step, follow } = *at;
        let at = event.boot_ns;
        if self.trace.start_ns == 0 {
            self.trace.start_ns = at;
        }
        self.trace.end_ns = self.trace.end_ns.max(at);
        match &event.body {
            Body::TraceStart(start) => {
                self.asked = start.asked.iter().copied().collect();
                self.trace = Trace {
                    version: start.version.clone(),
                    command: start.command.clone(),
                    kernel: start.kernel.clone(),
                    boot_id: start.boot_id.clone(),
                    clock_offset_ns: start.clock_offset_ns,
                    filter: start.filter.clone(),
                    min_wait_ns: start.min_wait_ns,
                    snapshots: start.snapshots,
                    ..std::mem::take(&mut self.trace)
                };
            }
            Body::TraceEnd(end) => self.trace.end_reason = Some(end.reason.clone()),
            Body::EventsLost(lost) if self.losses.len() < MAX_ITEMS => {
                let by_kind = lost.by_kind.clone();
                self.losses.push(Loss { boot_ns: at, count: lost.count, by_kind });
            }
            Body::EventsLost(_) => *self.left_out.entry("losses").or_default() += 1,
            Body::ProcessExec(exec) => {
                if let Some(process) = step.process.filter(|_| self.execs.len() < MAX_ITEMS) {
                    let (process, by_tid) = (process.0, exec.old_tid);
                    let filename = exec.filename.clone();
                    self.execs.push(Exec { boot_ns: at, process, by_tid, filename });
                } else {
                    *self.left_out.entry("execs").or_default() += 1;
                }
            }
            _ => {}
        }
        self.lives.event(event, step, follow.model());
        self.waits.threads_ended(&self.lives.ended, at);
        self.waits.event(event, step, &self.asked);
        Ok(())
    }
}

impl TimelineBuilder {
    fn finish(mut self, follow: &Follow, end: LogEnd) -> Timeline {
        let processes = self.processes(follow);
        let model = follow.model();
        let counts = model.counts().clone();
        self.trace.lost = counts.lost;
        self.trace.shortfalls = end.shortfalls;
        self.trace.coverage = Coverage::of(model, follow.judge());
        self.trace.threaded_forks = model.threaded_forks();
        let counted = [
            ("threads", self.lives.left_out),
            ("names", self.lives.names_left_out),
            ("waits", self.waits.left_out),
        ];
        self.left_out.extend(counted.into_iter().filter(|(_, count)| *count > 0));
        let mut story = Timeline {
            counts,
            processes,
            forks: model.all().iter().filter_map(fork).collect(),
            trace: self.trace,
            threads: self.lives.threads,
            execs: self.execs,
            waits: self.waits.waits,
            losses: self.losses,
            findings: self.waits.found,
            left_out: self.left_out,
        };
        link(&mut story);
        story
    }

    fn processes(&mut self, follow: &Follow) -> Vec<Process> {
        let model = follow.model();
        let lives = std::mem::take(&mut self.lives.processes);
        let mut above: Vec<Option<usize>> = model
            .all()
            .iter()
            .zip(&lives)
            .map(|(process, life)| {
                let id = process.fork.as_ref().and_then(|fork| fork.by).or(life.parent)?;
                Some(id.0 as usize)
            })
            .collect();
        cut_circles(&mut above);
        let parts = model.all().iter().zip(lives).zip(above);
        parts
            .map(|((process, life), above)| Process {
                id: process.id.0,
                pid: process.pid,
                ns_pid: process.ns_pid,
                proc_uid: follow.uid(process),
                ppid: life.ppid,
                parent: life.parent.map(|id| id.0),
                above: above.and_then(|at| u32::try_from(at).ok()),
                comm: process.comm.clone(),
                names: life.names,
                exe: process.exe.clone(),
                origin: match (&process.fork, life.snapshot) {
                    (Some(_), _) => Origin::Fork,
                    (None, true) => Origin::Snapshot,
                    (None, false) => Origin::Mention,
                },
                began_ns: process.began_ns,
                ended_ns: process.end_ns,
                end: life.end,
                incomplete: process.incomplete,
            })
            .collect()
    }
}

fn fork(process: &model::Process) -> Option<Fork> {
    let fork = process.fork.as_ref()?;
    Some(Fork {
        boot_ns: fork.boot_ns,
        parent: fork.by.map(|id| id.0),
        by_pid: fork.by_pid,
        by_tid: fork.by_tid,
        by_comm: fork.by_comm.clone(),
        child: process.id.0,
        copies_memory: forktrace_common::clone_flags::copies_memory(fork.clone_flags),
        threads_lost: u32::try_from(fork.lost.len()).unwrap_or(u32::MAX),
        threads_lost_known: fork.lost_known,
    })
}

/// Ends what ended with its process, and says what belongs to what.
fn link(story: &mut Timeline) {
    let processes = &story.processes;
    let ended = |process: u32| processes.get(process as usize).and_then(|p| p.ended_ns);
    for found in &mut story.findings {
        if let (WaitEnd::Open, Some(end)) = (found.end, ended(found.process)) {
            found.end_ns = Some(end);
            found.end = WaitEnd::ThreadEnded;
        }
    }
    for wait in &mut story.waits {
        if let (WaitEnd::Open, Some(end)) = (wait.end, ended(wait.process)) {
            wait.end_ns = Some(end.max(wait.enter_ns));
            wait.end = WaitEnd::ThreadEnded;
        }
    }
    link_threads(story);
    link_waits(story);
}

/// Says which threads findings and waits are about: a number may have been given to several.
fn link_threads(story: &mut Timeline) {
    let threads = (0..).zip(&story.threads).map(|(place, thread)| Span {
        of: (thread.process, thread.tid),
        from: thread.began_ns,
        until: thread.ended_ns,
        place,
    });
    let threads = Spans::new(threads.collect());
    let findings = || story.findings.iter();
    let stuck: Vec<_> = findings()
        .map(|found| Some(((found.process, found.finding.subject.tid), found.first_ns)))
        .collect();
    // Whose memory it is is an ancestor.
    let holders: Vec<_> =
        findings().map(|found| Some((found.process, found.finding.holder()?.pid))).collect();
    let holders: Vec<_> = findings()
        .zip(ancestors::nearest(&story.processes, &holders))
        .map(|(found, process)| {
            let (holder, fork) = (found.finding.holder()?, found.finding.fork_site()?);
            Some(((process?, holder.tid), fork.boot_ns.min(found.first_ns)))
        })
        .collect();
    let waiting: Vec<_> =
        story.waits.iter().map(|wait| Some(((wait.process, wait.tid), wait.enter_ns))).collect();
    let [stuck, holders, waiting] =
        [stuck, holders, waiting].map(|questions| threads.first(&questions));
    for (found, (stuck, holder)) in story.findings.iter_mut().zip(stuck.into_iter().zip(holders)) {
        (found.thread, found.holder_thread) = (stuck, holder);
    }
    for (wait, thread) in story.waits.iter_mut().zip(waiting) {
        wait.thread = thread;
    }
}

/// Says which findings are about which waits: a thread may wait for a word again.
fn link_waits(story: &mut Timeline) {
    let findings = (0..).zip(&story.findings).map(|(place, found)| Span {
        of: (
            found.process,
            found.finding.subject.tid,
            found.finding.lock().map_or(0, |lock| lock.futex),
        ),
        from: found.waits_since_ns,
        until: found.end_ns,
        place,
    });
    let findings = Spans::new(findings.collect());
    let waits = story.waits.iter();
    let waits: Vec<_> =
        waits.map(|wait| Some(((wait.process, wait.tid, wait.uaddr), wait.enter_ns))).collect();
    for (wait, finding) in story.waits.iter_mut().zip(findings.first(&waits)) {
        wait.finding = finding;
    }
}
