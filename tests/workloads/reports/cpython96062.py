"""The mechanism of https://github.com/python/cpython/issues/96062: the worker of a multiprocessing.Pool is
killed (by hand, or by the kernel for want of memory) while it waits for its next task. It has the lock of
the task queue then, a semaphore in shared memory, and nobody releases it. The pool starts another worker,
which waits for that lock for ever, and the parent for a result.
The tracer must say: orphaned-lock, of the new worker.

cpython96062.py [SECONDS]
"""
import multiprocessing
import os
import time

from common import fact, run_until_killed, until

generation = 1


def first_thing():
    if generation == 2:
        fact("stuck", os.getpid())


def main():
    global generation
    pool = multiprocessing.get_context("fork").Pool(1, first_thing)
    pool.apply(int)
    first = pool._pool[0]
    time.sleep(0.3)
    generation = 2
    fact("forker", os.getppid())
    fact("lost", 0)
    fact("forker", os.getpid())
    # The main thread, and those that send tasks and receive results.
    fact("lost", 3)
    first.kill()
    until(lambda: pool._pool and pool._pool[0] is not first)
    # All threads of this process hang with the worker.
    worker, parent = pool._pool[0].pid, os.getpid()
    fact("stuck", parent)
    fact("also", f"{parent} {worker}")
    for thread in os.listdir("/proc/self/task"):
        fact("also", f"{worker} {thread}")
        fact("also", f"{parent} {thread}")
    pool.apply(int)


run_until_killed(main)
