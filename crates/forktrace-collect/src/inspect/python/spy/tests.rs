#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use super::*;
use crate::inspect::{python, threads};
use forktrace_model::event::{Doing, Python};

/// Forks while the lock is held and prints the child's pid; ends the child when its input ends.
const FORK: &str = r#"
import os, sys, threading
lock = threading.Lock()
lock.acquire()
def stuck():
    lock.acquire()
def child():
    stuck()
def in_thread():
    t = threading.Thread(target=child)
    t.start()
    t.join()
def fork(run):
    pid = os.fork()
    if pid == 0:
        run()
        os._exit(1)
    print(pid, flush=True)
    sys.stdin.read()
    os.kill(pid, 9)
    os.waitpid(pid, 0)
"#;

/// A running script and the child that it forked.
struct Forked {
    script: Child,
    input: Option<ChildStdin>,
    child: u32,
}

impl Forked {
    /// Runs the script with `end` after it; `None`, and a line that says so, without an interpreter.
    fn run(end: &str) -> Option<Self> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let mut command = Command::new(&python);
        command.arg("-c").arg(format!("{FORK}\n{end}\n"));
        let Ok(mut script) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
            println!("skipped: there is no {python} here");
            return None;
        };
        let mut line = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let child = line.trim().parse().expect("the child's pid");
        let input = script.stdin.take();
        Some(Forked { script, input, child })
    }

    /// The child's thread that blocks in an untimed futex wait, `nth` in the order of their ids.
    fn blocked(&self, nth: usize) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let tids = proc_text::numbers(self.child, &format!("{}/task", self.child)).unwrap();
            let untimed = |tid: &u32| {
                matches!(threads::doing(self.child, *tid), Doing::Futex { timed: false, .. })
            };
            if let Some(tid) = tids.get(nth).filter(|tid| untimed(tid)) {
                // A thread that starts up blocks for moments before it gets to the lock.
                std::thread::sleep(Duration::from_millis(100));
                if untimed(tid) {
                    return *tid;
                }
            }
            assert!(Instant::now() < deadline, "the child did not block");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn functions(&self, tid: u32) -> Vec<String> {
        let start = Instant::now();
        let answer = python::look(self.child, tid, tid, 0).python;
        println!("read in {:?}", start.elapsed());
        let Python::Frames(frames) = answer else { panic!("{answer:?}") };
        let path = |frame: &PythonFrame| frame.file == "<string>" || frame.file.starts_with('/');
        assert!(frames.iter().all(|frame| path(frame) && frame.line > 0), "{frames:?}");
        frames.into_iter().map(|frame| frame.function).collect()
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        // The end of its input is the script's sign to end the child, and then itself.
        drop(self.input.take());
        let _ = self.script.wait();
    }
}

#[test]
fn the_line_of_a_forked_child_that_is_stuck() {
    let Some(forked) = Forked::run("fork(child)") else { return };
    let tid = forked.blocked(0);
    assert_eq!(tid, forked.child);
    assert_eq!(forked.functions(tid), ["stuck", "child", "fork", "<module>"]);
    let Python::Frames(frames) = python::look(forked.child, tid, tid, 0).python else { panic!() };
    let line = FORK.lines().position(|line| line.contains("    lock.acquire()")).unwrap() + 1;
    assert_eq!(usize::try_from(frames[0].line).unwrap(), line);
}

#[test]
fn a_child_forked_by_a_thread() {
    let end = "t = threading.Thread(target=fork, args=(child,)); t.start(); t.join()";
    let Some(forked) = Forked::run(end) else { return };
    let functions = forked.functions(forked.blocked(0));
    assert_eq!(functions[..3], ["stuck", "child", "fork"]);
}

#[test]
fn one_thread_is_not_taken_for_another() {
    let Some(forked) = Forked::run("fork(in_thread)") else { return };
    let thread = forked.blocked(1);
    let main = forked.functions(forked.child);
    assert!(main.contains(&"in_thread".into()) && !main.contains(&"stuck".into()), "{main:?}");
    match python::look(forked.child, thread, thread, 0).python {
        Python::Frames(frames) => assert_eq!(frames[0].function, "stuck"),
        // Before 3.11 Python did not record who its threads are.
        Python::None(reason) => assert_eq!(reason, "the thread is not known to Python"),
    }
}

#[test]
fn other_processes_are_told_at_once() {
    let me = std::process::id();
    let start = Instant::now();
    assert_eq!(python::look(me, me, me, 0).python, Python::None(Python::NO_PYTHON.into()));
    assert!(start.elapsed() < Duration::from_millis(100));
    assert!(matches!(python::look(u32::MAX, 1, 1, 0).python, Python::None(_)));
    assert!(read(me, me, me, 0).is_err());
}

#[test]
fn interpreters_are_known_by_their_names() {
    let known = |perms: &str, path: &str| {
        is_python(&Mapping { perms: perms.into(), path: path.into(), ..Mapping::default() })
    };
    for path in ["/usr/bin/python3.11", "/x/libpython3.12.so.1.0", "/x/python3.9 (deleted)"] {
        assert!(known("r-xp", path), "{path}");
        assert!(!known("r--p", path), "{path} is mapped, not run");
    }
    for path in ["", "/usr/bin/perl", "/usr/lib/python3/x.so", "[heap]"] {
        assert!(!known("r-xp", path), "{path}");
    }
}

fn trace(thread: Option<u64>, name: &str) -> StackTrace {
    let frame = py_spy::Frame {
        name: name.into(),
        filename: String::new(),
        module: None,
        short_filename: None,
        line: -1,
        locals: None,
        is_entry: false,
        is_shim_entry: false,
    };
    StackTrace {
        pid: 0,
        thread_id: 0,
        thread_name: None,
        os_thread_id: thread,
        active: false,
        owns_gil: false,
        frames: vec![frame],
        process_info: None,
    }
}

#[test]
fn the_thread_is_chosen_with_care() {
    let chosen = |traces: &[StackTrace], threads: &[u32], tid, ns_tid| {
        choose(traces, threads, 10, tid, ns_tid).map(|trace| trace.frames[0].name.clone())
    };
    let named = |name: &str| Some(name.to_owned());
    let known = [trace(Some(11), "other"), trace(Some(10), "main")];
    assert_eq!(chosen(&known, &[10, 11], 11, 11), named("other"));
    assert_eq!(chosen(&known, &[10, 11], 10, 10), named("main"));
    assert_eq!(chosen(&known, &[10, 11, 12], 12, 12), None);
    // Its own namespace's ids: 11 is known to Python as 2.
    assert_eq!(
        chosen(&[trace(Some(2), "two"), trace(Some(1), "one")], &[10, 11], 11, 2),
        named("two")
    );
    // The id is the parent's, or not recorded.
    assert_eq!(chosen(&[trace(Some(7), "only")], &[10], 10, 10), named("only"));
    let unknown = [trace(None, "other"), trace(None, "main")];
    assert_eq!(chosen(&unknown, &[10, 11], 10, 10), named("main"));
    assert_eq!(chosen(&unknown, &[10, 11], 11, 11), None);
    // The only trace belongs to another living thread, so the main thread runs no Python.
    assert_eq!(chosen(&[trace(Some(11), "other")], &[10, 11], 10, 10), None);
    assert_eq!(chosen(&[], &[10], 10, 10), None);
    assert_eq!(frame(&trace(None, "x").frames[0]).line, 0);
}

#[test]
fn errors_are_cut_short() {
    let long = anyhow::anyhow!("{}\nsecond line", "x".repeat(500)).context("\u{1b}[31m first");
    assert_eq!(in_short(&long), "\u{1b}[31m first");
    assert_eq!(in_short(&anyhow::anyhow!("{}", "x".repeat(500))).len(), 120);
}
