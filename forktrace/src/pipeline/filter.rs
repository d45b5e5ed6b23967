//! Which processes are wanted, live and in a recorded log alike.
//!
//! A process is wanted if it is what was asked for, or was made by one that is; it stays wanted until
//! its end. All events are followed, so that of a process that becomes what was asked for later, as
//! by exec, everything is known that would be known otherwise.

use rustc_hash::FxHashSet;
use wildmatch::WildMatch;

use forktrace_model::{
    event::{Body, Event},
    model::{Change, Model, ProcId, Process},
};

/// Characters of a whole container id.
pub const WHOLE_ID: usize = 64;

/// What is asked for: values of one kind are ORed, different kinds are ANDed.
#[derive(Clone, Debug, Default, PartialEq)]
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

    /// Every value that is asked for.
    pub fn criteria(&self) -> impl Iterator<Item = Criterion<'_>> {
        let comms = self.comms.iter().map(Criterion::Comm);
        let uids = self.uids.iter().copied().map(Criterion::Uid);
        let cgroups = self.cgroups.iter().map(|path| Criterion::Cgroup(path));
        let containers = self.containers.iter().map(|id| Criterion::Container(id));
        comms.chain(uids).chain(cgroups).chain(containers)
    }
}

/// One value that is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Criterion<'a> {
    /// A name.
    Comm(&'a WildMatch),
    /// A user.
    Uid(u32),
    /// A cgroup; the root is empty.
    Cgroup(&'a str),
    /// The first digits of a container's id.
    Container(&'a str),
}

impl Criterion<'_> {
    fn fits(self, process: &Process) -> bool {
        match self {
            Criterion::Comm(glob) => glob.matches(&process.comm),
            Criterion::Uid(uid) => process.uid == Some(uid),
            Criterion::Cgroup(path) => is_below(process, path),
            Criterion::Container(id) => is_in_container(process, id),
        }
    }
}

/// What of a filter no living process fits: it may be mistyped, or of something that is yet to begin.
#[derive(Debug)]
pub struct Unfit<'a> {
    /// The filter.
    pub filter: &'a Filter,
    /// The values that no process has.
    pub values: Vec<Criterion<'a>>,
    /// No process fits all of the filter.
    pub none_fits: bool,
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

    /// What of the filter no living process fits, if anything.
    pub fn unfit(&self) -> Option<Unfit<'_>> {
        let living: Vec<&Process> = self.model.living().collect();
        let unfit = |one: &Criterion<'_>| !living.iter().any(|process| one.fits(process));
        let values: Vec<Criterion<'_>> = self.filter.criteria().filter(unfit).collect();
        let none_fits = self.wanted.is_empty();
        (none_fits || !values.is_empty()).then_some(Unfit {
            filter: &self.filter,
            values,
            none_fits,
        })
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
