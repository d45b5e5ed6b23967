"""The mechanism of https://github.com/birdnet-team/birdnet/issues/83: a worker is killed while its thread
sends a large item into a multiprocessing.Queue, so that the queue's lock for writers, a semaphore in shared
memory, stays taken. The next worker puts a small item and ends: at its exit it waits for its own sending
thread, which waits for the lock.
The tracer must say: orphaned-lock, of the worker's sending thread.

birdnet83.py [SECONDS]
"""
import multiprocessing
import os
import signal
import threading
import time

from common import fact, forked, seconds


def large(results):
    results.put(bytes(1 << 20))


def small(results):
    results.put("found")
    time.sleep(0.2)
    sender = next(thread for thread in threading.enumerate() if thread.name == "QueueFeederThread")
    fact("stuck", f"{os.getpid()} {sender.native_id}")
    # The exit of this process joins that thread. SIGALRM's default action ends it.
    signal.alarm(seconds())
    fact("also", f"{os.getpid()} {os.getpid()}")


def main():
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    first = context.Process(target=large, args=(results,))
    first.start()
    time.sleep(0.5)
    first.kill()
    first.join()
    second = context.Process(target=small, args=(results,))
    second.start()
    forked(0)
    second.join()


main()
