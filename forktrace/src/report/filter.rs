//! The text of a filter.

use crate::pipeline::filter::{Criterion, Filter, Unfit};

/// A filter as text: `comm web, cgroup /a or /b`.
pub fn text(filter: &Filter) -> String {
    let mut kinds: Vec<(&str, String)> = Vec::new();
    for criterion in filter.criteria() {
        let (kind, value) = match criterion {
            Criterion::Comm(glob) => ("comm", glob.to_string()),
            Criterion::Uid(uid) => ("uid", uid.to_string()),
            Criterion::Cgroup(path) => ("cgroup", shown(path).to_owned()),
            Criterion::Container(id) => ("container", id.to_owned()),
        };
        match kinds.last_mut().filter(|(last, _)| *last == kind) {
            Some((_, values)) => values.push_str(&format!(" or {value}")),
            None => kinds.push((kind, value)),
        }
    }
    let mut kinds: Vec<String> =
        kinds.into_iter().map(|(kind, values)| format!("{kind} {values}")).collect();
    kinds.extend(filter.excluded_comms.iter().map(|glob| format!("not comm {glob}")));
    kinds.extend(filter.excluded_cgroups.iter().map(|path| format!("not cgroup {}", shown(path))));
    kinds.join(", ")
}

/// A warning that no living process matches the filter, or one of its values.
pub fn unfit(unfit: &Unfit<'_>) -> String {
    let values: Vec<String> = unfit.values.iter().map(value).collect();
    let none = values.join(", none ");
    match (unfit.none_fits, values.is_empty()) {
        (false, _) => format!("no process {none} yet (mistyped?)"),
        (true, false) => format!(
            "no process {none} (mistyped?); forktrace waits for a process that matches the filter"
        ),
        (true, true) => format!(
            "no process matches the whole filter ({}); forktrace waits for one",
            text(unfit.filter)
        ),
    }
}

fn value(criterion: &Criterion<'_>) -> String {
    match criterion {
        Criterion::Comm(glob) => format!("has the name {glob}"),
        Criterion::Uid(uid) => format!("belongs to user {uid}"),
        Criterion::Cgroup(path) => format!("is in cgroup {}", shown(path)),
        Criterion::Container(id) => format!("is in container {id}"),
    }
}

/// A cgroup path; the root is `/`.
fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}
