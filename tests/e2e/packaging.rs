//! What is in `packaging/`: units, rules, dashboards, charts, each checked by who will read it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{Need, run::Job, trial};
use libtest_mimic::Trial;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
/// The exposure of the unit that `systemd-analyze security` finds is no more than this; 10 is the worst.
const EXPOSURE: f64 = 4.0;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("packaging_configuration_shows_the_defaults", &[], configuration),
        trial("packaging_unit_is_hardened", &[Need::SystemdAnalyze], unit),
        trial("packaging_rules_fire", &[Need::Promtool], rules),
        trial("packaging_dashboards_parse", &[Need::Promtool], dashboards),
        trial("packaging_chart_renders", &[Need::Helm], chart),
        trial("packaging_manifest_is_valid", &[Need::Reader("kubernetes_validate")], manifest),
    ]
}

/// The folder `packaging`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

/// Runs a program, which must succeed.
fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).current_dir(folder()).output()?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    ensure!(output.status.success(), "{program} {args:?}: {}\n{out}{err}", output.status);
    Ok(out)
}

/// Every key of the file is one, and its value is the default where there is one.
fn configuration() -> Result<()> {
    let text = fs::read_to_string(folder().join("forktrace.toml"))?;
    let folder = tempfile::tempdir()?;
    let check = |text: &str| -> Result<String> {
        let path = folder.path().join("f.toml");
        fs::write(&path, text)?;
        let path = path.display().to_string();
        let ended = Job::forktrace(&["serve", "--check-config", "--config", &path])?.wait(LIMIT)?;
        ended.expect_code(0)?;
        Ok(ended.stdout)
    };
    let is_key =
        |line: &&str| line.starts_with('#') && line.contains(" = ") && !line.starts_with("# ");
    let keys: Vec<&str> = text.lines().filter(is_key).map(|line| &line[1..]).collect();
    ensure!(keys.len() > 20, "{keys:?}");
    // What names a user that this host need not have is left out.
    let known: Vec<&str> = keys.into_iter().filter(|key| !key.starts_with("uid")).collect();
    let (shown, defaults) = (check(&known.join("\n"))?, check("")?);
    let defaults = defaults
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.strip_suffix("  # default")?.split_once(" = "));
    let mut count = 0;
    for (key, value) in defaults {
        let line = shown.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
        if let Some(line) = line {
            let line = line.trim_end_matches("  # file").trim_matches(['[', ']']);
            ensure!(line.trim_matches('"') == value, "{key}: {line} instead of {value}");
            count += 1;
        }
    }
    ensure!(count > 10, "{count} keys have a default");
    Ok(())
}

fn unit() -> Result<()> {
    let text =
        run("systemd-analyze", &["security", "--offline=true", "systemd/forktrace.service"])?;
    let level = text.lines().rev().find_map(|line| {
        let rest = line.split_once("forktrace.service: ")?.1;
        rest.split(' ').next()?.parse::<f64>().ok()
    });
    let level = level.context("no level")?;
    ensure!(level <= EXPOSURE, "{level}\n{text}");
    Ok(())
}

fn rules() -> Result<()> {
    run("promtool", &["check", "rules", "prometheus/alerts.yaml"])?;
    run("promtool", &["test", "rules", "prometheus/alerts.test.yaml"])?;
    Ok(())
}

/// The expressions of all dashboards.
fn expressions() -> Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder().join("grafana"))? {
        let json: Value = serde_json::from_str(&fs::read_to_string(entry?.path())?)?;
        for panel in json["panels"].as_array().context("no panels")? {
            for target in panel["targets"].as_array().context("no targets")? {
                all.push(target["expr"].as_str().context("no expression")?.to_owned());
            }
        }
    }
    ensure!(all.len() > 20, "{} expressions", all.len());
    Ok(all)
}

/// Prometheus parses each, with the variables of the dashboard replaced.
fn dashboards() -> Result<()> {
    let mut rules = String::from("groups:\n- name: x\n  rules:\n");
    for (at, expression) in expressions()?.iter().enumerate() {
        let expression = serde_json::to_string(&expression.replace("$instance", ".*"))?;
        rules.push_str(&format!("  - record: r{at}\n    expr: {expression}\n"));
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("rules.yaml");
    fs::write(&path, rules)?;
    run("promtool", &["check", "rules", &path.display().to_string()]).map(drop)
}

/// The metrics that rules, dashboards and the page on the service name.
pub(crate) fn metrics_asked_for() -> Result<BTreeSet<String>> {
    let mut text = expressions()?.join("\n");
    text.push_str(&fs::read_to_string(folder().join("prometheus/alerts.yaml"))?);
    text.push_str(&fs::read_to_string(folder().join("../docs/service.md"))?);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names: BTreeSet<String> =
        words.filter(|word| word.starts_with("forktrace_")).map(str::to_owned).collect();
    ensure!(names.len() > 20, "{names:?}");
    Ok(names)
}

fn chart() -> Result<()> {
    run("helm", &["lint", "--strict", "helm/forktrace"])?;
    let all = "podMonitor.enabled=true,prometheusRule.enabled=true,dashboards.enabled=true";
    let text = run("helm", &["template", "x", "helm/forktrace", "--set", all])?;
    for kind in ["DaemonSet", "ConfigMap", "PodMonitor", "PrometheusRule"] {
        ensure!(text.contains(&format!("kind: {kind}\n")), "{kind} is missing in\n{text}");
    }
    ensure!(text.contains("ForktraceProcessHangs") && text.contains("forktrace-fleet"), "{text}");
    let plain = run("helm", &["template", "x", "helm/forktrace"])?;
    ensure!(!plain.contains("monitoring.coreos.com"), "nothing but what every cluster has");
    ensure!(plain.contains("privileged: false") && plain.contains("drop: [ALL]"), "{plain}");
    Ok(())
}

fn manifest() -> Result<()> {
    let python = forktrace_tests::reading_python();
    let python = python.to_str().context("its path is no text")?;
    run(python, &["-m", "kubernetes_validate", "--strict", "kubernetes/forktrace.yaml"]).map(drop)
}
