//! Generators that fork copied: who draws the same numbers is found, and who does not is not.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::Confidence::{self, Certain, Likely},
    log::{Log, number},
    run::Job,
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use serde_json::Value;

/// How long a row may take; the workloads end by themselves after two seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// A program, and what must be said of it.
#[derive(Clone, Copy)]
struct Row {
    program: &'static str,
    args: &'static [&'static str],
    package: Option<&'static str>,
    /// The generator's kind and the least confidence; `None`: nothing may be said.
    truth: Option<(&'static str, Confidence)>,
}

const fn row(program: &'static str, args: &'static [&'static str]) -> Row {
    Row { program, args, package: None, truth: None }
}

impl Row {
    const fn equal(self, kind: &'static str, least: Confidence) -> Self {
        Row { truth: Some((kind, least)), ..self }
    }

    const fn numpy(self) -> Self {
        Row { package: Some("numpy"), ..self }
    }
}

const C: &str = "random/generator.c";
const MUSL: &str = "random/musl_rand.musl.c";
const CXX: &str = "random/engines.cc";
const PYTHON: &str = "random/generator.py";
const PERL: &str = "random/generator.pl";
const RUBY: &str = "random/generator.rb";
const PHP: &str = "random/generator.php";

#[rustfmt::skip]
static ROWS: &[Row] = &[
    row(C, &["random", "equal"]).equal("additive", Certain),
    row(C, &["rand", "equal"]).equal("additive", Certain),
    row(C, &["random_r", "equal"]).equal("additive", Certain),
    row(C, &["initstate", "equal"]).equal("additive", Certain),
    row(C, &["drand48", "equal"]).equal("lcg48", Certain),
    row(C, &["drand48_r", "equal"]).equal("lcg48", Certain),
    row(MUSL, &["equal"]).equal("lcg64", Likely),
    row(CXX, &["static", "equal"]).equal("mt19937", Certain),
    row(CXX, &["static", "fresh"]).equal("mt19937", Certain),
    row(CXX, &["static", "many"]).equal("mt19937", Certain),
    row(CXX, &["heap", "equal"]).equal("mt19937", Certain),
    row(CXX, &["wide", "equal"]).equal("mt19937-64", Certain),
    row(CXX, &["wide", "fresh"]).equal("mt19937-64", Certain),
    row(PYTHON, &["Random", "equal"]).equal("mt19937", Likely),
    row(PYTHON, &["Random", "fresh"]).equal("mt19937", Certain),
    row(PYTHON, &["subclass", "equal"]).equal("mt19937", Likely),
    row(PYTHON, &["legacy", "equal"]).numpy().equal("mt19937", Likely),
    row(PYTHON, &["RandomState", "equal"]).numpy().equal("mt19937", Likely),
    row(PYTHON, &["MT19937", "equal"]).numpy().equal("mt19937", Likely),
    row(PYTHON, &["PCG64", "equal"]).numpy().equal("pcg64", Certain),
    row(PYTHON, &["PCG64DXSM", "equal"]).numpy().equal("pcg64-dxsm", Certain),
    row(PYTHON, &["SFC64", "equal"]).numpy().equal("sfc64", Certain),
    row(PYTHON, &["Philox", "equal"]).numpy().equal("philox4x64", Certain),
    row(PERL, &["equal"]).equal("lcg48", Likely),
    row(PERL, &["fresh"]).equal("lcg48", Likely),
    row(RUBY, &["Random", "equal"]).equal("mt19937", Certain),
    row(RUBY, &["Random", "fresh"]).equal("mt19937", Certain),
    row(PHP, &["mt_rand", "equal"]).equal("mt19937", Certain),
    row(PHP, &["shuffle", "equal"]).equal("mt19937", Certain),
    row(C, &["random", "reseeded"]),
    row(C, &["random", "by-pid"]),
    row(C, &["random", "alike"]),
    row(C, &["random", "one"]),
    row(C, &["random", "unused"]),
    row(C, &["random", "parent"]),
    row(C, &["drand48", "reseeded"]),
    row(C, &["drand48_r", "alike"]),
    row(C, &["kernel", "equal-not"]),
    row(MUSL, &["by-pid"]),
    row(MUSL, &["one"]),
    row(CXX, &["static", "reseeded"]),
    row(CXX, &["static", "alike"]),
    row(CXX, &["static", "one"]),
    row(CXX, &["static", "jumped"]),
    row(CXX, &["static", "churn"]),
    row(CXX, &["heap", "churn"]),
    row(CXX, &["wide", "reseeded"]),
    row(PYTHON, &["module", "equal"]),
    row(PYTHON, &["system", "equal"]),
    row(PYTHON, &["Random", "reseeded"]),
    row(PYTHON, &["Random", "alike"]),
    row(PYTHON, &["Random", "one"]),
    row(PYTHON, &["Random", "uuid"]),
    row(PYTHON, &["PCG64", "spawned"]).numpy(),
    row(PYTHON, &["PCG64", "jumped"]).numpy(),
    row(PYTHON, &["PCG64", "one"]).numpy(),
    row(PYTHON, &["PCG64", "reseeded"]).numpy(),
    row(PYTHON, &["Philox", "jumped"]).numpy(),
    row(PYTHON, &["legacy", "alike"]).numpy(),
    row(PERL, &["unseeded"]),
    row(PERL, &["by-pid"]),
    row(PERL, &["one"]),
    row(RUBY, &["kernel", "equal"]),
    row(RUBY, &["Random", "reseeded"]),
    row(RUBY, &["Random", "alike"]),
    row(RUBY, &["Random", "one"]),
    row(PHP, &["random_int", "equal"]),
    row(PHP, &["mt_rand", "reseeded"]),
    row(PHP, &["mt_rand", "alike"]),
    row(PHP, &["mt_rand", "one"]),
    row(PHP, &["mt_rand", "unseeded"]),
];

pub(crate) fn trials() -> Vec<Trial> {
    ROWS.iter().map(of).collect()
}

fn of(row: &'static Row) -> Trial {
    let suffix = row.program.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let sort = if row.truth.is_some() { "equal" } else { "other" };
    let musl = if row.program == MUSL { "musl_" } else { "" };
    let name = format!("random_{sort}_{musl}{suffix}_{}", row.args.join("_"));
    let own = match row.package {
        Some(package) => Need::Reader(package),
        None => workload::need(row.program),
    };
    trial(name, &[Need::Tracing, own], || run(row))
}

fn run(row: &Row) -> Result<()> {
    let command = match row.package {
        Some(_) => workload::packaged(row.program, row.args),
        None => workload::command(row.program, row.args)?,
    };
    let mut args = ["-q", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    args.extend(command);
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    let facts = Facts::read(&ended.stdout);
    let log = Log::read(&ended.log())?;
    log.expect_whole()?;
    judge(row, &log, &facts).with_context(|| ended.said())
}

fn judge(row: &Row, log: &Log, facts: &Facts) -> Result<()> {
    let findings = log.findings();
    let said = || format!("{findings:#?}");
    let Some((kind, least)) = row.truth else {
        ensure!(findings.is_empty(), "nothing is wrong: {}", said());
        return Ok(());
    };
    let same: Vec<u64> = facts.all("same").collect();
    ensure!(same.len() == 2, "the workload does not say who draws the same");
    ensure!(!findings.is_empty(), "nothing was found");
    for finding in &findings {
        let text = |path: &str| finding.pointer(path).and_then(Value::as_str).unwrap_or_default();
        ensure!(text("/kind") == "duplicated-prng", "another hazard: {}", said());
        ensure!(text("/generators/0/kind") == kind, "not {kind}: {}", said());
        ensure!(Confidence::read(text("/confidence")) >= Some(least), "too weak: {}", said());
        ensure!(!text("/advice").is_empty(), "no advice");
        let sides = finding.pointer("/generators/0/sides").and_then(Value::as_array);
        let sides: Vec<u64> =
            sides.into_iter().flatten().filter_map(|side| number(side, "/pid")).collect();
        ensure!(same.iter().all(|pid| sides.contains(pid)), "not {same:?}: {}", said());
    }
    Ok(())
}
