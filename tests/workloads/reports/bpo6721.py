"""The mechanism of https://bugs.python.org/issue6721: the log of a program is a buffered file, and a
background thread is inside of a write to it while the main thread forks. The locks of logging itself
are made anew in the child since Python 3.9; the one inside of the file never is: the child's first
line of log hangs.
The tracer must say: inherited-lock, certain, at the line that logs.

bpo6721.py [SECONDS]
"""
import logging
import os
import signal
import sys
import threading
import time

reading, writing = os.pipe()
log = logging.getLogger("app")


def report_everything():
    # More than the pipe takes: a log collector that has fallen behind.
    log.warning("x" * (1 << 20))


def main():
    stream = open(writing, "w", buffering=1 << 16)
    log.addHandler(logging.StreamHandler(stream))
    threading.Thread(target=report_everything, name="reporter", daemon=True).start()
    time.sleep(0.5)
    child = os.fork()
    if child == 0:
        # SIGALRM's default action ends the child, so that it does not stay behind.
        signal.alarm(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
        os.write(1, f"stuck={os.getpid()}\n".encode())
        log.warning("worker started")  # hangs here
        os._exit(98)
    print(f"forker={os.getpid()}\nlost=1", flush=True)
    os.waitpid(child, 0)
    os._exit(0)


main()
