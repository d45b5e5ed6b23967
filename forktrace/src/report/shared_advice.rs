//! What to do about a connection, an epoll instance or a file that several processes use.

use forktrace_model::finding::Remedy;

/// The advice, in words.
pub(super) fn text(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::ConnectionPostgres => POSTGRES,
        Remedy::ConnectionMysql => MYSQL,
        Remedy::ConnectionRedis => REDIS,
        Remedy::ConnectionMongo => MONGO,
        Remedy::ConnectionAmqp => AMQP,
        Remedy::ConnectionGunicorn => GUNICORN,
        Remedy::ConnectionCelery => CELERY,
        Remedy::ConnectionUwsgi => UWSGI,
        Remedy::ConnectionRuby => RUBY,
        Remedy::ConnectionPhp => PHP,
        Remedy::ConnectionPython => PYTHON,
        Remedy::Epoll => EPOLL,
        Remedy::EpollPython => EPOLL_PYTHON,
        Remedy::FileOffset => FILE_OFFSET,
        _ => CONNECTION,
    }
}

const CONNECTION: &str = "open the connection after the fork, one in each process. In the child do not use the inherited one at all, also not to say goodbye: no QUIT, no Terminate, no shutdown(); close() alone is safe";

// libpq: documentation of PostgreSQL 17, 32.1 ("forking a process with open libpq connections").
// SQLAlchemy: "Using Connection Pools with Multiprocessing or os.fork()", 2.0.
const POSTGRES: &str = "connect after the fork, in each process: libpq connections must not be used on both sides of a fork, and closing one in the child ends the parent's session. SQLAlchemy: engine.dispose(close=False) first thing in the child; psycopg: connect in gunicorn's post_fork or Celery's worker_process_init; ActiveRecord: connect in Puma's before_worker_boot";

// mysqlclient and mysql_close(): MySQL 8.4 C API, COM_QUIT.
const MYSQL: &str = "connect after the fork, in each process, and do not call mysql_close() on the inherited connection: it ends the parent's session. SQLAlchemy: engine.dispose(close=False) first thing in the child; Django: connections.close_all() before the fork";

// redis-py compares the pid per pool (`ConnectionPool._checkpid`, 5.0), but not for a connection that is
// checked out or a pub/sub; redis-rb: `Redis::InheritedError`, 4.8.
const REDIS: &str = "make the client (redis-py: also each pub/sub and each connection that was taken from the pool) after the fork, in each process, and neither QUIT nor disconnect() the inherited one: its shutdown() ends the parent's connection too";

// PyMongo's FAQ, "Is PyMongo fork-safe?", 4.x.
const MONGO: &str =
    "make the MongoClient after the fork, in each process: an inherited one is not fork-safe";

// Pika's FAQ ("Is Pika thread safe?") and kombu's `Connection.collapse`; Celery makes new ones in its pool.
const AMQP: &str = "open AMQP connections and channels after the fork, in each process: frames of two processes mix on one channel";

// Server hooks of gunicorn 23, `post_fork`, `--preload`.
const GUNICORN: &str = "the application was loaded before gunicorn forked its workers (--preload): open connections in the post_fork hook, or do not use --preload";

// Celery 5, signals, `worker_process_init`.
const CELERY: &str = "open connections in the worker_process_init signal, not at import: Celery's prefork pool forks after the application was loaded";

// uWSGI, "The Art of Graceful Reloading" (lazy-apps) and "uWSGI API - Python decorators" (postfork).
const UWSGI: &str = "run uWSGI with lazy-apps = true, or open connections in a function with @uwsgidecorators.postfork: the application was loaded before the workers were forked";

// Puma 6: `preload_app!`, `on_worker_boot` (`before_worker_boot` from 7.0).
const RUBY: &str = "open connections after the fork: in Puma's on_worker_boot (before_worker_boot from 7.0), in Unicorn's after_fork; disconnect before the fork with ActiveRecord::Base.connection_handler.clear_all_connections!";

const PHP: &str = "open connections after pcntl_fork(), in each process; let children end with posix_kill() or exec, since their destructors say goodbye on the inherited connection";

const PYTHON: &str = "open the connection after the fork: in the target function of multiprocessing, in the pool's initializer, or with os.register_at_fork(after_in_child=…); or use the start method \"spawn\" or \"forkserver\"; let os.fork() children end with os._exit()";

// epoll(7), "Questions and answers"; libevent 2.1 `event_reinit`, libuv 1.x `uv_loop_fork`, libev `ev_loop_fork`.
const EPOLL: &str = "make the epoll instance after the fork, one in each process, and close the inherited one in the child without EPOLL_CTL_DEL, which changes it for the parent too. libevent: event_reinit() in the child; libuv: uv_loop_fork(); libev: ev_loop_fork()";

// CPython 3.14, asyncio, "Platform support" and `asyncio.Runner`; `os.register_at_fork`.
const EPOLL_PYTHON: &str = "make the event loop after the fork, in the child: asyncio.run() or asyncio.new_event_loop(), never the parent's loop, and neither close() it nor unregister from its selector there; with libraries as gevent and uvloop fork before the loop is made, or use the start method \"spawn\"";

// open(2), "Open file descriptions"; fork(2); pread(2).
const FILE_OFFSET: &str = "open the file after the fork, in each process, so that each has an offset of its own; or read and write at places that you name (pread, pwrite); for a log that several processes write, open it with O_APPEND";
