//! Which processes are wanted, live and in a recorded log alike.
//!
//! A process is wanted if it is what was asked for, or was made by one that is; it stays wanted until
//! its end. All events are followed, so that of a process that becomes what was asked for later, as
//! by exec, everything is known that would be known otherwise.
//!
//! An exclusion leaves out a process itself, while it has that name or is in that cgroup. What it makes is
//! judged by its own name and cgroup: who excludes a supervisor does not mean the workers.

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
    /// Patterns of names of processes that are left out.
    pub excluded_comms: Vec<WildMatch>,
    /// Cgroups whose processes are left out, written as `cgroups` are.
    pub excluded_cgroups: Vec<String>,
}

impl Filter {
    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        let asks = self.criteria().next().is_some();
        !asks && self.excluded_comms.is_empty() && self.excluded_cgroups.is_empty()
    }

    /// Whether a process is left out, whatever else is asked for.
    fn excludes(&self, process: &Process) -> bool {
        self.excluded_comms.iter().any(|glob| glob.matches(&process.comm))
            || self.excluded_cgroups.iter().any(|path| is_below(process, path))
    }

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
    /// What is asked for or was made by such, excluded or not.
    wanted: FxHashSet<ProcId>,
    /// What the events that were handed on were about. It is followed to its end: its waits would seem to
    /// last for ever otherwise.
    followed: FxHashSet<ProcId>,
}

impl Narrowed {
    /// Lets through what this filter asks for.
    pub fn new(filter: Filter) -> Self {
        Narrowed {
            filter,
            model: Model::default(),
            wanted: FxHashSet::default(),
            followed: FxHashSet::default(),
        }
    }

    /// Lets through what this filter asks for from here on. So far everything was let through, of which
    /// `model` knows.
    pub(super) fn from_here_on(filter: Filter, model: Model) -> Self {
        let followed = model.living().map(|process| process.id).collect();
        let mut narrowed = Narrowed { model, followed, ..Narrowed::new(filter) };
        narrowed.choose();
        narrowed
    }

    /// Takes another filter. Returns, as events of `boot_ns` (`CLOCK_BOOTTIME`, ns), what is known of the
    /// processes that it asks for and the one before did not. Of descendants of a process that has
    /// ended it is no longer known.
    pub(super) fn replace(&mut self, filter: Filter, boot_ns: u64) -> Vec<Event> {
        self.filter = filter;
        self.choose();
        let mut new: Vec<&Process> = self.model.living().filter(|one| self.is_new(one)).collect();
        // Parents before their children, as after a loss.
        new.sort_by_key(|process| (process.start_ns, process.id));
        let events: Vec<Event> =
            new.iter().map(|process| self.model.carried_process(process, boot_ns, false)).collect();
        let ids: Vec<ProcId> = new.iter().map(|process| process.id).collect();
        self.followed.extend(ids);
        events
    }

    /// Wanted, and not followed.
    fn is_new(&self, process: &Process) -> bool {
        self.lets_through(process) && !self.followed.contains(&process.id)
    }

    /// Chooses among the living processes anew.
    fn choose(&mut self) {
        let mut living: Vec<&Process> = self.model.living().collect();
        living.sort_by_key(|process| (process.start_ns, process.id));
        let mut wanted = FxHashSet::default();
        for process in living {
            let by_descent = maker(process).is_some_and(|maker| wanted.contains(&maker));
            if by_descent || self.filter.wants(process) {
                wanted.insert(process.id);
            }
        }
        self.wanted = wanted;
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

    /// Whether findings about this process are left out: it was asked for, or not excluded, before.
    pub fn leaves_out(&self, pid: u32) -> bool {
        self.model.live(pid).is_some_and(|process| !self.lets_through(process))
    }

    /// Takes one event. Returns what it changed in [`Narrowed::model`], and the events to be handed
    /// on: none, the event itself, or what was known of its process before it too.
    pub fn take(&mut self, event: &Event) -> (Vec<Change>, Vec<Event>) {
        let Some(task) = &event.task else {
            return (self.apply(event), vec![event.clone()]);
        };
        let was_followed =
            self.model.live(task.pid).is_some_and(|process| self.followed.contains(&process.id));
        // Whoever is wanted from here on is known as before this event.
        let before = match (&event.body, was_followed) {
            (Body::ProcessSnapshot(_), _) | (_, true) => None,
            _ => self
                .model
                .live(task.pid)
                .map(|process| self.model.carried_process(process, event.boot_ns, false)),
        };
        let changes = self.apply(event);
        let now = self.model.live(task.pid);
        let is_new = now.filter(|process| self.lets_through(process)).map(|process| process.id);
        if !was_followed && is_new.is_none() {
            return (changes, Vec::new());
        }
        self.followed.extend(is_new);
        if let Body::ProcessFork(fork) = &event.body {
            self.followed.extend(self.model.live(fork.child_pid).map(|child| child.id));
        }
        (changes, before.into_iter().chain([event.clone()]).collect())
    }

    fn lets_through(&self, process: &Process) -> bool {
        self.wanted.contains(&process.id) && !self.filter.excludes(process)
    }

    fn apply(&mut self, event: &Event) -> Vec<Change> {
        let changes = self.model.apply(event);
        for change in &changes {
            if let Change::Ended(id) = change {
                self.wanted.remove(id);
                self.followed.remove(id);
            }
        }
        let child = match &event.body {
            Body::ProcessFork(fork) => Some(fork.child_pid),
            _ => None,
        };
        let pid = event.task.as_ref().map(|task| task.pid);
        for pid in pid.into_iter().chain(child) {
            let Some(process) = self.model.live(pid) else { continue };
            let is_new = Some(pid) == child || matches!(event.body, Body::ProcessSnapshot(_));
            let by_descent =
                is_new && maker(process).is_some_and(|maker| self.wanted.contains(&maker));
            if by_descent || self.filter.wants(process) {
                self.wanted.insert(process.id);
            }
        }
        changes
    }
}

/// Who made a process, as far as that is known.
fn maker(process: &Process) -> Option<ProcId> {
    process.fork.as_ref().and_then(|fork| fork.by).or(process.parent)
}
