//! What to do about a finding, in a sentence each.

use forktrace_model::finding::Remedy;

use super::{file_lock_advice, shared_advice};

/// The advice, in words.
pub fn text(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::ReleaseBeforeTaking => RELEASE_BEFORE_TAKING,
        Remedy::Uwsgi => UWSGI,
        Remedy::Gunicorn => GUNICORN,
        Remedy::Celery => CELERY,
        Remedy::PythonBufferedFile => PYTHON_BUFFERED_FILE,
        Remedy::InitialiseBeforeFork => INITIALISE_BEFORE_FORK,
        Remedy::LibraryLock => LIBRARY_LOCK,
        Remedy::PythonReleaseBeforeFork => PYTHON_RELEASE_BEFORE_FORK,
        Remedy::PythonStartMethod => PYTHON_START_METHOD,
        Remedy::PythonNativeLock => PYTHON_NATIVE_LOCK,
        Remedy::RustStdout => RUST_STDOUT,
        Remedy::RustLock => RUST_LOCK,
        Remedy::ReleaseBeforeFork => RELEASE_BEFORE_FORK,
        Remedy::LockAtFork => LOCK_AT_FORK,
        Remedy::Polars => POLARS,
        Remedy::Tokenizers => TOKENIZERS,
        Remedy::Grpc => GRPC,
        Remedy::Librdkafka => LIBRDKAFKA,
        Remedy::Zeromq => ZEROMQ,
        Remedy::GoRuntime => GO_RUNTIME,
        Remedy::Jvm => JVM,
        Remedy::Openssl => OPENSSL,
        Remedy::Openblas => OPENBLAS,
        Remedy::Glib => GLIB,
        Remedy::Spdlog => SPDLOG,
        Remedy::Ruby => RUBY,
        Remedy::PythonExecutor => PYTHON_EXECUTOR,
        Remedy::Openmp => OPENMP,
        Remedy::PythonLostThreads => PYTHON_LOST_THREADS,
        Remedy::LostThreads => LOST_THREADS,
        Remedy::CloseUnusedEnds => CLOSE_UNUSED_ENDS,
        Remedy::SharedLock => SHARED_LOCK,
        Remedy::PythonSharedLock => PYTHON_SHARED_LOCK,
        Remedy::BreakCircle => BREAK_CIRCLE,
        Remedy::Opentelemetry => OPENTELEMETRY,
        Remedy::Sentry => SENTRY,
        Remedy::Pymongo => PYMONGO,
        Remedy::QueueListener => QUEUE_LISTENER,
        Remedy::Datadog => DATADOG,
        Remedy::PinMemory => PIN_MEMORY,
        Remedy::StartThreads => START_THREADS,
        Remedy::PythonStartThreads => PYTHON_START_THREADS,
        Remedy::NumpyGenerator => NUMPY_GENERATOR,
        Remedy::PythonRandom => PYTHON_RANDOM,
        Remedy::LibcRandom => LIBC_RANDOM,
        Remedy::PhpRandom => PHP_RANDOM,
        Remedy::RubyRandom => RUBY_RANDOM,
        Remedy::PerlRandom => PERL_RANDOM,
        Remedy::RustRandom => RUST_RANDOM,
        Remedy::ReseedAfterFork => RESEED_AFTER_FORK,
        Remedy::FlushStdio => FLUSH_STDIO,
        Remedy::FlushPython => FLUSH_PYTHON,
        other => file_lock_advice::text(other).unwrap_or_else(|| shared_advice::text(other)),
    }
}

// "Parallel random number generation" in the documentation of numpy 2; `worker_init_fn` and "Randomness in
// multi-process data loading" in that of PyTorch 2.
const NUMPY_GENERATOR: &str = "give each process a generator of its own, made after the fork from numpy.random.SeedSequence(seed).spawn(n); in a PyTorch DataLoader set worker_init_fn; if a fixed seed is wanted in every process, ignore this";

// `os.register_at_fork` and `random.Random.seed` in the documentation of Python 3.14. The module's own
// functions are seeded again in a child (`Lib/random.py`, CPython 3.7 and later).
const PYTHON_RANDOM: &str = "make or seed the generator after the fork: os.register_at_fork(after_in_child=rng.seed), or use the functions of the random module, which Python seeds again in a child; if a fixed seed is wanted in every process, ignore this";

// getrandom(2), random(3).
const LIBC_RANDOM: &str = "seed the generator in the child, srandom() or srand48() with a value from getrandom(), or take the numbers from getrandom() itself; if a fixed seed is wanted in every process, ignore this";

// `random_int` and `mt_srand` in the PHP manual.
const PHP_RANDOM: &str = "call mt_srand() in the child after pcntl_fork(), or use random_int(), which asks the kernel; if a fixed seed is wanted in every process, ignore this";

// `Random` and `Kernel#rand` in the documentation of Ruby 3.4; the default generator is seeded again in a
// child (`rb_reset_random_seed`, `random.c`, Ruby 3.1).
const RUBY_RANDOM: &str = "make a Random in the child, or use Kernel#rand or SecureRandom, which do not repeat after a fork; if a fixed seed is wanted in every process, ignore this";

// perlfunc, "srand".
const PERL_RANDOM: &str = "call srand() in the child after fork(); if a fixed seed is wanted in every process, ignore this";

// `rand::rngs::ThreadRng` and `OsRng`, rand 0.9: "ThreadRng is not automatically reseeded on fork".
const RUST_RANDOM: &str = "seed the generator again in the child, rand::rng().reseed() or StdRng::from_os_rng(), or take the numbers from the system's generator; if a fixed seed is wanted in every process, ignore this";

const RESEED_AFTER_FORK: &str = "seed the generator in the child after the fork, from getrandom() or std::random_device, or make one for each process; if a fixed seed is wanted in every process, ignore this";

// exit(3), _exit(2), fflush(3); POSIX.1-2024, "Interaction of File Descriptors and Standard I/O Streams".
const FLUSH_STDIO: &str = "call fflush(NULL) right before fork(), or end the child with _exit(), which writes no buffers; output that goes to a file or a pipe is not written at the end of each line";

// `io` and `os.fork`, `os._exit` in the documentation of Python 3.14.
const FLUSH_PYTHON: &str = "flush before os.fork(), sys.stdout.flush() and flush() of each open file, or end the child with os._exit(), which writes no buffers; close files that the child does not use before the fork, or open them after it";

// Ends of a pipe in children: pipe(7), "I/O on pipes and FIFOs".
const CLOSE_UNUSED_ENDS: &str = "close the ends that a child does not use right after the fork, and open pipes and sockets with O_CLOEXEC (pipe2, SOCK_CLOEXEC), so that programs that a child runs do not keep them: a reader sees the end only when the last copy of the write end is closed";

// Robust mutexes: pthread_mutexattr_setrobust(3).
const SHARED_LOCK: &str = "a process that ended while it had the lock left it held: use a robust mutex (pthread_mutexattr_setrobust) or a lock on a file, which the kernel releases, and do not kill processes that may hold a shared lock";

// `Process.terminate` in the documentation of multiprocessing, CPython 3.14.
const PYTHON_SHARED_LOCK: &str = "a process that ended while it had the lock left it held: do not kill or terminate processes that use a multiprocessing queue, pool or lock; give each worker a pipe of its own, or use concurrent.futures.ProcessPoolExecutor, which notices that a worker has died";

const BREAK_CIRCLE: &str = "break the circle: read a child's output to its end before waiting for the child, give each process its own end of a pipe, hold no lock while waiting for another process or thread, and take several locks in the same order everywhere";

// A thread that takes a lock again: POSIX.1-2024, pthread_mutex_lock(), "relock".
const RELEASE_BEFORE_TAKING: &str = "the thread takes a lock that it already holds: release it first, or use a recursive lock; look for a callback, a signal handler or an atfork handler that runs while the lock is held";

// uWSGI documentation, "The Art of Graceful Reloading" (preforking against lazy-apps) and
// "uWSGI API - Python decorators" (postfork); py-call-uwsgi-fork-hooks: unbit/uwsgi#2388
// (py-call-osafterfork calls those of the child alone, which cannot have taken a lock).
const UWSGI: &str = "set lazy-apps = true, so that each worker loads the application and starts its \
    threads itself, or start the threads in a @postfork function; uWSGI calls all of \
    Python's own fork handlers only with py-call-uwsgi-fork-hooks = true";

// gunicorn documentation, "Settings": preload_app, post_fork.
const GUNICORN: &str = "run gunicorn without --preload (preload_app), so that each worker loads the \
    application and starts its threads itself, or start the threads in the post_fork \
    hook";

// Celery documentation, "Signals": worker_process_init; "Concurrency": pool implementations.
const CELERY: &str = "start the threads in a handler of the worker_process_init signal, which runs in \
    each worker after the fork, or use --pool threads or solo, which fork no workers";

// CPython 3.11, Modules/_io/bufferedio.c, _enter_buffered_busy(): the lock of a buffered file
// belongs to the object, is not reachable from Python and has no handler (bpo-6721).
const PYTHON_BUFFERED_FILE: &str = "the lock is inside of a buffered file, and no fork handler can reach it: let the child open its own file (and its own log handler) or write with os.write(), or use \
    the \"spawn\" or \"forkserver\" start method";

// Such a lock is never taken again once the work is done.
const INITIALISE_BEFORE_FORK: &str = "it is initialised once: initialise it before the fork, and before the threads start that may initialise it, or exec at once in the child";

// POSIX.1-2024, fork(): the child of a process with threads may call async-signal-safe functions
// alone until it execs. glibc 2.36, posix/fork.c and time/tzset.c: fork() makes the locks of
// malloc and stdio anew, not these. Nor does it take the loader's (elf/dl-open.c, dl_load_lock).
const LIBRARY_LOCK: &str = "the lock is internal to the C library or the loader, and no handler can take it: fork before the threads start, or exec at once in the child, or call that function before the fork instead of in the child";

// CPython documentation, multiprocessing, "Contexts and start methods".
const PYTHON_RELEASE_BEFORE_FORK: &str = "release the lock before the fork (or in os.register_at_fork(before=…), and take it \
    back in after_in_parent and after_in_child), or use the \"spawn\" or \
    \"forkserver\" start method";

// The same, and os.register_at_fork(); logging does so (CPython 3.11, Lib/logging/__init__.py).
const PYTHON_START_METHOD: &str = "use the \"spawn\" or \"forkserver\" start method, or fork before the threads are \
    started, or take the lock in os.register_at_fork(before=…) and release it in \
    after_in_parent and after_in_child";

// Python's fork handlers run Python code: os.register_at_fork(), CPython documentation.
const PYTHON_NATIVE_LOCK: &str = "the lock belongs to native code, and a fork handler of Python cannot take it: use the \"spawn\" or \"forkserver\" start method, or fork before \
    the threads are started, or exec at once in the child";

// Rust 1.95, library/std/src/io/stdio.rs: the lock is reentrant, so that the thread that forked
// may write in the child while it has it; std::os::unix::process::CommandExt::exec().
const RUST_STDOUT: &str = "write to the descriptor itself in the child (libc::write), or hold the guard of \
    stdout().lock() across the fork, or exec at once in the child, as \
    std::process::Command does";

// A guard that is alive at the fork is dropped on both sides.
const RUST_LOCK: &str = "fork before the threads are started, or hold the lock's guard across the fork and \
    drop it in both processes, or exec at once in the child, as std::process::Command \
    does";

const RELEASE_BEFORE_FORK: &str = "release the lock before fork() or in a pthread_atfork() handler, or exec at once \
    in the child";

// POSIX.1-2024, pthread_atfork(), rationale: the prepare handler takes the locks.
const LOCK_AT_FORK: &str = "fork before the threads are started, or take the lock in a pthread_atfork() \
    prepare handler and release it in both processes, or exec at once in the child";

// Polars user guide, "Multiprocessing".
const POLARS: &str = "the thread pool of Polars does not exist in a forked child: start processes with \
    multiprocessing.get_context(\"spawn\")";

// Hugging Face tokenizers, bindings/python/src/utils and its warning after a fork.
const TOKENIZERS: &str = "the thread pool of tokenizers does not exist in a forked child: do not tokenize \
    before the fork, or set TOKENIZERS_PARALLELISM=false";

// OpenTelemetry Python, "Working With Fork Process Models": providers are made in each worker, in gunicorn's
// post_fork or uWSGI's postfork.
const OPENTELEMETRY: &str = "the exporter's thread does not exist in the child, and its spans, logs or metrics are \
    never sent: set up the provider in each worker, after the fork (gunicorn: post_fork, uWSGI: @postfork, \
    Celery: worker_process_init)";

// getsentry/sentry-python, docs "Gunicorn" and issue 1138: init in each worker.
const SENTRY: &str = "the thread that sends events does not exist in the child: call sentry_sdk.init() in each \
    worker, after the fork (gunicorn: post_fork, Celery: worker_process_init)";

// PyMongo, FAQ "Is PyMongo fork-safe?": MongoClient must be made after the fork.
const PYMONGO: &str = "the threads of a MongoClient do not exist in the child: create a MongoClient in each process, \
    after the fork";

// CPython, Doc/howto/logging-cookbook.rst, "Logging to a single file from multiple processes".
const QUEUE_LISTENER: &str = "the thread of the QueueListener does not exist in the child, and its records are never \
    written: start a listener in each process after the fork, or use a multiprocessing.Queue that the listener of \
    the parent reads";

// ddtrace, docs/advanced_usage.rst, "uWSGI": threads must be started in each worker (enable-threads,
// lazy-apps).
const DATADOG: &str = "the thread that sends traces does not exist in the child: import ddtrace.auto in each worker, \
    after the fork (uWSGI: --enable-threads and --lazy-apps or --import=ddtrace.bootstrap.sitecustomize)";

// torch.utils.data.DataLoader: its workers and its pin-memory thread belong to the process that iterates.
const PIN_MEMORY: &str = "the thread of the DataLoader that copies to pinned memory does not exist in the child: make \
    the DataLoader's iterator in the process that uses it, or pin_memory=False";

// pthread_atfork(3): a handler in the child can start threads again.
const START_THREADS: &str = "start the thread in each child, after the fork, with a queue of its own (a handler of \
    pthread_atfork() can do that; a library has a call for it, or must be used only in the child), or exec in the \
    child";

// CPython documentation, os.register_at_fork().
const PYTHON_START_THREADS: &str = "start the thread in each child, after the fork, with a queue of its own \
    (os.register_at_fork(after_in_child=…) can do that), or use the \"spawn\" or \"forkserver\" start method";

// gRPC, doc/fork_support.md: the polling strategies epoll1 and poll only.
const GRPC: &str = "gRPC's threads do not exist in the child: create channels and servers after the fork, or \
    set GRPC_ENABLE_FORK_SUPPORT=true and GRPC_POLL_STRATEGY=poll";

// confluentinc/librdkafka#2374 and confluentinc/confluent-kafka-python#417: its threads do not survive a
// fork, so that a client is made in the process that uses it.
const LIBRDKAFKA: &str = "the threads of a Kafka client do not exist in the child: create a client in each \
    process, after the fork";

// The ZeroMQ guide, "Getting the Context Right": each process needs its own context.
const ZEROMQ: &str = "the I/O threads of a ZeroMQ context do not exist in the child: create a context and its \
    sockets in each process, after the fork, with zmq_ctx_new()";

// golang/go#15538 and #53806: Go programs always have several threads, and their scheduler needs them.
const GO_RUNTIME: &str = "Go code cannot run in a forked child, since the threads of its runtime do not exist \
    there: load the Go library only after the fork, or start the child with exec (os/exec)";

// The collector, the compiler and the like are threads of HotSpot's, started by JNI_CreateJavaVM(). Java
// itself starts programs by exec (OpenJDK, libjava/ProcessImpl_md.c).
const JVM: &str = "a Java virtual machine cannot run in a forked child, since its threads do not exist there: \
    create it after the fork with JNI_CreateJavaVM(), or exec in the child (ProcessBuilder)";

// OPENSSL_fork_prepare(3), OpenSSL 3.0: the fork handlers do nothing, so that its locks stay as they are.
const OPENSSL: &str = "the lock is OpenSSL's own, and its fork handlers do not take it: fork before threads use \
    OpenSSL, or exec at once in the child";

// OpenBLAS, README.md, "Setting the number of threads using environment variables"; numpy/numpy#30092.
const OPENBLAS: &str = "the threads of OpenBLAS do not exist in the child: use a start method that execs \
    (in Python \"spawn\"), or set OPENBLAS_NUM_THREADS=1";

// GLib, GSpawnChildSetupFunc: locks of other threads stay locked in the child.
const GLIB: &str = "a forked child that does not exec cannot use GLib once threads exist: fork before the first \
    thread, or start the child with g_spawn_async() or GSubprocess";

// gabime/spdlog#748, #2309 and #2874: what makes threads must be called after the fork.
const SPDLOG: &str = "the thread pool of spdlog does not exist in the child: create the loggers in each \
    process, after spdlog::init_thread_pool() there";

// Puma, lib/puma/dsl.rb: before_worker_boot, called on_worker_boot before Puma 7.
const RUBY: &str = "threads of the parent do not exist in the child: start threads, timers and executors in each \
    worker, with Puma in before_worker_boot (on_worker_boot before Puma 7)";

// CPython documentation, os.register_at_fork(); the hooks as above.
const PYTHON_EXECUTOR: &str = "the threads that serve this queue or executor do not exist in the child: create it in \
    the child, in the worker's start hook (gunicorn: post_fork, Celery: worker_process_init, others: \
    os.register_at_fork(after_in_child=…)), or use the \"spawn\" start method";

// OpenMP 5.0, omp_pause_resource_all(); libgomp/team.c, gomp_pause_host(): the team ends (tried
// with GCC 12). LLVM's runtime has an atfork handler (openmp/runtime/src/z_Linux_util.cpp,
// __kmp_atfork_child()); libgomp has none (GCC bug 60035).
const OPENMP: &str = "GCC's OpenMP waits for its threads, which the child does not have: use OpenMP only in the child, or call omp_pause_resource_all(omp_pause_hard) before \
    the fork, or run with OMP_NUM_THREADS=1, or link LLVM's libomp, or use a start \
    method that execs";

const PYTHON_LOST_THREADS: &str = "use the \"spawn\" or \"forkserver\" start method, or start the threads that the \
    child waits for in the child, after the fork";

const LOST_THREADS: &str = "start the threads that the child waits for in the child, after the fork (a library with its own thread pool has a call for that, or must be used only in the child), or exec at once in the child";
