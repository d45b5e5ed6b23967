//! Native stacks: the functions, lines and names that a finding must have, however the program was
//! compiled and wherever its file is.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::{Hang, Truth},
    log::{Log, number},
    run::{Ended, Job},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::check;

const LIMIT: Duration = Duration::from_secs(40);
const PROGRAM: &str = "stacks.c";
/// The build id that the linker gets, and a name for it.
const BUILD_ID: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// How the program is compiled, and what must be known of its functions.
#[derive(Clone, Copy)]
struct Compiled {
    name: &'static str,
    flags: &'static [&'static str],
    known: Known,
}

/// What a stack must tell of the program's functions.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    /// Their names, files and lines.
    Lines,
    /// Their names.
    Names,
    /// The build id and their addresses.
    BuildId,
}

/// Where the program's file is when the hang is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Usual,
    /// Nowhere any more.
    Unlinked,
    /// In a mount namespace of the program's own, where the host has another file.
    Container,
    /// In a root of its own, as a container has it: nothing of the host's files is to be seen there.
    Root,
}

/// Makes a root in the folder `$1` with the program `$2` and its libraries, and runs it there.
const OTHER_ROOT: &str = "set -e; mount -t tmpfs none \"$1\"; cd \"$1\"; mkdir old proc; mount -t proc proc proc; cp \"$2\" server; \
    for file in $(ldd server | grep -o '/[^ )]*'); do \
        mkdir -p \".${file%/*}\"; cp -L \"$file\" \".$file\"; libraries=${libraries}:/old${file%/*}; \
    done; \
    pivot_root . old; cd /; LD_LIBRARY_PATH=$libraries /old/bin/umount -l /old; exec /server";

const PLAIN: Compiled =
    Compiled { name: "stacks_O0_g", flags: &["-O0", "-g"], known: Known::Lines };
const FRAMELESS: Compiled = Compiled {
    name: "stacks_O2_no_frame_pointer",
    flags: &["-O2", "-fomit-frame-pointer", "-g"],
    known: Known::Lines,
};
/// Nothing but frame pointers leads out of the program's own functions.
const TABLELESS: Compiled = Compiled {
    name: "stacks_no_unwind_tables",
    flags: &["-O1", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables"],
    known: Known::Names,
};
const STRIPPED: Compiled = Compiled {
    name: "stacks_stripped",
    flags: &["-O2", "-fomit-frame-pointer", "-s"],
    known: Known::BuildId,
};

static CASES: &[(&str, Compiled, Place)] = &[
    ("stacks_plain", PLAIN, Place::Usual),
    ("stacks_no_frame_pointer", FRAMELESS, Place::Usual),
    ("stacks_no_unwind_tables", TABLELESS, Place::Usual),
    ("stacks_stripped", STRIPPED, Place::Usual),
    ("stacks_deleted_program", FRAMELESS, Place::Unlinked),
    ("stacks_other_mount_namespace", FRAMELESS, Place::Container),
    ("bad_day_stacks_other_root", FRAMELESS, Place::Root),
];

pub(crate) fn trials() -> Vec<Trial> {
    let of = |(name, compiled, place): &'static (&str, Compiled, Place)| {
        let needs = match place {
            Place::Container => vec![Need::Tracing, Need::Cc, Need::Unshare],
            Place::Root => vec![Need::Tracing, Need::Cc, Need::PivotRoot],
            _ => vec![Need::Tracing, Need::Cc],
        };
        trial(*name, &needs, || run(*compiled, *place))
    };
    let blocks = || of_a_lost_thread(false).and_then(|()| of_a_lost_thread(true));
    let needs = [Need::Tracing, Need::FramesOfPython];
    let blocks = trial("stacks_with_block_of_a_lost_thread", &needs, blocks);
    CASES.iter().map(of).chain([blocks]).collect()
}

/// Where a thread of the parent was in a `with` block of the lock is in the memory that the child
/// inherited, seen forked or `late`.
fn of_a_lost_thread(late: bool) -> Result<()> {
    let program = "late_worker.py";
    let source = fs::read_to_string(workload::source(program))?;
    let line = source.lines().position(|line| line.contains("time.sleep(60)")).context("moved")?;
    let command = workload::command(program, &["with", "8"])?;
    let mut args: Vec<String> = ["-q", "-d", "4s", "-o", "{log}"].map(str::to_owned).to_vec();
    let mut job = None;
    if late {
        let mut started = Job::start(&command, &[])?;
        started.until("stuck", LIMIT, |job| job.stdout().contains("stuck="))?;
        args.extend(["-p".to_owned(), started.pid().to_string()]);
        job = Some(started);
    } else {
        args.push("--".to_owned());
        args.extend(command);
    }
    let (ended, _) = Job::forktrace(&args)?.wait_and_leave(LIMIT)?;
    drop(job);
    let judge = || -> Result<()> {
        let log = Log::read(&ended.log())?;
        let findings = log.findings();
        let [finding] = findings.as_slice() else { anyhow::bail!("not one: {findings:#?}") };
        let frame = finding.get("with_at_fork").context("it is not told")?;
        ensure!(frame["function"] == "hold" && frame["line"] == line + 1, "{frame}");
        let said = format!("late_worker.py:{} in hold", line + 1);
        ensure!(ended.prints(&said), "the block does not say it");
        Ok(())
    };
    judge().with_context(|| ended.said())
}

fn run(compiled: Compiled, place: Place) -> Result<()> {
    let id = format!("-Wl,--build-id=0x{BUILD_ID}");
    let flags = [compiled.flags, &[id.as_str()]].concat();
    let program = workload::compiled_with(PROGRAM, compiled.name, &flags)?;
    let folder = tempfile::tempdir()?;
    let own = folder.path().join("server");
    workload::install(&program, &own, 0o755)?;
    let mut args: Vec<String> = ["-q", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    match place {
        Place::Usual => args.push(own.display().to_string()),
        Place::Unlinked => args.extend([own.display().to_string(), "unlink".to_owned()]),
        Place::Container => {
            // What the host has at the program's path must not be taken for it.
            let script =
                "mount -t tmpfs none \"$1\" && cp \"$2\" \"$1/server\" && exec \"$1/server\"";
            let folder = folder.path().display().to_string();
            args.extend(["unshare", "-m", "sh", "-c", script, "sh"].map(str::to_owned));
            args.extend([folder, program.display().to_string()]);
            fs::write(&own, b"another file")?;
        }
        Place::Root => {
            let folder = folder.path().display().to_string();
            args.extend(["unshare", "-m", "sh", "-c", OTHER_ROOT, "sh"].map(str::to_owned));
            args.extend([folder, program.display().to_string()]);
        }
    }
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    judge(compiled, &ended).with_context(|| ended.said())
}

fn judge(compiled: Compiled, ended: &Ended) -> Result<()> {
    ensure!(ended.code == 0, "exit status {}", ended.code);
    let log = Log::read(&ended.log())?;
    let finding = check::one_finding(&log, None)?;
    check::hang(finding, Truth::Inherited(Hang::MUTEX), &Facts::read(&ended.stdout), PROGRAM)?;
    stacks(finding, compiled.known).with_context(|| format!("{finding:#}"))?;
    block(&ended.stdout, compiled.known)?;
    check::blocks(&ended.stdout, &log)?;
    check::report(ended, &log)
}

fn stacks(finding: &Value, known: Known) -> Result<()> {
    let stuck = [("take_lock", Some("hangs")), ("serve", Some("calls")), ("main", None)];
    functions(finding, "/stack", &stuck, known)?;
    let fork = [("spawn_worker", Some("forks")), ("main", None)];
    functions(finding, "/fork/stack", &fork, known)?;
    let holder = [("sit_on_lock", Some("holds")), ("hold", None)];
    functions(finding, "/holder/stack", &holder, known)?;
    ensure!(finding.pointer("/stack_cut").is_none(), "the stack is cut");
    let text = |path: &str| finding.pointer(path).and_then(Value::as_str);
    ensure!(text("/holder/fate") == Some("alive"), "the holder's fate");
    ensure!(finding.pointer("/holder/holding") == Some(&Value::Bool(true)), "it holds the lock");
    let symbol = (known != Known::BuildId).then_some("cache_lock");
    ensure!(text("/lock/place/module/symbol") == symbol, "the lock's name");
    ensure!(text("/lock/place/module/section").is_some(), "the lock's section");
    Ok(())
}

/// Fails unless the program's frames of a stack are these functions, from the innermost on.
fn functions(
    finding: &Value,
    stack: &str,
    wanted: &[(&str, Option<&str>)],
    known: Known,
) -> Result<()> {
    let frames = finding.pointer(stack).and_then(Value::as_array).context("no stack")?;
    let text = |frame: &Value, field: &str| {
        frame.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let own = |frame: &&Value| text(frame, "module").contains("/server");
    let own: Vec<&Value> = frames.iter().filter(own).collect();
    ensure!(own.len() >= wanted.len(), "{stack} has {} frames of the program", own.len());
    for (frame, (function, mark)) in own.iter().zip(wanted) {
        ensure!(text(frame, "build_id") == BUILD_ID, "{stack}: no build id in {frame}");
        ensure!(text(frame, "offset").starts_with("0x"), "{stack}: no offset in {frame}");
        let symbol = if known == Known::BuildId { "" } else { function };
        ensure!(text(frame, "symbol") == symbol, "{stack}: {frame} is not {function}");
        if let (Known::Lines, Some(mark)) = (known, mark) {
            let line = workload::marked_line(PROGRAM, &format!("/* {mark} here */"))?;
            ensure!(number(frame, "/line") == Some(line), "{stack}: {frame} is not line {line}");
            ensure!(text(frame, "file").ends_with(PROGRAM), "{stack}: wrong file in {frame}");
        }
    }
    Ok(())
}

/// Fails unless the block says it for people.
fn block(text: &str, known: Known) -> Result<()> {
    let words: Vec<_> = text.split_whitespace().collect();
    let text = words.join(" ");
    let says = |what: &str| -> Result<()> {
        ensure!(text.contains(what), "the block does not say {what:?}: {text}");
        Ok(())
    };
    says("stuck at pthread_mutex_lock ← ")?;
    match known {
        Known::BuildId => says("← server+0x"),
        Known::Names => says("pthread_mutex_lock ← take_lock (server) ← serve (server)"),
        Known::Lines => {
            let hangs = workload::marked_line(PROGRAM, "/* hangs here */")?;
            let forks = workload::marked_line(PROGRAM, "/* forks here */")?;
            let holds = workload::marked_line(PROGRAM, "/* holds here */")?;
            says(&format!("pthread_mutex_lock ← take_lock (stacks.c:{hangs}) ← serve"))?;
            says(&format!("; at spawn_worker (stacks.c:{forks}) ← main"))?;
            says(&format!("still holds the lock, at pause ← sit_on_lock (stacks.c:{holds})"))?;
            says("(glibc mutex, \"cache_lock\" in /")
        }
    }
}
