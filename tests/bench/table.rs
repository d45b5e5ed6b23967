//! Figures as tables that can be pasted into a document.

use std::fmt::Write as _;

use crate::{
    cost::{CALLS, Cost},
    outcome::{Fact, Outcome},
    settings::{FLOOR, KEEPING_FLOOR},
    stats::Spread,
};

/// The settings of the default that have goals.
const DEFAULTS: [&str; 3] = ["forktrace", "forktrace, others", "forktrace -a"];

/// A table for each kind of call.
pub(crate) fn costs(costs: &[Cost]) -> String {
    let mut text = String::new();
    for call in CALLS.iter().map(|call| call.text) {
        let of_call: Vec<&Cost> = costs.iter().filter(|cost| cost.call == call).collect();
        if of_call.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "\n| {call} | a call | from – to | × alone | from – to | over its floor |"
        );
        text.push_str("|---|---|---|---|---|---|\n");
        for cost in &of_call {
            let Spread { median, least, most } = cost.ns;
            let (ratio, low, high) = (cost.ratio.median, cost.ratio.least, cost.ratio.most);
            let over = over_floor(cost, &of_call);
            let over = over.map_or_else(String::new, |over| format!("{over:+.2}"));
            let _ = writeln!(
                text,
                "| {} | {} | {} – {} | {ratio:.2} | {low:.2} – {high:.2} | {over} |",
                cost.setting,
                time(median),
                time(least),
                time(most)
            );
        }
    }
    text
}

/// What the default is to cost at most, beside what it costs and what no tracer can get below.
pub(crate) fn goals(costs: &[Cost]) -> String {
    let mut text = String::new();
    for (call, goal) in CALLS.iter().filter_map(|call| Some((call.text, call.goal?))) {
        let ratio = |setting: &str| {
            let cost = costs.iter().find(|cost| cost.call == call && cost.setting == setting)?;
            Some(cost.ratio.median)
        };
        let shown = |setting: &str| {
            ratio(setting).map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        for setting in DEFAULTS {
            let Some(measured) = ratio(setting) else { continue };
            let met = if measured <= goal { "met" } else { "not met" };
            let (floor, keeping) = (shown(FLOOR), shown(KEEPING_FLOOR));
            let _ = writeln!(
                text,
                "| {call}, {setting} | {goal:.2} | {measured:.2} | {met} | {floor} | {keeping} |"
            );
        }
    }
    if text.is_empty() {
        return text;
    }
    let head = "| a call | goal, × alone | measured | | floor | floor, pages read |";
    format!("\n{head}\n|---|---|---|---|---|---|\n{text}")
}

/// How much more forktrace adds, as a ratio, than programs that do nothing.
fn over_floor(cost: &Cost, of_call: &[&Cost]) -> Option<f64> {
    let floor = match cost.setting.strip_prefix("forktrace")? {
        rest if rest.contains("--exact") => "floor --exact",
        _ => FLOOR,
    };
    let floor = of_call.iter().find(|cost| cost.setting == floor)?;
    Some(cost.ratio.median - floor.ratio.median)
}

/// A list of figures.
pub(crate) fn facts(facts: &[Fact]) -> String {
    let mut text = String::new();
    for fact in facts {
        let value = number(fact.value);
        let _ = writeln!(text, "  {:44} {value} {}", fact.name, fact.unit);
    }
    text
}

/// What has changed since another run by more than the measurements went up and down.
pub(crate) fn comparison(before: &Outcome, now: &Outcome) -> String {
    let mut text = String::new();
    let mut compared = false;
    for cost in &now.costs {
        let same = |old: &&Cost| old.call == cost.call && old.setting == cost.setting;
        let Some(old) = before.costs.iter().find(same) else { continue };
        compared = true;
        if cost.ratio.is_apart_from(&old.ratio) {
            let (old, new) = (old.ratio.median, cost.ratio.median);
            let _ = writeln!(text, "  {}, {}: × {old:.2} → {new:.2}", cost.call, cost.setting);
        }
    }
    for (run, facts) in &now.scale {
        for fact in facts {
            let old = before.scale.get(run).into_iter().flatten();
            let Some(old) = old.into_iter().find(|old| old.name == fact.name) else { continue };
            compared = true;
            if (fact.value - old.value).abs() > old.value.abs() / 10.0 {
                let (old, new) = (number(old.value), number(fact.value));
                let _ = writeln!(text, "  {run}, {}: {old} → {new} {}", fact.name, fact.unit);
            }
        }
    }
    if !compared {
        return text;
    }
    if text.is_empty() {
        text.push_str("  nothing beyond the spread\n");
    }
    format!(
        "\nchanged since {} (commit {}, load {}):\n{text}",
        before.date, before.commit, before.load
    )
}

/// ns as people read it.
pub(crate) fn time(ns: f64) -> String {
    match ns {
        ns if ns < 1e4 => format!("{ns:.0} ns"),
        ns if ns < 1e5 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e7 => format!("{:.0} µs", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

/// Three digits where they tell something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(setting: &str, ratio: f64) -> Cost {
        let spread = |median| Spread { median, least: median - 0.1, most: median + 0.1 };
        Cost {
            call: CALLS[0].text.to_owned(),
            setting: setting.to_owned(),
            ns: spread(ratio * 250.0),
            ratio: spread(ratio),
            samples: 5,
            disturbed: 0,
        }
    }

    #[test]
    fn each_mode_is_measured_against_the_floor_of_its_own_tracepoints() {
        let all = [
            cost("alone", 1.0),
            cost("floor", 1.7),
            cost("floor --exact", 1.1),
            cost("forktrace, others", 1.8),
            cost("forktrace --exact -a", 1.2),
        ];
        let table = costs(&all);
        let over = |setting: &str| {
            let line = table.lines().find(|line| line.starts_with(&format!("| {setting} |")));
            line.and_then(|line| line.rsplit('|').nth(1)).map(str::trim)
        };
        assert_eq!(over("forktrace, others"), Some("+0.10"));
        assert_eq!(over("forktrace --exact -a"), Some("+0.10"));
        assert_eq!(over("alone"), Some(""));
    }

    #[test]
    fn each_goal_is_beside_both_floors_and_says_whether_it_is_met() {
        let all = [
            cost("floor", 1.0),
            cost("floor, pages read", 1.01),
            cost("forktrace", 1.02),
            cost("forktrace -a", 1.03),
            cost("forktrace --exact", 1.7),
        ];
        let table = goals(&all);
        let lines: Vec<&str> = table.lines().skip(3).collect();
        let wanted = [
            "| FUTEX_WAKE, forktrace | 1.02 | 1.02 | met | 1.00 | 1.01 |",
            "| FUTEX_WAKE, forktrace -a | 1.02 | 1.03 | not met | 1.00 | 1.01 |",
        ];
        assert_eq!(lines, wanted);
        let alone = goals(&[cost("forktrace", 1.5)]);
        assert!(alone.contains("| not met | – | – |"), "{alone}");
        assert_eq!(goals(&[cost("floor", 1.0)]), "");
    }

    #[test]
    fn only_what_left_its_spread_counts_as_changed() {
        let before = Outcome { costs: vec![cost("floor", 1.7)], ..Outcome::default() };
        let same = Outcome { costs: vec![cost("floor", 1.75)], ..Outcome::default() };
        assert!(comparison(&before, &same).contains("nothing beyond the spread"));
        let worse = Outcome { costs: vec![cost("floor", 2.0)], ..Outcome::default() };
        assert!(comparison(&before, &worse).contains("FUTEX_WAKE, floor: × 1.70 → 2.00"));
    }

    #[test]
    fn times_have_the_unit_that_reads_best() {
        let times = [245.4, 19_000.0, 124_000.0, 12_500_000.0].map(time);
        assert_eq!(times, ["245 ns", "19.0 µs", "124 µs", "12.5 ms"]);
    }
}
