//! The filter that the command line asks for.

use wildmatch::WildMatch;

use super::{args::FilterArgs, failure::Failure, usage};
use crate::pipeline::filter::{Filter, WHOLE_ID};

/// Characters of a container id that name it well enough, as `docker ps` shows it.
const LEAST_ID: usize = 6;

/// What the command line asks for; `None`: everything.
pub(super) fn filter(args: &FilterArgs) -> Result<Option<Filter>, Failure> {
    let globs = |globs: &[String]| globs.iter().map(|glob| WildMatch::new(glob)).collect();
    let cgroups = |paths: &[String]| paths.iter().map(|path| cgroup(path)).collect();
    let filter = Filter {
        comms: globs(&args.comm),
        uids: args.uid.iter().map(|user| uid(user)).collect::<Result<_, _>>()?,
        cgroups: cgroups(&args.cgroup),
        containers: args.container.iter().map(|id| container(id)).collect::<Result<_, _>>()?,
        excluded_comms: globs(&args.exclude_comm),
        excluded_cgroups: cgroups(&args.exclude_cgroup),
    };
    Ok((!filter.is_empty()).then_some(filter))
}

fn uid(user: &str) -> Result<u32, Failure> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    match nix::unistd::User::from_name(user) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        _ => Err(usage(&format!("no user is named `{}`", user.escape_debug()))),
    }
}

/// As `/proc/<pid>/cgroup` shows it: without the mount point, without a slash at the end.
fn cgroup(path: &str) -> String {
    let path = path.strip_prefix("/sys/fs/cgroup").unwrap_or(path).trim_matches('/');
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

fn container(id: &str) -> Result<String, Failure> {
    let id = id.to_ascii_lowercase();
    let digits = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    match digits && (LEAST_ID..=WHOLE_ID).contains(&id.len()) {
        true => Ok(id),
        false => Err(usage(&format!(
            "`{}` is not a container id: use its first {LEAST_ID} or more hexadecimal digits (see docker \
             ps or crictl ps)",
            id.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{filter as parsed, *};
    use crate::{pipeline::filter::Narrowed, report};
    use forktrace_model::event::{
        Body, Event, ProcessExec, ProcessExit, ProcessFork, ProcessOwner, ProcessSnapshot, Task,
        ThreadName,
    };

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn filter(args: FilterArgs) -> Narrowed {
        Narrowed::new(parsed(&args).unwrap().unwrap())
    }

    fn of(pid: u32, comm: &str, body: Body) -> Event {
        Event { boot_ns: 5, task: Some(Task { pid, tid: pid, comm: comm.into() }), body }
    }

    fn alive(pid: u32, ppid: u32, comm: &str, uid: u32, cgroup: &str) -> Event {
        let seen = ProcessSnapshot {
            ppid,
            start_ns: 1,
            threads: vec![ThreadName { tid: pid, comm: comm.into() }],
            uid: Some(uid),
            cgroup: Some(cgroup.into()),
            ..ProcessSnapshot::default()
        };
        of(pid, comm, Body::ProcessSnapshot(seen))
    }

    fn fork(pid: u32, comm: &str, child_pid: u32) -> Event {
        of(pid, comm, Body::ProcessFork(ProcessFork { child_pid, clone_flags: 0 }))
    }

    fn exec(pid: u32, comm: &str) -> Event {
        of(pid, comm, Body::ProcessExec(ProcessExec { old_tid: pid, filename: comm.into() }))
    }

    fn exit(pid: u32, comm: &str) -> Event {
        of(pid, comm, Body::ProcessExit(ProcessExit::default()))
    }

    /// The pids of what is let through, `s` for a snapshot that was added.
    fn through(narrowed: &mut Narrowed, events: &[Event]) -> Vec<String> {
        let mut seen = Vec::new();
        for event in events {
            for out in narrowed.take(event).1 {
                let added = matches!(&out.body, Body::ProcessSnapshot(s) if s.known.is_some());
                let pid = out.task.as_ref().map_or(0, |task| task.pid);
                seen.push(format!("{pid}{}", if added { "s" } else { "" }));
            }
        }
        seen
    }

    #[test]
    fn by_name_and_all_that_it_makes_until_its_end() {
        let mut web = filter(FilterArgs { comm: vec!["web*".into()], ..FilterArgs::default() });
        let events = [
            alive(1, 0, "init", 0, "/"),
            alive(2, 1, "web", 0, "/"),
            alive(3, 2, "helper", 0, "/"),
            fork(1, "init", 4),
            fork(2, "web", 5),
            exec(5, "sh"),
            exec(4, "sh"),
            exit(2, "web"),
            fork(5, "sh", 6),
            exit(5, "sh"),
            exit(4, "sh"),
        ];
        assert_eq!(through(&mut web, &events), ["2", "3", "2", "5", "2", "5", "5"]);
    }

    #[test]
    fn one_that_becomes_what_is_asked_for_is_known_as_it_was_before() {
        let mut web = filter(FilterArgs { comm: vec!["w?b".into()], ..FilterArgs::default() });
        let events = [alive(1, 0, "init", 0, "/"), fork(1, "init", 2), exec(2, "web")];
        assert_eq!(through(&mut web, &events), ["2s", "2"]);
    }

    #[test]
    fn by_user_by_cgroup_and_by_container() {
        let cgroup = format!("/system.slice/docker-{ID}.scope");
        let events = [
            alive(1, 0, "init", 0, "/init.scope"),
            fork(1, "init", 2),
            of(2, "init", Body::ProcessOwner(ProcessOwner { uid: Some(33), cgroup: None })),
            fork(1, "init", 3),
            of(3, "a", Body::ProcessOwner(ProcessOwner { uid: None, cgroup: Some(cgroup) })),
        ];
        let args = FilterArgs { uid: vec!["33".into()], ..FilterArgs::default() };
        assert_eq!(through(&mut filter(args), &events), ["2s", "2"]);
        for path in ["/system.slice", "/sys/fs/cgroup/system.slice/", "system.slice"] {
            let args = FilterArgs { cgroup: vec![path.into()], ..FilterArgs::default() };
            assert_eq!(through(&mut filter(args), &events), ["3s", "3"], "{path}");
        }
        let args = FilterArgs { cgroup: vec!["/system".into()], ..FilterArgs::default() };
        assert!(through(&mut filter(args), &events).is_empty());
        let args = FilterArgs { container: vec![ID[..12].into()], ..FilterArgs::default() };
        assert_eq!(through(&mut filter(args), &events), ["3s", "3"]);
        let args = FilterArgs { container: vec![ID[4..16].into()], ..FilterArgs::default() };
        assert!(through(&mut filter(args), &events).is_empty());
    }

    #[test]
    fn who_is_excluded_is_left_out_and_its_children_by_their_own_names() {
        let args = FilterArgs { exclude_comm: vec!["noisy".into()], ..FilterArgs::default() };
        let events = [
            alive(1, 0, "init", 0, "/"),
            alive(2, 1, "noisy", 0, "/"),
            fork(2, "noisy", 3),
            exec(3, "worker"),
            fork(1, "init", 4),
            exec(4, "noisy"),
            exit(4, "noisy"),
            exit(3, "worker"),
        ];
        let mut narrowed = filter(args);
        // Process 4 was followed before it became one that is excluded: to its end.
        assert_eq!(through(&mut narrowed, &events[..6]), ["1", "3s", "3", "1", "4"]);
        assert!(narrowed.leaves_out(4) && narrowed.leaves_out(2) && !narrowed.leaves_out(3));
        assert_eq!(through(&mut narrowed, &events[6..]), ["4", "3"]);
        let args = FilterArgs {
            comm: vec!["init".into()],
            exclude_cgroup: vec!["/b".into()],
            ..FilterArgs::default()
        };
        let events = [
            alive(1, 0, "init", 0, "/a"),
            alive(2, 1, "web", 0, "/b/c"),
            alive(3, 0, "web", 0, "/a"),
        ];
        assert_eq!(through(&mut filter(args), &events), ["1"]);
    }

    #[test]
    fn all_kinds_must_fit_and_any_value_of_a_kind() {
        let events = [
            alive(1, 0, "a", 7, "/"),
            alive(2, 0, "b", 7, "/"),
            alive(3, 0, "a", 8, "/"),
            alive(4, 0, "b", 9, "/"),
        ];
        let args = FilterArgs {
            comm: vec!["a".into()],
            uid: vec!["7".into(), "9".into()],
            ..FilterArgs::default()
        };
        assert_eq!(through(&mut filter(args), &events), ["1"]);
    }

    #[test]
    fn what_nothing_fits_is_told() {
        let told = |comm: &[&str], cgroup: &[&str]| {
            let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
            let args =
                FilterArgs { comm: owned(comm), cgroup: owned(cgroup), ..FilterArgs::default() };
            let mut narrowed = filter(args);
            narrowed.take(&alive(1, 0, "web", 0, "/a/b"));
            narrowed.take(&alive(2, 0, "db", 0, "/c"));
            narrowed.unfit().map(|unfit| report::filter::unfit(&unfit)).unwrap_or_default()
        };
        assert_eq!(told(&["web"], &[]), "");
        assert_eq!(told(&["w*"], &["/a"]), "");
        assert_eq!(told(&["web", "wbe"], &[]), "no process has the name wbe yet (mistyped?)");
        let nothing = told(&["web"], &["/nosuch"]);
        assert!(nothing.starts_with("no process is in cgroup /nosuch (mistyped?)"), "{nothing}");
        assert!(
            nothing.ends_with("forktrace waits for a process that matches the filter"),
            "{nothing}"
        );
        assert!(
            told(&["wbe"], &["/nosuch"]).contains("has the name wbe, none is in cgroup /nosuch")
        );
        let apart = told(&["web"], &["/c"]);
        assert!(
            apart.contains("no process matches the whole filter (comm web, cgroup /c)"),
            "{apart}"
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for args in [
            FilterArgs { uid: vec!["no-such-user-here".into()], ..FilterArgs::default() },
            FilterArgs { container: vec!["web-1".into()], ..FilterArgs::default() },
            FilterArgs { container: vec!["abc".into()], ..FilterArgs::default() },
        ] {
            assert!(parsed(&args).is_err(), "{args:?}");
        }
        assert!(parsed(&FilterArgs::default()).unwrap().is_none());
    }
}
