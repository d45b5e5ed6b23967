//! Faults that others have met and reported in public, each as a program of its own that does what
//! theirs did. `docs/reports.md` shows what is said of them.

use super::*;

/// Children that hang as somebody's once did.
#[rustfmt::skip]
pub(super) static REPORTS: &[Case] = &[
    case("report_bpo6721", "reports/bpo6721.py", &[], PYTHON).late(LIKELY),
    case("report_pytorch75147", "reports/pytorch75147.c", &[], MUTEX).late(LIKELY),
    case("report_ruby10889", "reports/ruby10889.c", &[], MUTEX).late(LIKELY),
    case("report_rocksdb10652", "reports/rocksdb10652.c", &[], INTERNAL).late(LIKELY),
    case("report_openpbs2299", "reports/openpbs2299.c", &[], INTERNAL).late(LIKELY),
    case("report_gcc60035", "reports/gcc60035.omp.c", &[], LOST).late(LIKELY),
    case("report_uwsgi1369", "reports/uwsgi1369.c", &["4"], SEMAPHORE).late(LIKELY),
    case("report_horust20", "std_locks.rs", &["stdout", "thread", "release"], RUST_MUTEX).late(LIKELY),

    // Locks that were held at the fork.
    case("report_ddtrace18900", "reports/ddtrace18900.py", &[], PYTHON).late(LIKELY),
    case("report_tqdm627", "reports/tqdm627.py", &[], PYTHON_RLOCK).package("tqdm").late(LIKELY),
    case("report_openssl19066", "reports/openssl19066.c", &[], WRITER).late(LIKELY),
    case("report_lxc1319", "reports/lxc1319.c", &[], INTERNAL).late(LIKELY),
    case("report_openvas491", "reports/openvas491.glib.c", &[], ownerless("GLib GMutex")).late(LIKELY),

    // Threads that were lost.
    case("report_concurrentruby500", "reports/concurrentruby500.py", &[], LOST).late(LIKELY),
    case("report_langfuse1654", "reports/langfuse1654.py", &[], LOST).late(LIKELY),
    case("report_langfuse1654_restarted", "reports/langfuse1654.py", &["restarted"], LOST).or("deadlock").late(LIKELY),
    case("report_postmark8", "reports/postmark8.py", &[], LOST).late(LIKELY),
    case("report_granne18", "granne18.rs", &[], LOST).late(LIKELY),
    case("report_libafl1524", "libafl1524.rs", &[], LOST).late(LIKELY),
    case("report_spdlog2309", "spdlog2309.rs", &[], LOST).late(LIKELY),
    case("report_log4cplus364", "reports/log4cplus364.log4cplus.cc", &[], LOST).late(LIKELY),
    case("report_s3fsfuse2204", "reports/s3fsfuse2204.cc", &[], LOST).late(LIKELY),
    case("report_golang53806", "reports/golang53806.c", &[], LOST).late(LIKELY),
    case("report_px4_20802", "reports/px4_20802.cc", &[], ownerless("glibc condition variable (in use)")).late(LIKELY),
    case("report_pydbus97", "reports/pydbus97.glib.c", &[], LOST).late(LIKELY).least(LIKELY),
    case("report_nanomsg779", "reports/nanomsg779.nanomsg.c", &[], LOST).late(LIKELY).least(LIKELY),
    // They look again and again.
    case("report_s3fs914", "reports/s3fs914.py", &[], LOST).least(LIKELY).package("fsspec").late_poll(LIKELY),
    case("report_confluent1409", "reports/confluent1409.py", &[], LOST).least(LIKELY).package("confluent_kafka").late_poll(LIKELY),
    case("report_grpc13873", "reports/grpc13873.py", &[], LOST).package("grpc").late_poll(None)
        // It polls a connection whose other end lives, too.
        .least(None),

    // Circles, also across processes.
    case("report_cpython73983", "reports/cpython73983.py", &[], DEADLOCK).late(LIKELY),
    case("report_loguru309", "reports/loguru309.py", &[], DEADLOCK).late(LIKELY),
    case("report_localstack1101", "reports/localstack1101.py", &[], DEADLOCK).least(None).late(None),
    case("report_gitwrapper100", "reports/gitwrapper100.pl", &[], DEADLOCK).least(None).late(None),

    // Shared locks of somebody who was killed.
    case("report_cpython96062", "reports/cpython96062.py", &[], ORPHANED).or("deadlock").late(LIKELY),
    case("report_birdnet83", "reports/birdnet83.py", &[], ORPHANED).or("deadlock").late(LIKELY),
    case("report_tqdm1500", "reports/tqdm1500.py", &[], ORPHANED).or("deadlock").package("tqdm").late(LIKELY),
    case("report_apcu486", "reports/apcu486.c", &["2"], ORPHANED).or("deadlock").late(LIKELY),

    // Ends that somebody keeps open.
    case("report_dramatiq707", "reports/dramatiq707.py", &[], HELD_OPEN).or("deadlock").late(LIKELY),
    case("report_pgcopydb563", "reports/pgcopydb563.c", &[], HELD_OPEN).least(SUSPECT).or("deadlock").late_poll(SUSPECT),
    case("report_plumbum840", "reports/plumbum840.py", &[], HELD_OPEN)
        .limit(None, "the reader is the first process of the trace, and the daemon that has the other end can run").late(None),

    // They spin.
    case("report_rocm6777", "reports/rocm6777.cc", &[], ownerless("spinlock"))
        .limit(None, SPINS),
    case("report_openblas294", "reports/openblas294.c", &[], LOST)
        .limit(None, SPINS),
    case("report_czmq2038", "reports/czmq2038.py", &[], LOST).package("zmq")
        .limit(None, SPINS),
];

const SPINS: &str = "a thread that spins waits in no system call; it is named as busy, not judged";

/// The documented right way with some of the same libraries.
#[rustfmt::skip]
pub(super) static QUIET: &[Case] = &[
    case("quiet_report_tqdm", "reports/healthy.py", &["tqdm"], NOTHING).package("tqdm"),
    case("quiet_report_fsspec", "reports/healthy.py", &["fsspec"], MAYBE).package("fsspec"),
    case("quiet_report_confluent", "reports/healthy.py", &["confluent"], MAYBE).package("confluent_kafka"),
    case("quiet_report_zmq", "reports/healthy.py", &["zmq"], MAYBE).package("zmq"),
    case("quiet_report_grpc", "reports/healthy.py", &["grpc"], MAYBE).package("grpc"),
    case("quiet_report_executor", "reports/healthy.py", &["executor"], MAYBE),
    case("quiet_report_queue", "reports/healthy.py", &["queue"], MAYBE),
    case("quiet_report_subprocess", "reports/healthy.py", &["subprocess"], NOTHING),
];
