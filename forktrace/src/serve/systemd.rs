//! What the service manager is told (`sd_notify(3)`), where there is one.

use sd_notify::NotifyState;

use super::board::Board;

/// Tells it, if there is somebody to tell. An error is none of ours: the manager has its own time limits.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

/// The service does what it is for from here on.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A sentence on what it does.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// It reads its configuration again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// It ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It lives, by the same measure as `/healthz`.
pub fn alive(board: &Board) {
    if board.ill().is_none() {
        tell(&[NotifyState::Watchdog]);
    }
}
