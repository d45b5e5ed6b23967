//! Programs whose processes use one connection, and their healthy look-alikes.

use super::*;

/// Both sides of a fork use it.
#[rustfmt::skip]
pub(super) static FOUND: &[Case] = &[
    case("shared_crossed", "connection.py", &["crossed"], SHARED),
    case("shared_siblings", "connection.py", &["siblings"], SHARED),
    case("shared_workers", "connection.py", &["workers"], SHARED),
    case("shared_grandchild", "connection.py", &["grandchild"], SHARED),
    case("shared_in_turns", "connection.py", &["in_turns"], SHARED).least(LIKELY),
    case("shared_goodbye", "connection.py", &["goodbye"], SHARED),
    case("shared_shut_down", "connection.py", &["shut_down"], SHARED),
    case("shared_records", "connection.py", &["records"], SHARED),
    case("shared_scattered", "connection.py", &["scattered"], SHARED),
    case("shared_pool", "connection.py", &["pool"], SHARED),
    case("shared_duplicate", "connection.py", &["duplicate"], SHARED),
    case("shared_crossed_unix", "connection.py", &["crossed", "unix"], SHARED),
    case("shared_crossed_inet6", "connection.py", &["crossed", "inet6"], SHARED),
    case("shared_goodbye_unix", "connection.py", &["goodbye", "unix"], SHARED).least(LIKELY),
    case("shared_reader", "connection.py", &["reader"], SHARED).least(LIKELY),
];

/// One process uses it, or they share it on purpose.
#[rustfmt::skip]
pub(super) static QUIET: &[Case] = &[
    case("quiet_shared_unused", "connection.py", &["unused"], NOTHING),
    case("quiet_shared_closed", "connection.py", &["closed"], NOTHING),
    case("quiet_shared_opened_again", "connection.py", &["opened_again"], NOTHING),
    case("quiet_shared_handover", "connection.py", &["handover"], NOTHING),
    case("quiet_shared_daemon", "connection.py", &["daemon"], NOTHING),
    case("quiet_shared_relay", "connection.py", &["relay"], NOTHING),
    case("quiet_shared_relay_that_answers", "connection.py", &["relay_that_answers"], MAYBE),
    case("quiet_shared_one_after_the_other", "connection.py", &["one_after_the_other"], NOTHING),
    case("quiet_shared_privileged", "connection.py", &["privileged"], NOTHING),
    case("quiet_shared_prefork_server", "connection.py", &["prefork_server"], NOTHING),
    case("quiet_shared_forking_server", "connection.py", &["forking_server"], NOTHING),
    case("quiet_shared_pair", "connection.py", &["pair"], NOTHING),
    case("quiet_shared_datagrams", "connection.py", &["datagrams"], NOTHING),
    case("quiet_shared_log_lines", "connection.py", &["log_lines"], NOTHING),
    case("quiet_shared_executed", "connection.py", &["executed"], NOTHING),
    case("quiet_shared_standard_output", "connection.py", &["standard_output"], NOTHING),
    case("quiet_shared_passed", "connection.py", &["passed"], NOTHING),
    case("quiet_shared_threads", "connection.py", &["threads"], NOTHING),
    case("quiet_shared_queue", "connection.py", &["queue"], NOTHING),
    case("quiet_shared_watched", "connection.py", &["watched"], NOTHING),
    case("quiet_shared_abandoned", "connection.py", &["abandoned"], NOTHING),
    case("quiet_shared_unused_unix", "connection.py", &["unused", "unix"], NOTHING),
    case("quiet_shared_forking_server_unix", "connection.py", &["handover", "unix"], NOTHING),
];
