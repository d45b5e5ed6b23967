//! Lifecycle lines: one line for each event, in columns.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use forktrace_common::clone_flags;

use super::{
    Clock, Style, duration, flood::Flood, hang, plural, proofs::signal_name, siblings::Shown,
    style::Tone, wait_op, wrap,
};
use forktrace_model::{
    event::{Body, Ended, Event, EventsLost, FutexWait, ProcessFork, ProcessSnapshot, Task},
    finding::Finding,
    model::Model,
};

/// Column of DETAIL.
const DETAIL: usize = 52;
/// The least width of DETAIL. If there is less room beside the other columns, DETAIL is printed below
/// them.
const LEAST_ROOM: usize = 20;
/// Column of DETAIL below the others: that of EVENT.
const BELOW: usize = 13;

/// Writes lifecycle lines, with HANG blocks between them.
#[derive(Debug)]
pub struct Text<W: Write> {
    out: W,
    style: Style,
    clock: Clock,
    quiet: bool,
    begun: bool,
    /// Whether the last line is empty, or no line was written yet.
    apart: bool,
    shown: Shown,
    /// `None`: every lifecycle line is printed.
    flood: Option<Flood>,
}

/// One line, before it is laid out.
struct Row<'a> {
    event: &'static str,
    tone: Tone,
    detail: Cow<'a, str>,
}

impl<'a> Row<'a> {
    fn new(event: &'static str, detail: impl Into<Cow<'a, str>>) -> Self {
        Row { event, tone: Tone::Plain, detail: detail.into() }
    }

    fn toned(self, tone: Tone) -> Self {
        Row { tone, ..self }
    }
}

impl<W: Write> Text<W> {
    /// Writes to `out`. `quiet`: write only losses and HANG blocks.
    pub fn new(out: W, style: Style, clock: Clock, quiet: bool) -> Self {
        let (shown, flood) = (Shown::default(), style.counts_lines.then(Flood::default));
        Text { out, style, clock, quiet, begun: false, apart: true, shown, flood }
    }

    /// Writes the event's line, if it has one. The model must know the event already.
    pub fn event(&mut self, event: &Event, model: &Model) -> io::Result<()> {
        let Some(row) = self.row(event, model) else { return Ok(()) };
        if self.quiet && !matches!(event.body, Body::EventsLost(_)) {
            return Ok(());
        }
        self.begin()?;
        if let Some(flood) = &mut self.flood {
            if flood.is_over(event.boot_ns) {
                self.count_hidden()?;
            }
            if self.flood.as_mut().is_some_and(|flood| flood.hides(event.boot_ns, &event.body)) {
                return Ok(());
            }
        }
        self.line(event, &row, model)
    }

    /// Writes how many lines were not printed, if some were not.
    pub fn count_hidden(&mut self) -> io::Result<()> {
        let Some((at_ns, text)) = self.flood.as_mut().and_then(Flood::take) else { return Ok(()) };
        let (time, dots) = (self.clock.time(at_ns), self.style.dots());
        let line = format!("{time:<12} {dots:<6} {text}");
        self.apart = false;
        writeln!(self.out, "{}", self.style.paint(Tone::Dim, &line))
    }

    /// Does the same once a second has passed.
    pub fn tick(&mut self) -> io::Result<()> {
        match self.flood.as_ref().is_some_and(Flood::is_due) {
            true => self.count_hidden(),
            false => Ok(()),
        }
    }

    /// Writes the titles of the columns, if they are not written yet.
    pub fn begin(&mut self) -> io::Result<()> {
        if !self.begun && !self.quiet {
            self.begun = true;
            let titles = columns("TIME", "EVENT", "PID", "PPID", "COMM");
            for line in self.laid_out(titles.clone(), titles.chars().count(), "DETAIL") {
                writeln!(self.out, "{}", self.style.paint(Tone::Dim, &line))?;
            }
            self.apart = false;
        }
        Ok(())
    }

    /// Writes a finding's block between empty lines. It is short if another task with the same fault has
    /// been shown, or if the same thing was less sure before.
    pub fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        self.count_hidden()?;
        self.set_apart()?;
        self.begun = true;
        match (self.shown.first_with(finding), self.shown.before(finding)) {
            (Some(first), _) => first.write_again(&mut self.out, finding, self.style)?,
            (None, Some(before)) => hang::write_surer(&mut self.out, finding, before, self.style)?,
            (None, None) => hang::write(&mut self.out, finding, self.style, &self.clock)?,
        }
        self.shown.add(finding);
        self.empty_line()
    }

    /// Writes an empty line, unless the last line is empty or no line was written yet.
    pub fn set_apart(&mut self) -> io::Result<()> {
        if self.apart { Ok(()) } else { self.empty_line() }
    }

    fn empty_line(&mut self) -> io::Result<()> {
        self.apart = true;
        writeln!(self.out)
    }

    /// Writes that the wait of a finding has ended.
    pub fn ended(&mut self, finding: &Finding, waited_ns: u64) -> io::Result<()> {
        self.count_hidden()?;
        self.shown.ended(finding);
        let subject = &finding.subject;
        let thread = match subject.tid == subject.pid {
            true => String::new(),
            false => format!(" thread {}", subject.tid),
        };
        let of = finding.lock().map(|lock| format!(" for {:#x}", lock.address)).unwrap_or_default();
        let text = format!(
            "ENDED {}[{}]{thread} is no longer stuck: its wait{of} ended after {}",
            self.style.clean(&subject.comm),
            subject.pid,
            duration(waited_ns),
        );
        let width = self.style.block_width();
        for line in wrap(&text, width, width) {
            writeln!(self.out, "{line}")?;
        }
        self.empty_line()
    }

    /// The writer, to print other text between or after the lines.
    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    fn line(&mut self, event: &Event, row: &Row<'_>, model: &Model) -> io::Result<()> {
        let time = self.clock.time(event.boot_ns);
        let (pid, ppid, comm) = match &event.task {
            Some(task) => (
                task.pid.to_string(),
                parent(event, task, model).map_or_else(|| "-".into(), |ppid| ppid.to_string()),
                self.style.clean(named(event, task, model)),
            ),
            None => ("-".into(), "-".into(), "-".into()),
        };
        let name = format!("{:<6}", row.event);
        let head = columns(&time, &self.style.paint(row.tone, &name), &pid, &ppid, &comm);
        let used = columns(&time, &name, &pid, &ppid, &comm).chars().count();
        for line in self.laid_out(head, used, &row.detail) {
            writeln!(self.out, "{line}")?;
        }
        self.apart = false;
        Ok(())
    }

    /// The lines of one event. `head`: the columns before DETAIL, `used` characters wide.
    fn laid_out(&self, head: String, used: usize, detail: &str) -> Vec<String> {
        let whole = format!("{head}{detail}");
        let fits = |width: usize| used + detail.chars().count() <= width;
        let Some(width) = self.style.width.filter(|width| !fits(*width)) else {
            return vec![whole.trim_end().to_owned()];
        };
        let (mut lines, mut begin, column) = match width < DETAIL + LEAST_ROOM {
            true => (vec![head.trim_end().to_owned()], " ".repeat(BELOW), BELOW),
            false => (Vec::new(), head, DETAIL),
        };
        let room = width.saturating_sub(column).max(LEAST_ROOM);
        let first =
            if lines.is_empty() { width.saturating_sub(used).max(LEAST_ROOM) } else { room };
        for line in wrap(detail, first, room) {
            lines.push(format!("{begin}{line}").trim_end().to_owned());
            begin = " ".repeat(column);
        }
        lines
    }

    fn row<'a>(&self, event: &'a Event, model: &Model) -> Option<Row<'a>> {
        let clean = |text: &'a str| self.style.clean(text);
        let task = event.task.as_ref();
        Some(match &event.body {
            Body::ProcessFork(fork) => forked(fork, model),
            Body::ThreadStart(thread) => {
                Row::new("thread", format!("-> thread {}", thread.child_tid))
            }
            Body::ProcessExec(exec) => match task.filter(|task| task.pid != exec.old_tid) {
                None => Row::new("exec", clean(&exec.filename)),
                Some(_) => {
                    let by = format!("{}; by thread {}", clean(&exec.filename), exec.old_tid);
                    Row::new("exec", by)
                }
            },
            Body::ProcessExit(_) => exited(event, model),
            // Kernels before 6.16 do not mark the last thread of a process. The model knows it.
            Body::ThreadExit(_) if task.is_some_and(|task| was_last(event, task, model)) => {
                exited(event, model)
            }
            Body::ThreadExit(_) => Row::new("texit", format!("thread {}", task?.tid)),
            Body::FutexWait(wait) => waiting(event, wait),
            Body::FutexWake(wake) => {
                let op = wait_op(wake.op);
                Row::new("wake", format!("{}futex {:#x} {op}", by_thread(task), wake.uaddr))
            }
            Body::ProcessSnapshot(snapshot) => alive(snapshot, self.style),
            Body::EventsLost(lost) => losses(lost, self.style),
            Body::Evidence(_)
            | Body::Stall(_)
            | Body::Generators(_)
            | Body::Buffers(_)
            | Body::SocketUse(_)
            | Body::FileLock(_)
            | Body::BlockedSignals(_)
            | Body::FileUse(_)
            | Body::WaitUnjudged(_)
            | Body::LostThreads(_)
            | Body::ProcessOwner(_)
            | Body::TraceStart(_)
            | Body::Resync(_)
            | Body::Rotated(_)
            | Body::TraceEnd(_) => return None,
        })
    }
}

/// The columns before DETAIL.
fn columns(time: &str, event: &str, pid: &str, ppid: &str, comm: &str) -> String {
    format!("{time:<12} {event:<6} {pid:>7} {ppid:>7} {comm:<15} ")
}

/// Whether the process ended with this event. Not if the process is unknown: its thread ended before
/// forktrace had read the process.
fn was_last(event: &Event, task: &Task, model: &Model) -> bool {
    model.live(task.pid).is_none()
        && model.latest(task.pid).is_some_and(|process| process.end_ns == Some(event.boot_ns))
}

/// The name of the task, or that of the process if it has ended: the last thread may have another
/// name.
fn named<'e>(event: &'e Event, task: &'e Task, model: &'e Model) -> &'e str {
    match &event.body {
        Body::ProcessExit(_) | Body::ThreadExit(_) if was_last(event, task, model) => {
            model.latest(task.pid).map_or(&task.comm, |process| &process.comm)
        }
        _ => &task.comm,
    }
}

fn parent(event: &Event, task: &Task, model: &Model) -> Option<u32> {
    match &event.body {
        Body::ProcessSnapshot(snapshot) => Some(snapshot.ppid),
        _ => model.latest(task.pid).map(|process| process.ppid).filter(|ppid| *ppid != 0),
    }
}

/// `thread 4207: `, or nothing for the main thread.
fn by_thread(task: Option<&Task>) -> String {
    match task {
        Some(task) if task.tid != task.pid => format!("thread {}: ", task.tid),
        _ => String::new(),
    }
}

fn forked<'a>(fork: &ProcessFork, model: &Model) -> Row<'a> {
    let child = format!("-> child {}", fork.child_pid);
    if !clone_flags::copies_memory(fork.clone_flags) {
        return Row::new("vfork", format!("{child}; shares memory until it execs"));
    }
    let process = model.live(fork.child_pid).and_then(|child| child.fork.as_ref());
    match process.map_or(0, |fork| fork.lost.len() as u64) {
        0 => Row::new("fork", child),
        lost => {
            let threads = plural(lost, "other thread", "other threads");
            Row::new("fork", format!("{child}; {threads} not copied"))
        }
    }
}

fn exited<'a>(event: &Event, model: &Model) -> Row<'a> {
    let process = event.task.as_ref().and_then(|task| model.latest(task.pid));
    let lived = process.and_then(|process| process.lived_ns(event.boot_ns));
    let lived = lived.map(|ns| format!("lived {}", duration(ns)));
    let how = match event.body.ended() {
        Some(Ended::Signal(signal)) => Some(format!("killed by {}", signal_name(signal.into()))),
        Some(Ended::Code(code)) if code != 0 => Some(format!("exit code {code}")),
        _ => None,
    };
    Row::new("exit", lived.into_iter().chain(how).collect::<Vec<_>>().join(", "))
}

fn waiting<'a>(event: &Event, waiting: &FutexWait) -> Row<'a> {
    let FutexWait { wait, result, .. } = waiting;
    let thread = by_thread(event.task.as_ref());
    let length = duration(event.boot_ns.saturating_sub(wait.enter_ns));
    let op = wait_op(wait.op);
    let timed = if wait.timed { "timed" } else { "untimed" };
    let more = if wait.is_older() { "more than " } else { "" };
    match result {
        None if waiting.over => {
            let text = format!("{thread}futex {:#x} after about {length}", wait.uaddr);
            Row::new("waited", format!("{text} (end not seen)"))
        }
        None => Row::new(
            "wait",
            format!("{thread}futex {:#x} {op}, {timed}, for {more}{length} so far", wait.uaddr),
        )
        .toned(Tone::Warning),
        Some(result) => {
            let ending = ending(*result);
            Row::new(
                "waited",
                format!("{thread}futex {:#x} after {more}{length}{ending}", wait.uaddr),
            )
        }
    }
}

/// How a wait ended, by the system call's result. Empty if the task was woken.
fn ending(result: i64) -> String {
    let name = match result.checked_neg().and_then(|errno| i32::try_from(errno).ok()) {
        Some(libc::ETIMEDOUT) => "timed out",
        Some(libc::EINTR) => "interrupted",
        Some(libc::EAGAIN) => "the futex word had changed",
        Some(errno) if errno > 0 => return format!(" (errno {errno})"),
        _ => return String::new(),
    };
    format!(" ({name})")
}

fn alive<'a>(snapshot: &ProcessSnapshot, style: Style) -> Row<'a> {
    let mut detail = plural(snapshot.threads.len() as u64, "thread", "threads");
    if let Some(exe) = &snapshot.exe {
        detail.push_str(&format!("; {}", style.clean(exe)));
    }
    if snapshot.resync {
        detail.push_str("; read again after events were lost");
    }
    Row::new("alive", detail)
}

fn losses<'a>(lost: &EventsLost, style: Style) -> Row<'a> {
    let kinds: Vec<_> = lost
        .by_kind
        .iter()
        .map(|(kind, n)| format!("{} {}", style.clean(kind), super::count(*n)))
        .collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let events = plural(lost.count, "event", "events");
    Row::new("LOST", format!("{events} lost{kinds}: this output may be incomplete"))
        .toned(Tone::Alarm)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use forktrace_model::event::{ProcessExec, ThreadStart};

    fn lines(width: Option<usize>) -> Vec<String> {
        let clock = Clock { offset_ns: 0, zone: jiff::tz::TimeZone::UTC };
        let mut text = Text::new(Vec::new(), Style { width, ..Style::default() }, clock, false);
        let task = Some(Task { pid: 4_194_304, tid: 4_194_304, comm: "fifteen letters".into() });
        let exec = ProcessExec { old_tid: 4_194_304, filename: "/opt/some where/far away".into() };
        let thread = ThreadStart { child_tid: 9, ..ThreadStart::default() };
        for body in [Body::ProcessExec(exec), Body::ThreadStart(thread)] {
            let event = Event { boot_ns: 0, task: task.clone(), body };
            text.event(&event, &Model::default()).unwrap();
        }
        let text = String::from_utf8(text.out().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_event_is_one_line_if_there_is_room_or_no_terminal() {
        assert_eq!(lines(None), lines(Some(100)));
        assert_eq!(lines(None).len(), 3);
    }

    #[test]
    fn detail_is_wrapped_beside_or_below_the_other_columns() {
        let wide = lines(Some(74));
        assert!(wide.iter().all(|line| line.chars().count() <= 74), "{wide:#?}");
        assert_eq!(wide.get(2).unwrap().trim_start(), "away");
        let narrow = lines(Some(60));
        assert!(narrow.iter().all(|line| line.chars().count() <= 60), "{narrow:#?}");
        assert_eq!(narrow.get(2).unwrap(), "             /opt/some where/far away");
        assert!(narrow.iter().any(|line| line.ends_with("DETAIL")), "{narrow:#?}");
    }
}
