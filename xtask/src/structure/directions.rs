//! Whether the rooms of each crate use only the rooms that the table allows.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    files, imports,
    rooms::{CRATES, Crate},
};

/// Where the table is.
const TABLE: &str = "xtask/src/structure/rooms.rs";

/// Uses that the table does not allow, and whatever is not as the table says.
pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for checked in CRATES {
        problems.extend(checked.problems(root)?);
    }
    for folder in fs::read_dir(root.join("crates")).context("reading crates")? {
        let folder = format!("crates/{}", folder?.file_name().to_string_lossy());
        if !CRATES.iter().any(|checked| checked.folder == folder) {
            problems.push(format!("{folder} is not in {TABLE}; add it there"));
        }
    }
    Ok(problems)
}

impl Crate {
    fn problems(&self, root: &Path) -> Result<Vec<String>> {
        let mut problems = self.disorder();
        let mut unused: BTreeSet<_> = self.wrong.iter().collect();
        let modules = self.modules(root)?;
        for module in &modules {
            if modules.iter().any(|other| other.declares_for_tests(module)) {
                continue;
            }
            let [room, ..] = module.path.as_slice() else { continue };
            for import in &module.source.imports {
                let used = import.room.as_str();
                if let Some(wrong) = self.wrong.iter().find(|wrong| **wrong == (room, used)) {
                    unused.remove(wrong);
                    continue;
                }
                if let Some(why) = self.objection(room, used) {
                    problems.push(format!("{}:{}: {why}", module.file, import.line));
                }
            }
            if !self.rooms.iter().any(|(known, _)| known == room) {
                problems.push(format!("{}: `{room}` is not in {TABLE}; add it there", module.file));
            }
        }
        let folder = self.folder;
        for (room, used) in unused {
            problems.push(format!(
                "{folder}: `{room}` no longer uses `{used}`; remove that from {TABLE}"
            ));
        }
        for (room, _) in self.rooms {
            if !modules.iter().any(|module| module.path.first().is_some_and(|first| first == room))
            {
                problems.push(format!("{folder}: `{room}` is gone; remove it from {TABLE}"));
            }
        }
        Ok(problems)
    }

    /// Why a room may not use another.
    fn objection(&self, room: &str, used: &str) -> Option<String> {
        let (_, allowed) = self.rooms.iter().find(|(known, _)| *known == room)?;
        if room == used || allowed.contains(&used) || self.root.contains(&used) {
            return None;
        }
        Some(match used {
            "*" => "name the room, not the whole crate".into(),
            _ if self.rooms.iter().any(|(known, _)| *known == used) => {
                format!("`{room}` may not use `{used}` (see {TABLE})")
            }
            _ => format!("`{used}` is no room of {} (see {TABLE})", self.folder),
        })
    }

    /// Rooms that the table lets use what does not stand above them.
    fn disorder(&self) -> Vec<String> {
        let above =
            |at: usize, used: &str| self.rooms.iter().take(at).any(|(room, _)| *room == used);
        let wrong = self.rooms.iter().enumerate().flat_map(|(at, (room, uses))| {
            uses.iter().filter(move |used| !above(at, used)).map(move |used| (room, used))
        });
        let folder = self.folder;
        wrong
            .map(|(room, used)| {
                format!("{folder}: `{used}` does not stand above `{room}` in {TABLE}")
            })
            .collect()
    }

    fn modules(&self, root: &Path) -> Result<Vec<Module>> {
        let source = root.join(self.folder).join("src");
        let mut modules = Vec::new();
        for path in files(&source, |_| false)? {
            if path.extension().is_some_and(|kind| kind == "rs") {
                let file = path.strip_prefix(root)?.display().to_string();
                let place = path.strip_prefix(&source)?;
                modules.push(Module::read(file, place, &fs::read_to_string(&path)?)?);
            }
        }
        Ok(modules)
    }
}

/// One source file.
#[derive(Debug)]
struct Module {
    file: String,
    /// The names of the modules from the crate's root to it.
    path: Vec<String>,
    source: imports::Source,
}

impl Module {
    /// From a file's text and its place in the crate's `src`.
    fn read(file: String, place: &Path, text: &str) -> Result<Self> {
        let place = place.with_extension("");
        let names = place.iter().map(|name| name.to_string_lossy().into_owned());
        let path: Vec<_> =
            names.filter(|name| !["lib", "main", "mod"].contains(&&**name)).collect();
        let source = imports::read(text, path.len()).with_context(|| file.clone())?;
        Ok(Self { file, path, source })
    }

    /// Whether another module is, or is in, one that this one has for tests alone.
    fn declares_for_tests(&self, other: &Module) -> bool {
        let rest = other.path.strip_prefix(self.path.as_slice());
        rest.and_then(<[String]>::first).is_some_and(|name| self.source.tests.contains(name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const HOUSE: Crate = Crate {
        folder: "house",
        root: &["SCHEMA"],
        rooms: &[("event", &[]), ("model", &["event"]), ("report", &["event", "model"])],
        wrong: &[],
    };

    /// What is wrong with a crate that has these files in its `src`, and what is to be the beginning of
    /// each problem.
    fn check(house: Crate, files: &[(&str, &str)], expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("house/src");
        for (room, _) in HOUSE.rooms {
            fs::create_dir_all(source.join(room)).unwrap();
            fs::write(source.join(room).join("more.rs"), "").unwrap();
        }
        for (name, text) in files {
            let path = source.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let problems = house.problems(root.path()).unwrap();
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, beginning) in problems.iter().zip(expected) {
            assert!(problem.starts_with(beginning), "{problem} is not {beginning}");
        }
    }

    #[test]
    fn what_the_table_allows_is_no_problem() {
        let root = "mod event; mod model; mod report; pub use crate::report::print;";
        let report = "use crate::{SCHEMA, model::Tree};\nuse super::event::Event;";
        check(HOUSE, &[("lib.rs", root), ("event.rs", ""), ("report/mod.rs", report)], &[]);
    }

    #[test]
    fn a_wrong_import_is_found() {
        let files = [
            ("event.rs", "\nuse crate::model::Tree;"),
            ("model/mod.rs", "use crate::Event;\nuse super::*;"),
            ("model/apply.rs", "fn f() { super::super::report::print(); }"),
        ];
        let expected = [
            "house/src/event.rs:2: `event` may not use `model`",
            "house/src/model/apply.rs:1: `model` may not use `report`",
            "house/src/model/mod.rs:1: `Event` is no room of house",
            "house/src/model/mod.rs:2: name the room",
        ];
        check(HOUSE, &files, &expected);
    }

    #[test]
    fn tests_may_use_any_room() {
        let files = [
            ("model.rs", "#[cfg(test)]\nmod tests;"),
            ("model/tests.rs", "use crate::report::print; mod more;"),
            ("model/tests/more.rs", "use crate::report::print;"),
            ("event/mod.rs", "#[cfg(test)]\nmod tests { use crate::model::Tree; }"),
        ];
        check(HOUSE, &files, &[]);
    }

    #[test]
    fn a_room_that_is_not_in_the_table_is_found() {
        check(HOUSE, &[("attic.rs", "")], &["house/src/attic.rs: `attic` is not in xtask"]);
    }

    #[test]
    fn a_room_that_is_only_in_the_table_is_found() {
        let house = Crate {
            rooms: &[("event", &[]), ("model", &[]), ("report", &[]), ("attic", &[])],
            ..HOUSE
        };
        check(house, &[], &["house: `attic` is gone"]);
    }

    #[test]
    fn what_is_wrong_and_known_is_listed_as_long_as_it_is_there() {
        let house = Crate { wrong: &[("event", "model"), ("event", "report")], ..HOUSE };
        let files = [("event.rs", "use crate::model::Tree;")];
        check(house, &files, &["house: `event` no longer uses `report`"]);
    }

    #[test]
    fn rooms_use_only_what_stands_above_them() {
        let house = Crate {
            rooms: &[("event", &["model"]), ("model", &["event"]), ("report", &[])],
            ..HOUSE
        };
        check(house, &[("event.rs", "")], &["house: `model` does not stand above `event`"]);
    }
}
