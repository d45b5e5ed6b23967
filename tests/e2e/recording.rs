//! Recordings in several files, on a full disk, compressed, and filtered.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    log::{Log, number},
    run::{Ended, Job, check_log},
    trial, workload,
};
use libtest_mimic::Trial;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::check::hang_blocks;

const LIMIT: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(30);

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc];
    vec![
        trial("recording_rotated_and_each_part_read_alone", &needs, rotated),
        trial("recording_on_a_full_disk", &needs, full_disk),
        trial("recording_that_begins_on_a_full_disk", &needs, full_from_the_start),
        trial("recording_compressed", &needs, compressed),
        trial("filter_by_name_live_and_in_report", &needs, by_name),
        trial("filter_by_user_live_and_in_report", &[Need::Tracing, Need::Setpriv], by_user),
    ]
}

fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("forktrace-recording-").tempdir()?)
}

fn report(flags: &[&str], files: &[PathBuf]) -> Result<Ended> {
    let mut args: Vec<String> = vec!["report".into()];
    args.extend(flags.iter().map(|flag| (*flag).to_owned()));
    args.extend(files.iter().map(|file| file.display().to_string()));
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    ended.expect_code(0)?;
    Ok(ended)
}

/// A child hangs in the first part and goes on hanging in all the others.
fn rotated() -> Result<()> {
    let dir = folder()?;
    let log = dir.path().join("t.jsonl").display().to_string();
    let options = ["-o", &log, "--rotate-size", "64K", "--", "sh", "-c"];
    let script = "\"$@\" & sleep 2.5; i=0; \
                  while [ $i -lt 400 ]; do /bin/true; i=$((i+1)); done; wait";
    let mut args: Vec<String> = options.map(str::to_owned).to_vec();
    args.extend([script.to_owned(), "sh".to_owned()]);
    args.extend(workload::command(
        "inherited_mutex.c",
        &["normal", "thread", "keep", "single", "9"],
    )?);
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    ended.expect_code(0)?;
    let live = hang_blocks(&ended.stdout);
    ensure!(live.len() == 1, "{}", ended.said());
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.path())?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    ensure!(files.len() > 3, "{files:?}");
    let words: Vec<&str> = ended.stdout.split_whitespace().collect();
    ensure!(words.join(" ").contains("t.1.jsonl to "), "{}", ended.said());
    check_log(&files)?;

    let whole = report(&[], &files.iter().rev().cloned().collect::<Vec<_>>())?;
    ensure!(hang_blocks(&whole.stdout) == live, "{}", whole.said());
    ensure!(whole.stderr.is_empty(), "{}", whole.said());
    let counts = |text: &str| -> Vec<String> {
        let row = |line: &&str| line.starts_with("seen") || line.starts_with("long waits");
        text.lines().filter(row).map(str::to_owned).collect()
    };
    ensure!(counts(&whole.stdout) == counts(&ended.stdout), "{}", whole.said());

    // The part after the first: the hang is known from what was carried over into it.
    let second = [dir.path().join("t.2.jsonl")];
    check_log(&second)?;
    let alone = report(&["-q"], &second)?;
    let blocks = hang_blocks(&alone.stdout);
    let head = |block: &String| block.split(" has been").next().map(str::to_owned);
    ensure!(blocks.iter().map(head).eq(live.iter().map(head)), "{}", alone.said());
    ensure!(blocks[0].contains("certain"), "{}", alone.said());
    ensure!(alone.prints("part 1 of this trace was not given"), "{}", alone.said());
    ensure!(alone.prints("continues in part 3"), "{}", alone.said());

    // With one missing in the middle what lives is taken from the part after it.
    let others = [files[0].clone(), dir.path().join("t.3.jsonl")];
    let others = report(&["-q"], &others)?;
    ensure!(hang_blocks(&others.stdout) == live, "{}", others.said());
    ensure!(others.prints("part 2 of this trace was not given"), "{}", others.said());
    Ok(())
}

/// A small file system of its own, unmounted in any case.
struct Disk(TempDir);

impl Disk {
    fn new(size: &str) -> Result<Self> {
        let dir = folder()?;
        let options = format!("size={size}");
        mount(
            Some("forktrace-test"),
            dir.path(),
            Some("tmpfs"),
            MsFlags::empty(),
            Some(options.as_str()),
        )?;
        Ok(Disk(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What still has a file open there keeps it until it ends.
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

/// The disk is full for a while: said once, tracing goes on, and what is missing is counted.
fn full_disk() -> Result<()> {
    let disk = Disk::new("256k")?;
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 160 << 10])?;
    let log = disk.path().join("t.jsonl");
    let path = log.display().to_string();
    let script = "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done; echo filled; read x; \
                  sleep 1.5; i=0; while [ $i -lt 30 ]; do /bin/true; i=$((i+1)); done";
    let mut job = Job::forktrace(&["-q", "-o", &path, "--", "sh", "-c", script])?;
    make_room(&mut job, &ballast)?;
    let ended = job.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        ensure!(ended.stderr.lines().count() == 1, "it is said more than once");
        ensure!(ended.prints("could not be written"), "the summary does not say it");
        let log = Log::read(&log)?;
        let told: u64 =
            log.of("events.lost").filter_map(|line| number(line, "/by_kind/unwritten")).sum();
        let total = log.of("trace.end").find_map(|line| number(line, "/unwritten")).unwrap_or(0);
        ensure!(told > 0 && told == total, "{told} were told, {total} counted");
        let execs = log.of("process.exec").count();
        ensure!(execs >= 30, "it did not go on: {execs}");
        Ok(())
    };
    judge().with_context(|| ended.said())?;
    check_log(std::slice::from_ref(&log))?;
    let again = report(&["-q"], &[log])?;
    ensure!(again.prints("this result is incomplete"), "{}", again.said());
    ensure!(!again.prints("still running"), "{}", again.said());
    Ok(())
}

/// Frees the disk once it was full and that was told.
fn make_room(job: &mut Job, ballast: &Path) -> Result<()> {
    job.until("filled", START, |job| {
        job.stdout().contains("filled") && job.stderr().contains("no space left")
    })?;
    fs::remove_file(ballast)?;
    job.tell()
}

/// The disk is full when the recording begins: once there is room, it begins with all that is alive,
/// and no part of it is empty.
fn full_from_the_start() -> Result<()> {
    for (name, rotation) in
        [("t.jsonl", &[][..]), ("t.jsonl.zst", &[]), ("t.jsonl", &["--rotate-size", "64K"])]
    {
        let disk = Disk::new("512k")?;
        let ballast = disk.path().join("ballast");
        // It may have no room for all of it.
        let _ = fs::write(&ballast, vec![0; 512 << 10]);
        let path = disk.path().join(name).display().to_string();
        let script = "\"$@\" & i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done; \
                      sleep 2; echo filled; read x; sleep 1.5; i=0; \
                      while [ $i -lt 30 ]; do /bin/true; i=$((i+1)); done; wait";
        let mut args: Vec<String> = ["-q", "-o", &path].map(str::to_owned).to_vec();
        args.extend(rotation.iter().map(|&word| word.to_owned()));
        args.extend(["--", "sh", "-c", script, "sh"].map(str::to_owned));
        args.extend(workload::command(
            "inherited_mutex.c",
            &["normal", "thread", "keep", "single", "9"],
        )?);
        let mut job = Job::forktrace(&args)?;
        make_room(&mut job, &ballast)?;
        let ended = job.wait(LIMIT)?;
        let judge = || -> Result<()> {
            ended.expect_code(0)?;
            ensure!(ended.stderr.lines().count() == 1, "it is said more than once");
            let mut files: Vec<PathBuf> =
                fs::read_dir(disk.path())?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
            files.sort();
            ensure!(files.len() == 1, "a part has nothing in it: {files:?}");
            check_log(&files)?;
            let again = report(&["-q"], &files)?;
            ensure!(again.prints("events lost (unwritten "), "{}", again.said());
            // Its evidence was written again when there was room: the wait had lasted longer then.
            let facts = |text: &str| -> Vec<String> {
                let blocks = hang_blocks(text).into_iter();
                blocks.filter_map(|block| Some(block.split_once('\n')?.1.to_owned())).collect()
            };
            let (live, again) = (facts(&ended.stdout), facts(&again.stdout));
            ensure!(live.len() == 1 && again == live, "{live:?} became {again:?}");
            Ok(())
        };
        judge().with_context(|| format!("{name} {rotation:?}\n{}", ended.said()))?;
    }
    Ok(())
}

fn compressed() -> Result<()> {
    let dir = folder()?;
    let log = dir.path().join("t.jsonl.zst");
    let path = log.display().to_string();
    let mut args = ["-q", "-o", &path, "--"].map(str::to_owned).to_vec();
    let mutex = ["normal", "thread", "keep", "single", "3"];
    args.extend(workload::command("inherited_mutex.c", &mutex)?);
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    ended.expect_code(0)?;
    check_log(std::slice::from_ref(&log))?;
    let again = report(&["-q"], std::slice::from_ref(&log))?;
    ensure!(hang_blocks(&again.stdout) == hang_blocks(&ended.stdout), "{}", again.said());
    ensure!(hang_blocks(&again.stdout).len() == 1, "{}", again.said());
    let whole = fs::read(&log)?;
    fs::write(&log, &whole[..whole.len() - 9])?;
    let cut = report(&["-q"], &[log])?;
    ensure!(cut.stderr.contains("cut off"), "{}", cut.said());
    ensure!(cut.stdout.contains("HANG"), "what was found before is missing\n{}", cut.said());
    Ok(())
}

/// The names of the processes that a log tells of by their exits.
fn names(log: &Log) -> Vec<String> {
    let ended = log.of("process.exit").filter_map(|line| line["comm"].as_str());
    let mut names: Vec<String> = ended.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// Runs a script live with a filter, and again without and with the filter in the report.
fn same_live_and_in_report(filter: &[&str], script: &str, wanted: &[&str]) -> Result<()> {
    let command = ["--", "sh", "-c", script];
    let live = Job::forktrace(&[&["-q", "-o", "{log}"], filter, &command].concat())?.wait(LIMIT)?;
    live.expect_code(0)?;
    let log = Log::read(&live.log())?;
    ensure!(names(&log) == wanted, "live: {:?}\n{}", names(&log), live.said());
    let all = Job::forktrace(&[&["-q", "-o", "{log}"][..], &command].concat())?.wait(LIMIT)?;
    ensure!(names(&Log::read(&all.log())?).len() > wanted.len(), "nothing to leave out");
    let again = all.report(&[filter, &["--json"]].concat())?;
    let log = Log::parse(&again.stdout)?;
    ensure!(names(&log) == wanted, "report: {:?}\n{}", names(&log), again.said());
    Ok(())
}

fn by_name() -> Result<()> {
    let script = "/bin/true; sh -c '/bin/true; exec env sh -c \"sleep 0.2; exit\"'; exec env";
    same_live_and_in_report(&["--comm", "sl?*p"], script, &["sleep"])
}

/// A process that becomes another user without exec is noticed too, a moment later.
fn by_user() -> Result<()> {
    let script =
        "/bin/true; setpriv --reuid=65534 --clear-groups sh -c 'sleep 0.5; exec sleep 0.4'";
    same_live_and_in_report(&["-u", "65534"], script, &["sleep"])
}
