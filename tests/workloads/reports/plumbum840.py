"""The mechanism of https://github.com/tomerfiliba/plumbum/pull/840 and
https://github.com/stripe/subprocess/pull/39: a command starts a daemon and ends. The daemon has inherited the
pipe in which the caller collects the command's output, and communicate() waits for the end of the pipe. The
daemon serves on a socket and never writes to it.
The tracer must say: held-open, of the caller, by the daemon.

plumbum840.py [SECONDS]
"""
import os
import socket
import subprocess
import sys

from common import fact, seconds

DAEMON = """
import os, signal, socket
server = socket.create_server(("127.0.0.1", 0))
print("started", flush=True)
if os.fork() == 0:
    os.setsid()
    signal.alarm({})
    server.accept()
"""


def main():
    fact("stuck", os.getpid())
    command = [sys.executable, "-SE", "-c", DAEMON.format(seconds())]
    subprocess.run(command, stdout=subprocess.PIPE, check=True)


main()
