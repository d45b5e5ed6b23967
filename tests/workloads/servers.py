"""Workers and one connection to a real server. Arguments: the server, what the workers do with it.

The server is started in a folder of its own and ended before this program ends.
"""

import contextlib
import ctypes
import glob
import http.client
import http.server
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import time

MAIN = os.getpid()
NOBODY = 65534
# Who waits for an answer that another has read waits for ever.
LONGEST = 4


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def until_it_answers(port):
    for _ in range(400):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise TimeoutError("the server does not answer")


class Postgres:
    """A client of libpq."""

    def __init__(self, folder, tls=False):
        self.tls = tls
        self.port = free_port()
        tools = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        data = f"{folder}/data"
        unprivileged = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        unprivileged = unprivileged if os.geteuid() == 0 else []
        initdb = [f"{tools}/initdb", "-D", data, "-A", "trust", "-U", "tests", "--no-sync"]
        subprocess.run(unprivileged + initdb, check=True, stdout=subprocess.DEVNULL, cwd="/")
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": folder,
            "fsync": "off",
            "ssl": "on" if tls else "off",
        }
        if tls:
            key, certificate = f"{data}/server.key", f"{data}/server.crt"
            new = ["openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=localhost"]
            new += ["-keyout", key, "-out", certificate]
            subprocess.run(unprivileged + new, check=True, stderr=subprocess.DEVNULL, cwd="/")
            os.chmod(key, 0o600)
        command = [f"{tools}/postgres", "-D", data, "-p", str(self.port)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.server = subprocess.Popen(unprivileged + command, cwd="/", **quiet)
        until_it_answers(self.port)
        self.libpq = ctypes.CDLL("libpq.so.5")
        for function in ("PQconnectdb", "PQexec", "PQgetvalue"):
            getattr(self.libpq, function).restype = ctypes.c_void_p

    def connect(self):
        mode = "require" if self.tls else "disable"
        text = f"host=127.0.0.1 port={self.port} user=tests dbname=postgres sslmode={mode}"
        for _ in range(100):
            connection = ctypes.c_void_p(self.libpq.PQconnectdb(text.encode()))
            if self.libpq.PQstatus(connection) == 0:
                return connection
            self.libpq.PQfinish(connection)
            time.sleep(0.1)
        raise TimeoutError("no connection")

    def ask(self, connection):
        self.libpq.PQexec(connection, b"SELECT pg_backend_pid(), pg_sleep(0.003)")

    def say_goodbye(self, connection):
        self.libpq.PQfinish(connection)

    def close_only(self, connection):
        os.close(self.libpq.PQsocket(connection))

    def stop(self):
        self.server.send_signal(signal.SIGINT)
        self.server.wait()


class Redis:
    """A client of the protocol of Redis."""

    def __init__(self, folder):
        self.port = free_port()
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder]
        command += ["--save", "", "--appendonly", "no"]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until_it_answers(self.port)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port))

    def ask(self, connection):
        # Answers after 10 ms that there is nothing.
        connection.sendall(b"*3\r\n$5\r\nBLPOP\r\n$4\r\nnone\r\n$4\r\n0.01\r\n")
        connection.recv(1000)

    def say_goodbye(self, connection):
        connection.sendall(b"*1\r\n$4\r\nQUIT\r\n")
        connection.recv(1000)
        connection.close()

    def close_only(self, connection):
        connection.close()

    def stop(self):
        self.server.terminate()
        self.server.wait()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(0.005)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Http:
    """A client that keeps its connection to a server of another program."""

    def __init__(self, _folder):
        command = [sys.executable, __file__, "http", "serve"]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.server.stdout.readline())

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST)
        connection.connect()
        return connection

    def ask(self, connection):
        connection.request("GET", "/")
        connection.getresponse().read()

    def say_goodbye(self, connection):
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()

    def close_only(self, connection):
        connection.close()

    def stop(self):
        self.server.terminate()
        self.server.wait()


def serve_http():
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def fork(run, *args):
    pid = os.fork()
    if pid == 0:
        signal.alarm(LONGEST)
        with contextlib.suppress(Exception):
            run(*args)
        os._exit(0)
    print(f"also={MAIN} {pid}", flush=True)
    return pid


def reap(*pids):
    for pid in pids:
        os.waitpid(pid, 0)


def shares():
    """What this process and its children do is wrong; a finding may be about any of them."""
    print(f"stuck={MAIN}", flush=True)


def ask(client, connection, times=30):
    for _ in range(times):
        client.ask(connection)
        time.sleep(0.002)


# What must be found.


def reuse(client):
    """The workers go on with the connection of the process that forked them."""
    shares()
    connection = client.connect()
    ask(client, connection, 2)
    reap(*[fork(ask, client, connection) for _ in range(2)])


def goodbye(client):
    """A worker closes the inherited connection as its library does; the parent's session ends."""
    shares()
    connection = client.connect()
    ask(client, connection, 2)

    def work():
        ask(client, client.connect(), 3)
        client.say_goodbye(connection)

    reap(fork(work))
    time.sleep(0.5)
    for _ in range(2):
        with contextlib.suppress(Exception):
            client.ask(connection)


# What must not be reported.


def fresh(client):
    """Each worker has a connection of its own, and leaves the inherited one alone."""
    connection = client.connect()
    ask(client, connection, 2)
    workers = [fork(lambda: ask(client, client.connect())) for _ in range(2)]
    ask(client, connection)
    reap(*workers)


def disposed(client):
    """The pool is closed before the fork."""
    connection = client.connect()
    ask(client, connection, 2)
    client.say_goodbye(connection)
    workers = [fork(lambda: ask(client, client.connect())) for _ in range(2)]
    ask(client, client.connect())
    reap(*workers)


def closed(client):
    """Each worker closes the inherited one without a word."""
    connection = client.connect()
    ask(client, connection, 2)

    def work():
        client.close_only(connection)
        ask(client, client.connect())

    workers = [fork(work) for _ in range(2)]
    ask(client, connection)
    reap(*workers)


def handed_over(client):
    """Only the worker uses it after the fork."""
    connection = client.connect()
    ask(client, connection, 2)
    reap(fork(ask, client, connection))


def main():
    server, what = sys.argv[1:3]
    if what == "serve":
        serve_http()
        return
    folder = tempfile.mkdtemp(prefix="server-")
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    makers = {
        "postgres": Postgres,
        "postgres_tls": lambda folder: Postgres(folder, tls=True),
        "redis": Redis,
        "http": Http,
    }
    client = makers[server](folder)
    try:
        globals()[what](client)
    finally:
        client.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
