//! The sentences about what forktrace saw of each demo.

use forktrace_model::{
    event::FileClass,
    judge::{Judge, Judged},
    model::{Model, Process},
};

/// The processes with copied memory, in the order of their forks.
fn forked(model: &Model) -> impl Iterator<Item = &Process> {
    model.all().iter().filter(|process| {
        process
            .fork
            .as_ref()
            .is_some_and(|fork| forktrace_common::clone_flags::copies_memory(fork.clone_flags))
    })
}

pub(super) fn copied_state(model: &Model, _: &Judge) -> Vec<String> {
    forked(model)
        .map(|child| {
            let fork = child.fork.as_ref().map(|fork| fork.by_pid).unwrap_or_default();
            let exec = match child.exec {
                None => "it did not exec, so its memory is a copy of its parent's memory",
                Some(_) => "its exec replaced the copy of its parent's memory",
            };
            format!("process {fork} forked process {}; {exec}", child.pid)
        })
        .collect()
}

pub(super) fn shared_file(model: &Model, _: &Judge) -> Vec<String> {
    let moved = model.file_uses().filter(|seen| seen.class == FileClass::File).map(|seen| {
        let who = seen.holders.iter().map(|holder| {
            let bytes = holder.written.saturating_add(holder.read);
            format!("process {} moved its position by {bytes} bytes", holder.pid)
        });
        let who: Vec<String> = who.collect();
        format!("{}: {}; it is one open file", seen.name, who.join(", "))
    });
    let moved: Vec<String> = moved.collect();
    let shared = forked(model).filter(|child| child.exec.is_none()).map(|child| {
        format!(
            "process {} was forked and did not exec: it shares every file that its parent had \
                 open at the fork",
            child.pid
        )
    });
    shared.chain(moved).collect()
}

pub(super) fn shared_connection(model: &Model, judge: &Judge) -> Vec<String> {
    let found = judge.findings().iter().filter_map(|judged| judged.finding.descriptor());
    let said: Vec<String> = found
        .map(|shared| {
            let used = shared
                .users
                .iter()
                .map(|user| format!("process {} asked {} times", user.pid, user.sends));
            let used: Vec<String> = used.collect();
            format!("one connection to {}: {} by then", shared.name, used.join(", "))
        })
        .collect();
    match said.is_empty() {
        false => said,
        true => forked(model)
            .filter(|child| child.exec.is_none())
            .map(|child| {
                format!(
                    "process {} was forked and did not exec: it has its parent's connection. This kernel \
                     does not tell who uses a connection (from Linux 6.3)",
                    child.pid
                )
            })
            .collect(),
    }
}

pub(super) fn shared_lock(_: &Model, judge: &Judge) -> Vec<String> {
    let locks = judge.findings().iter().filter_map(|judged| judged.finding.file_lock());
    let lines: Vec<String> = locks
        .map(|lock| {
            format!(
                "process {} took the lock, and process {} gave it back by its copy of the descriptor",
                lock.taker.pid, lock.other.pid
            )
        })
        .collect();
    match lines.is_empty() {
        true => {
            vec!["nothing: this kernel does not tell of locks on files (forktrace doctor)".into()]
        }
        false => lines,
    }
}

pub(super) fn inherited_lock(_: &Model, judge: &Judge) -> Vec<String> {
    if judge.findings().is_empty() {
        return vec![
            "no hang found: this forktrace may not know the locks of this Python version".into(),
        ];
    }
    judge
        .findings()
        .iter()
        .map(|judged| {
            let finding = &judged.finding;
            format!(
                "process {} hangs on a {} that was held at the fork; forktrace has ended the \
                 processes of this demo",
                finding.subject.pid,
                finding.lock().map_or("lock", |lock| lock.family.name)
            )
        })
        .collect()
}

pub(super) fn lost_threads(model: &Model, judge: &Judge) -> Vec<String> {
    let threads = forked(model).filter_map(|child| Some((child, child.fork.as_ref()?))).map(
        |(child, fork)| {
            let names: Vec<String> = fork
                .lost
                .iter()
                .map(|thread| format!("\"{}\"[{}]", thread.comm.escape_debug(), thread.tid))
                .collect();
            format!(
                "process {} had {} threads when it forked process {}, which has 1; not copied: {}",
                fork.by_pid,
                fork.lost.len() + 1,
                child.pid,
                names.join(", ")
            )
        },
    );
    threads.chain(judge.findings().iter().flat_map(work_of)).collect()
}

/// The work of a finding that nobody does.
fn work_of(judged: &Judged) -> Vec<String> {
    let finding = &judged.finding;
    let threads = finding.threads().into_iter().flat_map(|threads| &threads.threads);
    let work = threads.filter(|thread| thread.work.is_some()).map(|thread| {
        let own = thread.python.iter().find(|frame| !frame.is_of_library());
        let at = own.map(|frame| format!(" in {}()", frame.function.escape_debug()));
        format!(
            "process {} has work for thread {} of process {}, which waited{}; it does not have this \
             thread, and nobody does the work",
            finding.subject.pid,
            thread.tid,
            finding.forked_by().unwrap_or(0),
            at.unwrap_or_default(),
        )
    });
    work.collect()
}

pub(super) fn same_random(model: &Model, judge: &Judge) -> Vec<String> {
    let children: Vec<String> = forked(model)
        .filter(|child| child.exec.is_none())
        .map(|child| child.pid.to_string())
        .collect();
    let copied = format!(
        "processes {} were forked by one parent and did not exec: each has a copy of the \
         generator's state at the fork",
        children.join(" and ")
    );
    let found = judge.findings().iter().filter_map(|judged| judged.finding.generators());
    let mut generators = found.flat_map(|detail| &detail.found);
    let drawn = match generators.next() {
        Some(generator) => {
            let pids: Vec<String> =
                generator.sides.iter().map(|side| side.pid.to_string()).collect();
            format!(
                "processes {} have drawn from one {} since: they got the same numbers",
                pids.join(" and "),
                generator.kind
            )
        }
        None => {
            "no generator found: this forktrace may not know that of this Python version".into()
        }
    };
    vec![copied, drawn]
}

pub(super) fn written_twice(_: &Model, judge: &Judge) -> Vec<String> {
    let found = judge.findings().iter().filter_map(|judged| {
        let finding = &judged.finding;
        let first = finding.buffers()?.found.first()?;
        Some(format!(
            "process {} wrote {} bytes that were in a buffer when process {} forked it, which has \
             them in its own buffer",
            finding.subject.pid,
            first.bytes,
            finding.forked_by().unwrap_or(0)
        ))
    });
    let found: Vec<String> = found.collect();
    if found.is_empty() {
        return vec![
            "no buffer found: this forktrace may not know the files of this Python".into(),
        ];
    }
    found
}

pub(super) fn spawn(model: &Model, judge: &Judge) -> Vec<String> {
    let mut lines: Vec<String> = model
        .all()
        .iter()
        .filter(|process| process.fork.is_some())
        .filter_map(|process| Some((process, process.exec.as_ref()?)))
        .map(|(process, exec)| {
            format!(
                "process {} executed {}: it has no memory of its parent, and no inherited lock",
                process.pid,
                exec.filename.escape_debug()
            )
        })
        .collect();
    if judge.findings().is_empty() {
        lines.push("no process hangs on an inherited lock".into());
    }
    lines
}
