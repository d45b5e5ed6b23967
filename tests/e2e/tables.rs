//! Tables of the programs that are full: what did not fit is counted and reported, no finding is
//! wrong for it, and the summary does not report that all is well.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::{Case, Confidence, Traced, cases},
    log::{Log, number},
    run::{ALL_CLEAR, Ended, Job, one_line},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;

const LIMIT: Duration = Duration::from_secs(60);
/// Children of the workload, and how many of them a full table has room for.
const CHILDREN: u64 = 40;
const ROOM: u64 = 8;

/// A table too small, the count of what did not fit, how many that must be, and what is said of it.
type Full = (&'static str, &'static [&'static str], &'static str, u64, &'static str);

static FULL: &[Full] = &[
    // One place is the workload's own.
    (
        "bad_day_table_full_traced",
        &["--table-size", "TRACED=8"],
        "processes_untraced",
        CHILDREN - ROOM + 1,
        "33 processes were not traced: the table of traced processes was full",
    ),
    (
        "bad_day_table_full_waits",
        &["--exact", "--table-size", "WAITS=8"],
        "waits_untracked",
        CHILDREN - ROOM,
        "32 waits were not judged: the table of waits was full",
    ),
    (
        "bad_day_table_full_children",
        &["--table-size", "AT_RISK=8"],
        "children_untracked",
        CHILDREN - ROOM,
        "32 children were not judged: the table of children at risk was full",
    ),
    // An eighth of the limit, two pages, is what one child may have, and each writes more.
    (
        "bad_day_snapshot_limit_of_each_child",
        &[
            "--snapshot-limit",
            "64K",
            "--table-size",
            "FREE=512",
            "--table-size",
            "AREA=4096",
            "--table-size",
            "CHUNKS=8192",
            "--table-size",
            "OWNERS=8192",
        ],
        "pages_refused",
        CHILDREN,
        // Their pages would not tell more.
        "",
    ),
    // The limit of all is reached before that of any child.
    (
        "bad_day_snapshot_limit_of_all",
        &["--snapshot-limit", "64M", "--table-size", "AREA=8", "--table-size", "SNAPSHOTS=1"],
        "pages_refused",
        CHILDREN,
        // Their pages would not tell more.
        "",
    ),
];

/// Tables that are too small for a single process, each with what needs it most.
static TABLES: &[&str] = &[
    "TRACED",
    "NEW_TASKS",
    "WAITS",
    "AT_RISK",
    "CHUNKS",
    "OWNERS",
    "FREE",
    "AREA",
    "SNAPSHOTS",
    "TAILS",
    "FORKERS",
    "WAKES",
];
static CASES: &[&str] =
    &["hang_mutex_normal", "hang_semaphore_static", "hang_two_threads", "quiet_exec"];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc, Need::Setpriv];
    let full = |full: &'static Full| trial(full.0, &needs, || counted(full));
    let never = |table: &'static &str| {
        let name = format!("bad_day_table_full_never_wrong_{}", table.to_lowercase());
        trial(name, &needs, || never_wrong(table))
    };
    FULL.iter().map(full).chain(TABLES.iter().map(never)).collect()
}

fn counted((_, flags, counter, count, sentence): &Full) -> Result<()> {
    let mut args: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
    args.extend(["-q", "-o", "{log}", "--"].map(str::to_owned));
    args.extend(workload::command("sleepers.c", &[&CHILDREN.to_string(), "8", "4"])?);
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let log = Log::read(&ended.log())?;
        log.expect_whole()?;
        let path = format!("/counters/{counter}");
        let counted = log.of("trace.end").find_map(|line| number(line, &path));
        ensure!(counted == Some(*count), "{counter} is {counted:?}, not {count}");
        ensure!(log.children().len() as u64 == CHILDREN, "children are missing in the tree");
        let end = log.of("trace.end").any(|line| line["reason"] == "targets ended");
        ensure!(end, "processes that were not followed are still taken for alive");
        // They sleep for ever, which is likely at most.
        let certain = log.findings().into_iter().any(|line| line["confidence"] == "certain");
        ensure!(!certain, "found {:#?}", log.findings());
        for text in [&ended.stdout, &ended.report(&["-q"])?.stdout] {
            let words = one_line(text);
            ensure!(words.contains(sentence), "it does not say: {sentence}");
            ensure!(!words.contains(ALL_CLEAR), "it claims to have seen everything");
        }
        Ok(())
    };
    judge().with_context(|| ended.said())
}

/// With room for two entries, cases are judged weaker or not at all, but not wrongly.
fn never_wrong(table: &str) -> Result<()> {
    for case in cases().filter(|case| CASES.contains(&case.name)) {
        // Pages go elsewhere only when the area has no room.
        let area = ["SNAPSHOTS", "TAILS"].contains(&table).then_some("AREA");
        let small = area.into_iter().chain([table]);
        let mut args: Vec<String> =
            small.flat_map(|table| ["--table-size".to_owned(), format!("{table}=2")]).collect();
        // Only then are there any.
        let exact = ["WAITS", "WAKES"].contains(&table).then_some("--exact");
        args.extend(exact.into_iter().chain(["-q", "-o", "{log}", "--"]).map(str::to_owned));
        args.extend(workload::command(case.program, case.args)?);
        let ended = Job::forktrace(&args)?.wait(LIMIT)?;
        let said = ended.said();
        right(case, ended).with_context(|| format!("{} {table}\n{said}", case.name))?;
    }
    Ok(())
}

fn right(case: &Case, ended: Ended) -> Result<()> {
    ended.expect_code(0)?;
    let (log, facts) = (Log::read(&ended.log())?, Facts::read(&ended.stdout));
    let clean = ended.is_clear();
    let traced = Traced { ended, log, facts };
    for said in traced.said(case) {
        ensure!(Some(said.confidence) <= case.most, "{said:?} is more than {:?}", case.most);
        // Without its page a lock that was inherited is a wait that nobody can end, which it is.
        let sure = said.confidence > Confidence::Suspect && !said.is_about_a_hang;
        let wrong = said.wrong.as_ref().filter(|_| sure);
        ensure!(wrong.is_none(), "{said:?}");
    }
    let missed = case.truth.hangs() && traced.verdict(case).is_none();
    ensure!(!(missed && clean), "a hang was missed, and all is said to be well");
    Ok(())
}
