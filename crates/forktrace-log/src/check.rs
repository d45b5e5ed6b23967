//! Whether a log keeps what SCHEMA.md promises, beyond each line by itself.

use rustc_hash::{FxHashMap, FxHashSet};

use super::reader::{Line, LineKind};
use forktrace_model::event::{Body, Event, FutexWait, Task, TraceConclusion, TraceEnd, TraceStart};

/// Something that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line in the file, from 1.
    pub line: u64,
    /// What is wrong. Names in it are not fit for a terminal.
    pub text: String,
}

/// Checks the lines of a log, or of the parts of one in their order. What a [`super::Reader`] tells
/// as an error, as that the first line is no `trace.start`, is not told again.
#[derive(Debug, Default)]
pub struct Checker {
    seq: u64,
    boot_ns: u64,
    /// The part that was read before, and how it ended.
    part: Option<u32>,
    last: Last,
    announced: FxHashSet<u32>,
    /// Processes of which something was told before they were announced: where that was first, and
    /// when.
    orphans: FxHashMap<u32, (u64, u64)>,
    /// When the look at all that was alive at the beginning was over, `CLOCK_BOOTTIME`, ns.
    looked_ns: u64,
    /// Waits that go on: their starts, by process and thread.
    waits: FxHashMap<u32, FxHashMap<u32, FxHashSet<u64>>>,
    lost: u64,
    /// There is a finding of severity hang that is likely or certain.
    hang: bool,
    /// A part before the first one is missing.
    begins_late: bool,
    problems: Vec<Problem>,
}

/// What the last line was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    /// There was none.
    #[default]
    Nothing,
    /// The end of the trace.
    End,
    /// The end of a part that this one follows.
    Rotated(u32),
    /// Any other.
    Other,
}

/// How many lines before this one are missing, as it tells itself: they could not be written.
fn unwritten(line: &Line) -> u64 {
    match &line.kind {
        LineKind::Event(Event { body: Body::EventsLost(lost), .. }) => {
            lost.by_kind.get("unwritten").copied().unwrap_or(0)
        }
        _ => 0,
    }
}

impl Checker {
    /// A file begins.
    pub fn begin(&mut self) {
        self.seq = 0;
    }

    /// Takes the next line, which is the `number`th of its file. Returns what is wrong with it.
    pub fn line(&mut self, number: u64, line: &Line) -> Vec<Problem> {
        let mut say = |text: String| self.problems.push(Problem { line: number, text });
        if line.seq != self.seq.saturating_add(1).saturating_add(unwritten(line)) {
            say(format!("seq is {} after {}", line.seq, self.seq));
        }
        if line.boot_ns < self.boot_ns {
            say(format!("the time goes back by {} ns", self.boot_ns - line.boot_ns));
        }
        if self.last == Last::End {
            say("there is a line after trace.end".into());
        }
        self.boot_ns = line.boot_ns;
        let first = self.seq == 0;
        self.seq = line.seq;
        match &line.kind {
            LineKind::Event(event) => self.event(number, event, first),
            LineKind::Finding(finding) => {
                if !self.announced.contains(&finding.pid) {
                    let text = format!("a finding about process {}, which is unknown", finding.pid);
                    self.say(number, text);
                }
                self.hang |= finding.is_hang();
                self.last = Last::Other;
            }
            LineKind::Unknown { .. } => self.last = Last::Other,
        }
        std::mem::take(&mut self.problems)
    }

    /// A file ends with its `number`th line. Returns what is missing.
    pub fn end(&mut self, number: u64) -> Vec<Problem> {
        match self.last {
            Last::End | Last::Rotated(_) => {}
            Last::Nothing => {}
            Last::Other => {
                self.say(number, "the log is cut off: the last line is not trace.end".into())
            }
        }
        let looked_ns = self.looked_ns;
        let told = self.lost > 0 || self.begins_late;
        let mut orphans: Vec<(u64, u32)> = self
            .orphans
            .drain()
            // One that ended before it could be looked at.
            .filter(|(_, (_, at))| !told && *at > looked_ns)
            .map(|(pid, (line, _))| (line, pid))
            .collect();
        orphans.sort_unstable();
        for (line, pid) in orphans {
            self.say(line, format!("an event of process {pid}, which is unknown"));
        }
        std::mem::take(&mut self.problems)
    }

    fn say(&mut self, line: u64, text: String) {
        self.problems.push(Problem { line, text });
    }

    fn event(&mut self, number: u64, event: &Event, first: bool) {
        let before = std::mem::replace(&mut self.last, Last::Other);
        match &event.body {
            Body::TraceStart(start) if first => self.start(number, start, before),
            Body::TraceStart(_) => {
                self.say(number, "a trace.start line that is not the first line".into())
            }
            _ => {}
        }
        match &event.body {
            Body::TraceEnd(end) => {
                self.last = Last::End;
                if end.lost != self.lost && !self.begins_late {
                    let text = format!(
                        "trace.end counts {} lost events, but the events.lost lines count {}",
                        end.lost, self.lost
                    );
                    self.say(number, text);
                }
                self.conclusion(number, end);
            }
            Body::Rotated(rotated) => self.last = Last::Rotated(rotated.next),
            Body::EventsLost(lost) if !lost.by_kind.contains_key("unwritten") => {
                self.lost = self.lost.saturating_add(lost.count);
            }
            Body::EventsLost(_) => self.begins_late = true,
            _ => {}
        }
        if let Some(task) = &event.task {
            self.of_task(number, event, task);
        }
    }

    /// Whether `trace.end` says of hangs what the lines before it say.
    fn conclusion(&mut self, number: u64, end: &TraceEnd) {
        let wrong = match end.conclusion {
            // The finding may be in a part that is missing.
            Some(TraceConclusion::Hangs) if !self.hang && !self.begins_late => {
                "trace.end says `hangs`, but there is no likely or certain hang"
            }
            // A hang that went on after all leaves it unsure.
            Some(TraceConclusion::Clear) if self.hang => {
                "trace.end says `clear`, but there is a likely or certain hang"
            }
            Some(TraceConclusion::Clear) if end.lost > 0 => {
                "trace.end says `clear`, but events were lost"
            }
            _ => return,
        };
        self.say(number, wrong.into());
    }

    fn start(&mut self, number: u64, start: &TraceStart, before: Last) {
        match (self.part, before) {
            (None, _) => self.begins_late = start.part > 1,
            (Some(_), Last::Rotated(next)) if next == start.part => {}
            (Some(part), _) => {
                self.begins_late = true;
                self.say(number, format!("part {} does not follow part {part}", start.part));
            }
        }
        self.part = Some(start.part);
    }

    fn of_task(&mut self, number: u64, event: &Event, task: &Task) {
        match &event.body {
            Body::ProcessSnapshot(snapshot) => {
                self.announced.insert(task.pid);
                self.orphans.remove(&task.pid);
                self.looked_ns = self.looked_ns.max(snapshot.read_ns);
            }
            _ if !self.announced.contains(&task.pid) => {
                self.orphans.entry(task.pid).or_insert((number, event.boot_ns));
            }
            _ => {}
        }
        match &event.body {
            Body::ProcessFork(fork) => {
                self.announced.insert(fork.child_pid);
            }
            Body::FutexWait(wait) => self.wait(number, event.boot_ns, task, wait),
            Body::ProcessExit(_) => drop(self.waits.remove(&task.pid)),
            Body::ThreadExit(_) => {
                if let Some(threads) = self.waits.get_mut(&task.pid) {
                    threads.remove(&task.tid);
                }
            }
            _ => {}
        }
    }

    /// A wait has a line when it is found to be long, when it ends, or both, in this order.
    fn wait(&mut self, number: u64, boot_ns: u64, task: &Task, waiting: &FutexWait) {
        let wait = &waiting.wait;
        if wait.enter_ns > boot_ns {
            self.say(number, "a wait that begins after its line".into());
        }
        match waiting.goes_on() {
            true => {
                let starts = self.waits.entry(task.pid).or_default().entry(task.tid).or_default();
                if wait.not_before_ns.is_some() {
                    // Looks may miss the end of a wait before another one for the same word.
                    starts.clear();
                }
                starts.insert(wait.enter_ns);
                if starts.len() > 1 && self.lost == 0 && !self.begins_late {
                    starts.retain(|at| *at == wait.enter_ns);
                    let text = format!("thread {} has two waits at the same time", task.tid);
                    self.say(number, text);
                }
            }
            false => {
                let threads = self.waits.get_mut(&task.pid);
                if let Some(starts) = threads.and_then(|threads| threads.get_mut(&task.tid)) {
                    starts.remove(&wait.enter_ns);
                }
            }
        }
    }
}
