//! Programs whose processes use one connection, and their healthy look-alikes.

use super::*;

/// All of these.
pub(super) static ALL: [&[Case]; 6] = [FOUND, QUIET, FILES, QUIET_FILES, SERVERS, QUIET_SERVERS];

/// Both sides of a fork use it.
#[rustfmt::skip]
static FOUND: &[Case] = &[
    case("shared_crossed", "connection.py", &["crossed"], SHARED),
    case("shared_siblings", "connection.py", &["siblings"], SHARED),
    case("shared_workers", "connection.py", &["workers"], SHARED),
    case("shared_service", "connection.py", &["service"], SHARED).late(Some(Confidence::Certain)),
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
static QUIET: &[Case] = &[
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
    case("quiet_shared_addresses_again", "connection.py", &["addresses_again"], NOTHING),
    case("quiet_shared_addresses_again_unix", "connection.py", &["addresses_again", "unix"], NOTHING),
    case("quiet_shared_unused_unix", "connection.py", &["unused", "unix"], NOTHING),
    case("quiet_shared_forking_server_unix", "connection.py", &["handover", "unix"], NOTHING),
];

/// Both sides of a fork use one open file, or one epoll instance.
#[rustfmt::skip]
static FILES: &[Case] = &[
    case("shared_file_halves", "open_files.py", &["halves"], SHARED).least(LIKELY),
    case("shared_file_workers", "open_files.py", &["workers"], SHARED).least(LIKELY),
    case("shared_file_buffered", "open_files.py", &["buffered"], SHARED).least(LIKELY),
    case("shared_file_turns", "open_files.py", &["turns"], SHARED).least(LIKELY),
    case("shared_epoll_both_wait", "open_files.py", &["both_wait"], SHARED).least(LIKELY),
    case("shared_epoll_loops", "open_files.py", &["loops"], SHARED).least(LIKELY),
    case("shared_epoll_accepted", "open_files.py", &["accepted"], SHARED),
    case("shared_epoll_taken_out", "open_files.py", &["taken_out"], SHARED),
];

/// One process uses it, or they share it on purpose.
#[rustfmt::skip]
static QUIET_FILES: &[Case] = &[
    case("quiet_file_mixed_lines", "open_files.py", &["mixed_lines"], MAYBE),
    case("quiet_file_handover", "open_files.py", &["handover"], NOTHING),
    case("quiet_file_after_the_child", "open_files.py", &["after_the_child"], NOTHING),
    case("quiet_file_named_places", "open_files.py", &["named_places"], NOTHING),
    case("quiet_file_appended", "open_files.py", &["appended"], NOTHING),
    case("quiet_file_opened_again", "open_files.py", &["opened_again"], NOTHING),
    case("quiet_file_busy_with_others", "open_files.py", &["busy_with_others"], NOTHING),
    case("quiet_file_standard_input", "open_files.py", &["standard_input"], NOTHING),
    case("quiet_file_captured", "open_files.py", &["captured"], NOTHING),
    case("quiet_file_executed", "open_files.py", &["executed"], NOTHING),
    case("quiet_file_jobserver", "open_files.py", &["jobserver"], NOTHING),
    case("quiet_file_null_and_locks", "open_files.py", &["null_and_locks"], NOTHING),
    case("quiet_file_log_of_workers", "open_files.py", &["log_of_workers"], NOTHING),
    case("quiet_epoll_own_after_fork", "open_files.py", &["own_after_fork"], NOTHING),
    case("quiet_epoll_listening_alone", "open_files.py", &["listening_alone"], MAYBE),
    case("quiet_epoll_made_again", "open_files.py", &["made_again"], NOTHING),
    case("quiet_epoll_closed", "open_files.py", &["closed"], NOTHING),
    case("quiet_epoll_unused", "open_files.py", &["unused"], NOTHING),
    case("quiet_epoll_daemon", "open_files.py", &["daemon"], NOTHING),
    case("quiet_epoll_own_loops", "open_files.py", &["own_loops"], MAYBE),
    case("quiet_epoll_unregistered_itself", "open_files.py", &["unregistered_itself"], NOTHING),
];

/// Workers that use the connection to a real server that the process that forked them has opened.
#[rustfmt::skip]
static SERVERS: &[Case] = &[
    case("shared_postgres_reuse", "servers.py", &["postgres", "reuse"], SHARED).server(Need::Postgres),
    case("shared_postgres_goodbye", "servers.py", &["postgres", "goodbye"], SHARED).server(Need::Postgres),
    case("shared_postgres_tls_reuse", "servers.py", &["postgres_tls", "reuse"], SHARED).server(Need::Postgres),
    case("shared_redis_reuse", "servers.py", &["redis", "reuse"], SHARED).server(Need::Redis),
    case("shared_redis_goodbye", "servers.py", &["redis", "goodbye"], SHARED).least(LIKELY).server(Need::Redis),
    case("shared_http_reuse", "servers.py", &["http", "reuse"], SHARED),
];

/// Workers with connections of their own.
#[rustfmt::skip]
static QUIET_SERVERS: &[Case] = &[
    case("quiet_postgres_fresh", "servers.py", &["postgres", "fresh"], NOTHING).server(Need::Postgres),
    case("quiet_postgres_disposed", "servers.py", &["postgres", "disposed"], NOTHING).server(Need::Postgres),
    case("quiet_postgres_closed", "servers.py", &["postgres", "closed"], NOTHING).server(Need::Postgres),
    case("quiet_postgres_handed_over", "servers.py", &["postgres", "handed_over"], NOTHING).server(Need::Postgres),
    case("quiet_postgres_tls_fresh", "servers.py", &["postgres_tls", "fresh"], NOTHING).server(Need::Postgres),
    case("quiet_postgres_tls_disposed", "servers.py", &["postgres_tls", "disposed"], NOTHING).server(Need::Postgres),
    case("quiet_redis_fresh", "servers.py", &["redis", "fresh"], NOTHING).server(Need::Redis),
    case("quiet_redis_disposed", "servers.py", &["redis", "disposed"], NOTHING).server(Need::Redis),
    case("quiet_redis_closed", "servers.py", &["redis", "closed"], NOTHING).server(Need::Redis),
    case("quiet_http_fresh", "servers.py", &["http", "fresh"], NOTHING),
    case("quiet_http_disposed", "servers.py", &["http", "disposed"], NOTHING),
    case("quiet_http_closed", "servers.py", &["http", "closed"], NOTHING),
];
