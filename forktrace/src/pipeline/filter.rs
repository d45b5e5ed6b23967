//! Which processes are wanted, live and in a recorded log alike.
//!
//! A process is wanted if it is what was asked for, or was made by one that is; it stays wanted until
//! its end. All events are followed, so that of a process that becomes what was asked for later, as
//! by exec, everything is known that would be known otherwise.

use std::fmt;

use rustc_hash::FxHashSet;
use wildmatch::WildMatch;

use forktrace_model::{
    event::{Body, Event},
    model::{Change, Model, ProcId, Process},
};

/// Characters of a whole container id.
pub const WHOLE_ID: usize = 64;

/// What is asked for: values of one kind are ORed, different kinds are ANDed.
#[derive(Debug, Default)]
pub struct Filter {
    /// Patterns of names.
    pub comms: Vec<WildMatch>,
    /// Users.
    pub uids: Vec<u32>,
    /// Cgroups, as `/proc/<pid>/cgroup` shows them, without a slash at the end.
    pub cgroups: Vec<String>,
    /// First digits of ids of containers.
    pub containers: Vec<String>,
}

impl Filter {
    fn wants(&self, process: &Process) -> bool {
        any(&self.comms, |glob| glob.matches(&process.comm))
            && any(&self.uids, |uid| process.uid == Some(*uid))
            && any(&self.cgroups, |path| is_below(process, path))
            && any(&self.containers, |id| is_in_container(process, id))
    }

    /// The values that none of these processes has, in words.
    fn without_any(&self, processes: &[&Process]) -> Vec<String> {
        let mut said = Vec::new();
        let mut say = |words: String, has: &dyn Fn(&Process) -> bool| {
            if !processes.iter().any(|process| has(process)) {
                said.push(words);
            }
        };
        for glob in &self.comms {
            say(format!("has the name {glob}"), &|process| glob.matches(&process.comm));
        }
        for uid in &self.uids {
            say(format!("is of user {uid}"), &|process| process.uid == Some(*uid));
        }
        for path in &self.cgroups {
            say(format!("is in cgroup {}", shown(path)), &|process| is_below(process, path));
        }
        for id in &self.containers {
            say(format!("is of container {id}"), &|process| is_in_container(process, id));
        }
        said
    }
}

/// Whether a process is in this cgroup or below.
fn is_below(process: &Process, cgroup: &str) -> bool {
    let rest = process.cgroup.as_deref().and_then(|path| path.strip_prefix(cgroup));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_in_container(process: &Process, id: &str) -> bool {
    process.cgroup.as_deref().is_some_and(|path| is_of_container(path, id))
}

fn any<T>(wanted: &[T], is_so: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is_so)
}

/// Container runtimes name a cgroup after the container's id of 64 hexadecimal digits:
/// `docker-ID.scope`, `/docker/ID`, `cri-containerd-ID.scope`, `libpod-ID.scope`.
fn is_of_container(path: &str, id: &str) -> bool {
    path.split(['/', '-', '.', ':']).any(|part| {
        part.len() == WHOLE_ID
            && part.starts_with(id)
            && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The same, as people write the root.
fn shown(cgroup: &str) -> &str {
    if cgroup.is_empty() { "/" } else { cgroup }
}

/// In words, for the log.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds = Vec::new();
        let mut kind = |name: &str, values: Vec<String>| {
            if !values.is_empty() {
                kinds.push(format!("{name} {}", values.join(" or ")));
            }
        };
        kind("comm", self.comms.iter().map(ToString::to_string).collect());
        kind("uid", self.uids.iter().map(ToString::to_string).collect());
        kind("cgroup", self.cgroups.iter().map(|path| shown(path).to_owned()).collect());
        kind("container", self.containers.clone());
        f.write_str(&kinds.join(", "))
    }
}

/// Lets through what is about wanted processes.
#[derive(Debug)]
pub struct Narrowed {
    filter: Filter,
    /// Everything, wanted or not.
    model: Model,
    wanted: FxHashSet<ProcId>,
}

impl Narrowed {
    /// Lets through what this filter asks for.
    pub fn new(filter: Filter) -> Self {
        Narrowed { filter, model: Model::default(), wanted: FxHashSet::default() }
    }

    /// Everything, wanted or not.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What is asked for.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// What of the filter no living process fits, in a sentence: it may be mistyped, or of something
    /// that is yet to begin.
    pub fn unfit(&self) -> Option<String> {
        let unfit = self.filter.without_any(&self.model.living().collect::<Vec<_>>());
        let none = unfit.join(", none ");
        match (self.wanted.is_empty(), unfit.is_empty()) {
            (false, true) => None,
            (false, false) => Some(format!("no process {none} so far (is it mistyped?)")),
            (true, false) => Some(format!(
                "no process {none} (is it mistyped?): nothing is looked at until one fits the filter"
            )),
            (true, true) => Some(format!(
                "no process fits all of the filter ({}): nothing is looked at until one does",
                self.filter
            )),
        }
    }

    /// Takes one event. Returns what it changed in [`Narrowed::model`], and the events to be handed
    /// on: none, the event itself, or what was known of its process before it too.
    pub fn take(&mut self, event: &Event) -> (Vec<Change>, Vec<Event>) {
        let Some(task) = &event.task else {
            return (self.apply(event), vec![event.clone()]);
        };
        let was_wanted = self.is_wanted(task.pid);
        // Whoever is wanted from here on is known as before this event.
        let before = match (&event.body, was_wanted) {
            (Body::ProcessSnapshot(_), _) | (_, true) => None,
            _ => self
                .model
                .live(task.pid)
                .map(|process| self.model.carried_process(process, event.boot_ns, false)),
        };
        let changes = self.apply(event);
        if was_wanted || self.is_wanted(task.pid) {
            return (changes, before.into_iter().chain([event.clone()]).collect());
        }
        (changes, Vec::new())
    }

    fn is_wanted(&self, pid: u32) -> bool {
        self.model.live(pid).is_some_and(|process| self.wanted.contains(&process.id))
    }

    fn apply(&mut self, event: &Event) -> Vec<Change> {
        let changes = self.model.apply(event);
        for change in &changes {
            if let Change::Ended(id) = change {
                self.wanted.remove(id);
            }
        }
        let child = match &event.body {
            Body::ProcessFork(fork) => Some(fork.child_pid),
            _ => None,
        };
        let pid = event.task.as_ref().map(|task| task.pid);
        for pid in pid.into_iter().chain(child) {
            let Some(process) = self.model.live(pid) else { continue };
            let maker = process.fork.as_ref().and_then(|fork| fork.by).or(process.parent);
            let is_new = Some(pid) == child || matches!(event.body, Body::ProcessSnapshot(_));
            let by_descent = is_new && maker.is_some_and(|maker| self.wanted.contains(&maker));
            if by_descent || self.filter.wants(process) {
                self.wanted.insert(process.id);
            }
        }
        changes
    }
}
