"""The mechanism of https://github.com/ruby-concurrency/concurrent-ruby/issues/500, in Python's other pool of
threads: multiprocessing.pool.ThreadPool has run a task before the fork. The child has the pool, without its
threads, and waits for the result of its next task.
The tracer must say: lost-waker.

concurrentruby500.py [SECONDS]
"""
import os
from multiprocessing.pool import ThreadPool

from common import forked, hang_at_most


def main():
    pool = ThreadPool(2)
    pool.apply(int)
    if os.fork() == 0:
        hang_at_most()
        pool.apply(int)  # hangs here
        os._exit(98)
    # Two workers, and the threads that watch them, hand out tasks and collect results.
    forked(5)
    os.wait()
    os._exit(0)


main()
