//! Who a process is, in terms that outlive it: its program, its user, its container.

use std::fs;

use forktrace_model::model::{Model, ProcId, Process};
use serde::Serialize;

/// How many processes up a program is looked for: a forked child has that of who forked it.
const GENERATIONS: usize = 64;
/// Hexadecimal digits of a container id.
const CONTAINER_ID: usize = 64;

/// Who a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// Name of the program: the last part of its path. The process's name where no path is known.
    pub executable: String,
    /// Path of the program, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The process's name.
    pub comm: String,
    /// Effective user id, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Path in the cgroup hierarchy, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The container's id, where the cgroup names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// The Kubernetes pod's uid, where the cgroup names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Start of the process, `CLOCK_BOOTTIME`, ns; 0: not known.
    #[serde(skip)]
    pub start_ns: u64,
}

impl Workload {
    /// Of a living process: `/proc` says which program a link or a relative path led to.
    pub fn of(process: &Process, model: &Model) -> Self {
        let exe = fs::read_link(format!("/proc/{}/exe", process.pid)).ok();
        let exe =
            exe.filter(|_| process.is_alive()).map(|path| path.to_string_lossy().into_owned());
        Workload::with(exe, process, model)
    }

    fn with(exe: Option<String>, process: &Process, model: &Model) -> Self {
        let path = exe.or_else(|| program(process, model)).map(|path| {
            // The kernel adds this to the path of a file that is gone (`d_path`, fs/d_path.c, Linux 6.18).
            path.trim_end_matches(" (deleted)").to_owned()
        });
        let name = path.as_deref().and_then(|path| path.rsplit('/').find(|part| !part.is_empty()));
        let cgroup = process.cgroup.as_deref();
        Workload {
            executable: name.unwrap_or(&process.comm).to_owned(),
            comm: process.comm.clone(),
            uid: process.uid,
            container_id: cgroup.and_then(container_id).map(str::to_owned),
            pod_uid: cgroup.and_then(pod_uid),
            cgroup: cgroup.map(str::to_owned),
            start_ns: process.start_ns,
            path,
        }
    }
}

/// Path of a process's program: its own, or of the nearest process above that it was forked from.
fn program(process: &Process, model: &Model) -> Option<String> {
    let mut at = process;
    for _ in 0..GENERATIONS {
        let own = at.exe.as_ref().or(at.exec.as_ref().map(|exec| &exec.filename));
        if let Some(path) = own {
            return Some(path.clone());
        }
        at = above(at).and_then(|id| model.get(id))?;
    }
    None
}

fn above(process: &Process) -> Option<ProcId> {
    process.fork.as_ref().and_then(|fork| fork.by).or(process.parent)
}

/// Container runtimes name a cgroup after the container's id of 64 hexadecimal digits.
fn container_id(cgroup: &str) -> Option<&str> {
    let is_id = |part: &&str| {
        part.len() == CONTAINER_ID && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    cgroup.split(['/', '-', '.', ':']).rfind(is_id)
}

/// The kubelet names a pod's cgroup `pod<uid>`, and its systemd driver
/// `kubepods-burstable-pod<uid>.slice` with `_` for `-` (`cgroup_manager_linux.go`, Kubernetes 1.33).
fn pod_uid(cgroup: &str) -> Option<String> {
    let mut parts = cgroup.rsplit('/').map(|part| part.strip_suffix(".slice").unwrap_or(part));
    let uid = |part: &str| {
        let at = part.rfind("pod")?;
        let before = part.get(..at)?;
        let uid = part.get(at + 3..)?.replace('_', "-");
        let is_uid = uid.len() == 36
            && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
            && (before.is_empty() || before.ends_with('-'));
        is_uid.then_some(uid)
    };
    parts.find_map(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "5d0c1a8e-3f8b-4a9c-9a51-0123456789ab";

    #[test]
    fn containers_and_pods_are_named_by_their_cgroups() {
        let systemd = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/\
             cri-containerd-{ID}.scope",
            UID.replace('-', "_")
        );
        let plain = format!("/kubepods/besteffort/pod{UID}/{ID}");
        for path in [systemd, plain] {
            assert_eq!(pod_uid(&path).as_deref(), Some(UID), "{path}");
            assert_eq!(container_id(&path), Some(ID));
        }
        let docker = format!("/system.slice/docker-{ID}.scope");
        assert_eq!((container_id(&docker), pod_uid(&docker)), (Some(ID), None));
        for none in ["/", "/system.slice/podman.service", "/user.slice/pod", "/kubepods/podxyz"] {
            assert_eq!((container_id(none), pod_uid(none)), (None, None), "{none}");
        }
    }
}
