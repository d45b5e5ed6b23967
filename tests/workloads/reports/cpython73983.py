"""The mechanism of https://github.com/python/cpython/issues/73983: the parent joins a process before it reads
what that process has put into a multiprocessing.Queue. At its exit the child waits for its sending thread,
that thread for room in the pipe, and the only process that reads the pipe waits for the child.
The tracer must say: deadlock.

cpython73983.py [SECONDS]
"""
import multiprocessing
import os
import threading
import time

from common import fact, forked, hang_at_most


def work(results):
    results.put(bytes(1 << 20))
    time.sleep(0.2)
    sender = next(thread for thread in threading.enumerate() if thread.name == "QueueFeederThread")
    fact("also", f"{os.getpid()} {sender.native_id}")
    hang_at_most()


def main():
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=work, args=(results,))
    child.start()
    forked(0)
    child.join()
    os._exit(0)


main()
