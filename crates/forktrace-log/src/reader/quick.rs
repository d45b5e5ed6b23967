//! The frequent lines as the writer writes them, read in one go.
//!
//! What is read here is read by serde just the same, only slower: the keys in the writer's order, without
//! spaces and escapes. Any other line is left to serde, which knows what is wrong with it.

use forktrace_model::event::{
    Body, Ended, Event, FutexWait, FutexWake, ProcessExec, ProcessExit, ProcessFork, Task,
    ThreadExit, ThreadStart, Wait,
};

use super::{Line, LineKind};

/// The line, if it is such a one.
pub(crate) fn line(text: &str) -> Option<Line> {
    let mut rest = Rest(text);
    rest.skip(r#"{"schema":1,"type":""#)?;
    let kind = rest.string()?;
    rest.skip(r#","seq":"#)?;
    let seq = rest.number()?;
    rest.skip(r#","ts":""#)?;
    rest.string()?;
    rest.skip(r#","boot_ns":"#)?;
    let boot_ns = rest.number()?;
    rest.skip(r#","pid":"#)?;
    let pid = rest.small()?;
    rest.skip(r#","tid":"#)?;
    let tid = rest.small()?;
    rest.skip(r#","comm":""#)?;
    let comm = rest.string()?;
    rest.identity()?;
    let body = body(kind, &mut rest)?;
    rest.skip("}")?;
    if !rest.0.is_empty() {
        return None;
    }
    let task = Some(Task { pid, tid, comm: comm.to_owned() });
    Some(Line { seq, boot_ns, kind: LineKind::Event(Event { boot_ns, task, body }) })
}

fn body(kind: &str, rest: &mut Rest<'_>) -> Option<Body> {
    Some(match kind {
        "process.fork" => {
            rest.skip(r#","child_pid":"#)?;
            let child_pid = rest.small()?;
            rest.skip(r#","clone_flags":""#)?;
            Body::ProcessFork(ProcessFork { child_pid, clone_flags: rest.hex()? })
        }
        "thread.start" => {
            rest.skip(r#","child_tid":"#)?;
            let child_tid = rest.small()?;
            rest.skip(r#","clone_flags":""#)?;
            Body::ThreadStart(ThreadStart { child_tid, clone_flags: rest.hex()? })
        }
        "process.exec" => {
            rest.skip(r#","old_tid":"#)?;
            let old_tid = rest.small()?;
            rest.skip(r#","filename":""#)?;
            Body::ProcessExec(ProcessExec { old_tid, filename: rest.string()?.to_owned() })
        }
        "process.exit" => Body::ProcessExit(ProcessExit { ended: rest.ended()? }),
        "thread.exit" => {
            rest.skip(r#","group_dead":"#)?;
            let group_dead = if rest.has("null") { None } else { Some(rest.truth()?) };
            Body::ThreadExit(ThreadExit { group_dead, ended: rest.ended()? })
        }
        "futex.wait" => Body::FutexWait(rest.wait()?),
        "futex.wake" => {
            rest.skip(r#","uaddr":""#)?;
            let uaddr = rest.hex()?;
            rest.skip(r#","op":"#)?;
            Body::FutexWake(FutexWake { uaddr, op: rest.small()? })
        }
        _ => return None,
    })
}

/// What is left of a line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Passes over this text, if it comes next.
    fn has(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn skip(&mut self, text: &str) -> Option<()> {
        self.has(text).then_some(())
    }

    /// The rest of a string without escapes, and its end.
    fn string(&mut self) -> Option<&'a str> {
        // RFC 8259, 7: these two, and all that is below a space.
        let ends = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < b' ';
        let end = self.0.as_bytes().iter().position(ends)?;
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    /// The digits that come next, as many as `is_digit` takes.
    fn digits(&mut self, is_digit: impl Fn(&u8) -> bool) -> Option<&'a str> {
        let end = self.0.as_bytes().iter().position(|byte| !is_digit(byte))?;
        let (digits, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        (!digits.is_empty()).then_some(digits)
    }

    /// An integer, not negative. It must not begin with a zero, and end with what ends a value.
    fn number(&mut self) -> Option<u64> {
        let digits = self.digits(u8::is_ascii_digit)?;
        let whole = matches!(self.0.as_bytes().first(), Some(b',' | b'}'));
        let plain = digits.len() == 1 || !digits.starts_with('0');
        // Not longer than any that is surely within 64 bits.
        (whole && plain && digits.len() <= 19).then(|| decimal(digits))
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn signed(&mut self) -> Option<i64> {
        // JSON knows a negative zero; it is no integer for serde.
        match self.has("-") {
            true => i64::try_from(self.number()?).ok().filter(|number| *number != 0).map(|n| -n),
            false => i64::try_from(self.number()?).ok(),
        }
    }

    /// The rest of a string of hexadecimal digits, and its end.
    fn hex(&mut self) -> Option<u64> {
        self.skip("0x")?;
        let digits = self.digits(u8::is_ascii_hexdigit)?;
        self.skip("\"")?;
        u64::from_str_radix(digits, 16).ok()
    }

    fn truth(&mut self) -> Option<bool> {
        let is_true = self.has("true");
        (is_true || self.has("false")).then_some(is_true)
    }

    /// Who the process is, which is known again when the events are followed.
    fn identity(&mut self) -> Option<()> {
        if self.has(r#","proc_uid":""#) {
            self.string()?;
        }
        if self.has(r#","ppid":"#) {
            self.small()?;
        }
        if self.has(r#","parent_uid":""#) {
            self.string()?;
        }
        Some(())
    }

    /// How a task ended, where that is told.
    fn ended(&mut self) -> Option<Option<Ended>> {
        if !self.has(r#","ended":{""#) {
            return Some(None);
        }
        let signal = self.has(r#"signal":"#);
        if !signal {
            self.skip(r#"code":"#)?;
        }
        let number = u8::try_from(self.number()?).ok()?;
        self.skip("}")?;
        Some(Some(if signal { Ended::Signal(number) } else { Ended::Code(number) }))
    }

    fn wait(&mut self) -> Option<FutexWait> {
        self.skip(r#","enter_ns":"#)?;
        let enter_ns = self.number()?;
        self.skip(r#","uaddr":""#)?;
        let uaddr = self.hex()?;
        self.skip(r#","op":"#)?;
        let op = self.small()?;
        self.skip(r#","val":""#)?;
        let val = self.hex()?;
        self.skip(r#","timed":"#)?;
        let timed = self.truth()?;
        let since_before = self.has(r#","since_before":true"#);
        let not_before_ns = match self.has(r#","not_before_ns":"#) {
            true => Some(self.number()?),
            false => None,
        };
        self.skip(r#","result":"#)?;
        let result = if self.has("null") { None } else { Some(self.signed()?) };
        let over = self.has(r#","over":true"#);
        let wait = Wait { enter_ns, uaddr, op, val, timed, since_before, not_before_ns };
        Some(FutexWait { wait, result, over })
    }
}

/// The value of at most 19 decimal digits.
fn decimal(digits: &str) -> u64 {
    digits.bytes().fold(0, |value: u64, digit| {
        value.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')))
    })
}
