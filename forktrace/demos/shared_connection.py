"""Parent and child use one connection to a server, and get each other's answers."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time


def end_with_parent():
    """The child and the server must not outlive the demo."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def answer(client):
    with client, client.makefile("rb") as questions:
        for question in questions:
            time.sleep(0.005)
            client.sendall(b"the answer to " + question)


def serve():
    end_with_parent()
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=answer, args=(client,), daemon=True).start()


def ask(connection, name):
    """Asks as a client library does: a question, then its answer, whoever asked for it."""
    connection.settimeout(0.5)
    wrong = []
    for number in range(20):
        question = f"{name}'s question {number}"
        try:
            connection.sendall(question.encode() + b"\n")
            reply = connection.recv(1000).decode()
        except OSError:
            reply = "nothing"
        if reply.strip() != f"the answer to {question}":
            wrong.append((question, reply.splitlines()[0] if reply else "nothing"))
        time.sleep(0.001)
    print(f"{name:<6} {os.getpid()}: {len(wrong)} of 20 answers were wrong", flush=True)
    for question, reply in wrong[:1]:
        print(f"{name:<6} {os.getpid()}: I asked {question!r} and got {reply!r}", flush=True)


def main():
    command = [sys.executable, __file__, "serve"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    port = int(server.stdout.readline())
    connection = socket.create_connection(("127.0.0.1", port))
    print(f"parent {os.getpid()}: I have a connection to a server at port {port}, and fork", flush=True)
    pid = os.fork()
    if pid == 0:
        end_with_parent()
        ask(connection, "child")
        os._exit(0)
    ask(connection, "parent")
    os.waitpid(pid, 0)
    server.kill()
    server.wait()


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
