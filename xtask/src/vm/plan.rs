//! What is run in a guest, and where: the end-to-end tests by their names.

use anyhow::{Result, ensure};

/// Tests that are run in one place of a guest (`guest.sh` makes it).
pub(crate) struct Place {
    pub(crate) label: &'static str,
    /// What it is, for the table.
    pub(crate) about: &'static str,
    tests: &'static [&'static str],
    /// Those of them that are run on every change.
    quick: &'static [&'static str],
}

const USUAL: Place = Place { label: "", about: "", tests: &[], quick: &[] };

impl Place {
    /// The tests that are run here: all, or those that are quick; of them, those that
    /// `FORKTRACE_TESTS_ONLY` names, if it is set.
    pub(crate) fn tests(&self, quick: bool) -> Vec<&'static str> {
        let only = std::env::var("FORKTRACE_TESTS_ONLY").ok();
        let chosen = |test: &&str| {
            only.as_ref().is_none_or(|names| names.split(',').any(|name| name == *test))
        };
        let tests = if quick { self.quick } else { self.tests };
        tests.iter().copied().filter(chosen).collect()
    }
}

/// Much of everything.
const EVERYTHING: &[&str] = &[
    "hang_mutex_normal",
    "hang_mutex_released_since",
    "hang_mutex_parent_dead",
    "hang_mutex_child_has_threads",
    "hang_rwlock_write_of_reader",
    "hang_semaphore",
    "hang_forked_by_clone3",
    "hang_grandchild",
    "hang_pid_namespace",
    "hang_musl_mutex",
    "hang_musl_recursive",
    "hang_cxx_static_guard",
    "hang_rust_mutex",
    "hang_parking_lot_mutex",
    "hang_python",
    "hang_python_rlock_of_thread",
    "hang_python313_lock_of_thread",
    "hang_python314_rlock_of_thread",
    "lost_waker_condition",
    "prefork_lock_accept",
    "random_equal_c_random_equal",
    "random_other_c_drand48_r_alike",
    "work_condition",
    "quiet_work_ends",
    "lock_released_and_taken",
    "lock_released_at_exit",
    "lock_daemon_after_lockf",
    "blocked_term",
    "quiet_lock_handed_over",
    "quiet_lock_accept_mutex",
    "quiet_lock_daemon_before_lockf",
    "quiet_signal_signalfd",
    "quiet_released_before",
    "deadlock_mutexes_of_threads",
    "deadlock_semaphore_and_pipe",
    "orphaned_mutex",
    "held_open_by_siblings",
    "lost_eventfd_poll",
    "shared_crossed",
    "shared_records",
    "shared_goodbye_unix",
    "quiet_shared_handover",
    "quiet_shared_prefork_server",
    "quiet_exec",
    "quiet_posix_spawn",
    "quiet_shared_mutex",
    "quiet_timed_wait",
    "quiet_threads_pool",
    "quiet_heir_mutex_sleeps",
    "quiet_reused_heap_semaphore",
    "quiet_musl_mutex",
    "quiet_rust_mutex",
    "quiet_python_threads_executor",
    "quiet_python313_threads_at_rest",
    "quiet_python314_threads_at_rest",
    "quiet_10000_forks",
    "attach_pid_c",
    "attach_all",
    "attach_while_forks_go_on",
    "late_mutex_parent",
    "late_mutex_child",
    "late_page_of_the_latest_fork",
    "late_python_child",
    "late_python_worker_child",
    "late_quiet_join",
    "late_quiet_pool",
    "late_hang_ended_by_a_supervisor",
    "late_hang_ended_by_a_supervisor_exact",
    "stopped_once_found",
    "stopped_once_found_exact",
    "stopped_before_it_is_found",
    "command_status_7",
    "command_exit_code_of_a_finding",
    "command_survives_the_tracer",
    "log_is_private",
    "probed_lock_by_hand",
    "doctor_of_a_host_that_traces",
    "doctor_without_tracefs",
    "doctor_without_privilege",
    "doctor_with_few_open_files",
    "doctor_in_a_container",
    "doctor_in_a_user_namespace",
    "doctor_where_tracefs_cannot_be_mounted",
    "bad_day_lost_events_are_counted_fork",
    "bad_day_storm_is_seen_whole_thread",
    "bad_day_stopped_collector_loses_nothing_that_fits",
    "bad_day_stopped_collector_finds_what_it_missed",
    "neighbour_setuid",
    "neighbour_under_seccomp",
    "neighbour_under_strace",
    "denied_hang_of_before_exact",
    "denied_hang_of_now",
    "denied_by_what_doctor_says",
    "privilege_kept_for_a_command",
    "privilege_kept_for_locks",
    "privilege_kept_for_a_process",
    "privilege_without_bpf",
    "privilege_without_perfmon",
    "privilege_without_sys_ptrace",
    "privilege_without_dac_read_search",
    "lacking_a_newer_kernel",
    "lacking_a_field",
    "lacking_a_field_of_a_newer_futex_call",
    "lacking_page_faults",
    "lacking_fork_calls",
    "lacking_type_information",
    "lacking_uprobes",
    "lacking_page_frames",
    "lacking_bpf",
    "lacking_the_right_to_be_real_time",
    "lacking_everything",
    "lacking_task_newtask",
    "lacking_sched_process_fork",
    "lacking_sched_process_exec",
    "lacking_sched_process_exit",
    "lacking_sys_enter_futex",
    "lacking_sys_exit_futex",
    "events_hang_mutex_normal",
    "events_hang_semaphore",
    "events_hang_python",
    "events_quiet_threads_pool",
    "exact_hang_mutex_normal",
    "exact_hang_python",
    "exact_quiet_threads_pool",
    "sampled_prefork_workers",
    "sampled_attach_to_a_hang",
    "vm_clock_set_forward",
    "vm_clock_set_back",
    "vm_cgroup_v1",
    "vm_cgroup_v2",
    "vm_doctor_little_locked_memory",
    "vm_doctor_perf_closed_to_four",
];

/// One of each kind.
const SOME: &[&str] = &[
    "hang_mutex_normal",
    "hang_mutex_child_has_threads",
    "hang_semaphore",
    "hang_musl_recursive",
    "hang_rust_mutex",
    "hang_python",
    "hang_python314_rlock_of_thread",
    "prefork_lock_accept",
    "deadlock_mutexes_of_threads",
    "random_equal_c_random_equal",
    "random_other_c_drand48_r_alike",
    "shared_crossed",
    "quiet_shared_handover",
    "work_condition",
    "lock_released_and_taken",
    "blocked_term",
    "quiet_lock_handed_over",
    "quiet_work_ends",
    "quiet_exec",
    "quiet_timed_wait",
    "quiet_threads_pool",
    "quiet_heir_mutex_sleeps",
    "attach_all",
    "late_mutex_child",
    "command_exit_code_of_a_finding",
    "doctor_of_a_host_that_traces",
    "doctor_without_tracefs",
    "exact_hang_mutex_normal",
    "vm_clock_set_forward",
    "vm_doctor_little_locked_memory",
];

const GLIBC: &[&str] = &[
    "hang_mutex_normal",
    "hang_mutex_recursive",
    "hang_rwlock_write_of_reader",
    "hang_semaphore",
    "hang_cxx_static_guard",
    "hang_rust_mutex",
    "lost_waker_condition",
    "quiet_heir_mutex_sleeps",
    "quiet_threads_pool",
];

/// In the order in which they are run.
pub(crate) static PLACES: &[Place] = &[
    Place {
        label: "base",
        about: "Debian 12: glibc 2.36, Python 3.11; musl; Python 3.13 and 3.14 in roots of their own",
        tests: EVERYTHING,
        quick: SOME,
    },
    Place {
        label: "glibc-trixie",
        about: "programs of glibc in a root of Debian 13",
        tests: GLIBC,
        ..USUAL
    },
    Place {
        label: "glibc-sid",
        about: "programs of glibc in a root of Debian unstable",
        tests: GLIBC,
        quick: &["hang_mutex_normal", "hang_semaphore"],
    },
    Place {
        label: "no-btf",
        about: "without the kernel's type information (BTF)",
        tests: &[
            "hang_mutex_normal",
            "hang_python",
            "quiet_heir_mutex_sleeps",
            "late_mutex_child",
            "exact_hang_mutex_normal",
            "vm_doctor_without_btf",
        ],
        quick: &["hang_mutex_normal", "vm_doctor_without_btf"],
    },
    Place {
        label: "few-pids",
        about: "with kernel.pid_max at 450, so that pids are reused all the time",
        tests: &[
            "quiet_10000_forks",
            "hang_mutex_normal",
            "attach_all",
            "vm_pid_reuse_in_a_storm",
            "vm_pid_reuse_of_the_dead_holder",
            "vm_pid_reuse_of_the_dead_holder_host",
            "vm_pid_reuse_before_the_limit_was_raised",
        ],
        ..USUAL
    },
    Place {
        label: "perf-for-four",
        about: "with kernel.perf_event_paranoid at 2, as in kernel.org's kernels, instead of Debian's 3",
        tests: &[
            "privilege_of_four_for_a_command",
            "privilege_of_four_for_a_process",
            "privilege_of_four_for_locks",
            "lacking_all_but_four_capabilities",
        ],
        ..USUAL
    },
    Place {
        label: "hardened",
        about: "with kptr_restrict 2, perf_event_paranoid 3, unprivileged_bpf_disabled 2, bpf_jit_harden \
                2, ptrace_scope 2 and dmesg_restrict 1",
        tests: &[
            "hang_mutex_normal",
            "hang_python",
            "late_mutex_child",
            "probed_lock_by_hand",
            "doctor_of_a_host_that_traces",
            "vm_doctor_restricted_ptrace",
        ],
        ..USUAL
    },
    Place {
        label: "lockdown-integrity",
        about: "with the kernel locked down as with Secure Boot",
        tests: &[
            "hang_mutex_normal",
            "hang_python",
            "late_mutex_child",
            "late_page_of_the_latest_fork",
            "probed_lock_by_hand",
            "doctor_of_a_host_that_traces",
            "vm_doctor_lockdown_of_integrity",
        ],
        ..USUAL
    },
    Place {
        label: "lockdown-confidentiality",
        about: "with full kernel lockdown: nothing can be traced, and forktrace reports it",
        tests: &["vm_doctor_locked_down"],
        quick: &["vm_doctor_locked_down"],
    },
    // Last: no trace gets further than this.
    Place {
        label: "ptrace-scope-3",
        about: "with ptrace_scope 3: nobody may read process memory",
        tests: &["vm_doctor_memory_closed_to_all"],
        ..USUAL
    },
];

/// Fails unless every test is among those that the end-to-end tests list.
pub(crate) fn check(listed: &str) -> Result<()> {
    // `[WHY IT IS SKIPPED] NAME: test`
    let name = |line: &'_ str| line.rsplit("] ").next()?.strip_suffix(": test").map(str::to_owned);
    let names: Vec<String> = listed.lines().filter_map(name).collect();
    let there = |test: &&str| names.iter().any(|name| name == test);
    let all = PLACES.iter().flat_map(|place| place.tests.iter().chain(place.quick));
    let unknown: Vec<&str> = all.copied().filter(|test| !there(test)).collect();
    ensure!(unknown.is_empty(), "there are no such tests: {}", unknown.join(", "));
    Ok(())
}

/// The plan that `guest.sh` runs.
pub(crate) fn text(quick: bool) -> String {
    let mut plan = String::from("/vm/forktrace doctor --json\n");
    for place in PLACES.iter().filter(|place| !place.tests(quick).is_empty()) {
        plan.push_str(&format!("run {} {}\n", place.label, place.tests(quick).join(",")));
    }
    plan
}
