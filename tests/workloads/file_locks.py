"""Processes of a fork family and a lock on a file. Argument: what they do with it."""

import contextlib
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

MAIN = os.getpid()
FOLDER = tempfile.mkdtemp(prefix="forktrace-locks-")
PATH = os.path.join(FOLDER, "service.lock")
EX, NB, UN = fcntl.LOCK_EX, fcntl.LOCK_NB, fcntl.LOCK_UN


def opened(path=PATH):
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def fork(run, *args):
    pid = os.fork()
    if pid == 0:
        try:
            run(*args)
        finally:
            os._exit(0)
    print(f"also={MAIN} {pid}", flush=True)
    return pid


def reap(*pids):
    for pid in pids:
        os.waitpid(pid, 0)


def harms(pid=MAIN):
    """A finding about this process is right."""
    print(f"stuck={pid}", flush=True)


def other(code, *args, wait=True, **more):
    """Another program, which is not of this family."""
    process = subprocess.Popen([sys.executable, "-c", code, *args], **more)
    return process.wait() if wait else process


TRIES = (
    "import fcntl,sys,time\n"
    "f = open(sys.argv[1])\n"
    "fcntl.flock(f, fcntl.LOCK_EX|fcntl.LOCK_NB)\n"
    "time.sleep(0.3)\n"
)


# What must be found.


def released(lock=fcntl.flock):
    """A child leaves its parent's `with` block, and gives the lock back."""
    harms()
    fd = opened()
    lock(fd, EX)
    child = fork(lambda: (time.sleep(0.1), lock(fd, UN), time.sleep(0.1)))
    time.sleep(0.6)
    reap(child)
    lock(fd, UN)
    time.sleep(0.2)


def released_and_taken():
    harms()
    fd = opened()
    fcntl.flock(fd, EX)
    reap(fork(lambda: fcntl.flock(fd, UN)))
    other(TRIES, PATH)
    fcntl.flock(fd, UN)
    time.sleep(0.2)


def released_by_worker():
    """A service that holds its lock for as long as it lives."""
    harms()
    fd = opened()
    fcntl.flock(fd, EX | NB)
    workers = [fork(time.sleep, 3.5) for _ in range(2)]
    workers.append(fork(lambda: (time.sleep(0.2), fcntl.flock(fd, UN))))
    time.sleep(3.5)
    reap(*workers)


def released_by_grandchild():
    harms()
    fd = opened()
    fcntl.flock(fd, EX)
    reap(fork(lambda: reap(fork(lambda: fcntl.flock(fd, UN)))))
    time.sleep(2.5)


def released_at_unwind():
    """`finally` runs in the child too."""
    harms()
    fd = opened()

    @contextlib.contextmanager
    def locked():
        fcntl.flock(fd, EX)
        try:
            yield
        finally:
            fcntl.flock(fd, UN)

    child = None
    with contextlib.suppress(KeyError), locked():
        child = os.fork()
        if child == 0:
            raise KeyError
        print(f"also={MAIN} {child}", flush=True)
        time.sleep(0.5)
    if child == 0:
        os._exit(0)
    reap(child)
    time.sleep(0.2)


def released_shared():
    """A reader's lock."""
    harms()
    fd = opened()
    fcntl.flock(fd, fcntl.LOCK_SH)
    reap(fork(lambda: fcntl.flock(fd, UN)))
    time.sleep(0.5)
    fcntl.flock(fd, UN)
    time.sleep(0.2)


def parent_releases():
    """The child took it by the inherited descriptor; the parent cleans up."""
    fd = opened()
    mine, its = os.pipe()

    def work():
        fcntl.flock(fd, EX)
        os.write(its, b"x")
        time.sleep(1)
        fcntl.flock(fd, UN)
        time.sleep(0.3)

    child = fork(work)
    harms(child)
    os.read(mine, 1)
    fcntl.flock(fd, UN)
    reap(child)


def takes_turns(fd):
    for _ in range(10):
        fcntl.flock(fd, EX)
        time.sleep(0.02)
        fcntl.flock(fd, UN)
        time.sleep(0.005)


def useless_mutex():
    """Workers exclude each other by one descriptor: they do not."""
    harms()
    fd = opened()
    reap(*[fork(takes_turns, fd) for _ in range(3)])


def useless_mutex_of_parent():
    """The same of a parent and its child."""
    harms()
    fd = opened()
    child = fork(takes_turns, fd)
    takes_turns(fd)
    reap(child)


OFD_SETLK = 37


def ofd(fd, how):
    import struct

    kind = {EX: fcntl.F_WRLCK, EX | NB: fcntl.F_WRLCK, UN: fcntl.F_UNLCK}[how]
    fcntl.fcntl(fd, OFD_SETLK, struct.pack("hhqqii", kind, 0, 0, 0, 0, 0))


def released_ofd():
    released(ofd)


def daemonize(before, after):
    """As a daemon makes itself: the parent ends at once. `before` runs in it, `after` in the daemon."""
    read, write = os.pipe()
    middle = os.fork()
    if middle == 0:
        before()
        daemon = os.fork()
        if daemon == 0:
            os.setsid()
            os.close(read)
            # The parent has ended.
            time.sleep(0.1)
            after()
            os._exit(0)
        os.write(write, str(daemon).encode())
        os._exit(0)
    os.waitpid(middle, 0)
    os.close(write)
    daemon = int(os.read(read, 20))
    print(f"also={MAIN} {middle} {daemon}", flush=True)
    # Its end.
    os.read(read, 1)
    return daemon


def write_pid(fd):
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)


def pid_file_lost():
    """fcntl locks the pid file before the fork."""
    fds = []

    def before():
        fds.append(opened(PATH + ".pid"))
        fcntl.lockf(fds[0], EX | NB)

    def after():
        harms(os.getpid())
        write_pid(fds[0])
        time.sleep(3)

    daemonize(before, after)


def database(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
    connection.execute("INSERT INTO t VALUES (1)")
    return connection


def sqlite_carried():
    """The connection of a parent that has ended."""
    kept = []

    def before():
        kept.append(database(os.path.join(FOLDER, "data.db")))

    def after():
        harms(os.getpid())
        for number in range(30):
            kept[0].execute("INSERT INTO t VALUES (?)", (number,))
            time.sleep(0.1)
        os._exit(0)

    daemonize(before, after)


def kept_by_worker():
    """The service is killed, its worker lives on, and the service does not start again."""
    code = (
        "import fcntl,os,sys,time\n"
        "f = open(sys.argv[1])\n"
        "fcntl.flock(f, fcntl.LOCK_EX|fcntl.LOCK_NB)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(4); os._exit(0)\n"
        "print(child, flush=True)\n"
        "time.sleep(9)\n"
    )
    os.close(opened())
    service = other(code, PATH, wait=False, stdout=subprocess.PIPE, text=True)
    worker = int(service.stdout.readline())
    harms(worker)
    print(f"also={MAIN} {worker}", flush=True)
    time.sleep(1.3)
    service.kill()
    service.wait()
    for _ in range(4):
        other(code, PATH, stderr=subprocess.DEVNULL)
    time.sleep(0.5)


# What must not be.


def closed():
    """The child only closes its copy."""
    fd = opened()
    fcntl.flock(fd, EX)
    reap(*[fork(os.close, fd) for _ in range(3)])
    time.sleep(0.3)
    fcntl.flock(fd, UN)


def own_descriptors():
    """Each process opens the file for itself."""

    def work():
        fd = opened()
        for _ in range(10):
            fcntl.flock(fd, EX)
            time.sleep(0.01)
            fcntl.flock(fd, UN)

    children = [fork(work) for _ in range(3)]
    work()
    reap(*children)


def handed_over():
    """Upgrade: the old process closes its descriptor, the new one gives the lock back at its end."""
    fd = opened()
    fcntl.flock(fd, EX)
    child = fork(lambda: (time.sleep(0.3), fcntl.flock(fd, UN), time.sleep(2)))
    os.close(fd)
    reap(child)


def daemon_keeps():
    """flock, which a daemon has from its parent."""
    fds = []

    def before():
        fds.append(opened(PATH + ".pid"))
        fcntl.flock(fds[0], EX | NB)

    def after():
        write_pid(fds[0])
        time.sleep(2.5)
        fcntl.flock(fds[0], UN)

    daemonize(before, after)


def daemon_keeps_and_second_is_refused():
    fds = []

    def before():
        fds.append(opened())
        fcntl.flock(fds[0], EX | NB)

    def after():
        for _ in range(2):
            other(TRIES, PATH, stderr=subprocess.DEVNULL)
        time.sleep(1)

    daemonize(before, after)


def daemon_locks_afterwards():
    """The lock of the pid file is taken by the daemon."""

    def after():
        fd = opened(PATH + ".pid")
        fcntl.lockf(fd, EX | NB)
        write_pid(fd)
        time.sleep(2.5)

    daemonize(lambda: None, after)


def daemon_locks_again():
    """Both take it: the second one when the first is gone."""
    fds = []

    def before():
        fds.append(opened(PATH + ".pid"))
        fcntl.lockf(fds[0], EX | NB)

    def after():
        fcntl.lockf(fds[0], EX)
        write_pid(fds[0])
        time.sleep(2.5)

    daemonize(before, after)


def guarded_start():
    """The lock is for the start alone: the daemon closes the file."""
    fds = []

    def before():
        fds.append(opened(PATH + ".pid"))
        fcntl.lockf(fds[0], EX | NB)

    def after():
        write_pid(fds[0])
        os.close(fds[0])
        time.sleep(2.5)

    daemonize(before, after)


def sqlite_opened_again():
    """A second connection, while the inherited one is there: SQLite keeps one record of locks for both."""
    kept = []
    path = os.path.join(FOLDER, "data.db")

    def before():
        kept.append(database(path))

    def after():
        harms(os.getpid())
        own = database(path)
        for number in range(30):
            own.execute("INSERT INTO t VALUES (?)", (number,))
            time.sleep(0.1)
        os._exit(0)

    daemonize(before, after)


def sqlite_daemon():
    """Closed before the fork, and opened after it."""
    path = os.path.join(FOLDER, "data.db")

    def after():
        own = database(path)
        for number in range(25):
            own.execute("INSERT INTO t VALUES (?)", (number,))
            time.sleep(0.1)
        os._exit(0)

    daemonize(lambda: database(path).close(), after)


def sqlite_closed_before():
    path = os.path.join(FOLDER, "data.db")
    database(path).close()

    def work():
        own = database(path)
        for number in range(10):
            own.execute("INSERT INTO t VALUES (?)", (number,))
        own.close()

    reap(*[fork(work) for _ in range(2)])


def sqlite_unused():
    """A child that has the files open and does not use them."""
    kept = []

    def before():
        kept.append(database(os.path.join(FOLDER, "data.db")))

    daemonize(before, lambda: (time.sleep(2.5), os._exit(0)))


def accept_mutex():
    """As Apache's: fcntl by one descriptor, which does exclude."""
    fd = opened()

    def work():
        for _ in range(10):
            fcntl.lockf(fd, EX)
            time.sleep(0.005)
            fcntl.lockf(fd, UN)

    reap(*[fork(work) for _ in range(3)])


def accept_mutex_flock():
    """As Apache's: each child opens the file again."""
    os.close(opened())

    def work():
        fd = os.open(PATH, os.O_WRONLY)
        for _ in range(10):
            fcntl.flock(fd, EX)
            time.sleep(0.005)
            fcntl.flock(fd, UN)

    reap(*[fork(work) for _ in range(3)])


def shell():
    """flock(1) on a descriptor of the shell's."""
    script = 'exec 9>"$0"; flock 9; (sleep 0.2) & flock -u 9; flock 9; sleep 0.2; flock -u 9; wait'
    subprocess.run(["sh", "-c", script, PATH], check=True)


def shell_command():
    subprocess.run(["flock", PATH, "-c", "sleep 0.3"], check=True)
    subprocess.run(["flock", "-n", PATH, "sh", "-c", "(sleep 0.3 &) ; true"], check=True)


def jobs():
    subprocess.run(
        ["make", "-s", "-j3", "-f", "-", "all"],
        input="all: a b c d\na b c d:\n\t@flock " + PATH + " sleep 0.05\n",
        text=True,
        check=True,
    )


def pool():
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(3) as workers:
        workers.map(locked_alone, range(6))


def locked_alone(_):
    with open(PATH, "w") as file:
        fcntl.flock(file, EX)
        time.sleep(0.02)


def taken_again():
    """Round by round: the parent takes it, a child gives it back when its job is done."""
    fd = opened()
    for _ in range(4):
        fcntl.flock(fd, EX)
        reap(fork(lambda: (time.sleep(0.2), fcntl.flock(fd, UN))))


def waits_for_child():
    """The child does what is to be done under the lock, and gives it back; the parent only waits."""
    fd = opened()
    fcntl.flock(fd, EX)
    reap(fork(lambda: (fcntl.flock(fd, UN), time.sleep(2.5))))
    os.close(fd)


def alone():
    """Nobody forks while it is held."""
    fd = opened()
    for _ in range(3):
        fcntl.flock(fd, EX)
        fcntl.flock(fd, UN)
        fcntl.lockf(fd, EX)
        reap(fork(time.sleep, 0.05))
        fcntl.lockf(fd, UN)


def ended_with_lock():
    """A worker ends with its POSIX lock; its parent did not rely on it."""
    fd = opened()
    reap(fork(lambda: fcntl.lockf(fd, EX)))
    child = fork(time.sleep, 2)
    reap(child)


def main():
    try:
        globals()[sys.argv[1]]()
    finally:
        if os.getpid() == MAIN:
            for name in os.listdir(FOLDER):
                os.remove(os.path.join(FOLDER, name))
            os.rmdir(FOLDER)


main()
