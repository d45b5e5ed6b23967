"""A child with one thread parks in a lock that was closed before its fork, until its parent
interrupts it: Python throws it out of the wait by KeyboardInterrupt. A limit: the handler of SIGINT,
which every Python program has, is not counted as something that could end a wait.

parked.py [SECONDS]
"""
import contextlib
import os
import signal
import sys
import threading
import time

seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
signal.signal(signal.SIGINT, signal.default_int_handler)
parked = threading.Lock()
parked.acquire()
child = os.fork()
if child == 0:
    with contextlib.suppress(KeyboardInterrupt):
        parked.acquire()
    os._exit(0)
time.sleep(seconds)
os.kill(child, signal.SIGINT)
os.waitpid(child, 0)
