//! The names of pieces of advice. The `report` room has their sentences.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A piece of advice; its name in the log is in kebab case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// A thread takes a lock that it has already.
    ReleaseBeforeTaking,
    /// uWSGI: let each worker load the application.
    Uwsgi,
    /// gunicorn: let each worker load the application.
    Gunicorn,
    /// Celery: start threads in each worker.
    Celery,
    /// The lock of a buffered file of Python.
    PythonBufferedFile,
    /// What is initialised once.
    InitialiseBeforeFork,
    /// A lock of the C library's own.
    LibraryLock,
    /// A lock of Python that the forking thread had.
    PythonReleaseBeforeFork,
    /// A lock of Python.
    PythonStartMethod,
    /// A lock of native code in a Python program.
    PythonNativeLock,
    /// The lock of Rust's standard output.
    RustStdout,
    /// A lock of Rust.
    RustLock,
    /// A lock that the forking thread had.
    ReleaseBeforeFork,
    /// Any other lock.
    LockAtFork,
    /// The thread pool of Polars.
    Polars,
    /// The thread pool of Hugging Face's tokenizers.
    Tokenizers,
    /// Threads or locks of gRPC.
    Grpc,
    /// Threads or locks of librdkafka.
    Librdkafka,
    /// Threads or locks of ZeroMQ.
    Zeromq,
    /// Go's runtime.
    GoRuntime,
    /// A Java virtual machine.
    Jvm,
    /// A lock of OpenSSL's own.
    Openssl,
    /// The threads of OpenBLAS.
    Openblas,
    /// Threads or locks of GLib.
    Glib,
    /// The thread pool of spdlog.
    Spdlog,
    /// Threads of a Ruby program.
    Ruby,
    /// A queue or an executor of Python whose threads were lost.
    PythonExecutor,
    /// The thread team of GCC's OpenMP.
    Openmp,
    /// Lost threads of a Python program.
    PythonLostThreads,
    /// Lost threads.
    LostThreads,
    /// Ends of a pipe or socket that a forked child does not use.
    CloseUnusedEnds,
    /// A lock in shared memory whose holder has ended.
    SharedLock,
    /// The same in a Python program.
    PythonSharedLock,
    /// Tasks that wait for each other.
    BreakCircle,
    /// The batch processors of OpenTelemetry.
    Opentelemetry,
    /// The worker of Sentry's SDK.
    Sentry,
    /// The threads of a client of PyMongo.
    Pymongo,
    /// A `QueueListener` of Python's logging.
    QueueListener,
    /// The threads of Datadog's ddtrace.
    Datadog,
    /// The pin-memory thread of PyTorch.
    PinMemory,
    /// Work for threads that a child does not have.
    StartThreads,
    /// The same in a Python program.
    PythonStartThreads,
    /// A generator of numpy.
    NumpyGenerator,
    /// A `random.Random` of Python.
    PythonRandom,
    /// `random()`, `rand()` or `drand48()` of the C library.
    LibcRandom,
    /// `mt_rand()` of PHP.
    PhpRandom,
    /// A `Random` of Ruby.
    RubyRandom,
    /// `rand()` of Perl.
    PerlRandom,
    /// A generator of Rust's rand.
    RustRandom,
    /// Any other random number generator.
    ReseedAfterFork,
    /// A buffer of C's `stdio`.
    FlushStdio,
    /// A buffered file of Python.
    FlushPython,
    /// A connection that both sides of a fork use; likewise below.
    Connection,
    /// To PostgreSQL.
    ConnectionPostgres,
    /// To MySQL or MariaDB.
    ConnectionMysql,
    /// To Redis or Valkey.
    ConnectionRedis,
    /// To MongoDB.
    ConnectionMongo,
    /// To an AMQP broker.
    ConnectionAmqp,
    /// In gunicorn.
    ConnectionGunicorn,
    /// In Celery.
    ConnectionCelery,
    /// In uWSGI.
    ConnectionUwsgi,
    /// In a Ruby program.
    ConnectionRuby,
    /// In PHP.
    ConnectionPhp,
    /// In a Python program.
    ConnectionPython,
    /// A lock of flock(2) that fork shares.
    FileLockShared,
    /// The same in a Python program.
    FileLockSharedPython,
    /// A lock of fcntl(2) that a child does not have.
    FileLockNotInherited,
    /// A database of SQLite.
    ConnectionSqlite,
    /// A lock that a child keeps.
    FileLockKept,
    /// Signals that a child has blocked.
    UnblockSignals,
    /// The same in a Python program.
    UnblockSignalsPython,
    /// An epoll instance on both sides of a fork.
    Epoll,
    /// The same in a Python program.
    EpollPython,
    /// A file whose offset both sides of a fork move.
    FileOffset,
}
