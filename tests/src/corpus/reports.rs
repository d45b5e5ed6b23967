//! Faults that others have met and reported in public, each as a program of its own that does what
//! theirs did. `docs/reports.md` shows what is said of them.

use super::*;

/// Children that hang as somebody's once did.
#[rustfmt::skip]
pub(super) static REPORTS: &[Case] = &[
    case("report_bpo6721", "reports/bpo6721.py", &[], PYTHON),
    case("report_pytorch75147", "reports/pytorch75147.c", &[], MUTEX),
    case("report_ruby10889", "reports/ruby10889.c", &[], MUTEX),
    case("report_rocksdb10652", "reports/rocksdb10652.c", &[], INTERNAL),
    case("report_openpbs2299", "reports/openpbs2299.c", &[], INTERNAL),
    case("report_gcc60035", "reports/gcc60035.omp.c", &[], LOST_WORD),
    case("report_uwsgi1369", "reports/uwsgi1369.c", &["4"], SEMAPHORE),
    case("report_horust20", "std_locks.rs", &["stdout", "thread", "release"], RUST_MUTEX),
];
