"""Processes of a fork family and a connection. Argument: what they do with it.

The server is another program, beside them. It answers each line with the same line.
"""

import contextlib
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

# Long enough for a request to meet another's.
SLOW = 0.005
MAIN = os.getpid()


def serve(kind):
    if kind == "unix":
        path = tempfile.mkdtemp() + "/server.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
    elif kind == "inet6":
        path = None
        listener = socket.socket(socket.AF_INET6)
        listener.bind(("::1", 0))
    else:
        path = None
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    print(path or listener.getsockname()[1], flush=True)

    def answer(client):
        with client, client.makefile("rb") as lines:
            for line in lines:
                if line == b"QUIT\n":
                    return
                time.sleep(SLOW)
                client.sendall(line)

    while True:
        client, _ = listener.accept()
        threading.Thread(target=answer, args=(client,), daemon=True).start()


def start(kind="inet"):
    server = subprocess.Popen(
        [sys.executable, __file__, "serve", kind], stdout=subprocess.PIPE, text=True
    )
    at = server.stdout.readline().strip()

    def connect():
        if kind == "unix":
            client = socket.socket(socket.AF_UNIX)
            client.connect(at)
            return client
        host = "::1" if kind == "inet6" else "127.0.0.1"
        return socket.create_connection((host, int(at)))

    return server, connect


def ask(connection, times=20, pause=0.001):
    """Asks as a client library does: a request, then its reply, whoever asked for it."""
    connection.settimeout(0.3)
    for number in range(times):
        with contextlib.suppress(OSError):
            connection.sendall(b"%d %d\n" % (os.getpid(), number))
            connection.recv(100)
        time.sleep(pause)


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


# What must be found.


def crossed(connect):
    shares()
    connection = connect()
    ask(connection, 2)
    child = fork(ask, connection)
    ask(connection)
    reap(child)


def siblings(connect):
    shares()
    connection = connect()
    reap(*[fork(ask, connection) for _ in range(2)])


def workers(connect):
    shares()
    connection = connect()
    reap(*[fork(ask, connection) for _ in range(5)])


def service(connect):
    """A running service: its workers have used the connection for long, and go on."""
    shares()
    connection = connect()
    reap(*[fork(ask, connection, 150, 0.05) for _ in range(3)])


def grandchild(connect):
    shares()
    connection = connect()
    child = fork(lambda: reap(fork(ask, connection)))
    ask(connection)
    reap(child)


def in_turns(connect):
    shares()
    connection = connect()
    mine, its = socket.socketpair()

    def turns(token, first):
        for number in range(8):
            if number or not first:
                token.recv(1)
            ask(connection, 1)
            time.sleep(0.15)
            token.send(b"x")

    child = fork(turns, its, False)
    turns(mine, True)
    reap(child)


def reader(connect):
    shares()
    connection = connect()

    def listen():
        while True:
            select.select([connection], [], [])
            with contextlib.suppress(BlockingIOError):
                connection.recv(100)

    child = fork(listen)
    ask(connection, 60, 0.03)
    os.kill(child, 9)
    reap(child)


def goodbye(connect):
    shares()
    connection = connect()
    ask(connection, 1)

    def leave():
        connection.sendall(b"QUIT\n")
        time.sleep(0.2)

    reap(fork(leave))
    time.sleep(0.1)
    ask(connection, 2)


def shut_down(connect):
    shares()
    connection = connect()
    ask(connection, 1)
    reap(fork(lambda: (ask(connection, 1), connection.shutdown(socket.SHUT_RDWR))))
    time.sleep(0.1)
    ask(connection, 2)


def record():
    data = b"x" * 29 + b"\n"
    return struct.pack(">BHH", 23, 0x0303, len(data)) + data


def records(connect):
    """Like TLS: the header of a record of application data, and what is in it."""
    shares()
    connection = connect()

    def send():
        for _ in range(2):
            connection.sendall(record())
            time.sleep(0.1)

    send()
    child = fork(send)
    reap(child)
    send()


def scattered(connect):
    """With sendmsg and recvmsg."""
    shares()
    connection = connect()

    def talk():
        connection.settimeout(0.3)
        for number in range(20):
            with contextlib.suppress(OSError):
                connection.sendmsg([b"%d " % os.getpid(), b"%d\n" % number])
                connection.recvmsg(100)
            time.sleep(0.001)

    child = fork(talk)
    talk()
    reap(child)


def pool(connect):
    shares()
    import multiprocessing

    global shared
    shared = connect()
    with multiprocessing.get_context("fork").Pool(3) as workers:
        for worker in multiprocessing.active_children():
            print(f"also={MAIN} {worker.pid}", flush=True)
        workers.map(ask_shared, range(6))


def ask_shared(_):
    ask(shared, 5)


def duplicate(connect):
    """The child uses a copy of the descriptor."""
    shares()
    connection = connect()
    copy = socket.socket(fileno=os.dup(connection.fileno()))
    child = fork(ask, copy)
    ask(connection)
    reap(child)


# What must not be.


def unused(connect):
    connection = connect()
    child = fork(time.sleep, 0.3)
    ask(connection)
    reap(child)


def closed(connect):
    connection = connect()
    child = fork(lambda: (connection.close(), time.sleep(0.2)))
    ask(connection)
    reap(child)


def opened_again(connect):
    connection = connect()
    ask(connection, 1)
    child = fork(lambda: ask(connect()))
    ask(connection)
    reap(child)


def handover(connect):
    connection = connect()
    ask(connection, 3)
    reap(fork(ask, connection))
    connection.close()


def daemon(connect):
    connection = connect()
    ask(connection, 3)
    child = fork(lambda: (time.sleep(0.1), ask(connection)))
    time.sleep(0.02)
    # The parent has no more to do with it, and lives on.
    reap(child)


def relay(connect):
    """A process for each direction."""
    connection = connect()

    def receive():
        while connection.recv(100):
            pass

    child = fork(receive)
    for number in range(20):
        connection.sendall(b"%d\n" % number)
        time.sleep(0.005)
    connection.sendall(b"QUIT\n")
    connection.shutdown(socket.SHUT_WR)
    reap(child)


def relay_that_answers(connect):
    """The same; who receives also sends now and then, and who sends never receives."""
    connection = connect()

    def receive():
        while connection.recv(100):
            connection.sendall(b"PONG\n")
            time.sleep(0.02)

    child = fork(receive)
    for number in range(20):
        connection.sendall(b"%d\n" % number)
        time.sleep(0.005)
    os.kill(child, 9)
    reap(child)


def one_after_the_other(connect):
    connection = connect()
    for _ in range(5):
        ask(connection, 2)
        reap(fork(ask, connection, 2))
    ask(connection, 2)


def privileged(connect):
    """As sshd: one child until the login, another one after it, and the parent before."""
    connection = connect()
    ask(connection, 1)
    reap(fork(ask, connection, 5))
    reap(fork(ask, connection, 5))


def prefork_server(connect):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)

    def work():
        for _ in range(4):
            client, _ = listener.accept()
            with client:
                client.recv(100)
                client.sendall(b"answer")

    children = [fork(work) for _ in range(3)]
    clients(listener, 12)
    reap(*children)


def clients(listener, number):
    """Another program asks."""
    code = (
        "import socket,sys\n"
        "for _ in range(int(sys.argv[2])):\n"
        "    c = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "    c.sendall(b'question'); c.recv(100); c.close()\n"
    )
    port = str(listener.getsockname()[1])
    subprocess.run([sys.executable, "-c", code, port, str(number)], check=True)


def forking_server(connect):
    """The parent accepts, each child serves one client; the parent keeps its copies open."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    kept = []

    def accept():
        for _ in range(5):
            client, _ = listener.accept()
            kept.append(client)
            fork(lambda client=client: (client.recv(100), client.sendall(b"answer")))

    server = threading.Thread(target=accept)
    server.start()
    clients(listener, 5)
    server.join()
    for client in kept:
        # As an event loop that still watches it.
        client.setblocking(False)
        with contextlib.suppress(OSError):
            client.recv(100)
    for _ in range(5):
        os.wait()


def pair(connect):
    """Tasks for several workers over one end of a pair."""
    mine, its = socket.socketpair()

    def work():
        mine.close()
        while task := its.recv(1):
            its.sendall(task)

    children = [fork(work) for _ in range(3)]
    its.close()
    for _ in range(50):
        mine.sendall(b"x")
        mine.recv(1)
    mine.close()
    reap(*children)


def datagrams(connect):
    log = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    log.connect(sink.getsockname())

    def write():
        for _ in range(20):
            log.send(b"a line")

    child = fork(write)
    write()
    reap(child)


def log_lines(connect):
    """Whole lines of all to one collector, which does not answer."""
    collector = socket.socket()
    collector.bind(("127.0.0.1", 0))
    collector.listen(1)
    log = socket.create_connection(collector.getsockname())

    def write():
        for _ in range(20):
            log.sendall(b"a line\n")
            time.sleep(0.001)

    children = [fork(write) for _ in range(3)]
    write()
    reap(*children)


def executed(connect):
    connection = connect()
    os.set_inheritable(connection.fileno(), True)
    code = "import socket,sys; c = socket.socket(fileno=int(sys.argv[1])); c.sendall(b'x\\n'); c.recv(9)"
    number = str(connection.fileno())
    subprocess.run([sys.executable, "-c", code, number], close_fds=False, check=True)
    ask(connection, 3)


def standard_output(connect):
    connection = connect()
    os.dup2(connection.fileno(), 1)
    connection.close()

    def write():
        for _ in range(10):
            os.write(1, b"output\n")
            time.sleep(0.02)

    child = os.fork()
    write()
    if child == 0:
        os._exit(0)
    reap(child)


def passed(connect):
    """A dispatcher hands each connection to a worker."""
    mine, its = socket.socketpair()

    def work():
        _, [number], _, _ = socket.recv_fds(its, 1, 1)
        ask(socket.socket(fileno=number))

    child = fork(work)
    connection = connect()
    ask(connection, 1)
    socket.send_fds(mine, [b"x"], [connection.fileno()])
    connection.close()
    reap(child)


def threads(connect):
    connection = connect()
    child = fork(time.sleep, 0.3)
    both = [threading.Thread(target=ask, args=(connection,)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    reap(child)


def queue(connect):
    import multiprocessing

    fork_context = multiprocessing.get_context("fork")
    with fork_context.Manager() as manager:
        shared = manager.dict()
        queue = fork_context.Queue()
        processes = [fork_context.Process(target=use, args=(shared, queue)) for _ in range(3)]
        for process in processes:
            process.start()
        for _ in range(30):
            queue.get()
            shared["parent"] = len(shared)
        for process in processes:
            process.join()


def use(shared, queue):
    for number in range(10):
        shared[os.getpid()] = number
        queue.put(number)


def watched(connect):
    """The child serves; the parent only sees the end."""
    connection = connect()

    def talk():
        ask(connection, 5)
        connection.shutdown(socket.SHUT_RDWR)

    child = fork(talk)
    reap(child)
    connection.recv(100)


def abandoned(connect):
    """The child drops the connection that it does not want, as a pool that compares the pid does."""
    connection = connect()
    ask(connection, 2)

    def work():
        connection.detach()
        ask(connect())

    child = fork(work)
    ask(connection)
    reap(child)


def addresses_again(connect):
    """Handed over; then each has connections of its own, which the kernel puts where ended ones were."""
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    connection = connect()
    mine, its = socket.socketpair()

    def turns(token):
        for _ in range(60):
            token.recv(1)
            with connect() as own:
                own.sendall(record())
                own.recv(100)
            token.send(b"x")

    def take_over():
        its.recv(1)
        ask(connection, 1)
        connection.close()
        its.send(b"x")
        turns(its)

    child = fork(take_over)
    ask(connection, 1)
    connection.close()
    mine.send(b"x")
    turns(mine)
    reap(child)


def main():
    what = sys.argv[1]
    if what == "serve":
        serve(sys.argv[2])
        return
    server, connect = start(sys.argv[2] if len(sys.argv) > 2 else "inet")
    try:
        globals()[what](connect)
    finally:
        server.kill()


main()
