//! From a story to tracks and to what happens on them, in the order of time.

use crate::report::{advice, proofs};
use rustc_hash::FxHashMap;

use super::proto::{
    ORDER_EXPLICIT, ProcessDescriptor, ProcessTree, ThreadDescriptor, TracePacket, TrackDescriptor,
    TreeProcess,
};
use crate::{
    export::{
        Timeline,
        timeline::{End, Found, Process, Thread, Wait, WaitEnd},
        words,
    },
    report::{duration, sanitize},
};

/// Something on a track.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn {
    /// `CLOCK_BOOTTIME`, ns.
    pub(super) at: u64,
    pub(super) track: u64,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) category: &'static str,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) flows: Vec<u64>,
    pub(super) flows_end: Vec<u64>,
}

/// Ordered: at one instant, what ends ends before something else begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    End,
    Instant,
    #[default]
    Begin,
}

/// Tracks, then what happens on them.
pub(super) fn all(story: &Timeline, suspects: bool) -> (Vec<TrackDescriptor>, Vec<Drawn>) {
    let mut sheet = Sheet::new(story);
    sheet.findings(suspects);
    sheet.processes();
    sheet.forks();
    sheet.waits(suspects);
    sheet.rest();
    // A fork and its child's life begin at one instant: where a flow ends, it has begun.
    sheet.drawn.sort_by_key(|drawn| (drawn.at, !drawn.flows_end.is_empty(), drawn.kind));
    (sheet.tracks, sheet.drawn)
}

/// Who is whose parent: one packet for each process, at its beginning.
pub(super) fn process_trees(story: &Timeline) -> impl Iterator<Item = TracePacket> {
    story.processes.iter().map(|process| TracePacket {
        timestamp: Some(shown_from(story, process)),
        process_tree: Some(ProcessTree {
            processes: vec![TreeProcess {
                pid: number(process.pid),
                ppid: number(process.ppid),
                cmdline: vec![sanitize(&process.comm).into_owned()],
                process_start_from_boot: Some(process.began_ns).filter(|ns| *ns > 0),
                cmdline_is_comm: Some(true),
            }],
        }),
        ..TracePacket::default()
    })
}

fn number(id: u32) -> Option<i32> {
    i32::try_from(id).ok()
}

/// What was there before the trace is drawn from the trace's beginning on.
fn shown_from(story: &Timeline, process: &Process) -> u64 {
    process.began_ns.max(story.trace.start_ns)
}

/// The same in every export of every log of one boot: FNV-1a of what it stands for.
fn uuid(of: &str) -> u64 {
    let hash = of.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // 0 is the root of all tracks.
    hash.max(1)
}

/// Two that a damaged log calls the same still have a track each.
#[derive(Default)]
struct Names(FxHashMap<String, u64>);

impl Names {
    fn uuid(&mut self, of: String) -> u64 {
        let before = self.0.entry(of.clone()).or_default();
        *before += 1;
        match before {
            1 => uuid(&of),
            n => uuid(&format!("{of}#{n}")),
        }
    }
}

struct Sheet<'a> {
    story: &'a Timeline,
    tracks: Vec<TrackDescriptor>,
    drawn: Vec<Drawn>,
    /// Tracks by place in the story.
    processes: Vec<u64>,
    threads: Vec<u64>,
    /// A living thread's track by its process and number; of several the latest.
    by_tid: FxHashMap<(u32, u32), usize>,
    /// Until when slices reach, by track: the next one may not begin earlier.
    taken: FxHashMap<u64, u64>,
}

impl<'a> Sheet<'a> {
    fn new(story: &'a Timeline) -> Self {
        let mut names = Names::default();
        let processes = story.processes.iter().map(|process| names.uuid(process.proc_uid.clone()));
        let processes = processes.collect();
        let thread = |thread: &Thread| {
            let process = story.processes.get(thread.process as usize);
            let uid = process.map_or("", |process| process.proc_uid.as_str());
            names.uuid(format!("{uid}/{}/{}", thread.tid, thread.began_ns))
        };
        let threads = story.threads.iter().map(thread).collect();
        Sheet {
            story,
            tracks: Vec::new(),
            drawn: Vec::new(),
            threads,
            by_tid: (0..).zip(&story.threads).map(|(n, t)| ((t.process, t.tid), n)).collect(),
            processes,
            taken: FxHashMap::default(),
        }
    }

    fn process_track(&self, process: u32) -> u64 {
        self.processes.get(process as usize).copied().unwrap_or(1)
    }

    /// A thread's track, otherwise its process's.
    fn thread_track(&self, thread: Option<u32>, process: u32) -> u64 {
        let track = thread.and_then(|thread| self.threads.get(thread as usize).copied());
        track.unwrap_or_else(|| self.process_track(process))
    }

    fn track_of(&self, process: u32, tid: u32) -> u64 {
        let thread = self.by_tid.get(&(process, tid)).and_then(|n| self.threads.get(*n).copied());
        thread.unwrap_or_else(|| self.process_track(process))
    }

    /// Draws a slice. It begins where the one before it on its track ends, if it would overlap; on
    /// one without an end it is an instant.
    fn slice(&mut self, drawn: Drawn, end: Option<u64>) {
        let taken = self.taken.entry(drawn.track).or_default();
        if *taken == u64::MAX {
            self.drawn.push(Drawn { kind: Kind::Instant, ..drawn });
            return;
        }
        let at = drawn.at.max(*taken);
        let track = drawn.track;
        match end {
            Some(end) if end <= at => {
                self.drawn.push(Drawn { at, kind: Kind::Instant, ..drawn });
                return;
            }
            Some(end) => {
                *taken = end;
                self.drawn.push(Drawn { at: end, track, kind: Kind::End, ..Drawn::default() });
            }
            None => *taken = u64::MAX,
        }
        self.drawn.push(Drawn { at, kind: Kind::Begin, ..drawn });
    }

    fn findings(&mut self, suspects: bool) {
        let story = self.story;
        let top = uuid("findings");
        self.tracks.push(TrackDescriptor {
            uuid: Some(top),
            name: Some("forktrace findings".into()),
            child_ordering: Some(ORDER_EXPLICIT),
            sibling_order_rank: Some(-1),
            ..TrackDescriptor::default()
        });
        for (n, found) in story.shown(suspects) {
            let Some(process) = story.processes.get(found.process as usize) else { continue };
            let finding = &found.finding;
            let name = format!("{} {}", words::who(finding), words::confidence(finding));
            let track = uuid(&format!("finding/{}/{}/{n}", process.proc_uid, finding.subject.tid));
            self.tracks.push(TrackDescriptor {
                uuid: Some(track),
                parent_uuid: Some(top),
                name: Some(name),
                sibling_order_rank: i32::try_from(n).ok(),
                ..TrackDescriptor::default()
            });
            let drawn = Drawn {
                at: found.waits_since_ns,
                track,
                name: words::headline(finding),
                category: "finding",
                facts: finding_facts(found),
                ..Drawn::default()
            };
            self.slice(drawn, found.end_ns);
        }
    }

    /// Processes and threads: their tracks, and the life of each process by its names.
    fn processes(&mut self) {
        let story = self.story;
        for process in &story.processes {
            self.tracks.push(TrackDescriptor {
                uuid: Some(self.process_track(process.id)),
                process: Some(ProcessDescriptor {
                    pid: number(process.pid),
                    process_name: Some(sanitize(&process.comm).into_owned()),
                    start_timestamp_ns: i64::try_from(process.began_ns).ok().filter(|ns| *ns > 0),
                }),
                ..TrackDescriptor::default()
            });
        }
        for (thread, track) in story.threads.iter().zip(self.threads.clone()) {
            let Some(process) = story.processes.get(thread.process as usize) else { continue };
            self.tracks.push(TrackDescriptor {
                uuid: Some(track),
                parent_uuid: Some(self.process_track(thread.process)),
                thread: Some(ThreadDescriptor {
                    pid: number(process.pid),
                    tid: Some(thread.tid.into()),
                    thread_name: Some(sanitize(&thread.comm).into_owned()),
                }),
                ..TrackDescriptor::default()
            });
        }
        for process in &story.processes {
            self.life(process);
        }
    }

    fn life(&mut self, process: &Process) {
        let track = self.process_track(process.id);
        let from = shown_from(self.story, process);
        for (n, name) in process.names.iter().enumerate() {
            let at = if n == 0 { from } else { name.since_ns };
            let next = process.names.get(n + 1).map(|next| next.since_ns);
            let mut facts = vec![("proc_uid", process.proc_uid.clone())];
            facts.extend(name.filename.iter().map(|f| ("exec", sanitize(f).into_owned())));
            facts.extend(process.incomplete.then(|| ("incomplete", "events were lost".into())));
            let forked = n == 0 && process.above.is_some();
            let drawn = Drawn {
                at,
                track,
                name: sanitize(&name.comm).into_owned(),
                category: "process",
                facts,
                flows_end: if forked { self.fork_flow(process.id) } else { Vec::new() },
                ..Drawn::default()
            };
            self.slice(drawn, next.or(process.ended_ns));
        }
        if let Some(at) = process.ended_ns {
            let how = match process.end {
                Some(End::Exit) | None => "the exit event",
                Some(End::LastThread) => "the exit of its last known thread",
                Some(End::NumberUsedAgain) => "its pid was used again: it ended earlier",
                Some(_) => "it was gone when /proc was read again: it ended earlier",
            };
            self.instant(at, track, "exit".into(), "process", vec![("known by", how.into())]);
        }
    }

    /// The flow of the fork that made a process, if that was seen.
    fn fork_flow(&self, child: u32) -> Vec<u64> {
        let seen = self.story.forks.binary_search_by_key(&child, |fork| fork.child).is_ok();
        let uid = self.story.processes.get(child as usize).filter(|_| seen);
        uid.map(|process| uuid(&format!("fork/{}/{child}", process.proc_uid))).into_iter().collect()
    }

    fn forks(&mut self) {
        let story = self.story;
        for fork in &story.forks {
            let Some(child) = story.processes.get(fork.child as usize) else { continue };
            let how = if fork.copies_memory { "fork" } else { "vfork" };
            let track = fork.parent.map_or(1, |parent| self.track_of(parent, fork.by_tid));
            let lost = match fork.threads_lost_known {
                true => fork.threads_lost.to_string(),
                false => format!("{} or more", fork.threads_lost),
            };
            self.drawn.push(Drawn {
                at: fork.boot_ns,
                track,
                kind: Kind::Instant,
                name: format!("{how} of {}", child.pid),
                category: "process",
                facts: vec![("child", child.pid.to_string()), ("threads not copied", lost)],
                flows: self.fork_flow(fork.child),
                ..Drawn::default()
            });
        }
    }

    fn waits(&mut self, suspects: bool) {
        let story = self.story;
        // The first wait of each finding is where its holder points to.
        let mut pointed = vec![false; story.findings.len()];
        for wait in &story.waits {
            let found = wait.finding.and_then(|n| {
                let found = story.findings.get(n as usize)?;
                (suspects || found.shown).then_some((n as usize, found))
            });
            let first = found.filter(|(n, _)| {
                pointed.get_mut(*n).is_some_and(|done| !std::mem::replace(done, true))
            });
            let flows_end = first.map_or_else(Vec::new, |(n, found)| self.holder(n, found));
            let name = match found {
                Some((_, found)) => words::headline(&found.finding),
                None => format!("waits for {:#x}", wait.uaddr),
            };
            let drawn = Drawn {
                at: wait.enter_ns,
                track: self.thread_track(wait.thread, wait.process),
                name,
                category: "wait",
                facts: wait_facts(wait),
                flows_end,
                ..Drawn::default()
            };
            self.slice(drawn, wait.end_ns);
        }
    }

    /// Draws who had the lock at the fork, and gives the flow that leads from there.
    fn holder(&mut self, n: usize, found: &Found) -> Vec<u64> {
        let holder = found.holder_thread.and_then(|thread| self.threads.get(thread as usize));
        let (Some(track), Some(fork)) = (holder.copied(), found.finding.fork_site()) else {
            return Vec::new();
        };
        let flow =
            uuid(&format!("holder/{n}/{}/{}", found.finding.subject.tid, found.waits_since_ns));
        self.drawn.push(Drawn {
            at: fork.boot_ns,
            track,
            kind: Kind::Instant,
            name: format!(
                "holds the lock {:#x} at the fork",
                found.finding.lock().map_or(0, |lock| lock.address)
            ),
            category: "lock",
            facts: vec![("lock", words::lock(&found.finding))],
            flows: vec![flow],
            ..Drawn::default()
        });
        vec![flow]
    }

    /// Execs, ends of threads, losses.
    fn rest(&mut self) {
        let story = self.story;
        for exec in &story.execs {
            let track = match story.processes.get(exec.process as usize) {
                Some(process) => self.track_of(process.id, process.pid),
                None => continue,
            };
            let file = sanitize(&exec.filename).into_owned();
            self.instant(exec.boot_ns, track, "exec".into(), "process", vec![("file", file)]);
        }
        for (thread, track) in story.threads.iter().zip(self.threads.clone()) {
            if let (Some(at), Some(End::Exit)) = (thread.ended_ns, thread.end) {
                self.instant(at, track, "thread exit".into(), "process", Vec::new());
            }
        }
        let track = uuid("losses");
        if !story.losses.is_empty() {
            self.tracks.push(TrackDescriptor {
                uuid: Some(track),
                name: Some("events lost".into()),
                ..TrackDescriptor::default()
            });
        }
        for loss in &story.losses {
            let kinds = loss.by_kind.iter().map(|(kind, count)| format!("{kind}: {count}"));
            let kinds = sanitize(&kinds.collect::<Vec<_>>().join(", ")).into_owned();
            let name = format!("{} events lost", loss.count);
            self.instant(loss.boot_ns, track, name, "loss", vec![("by kind", kinds)]);
        }
    }

    fn instant(
        &mut self,
        at: u64,
        track: u64,
        name: String,
        category: &'static str,
        facts: Vec<(&'static str, String)>,
    ) {
        let kind = Kind::Instant;
        self.drawn.push(Drawn { at, track, kind, name, category, facts, ..Drawn::default() });
    }
}

fn wait_facts(wait: &Wait) -> Vec<(&'static str, String)> {
    let ended = match (wait.end, wait.result) {
        (WaitEnd::Open, _) => "still waiting when the log ended".into(),
        (WaitEnd::ThreadEnded, _) => "its thread ended while it waited".into(),
        (WaitEnd::Unseen, _) => "not seen; at the latest at the end of this slice".into(),
        (WaitEnd::Returned, result) => format!("returned {}", result.unwrap_or(0)),
    };
    let mut facts = vec![
        ("word", format!("{:#x}", wait.uaddr)),
        ("op", wait.op.clone()),
        ("timed", if wait.timed { "yes" } else { "no" }.into()),
        ("ended", ended),
    ];
    if wait.since_before {
        facts.push(("began", "before the trace, at an unknown time".into()));
    } else if let Some(not_before) = wait.not_before_ns {
        let range = duration(wait.enter_ns.saturating_sub(not_before));
        facts.push(("began", format!("up to {range} before it was found (without --exact)")));
    }
    facts
}

fn finding_facts(found: &Found) -> Vec<(&'static str, String)> {
    let finding = &found.finding;
    let clean = |text: &str| sanitize(text).into_owned();
    let proof: Vec<_> = proofs::of(finding).map(|text| clean(&text)).collect();
    let mut facts = vec![
        ("confidence", words::confidence(finding).to_owned()),
        ("lock", words::lock(finding)),
        ("held by", words::holder(finding)),
        ("stuck at", words::stuck_at(finding)),
        ("proof", proof.join("; ")),
        ("what to do", finding.remedy.map(advice::text).unwrap_or_default().to_owned()),
    ];
    facts.retain(|(_, text)| !text.is_empty());
    facts
}
