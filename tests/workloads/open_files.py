"""Processes of a fork family and one open file, or one epoll instance. Argument: what they do with it."""

import asyncio
import fcntl
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

MAIN = os.getpid()
RECORD = 64


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


def shares():
    """What this process and its children do is wrong; a finding may be about any of them."""
    print(f"stuck={MAIN}", flush=True)


def data(records=4000):
    file = tempfile.NamedTemporaryFile(prefix="records-", delete=False)
    file.write(b"r" * RECORD * records)
    file.close()
    return file.name


def read(fd, times=160, pause=0.015):
    """Reads records one by one, as a program does that expects all of them."""
    for _ in range(times):
        os.read(fd, RECORD)
        time.sleep(pause)


def write(fd, times=60, pause=0.015):
    for number in range(times):
        os.write(fd, b"%d: line %d\n" % (os.getpid(), number))
        time.sleep(pause)


# Files: what must be found.


def halves():
    shares()
    fd = os.open(data(), os.O_RDONLY)
    child = fork(read, fd)
    read(fd)
    reap(child)


def workers():
    shares()
    fd = os.open(data(), os.O_RDONLY)
    reap(*[fork(read, fd) for _ in range(4)])


def buffered():
    """Each fills its buffer from where the other's ended."""
    shares()
    lines = open(data(60_000), "rb")

    def sum_up():
        for _ in range(160):
            lines.read(8192)
            time.sleep(0.015)

    child = fork(sum_up)
    sum_up()
    reap(child)


def turns():
    shares()
    fd = os.open(data(), os.O_RDONLY)
    mine, its = socket.socketpair()

    def take(token, first):
        for number in range(6):
            if number or not first:
                token.recv(1)
            os.read(fd, RECORD)
            time.sleep(0.3)
            token.send(b"x")

    child = fork(take, its, False)
    take(mine, True)
    reap(child)


def mixed_lines():
    """Whole lines, in the order of their writing: perhaps meant so."""
    fd = os.open(data(0), os.O_WRONLY)
    child = fork(write, fd)
    write(fd)
    reap(child)


# Files: what must not be reported.


def handover():
    fd = os.open(data(), os.O_RDONLY)
    os.read(fd, RECORD)
    child = fork(read, fd)
    time.sleep(0.3)
    reap(child)


def after_the_child():
    fd = os.open(data(), os.O_RDONLY)
    reap(fork(read, fd, 30))
    read(fd, 30)


def named_places():
    fd = os.open(data(), os.O_RDONLY)

    def pread():
        for number in range(60):
            os.pread(fd, RECORD, number * RECORD)
            time.sleep(0.01)

    child = fork(pread)
    pread()
    reap(child)


def appended():
    fd = os.open(data(0), os.O_WRONLY | os.O_APPEND)
    children = [fork(write, fd) for _ in range(3)]
    write(fd)
    reap(*children)


def opened_again():
    name = data()
    kept = os.open(name, os.O_RDONLY)

    def work():
        os.close(kept)
        read(os.open(name, os.O_RDONLY))

    child = fork(work)
    read(kept)
    reap(child)


def busy_with_others():
    """One reads what is shared, the other much else."""
    fd, own = os.open(data(), os.O_RDONLY), os.open(data(), os.O_RDONLY)

    def other():
        for number in range(100):
            os.pread(own, 4096, number)
            time.sleep(0.01)

    child = fork(other)
    read(fd)
    reap(child)


def standard_input():
    os.dup2(os.open(data(), os.O_RDONLY), 0)
    child = fork(read, 0)
    read(0)
    reap(child)


def captured():
    """A child's output in a file that the parent reads after its end."""
    file = tempfile.TemporaryFile()
    reap(fork(write, file.fileno(), 30))
    file.seek(0)
    file.read()


def executed():
    fd = os.open(data(), os.O_RDONLY)
    os.set_inheritable(fd, True)
    code = "import os,sys,time\nfor _ in range(30): os.read(int(sys.argv[1]), 64); time.sleep(0.02)"
    program = subprocess.Popen([sys.executable, "-c", code, str(fd)], close_fds=False)
    read(fd, 40)
    program.wait()


def jobserver():
    tokens, back = os.pipe()
    os.write(back, b"++++")

    def work():
        for _ in range(20):
            os.read(tokens, 1)
            time.sleep(0.01)
            os.write(back, b"+")

    reap(*[fork(work) for _ in range(3)])


def null_and_locks():
    null = os.open("/dev/null", os.O_RDWR)
    path = data(1)

    def work():
        # Opened by each for itself: a lock on a description that both have would not keep them apart.
        lock = os.open(path, os.O_RDWR)
        for _ in range(30):
            os.write(null, b"nothing")
            fcntl.flock(lock, fcntl.LOCK_EX)
            time.sleep(0.005)
            fcntl.flock(lock, fcntl.LOCK_UN)

    child = fork(work)
    work()
    reap(child)


def log_of_workers():
    """Python's logging to a file: opened for appending."""
    import logging

    logging.basicConfig(filename=data(0))

    def work():
        for number in range(60):
            logging.warning("line %d", number)
            time.sleep(0.01)

    children = [fork(work) for _ in range(2)]
    work()
    reap(*children)


# Epoll instances: what must be found.


def poll(epoll, seconds=2.5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        epoll.poll(0.4)


def both_wait():
    shares()
    epoll = select.epoll()
    mine, its = socket.socketpair()
    epoll.register(mine, select.EPOLLIN)
    child = fork(poll, epoll)
    poll(epoll)
    reap(child)
    its.close()


def loops():
    """A child that goes on with its parent's event loop."""
    shares()
    loop = asyncio.new_event_loop()

    async def work():
        for _ in range(8):
            await asyncio.sleep(0.3)

    child = fork(lambda: loop.run_until_complete(work()))
    loop.run_until_complete(work())
    reap(child)


def accepted():
    """Prefork workers that wait on one epoll instance, and add the connections that they accept."""
    shares()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.setblocking(False)
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)

    def serve():
        clients = {}
        end = time.monotonic() + 4
        while time.monotonic() < end:
            for fd, _ in epoll.poll(0.3):
                try:
                    if fd == listener.fileno():
                        client, _ = listener.accept()
                        client.setblocking(False)
                        epoll.register(client, select.EPOLLIN)
                        clients[client.fileno()] = client
                    elif fd in clients:
                        clients[fd].recv(100)
                    else:
                        time.sleep(0.05)
                except OSError:
                    pass

    children = [fork(serve) for _ in range(2)]
    time.sleep(0.2)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(6)]
    for _ in range(30):
        for client in clients:
            client.send(b"x")
        time.sleep(0.1)
    reap(*children)


def taken_out():
    """A child cleans up, and takes a connection out of its parent's epoll instance."""
    shares()
    epoll = select.epoll()
    mine, its = socket.socketpair()
    epoll.register(mine, select.EPOLLIN)

    def clean_up():
        time.sleep(1.5)
        epoll.unregister(mine)
        time.sleep(1)

    child = fork(clean_up)
    threading.Timer(3, its.close).start()
    epoll.poll(4)
    reap(child)


# Epoll instances: what must not be reported.


def own_after_fork():
    """As nginx does: what listens is shared, the epoll instance is not."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)

    def serve():
        epoll = select.epoll()
        epoll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        poll(epoll)

    reap(*[fork(serve) for _ in range(3)])


def listening_alone():
    """Any worker can serve what the shared instance watches."""
    listener = socket.create_server(("127.0.0.1", 0))
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    reap(*[fork(poll, epoll, 3) for _ in range(2)])


def made_again():
    """As event_reinit() does: the child has another instance by the same number."""
    epoll = select.epoll()
    mine, _its = socket.socketpair()
    epoll.register(mine, select.EPOLLIN)

    def work():
        number = epoll.fileno()
        epoll.close()
        own = select.epoll()
        assert own.fileno() == number
        own.register(mine, select.EPOLLIN)
        poll(own)

    child = fork(work)
    poll(epoll)
    reap(child)


def closed():
    epoll = select.epoll()
    mine, _its = socket.socketpair()
    epoll.register(mine, select.EPOLLIN)

    def work():
        epoll.close()
        time.sleep(1)

    child = fork(work)
    poll(epoll)
    reap(child)


def unused():
    epoll = select.epoll()
    mine, _its = socket.socketpair()
    epoll.register(mine, select.EPOLLIN)
    child = fork(time.sleep, 1)
    poll(epoll)
    reap(child)


def daemon():
    epoll = select.epoll()
    mine, _its = socket.socketpair()
    epoll.register(mine, select.EPOLLIN)
    ready, done = os.pipe()

    def work():
        os.write(done, b"x")
        poll(epoll)

    child = fork(work)
    os.read(ready, 1)
    reap(child)


def own_loops():
    """A loop in the parent, and loops of their own in processes of multiprocessing."""
    import multiprocessing

    context = multiprocessing.get_context("fork")

    async def main():
        children = [context.Process(target=own_loop) for _ in range(2)]
        for child in children:
            child.start()
        await asyncio.sleep(1.3)
        for child in children:
            child.join()

    asyncio.run(main())


def own_loop():
    # asyncio refuses a new loop where the parent's still seems to run.
    asyncio.events._set_running_loop(None)
    asyncio.run(asyncio.sleep(1))


def unregistered_itself():
    """The only one that waits takes something out."""
    epoll = select.epoll()
    pairs = [socket.socketpair() for _ in range(2)]
    for mine, _ in pairs:
        epoll.register(mine, select.EPOLLIN)
    child = fork(time.sleep, 1)
    poll(epoll, 0.6)
    epoll.unregister(pairs[0][0])
    poll(epoll, 0.6)
    reap(child)


globals()[sys.argv[1]]()
