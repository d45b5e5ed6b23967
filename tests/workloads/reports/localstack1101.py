"""The mechanism of https://github.com/localstack/localstack/pull/1101: a program is started with its output
in a pipe, and wait() is called before the pipe is read. The program fills the pipe and waits for room, the
parent for the program.
The tracer must say: deadlock.

localstack1101.py [SECONDS]
"""
import subprocess
import sys

from common import fact, seconds

# With an end after which nothing is left behind.
WRITES = "import os, signal; signal.alarm({}); os.write(1, bytes(1 << 20))"


def main():
    command = [sys.executable, "-SE", "-c", WRITES.format(seconds())]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    fact("stuck", child.pid)
    child.wait()


main()
