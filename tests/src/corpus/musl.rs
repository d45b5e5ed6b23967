//! Programs in C that are linked with musl.

use super::*;

/// Children that hang.
#[rustfmt::skip]
pub(super) static HANGS: &[Case] = &[
    case("hang_musl_mutex", "inherited.musl.c", &["normal", "parent"], MUSL),
    case("hang_musl_recursive", "inherited.musl.c", &["recursive", "parent"], MUSL_RECURSIVE),
    case("hang_musl_errorcheck", "inherited.musl.c", &["errorcheck", "parent"], MUSL_ERRORCHECK),
    case("hang_musl_robust", "inherited.musl.c", &["robust", "parent"], MUSL_ROBUST),
    case("hang_musl_file", "inherited.musl.c", &["file", "parent"], MUSL_FILE),
    case("hang_musl_writer", "inherited.musl.c", &["write", "parent"], MUSL_WRITER),
    case("hang_musl_reader", "inherited.musl.c", &["read", "parent"], MUSL_READER),
    case("hang_musl_once", "inherited.musl.c", &["once", "parent"], MUSL_ONCE),
    case("hang_musl_beside_idle", "beside_musl.musl.c", &["mutex", "lost", "idle"], MUSL),
    case("hang_musl_beside_busy", "beside_musl.musl.c", &["mutex", "lost", "busy"], MUSL),
];

/// Programs in which every wait ends.
#[rustfmt::skip]
pub(super) static QUIET: &[Case] = &[
    case("quiet_musl_mutex", "inherited.musl.c", &["normal", "child"], NOTHING),
    case("quiet_musl_recursive", "inherited.musl.c", &["recursive", "child"], NOTHING),
    case("quiet_musl_file", "inherited.musl.c", &["file", "child"], NOTHING),
    case("quiet_musl_rwlock", "inherited.musl.c", &["write", "child"], NOTHING),
    case("quiet_musl_once", "inherited.musl.c", &["once", "child"], NOTHING),
    case("quiet_musl_beside_of_child", "beside_musl.musl.c", &["mutex", "child", "idle"], NOTHING),
    case("quiet_musl_beside_taken_again", "beside_musl.musl.c", &["mutex", "again", "idle"], MAYBE),
    case("quiet_musl_beside_page_written", "beside_musl.musl.c", &["mutex", "beside", "idle"], MAYBE),
];
