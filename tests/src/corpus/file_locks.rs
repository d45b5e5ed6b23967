//! Programs whose processes lose a lock on a file, or do not take a signal, and their healthy look-alikes.

use super::*;

const CERTAIN: Option<Confidence> = Some(Confidence::Certain);
const LOCKS: &str = "file_locks.py";
const C_LOCKS: &str = "file_locks.c";
const SIGNALS: &str = "blocked_signals.c";
const PYTHON_SIGNALS: &str = "blocked_signals.py";

/// It must be said of one of the processes that each `stuck` names.
#[rustfmt::skip]
pub(super) static LOST: &[Case] = &[
    case("lock_released", LOCKS, &["released"], LOST_LOCK),
    case("lock_released_and_taken", LOCKS, &["released_and_taken"], LOST_LOCK).least(CERTAIN),
    case("lock_released_by_worker", LOCKS, &["released_by_worker"], LOST_LOCK),
    case("lock_released_by_grandchild", LOCKS, &["released_by_grandchild"], LOST_LOCK),
    case("lock_released_at_unwind", LOCKS, &["released_at_unwind"], LOST_LOCK),
    case("lock_released_shared", LOCKS, &["released_shared"], LOST_LOCK),
    case("lock_released_ofd", LOCKS, &["released_ofd"], LOST_LOCK),
    case("lock_released_by_parent", LOCKS, &["parent_releases"], LOST_LOCK),
    case("lock_released_at_exit", C_LOCKS, &["released_at_exit"], LOST_LOCK),
    case("lock_released_range", C_LOCKS, &["released_range"], LOST_LOCK),
    case("lock_useless_mutex", LOCKS, &["useless_mutex"], LOST_LOCK),
    case("lock_useless_mutex_of_parent", LOCKS, &["useless_mutex_of_parent"], LOST_LOCK),
    case("lock_pid_file", LOCKS, &["pid_file_lost"], LOST_LOCK),
    case("lock_daemon_after_lockf", C_LOCKS, &["daemon_after_lockf"], LOST_LOCK),
    case("lock_sqlite_carried", LOCKS, &["sqlite_carried"], LOST_LOCK),
    case("lock_sqlite_opened_again", LOCKS, &["sqlite_opened_again"], LOST_LOCK),
    case("lock_kept_by_worker", LOCKS, &["kept_by_worker"], LOST_LOCK),
    case("blocked_term", SIGNALS, &["term"], BLOCKED),
    case("blocked_int", SIGNALS, &["interrupt"], BLOCKED),
    case("blocked_hup", SIGNALS, &["hangup"], BLOCKED),
    case("blocked_in_thread", SIGNALS, &["thread"], BLOCKED),
    case("blocked_chld", SIGNALS, &["child"], BLOCKED),
    case("blocked_with_threads", SIGNALS, &["with_threads"], BLOCKED),
    case("blocked_python_thread", PYTHON_SIGNALS, &["process_of_thread"], BLOCKED),
    case("blocked_python_handler", PYTHON_SIGNALS, &["handler_never_runs"], BLOCKED),
];

/// The lock is where it belongs, or nobody can tell; the signal is taken, or not meant to be.
#[rustfmt::skip]
pub(super) static QUIET: &[Case] = &[
    case("quiet_lock_closed", LOCKS, &["closed"], NOTHING),
    case("quiet_lock_own_descriptors", LOCKS, &["own_descriptors"], NOTHING),
    case("quiet_lock_handed_over", LOCKS, &["handed_over"], NOTHING),
    case("quiet_lock_daemon_keeps", LOCKS, &["daemon_keeps"], NOTHING),
    case("quiet_lock_daemon_second", LOCKS, &["daemon_keeps_and_second_is_refused"], MAYBE),
    case("quiet_lock_daemon_locks_afterwards", LOCKS, &["daemon_locks_afterwards"], NOTHING),
    case("quiet_lock_daemon_locks_again", LOCKS, &["daemon_locks_again"], NOTHING),
    case("quiet_lock_guarded_start", LOCKS, &["guarded_start"], NOTHING),
    case("quiet_lock_sqlite_daemon", LOCKS, &["sqlite_daemon"], NOTHING),
    case("quiet_lock_sqlite_closed_before", LOCKS, &["sqlite_closed_before"], NOTHING),
    case("quiet_lock_sqlite_unused", LOCKS, &["sqlite_unused"], MAYBE),
    case("quiet_lock_accept_mutex", LOCKS, &["accept_mutex"], NOTHING),
    case("quiet_lock_accept_mutex_flock", LOCKS, &["accept_mutex_flock"], NOTHING),
    case("quiet_lock_shell", LOCKS, &["shell"], NOTHING),
    case("quiet_lock_shell_command", LOCKS, &["shell_command"], NOTHING),
    case("quiet_lock_make", LOCKS, &["jobs"], NOTHING),
    case("quiet_lock_pool", LOCKS, &["pool"], NOTHING),
    case("quiet_lock_taken_again", LOCKS, &["taken_again"], MAYBE),
    case("quiet_lock_waits_for_child", LOCKS, &["waits_for_child"], MAYBE),
    case("quiet_lock_alone", LOCKS, &["alone"], NOTHING),
    case("quiet_lock_ended_with_it", LOCKS, &["ended_with_lock"], NOTHING),
    case("quiet_lock_daemon_before_lockf", C_LOCKS, &["daemon_before_lockf"], NOTHING),
    case("quiet_lock_other_range", C_LOCKS, &["other_range"], NOTHING),
    case("quiet_lock_opened_by_child", C_LOCKS, &["opened_by_child"], NOTHING),
    case("quiet_lock_threads", C_LOCKS, &["threads"], NOTHING),
    case("quiet_lock_passed", C_LOCKS, &["passed"], NOTHING),
    case("quiet_lock_kept_and_not_wanted", C_LOCKS, &["kept_and_not_wanted"], NOTHING),
    case("quiet_signal_own_mask", SIGNALS, &["own"], NOTHING),
    case("quiet_signal_sigwait", SIGNALS, &["waits"], NOTHING),
    case("quiet_signal_signalfd", SIGNALS, &["signalfd"], NOTHING),
    case("quiet_signal_section", SIGNALS, &["section"], NOTHING),
    case("quiet_signal_blocks_again", SIGNALS, &["unblocks"], MAYBE),
    case("quiet_signal_ignored", SIGNALS, &["ignored"], NOTHING),
    case("quiet_signal_not_sent", SIGNALS, &["not_sent"], NOTHING),
    case("quiet_signal_reaped", SIGNALS, &["reaped"], NOTHING),
    case("quiet_signal_executed", SIGNALS, &["executed"], NOTHING),
    case("quiet_signal_stopped", SIGNALS, &["stopped"], NOTHING),
    case("quiet_signal_other_thread", SIGNALS, &["other_thread"], NOTHING),
    case("quiet_signal_python_restored", PYTHON_SIGNALS, &["restored"], NOTHING),
    case("quiet_signal_python_sigtimedwait", PYTHON_SIGNALS, &["waits_for_signals"], NOTHING),
];
