"""The mechanism of https://github.com/tqdm/tqdm/issues/1500, with tqdm itself: all processes share one lock
for their progress bars, a semaphore in shared memory, also for bars that are disabled. One of them dies
while it has the lock; the next bar anywhere waits for ever.
The tracer must say: orphaned-lock.

tqdm1500.py [SECONDS]
"""
import multiprocessing
import os
import signal

from common import forked, hang_at_most
from tqdm import tqdm


def dies():
    with tqdm.get_lock():
        os.kill(os.getpid(), signal.SIGKILL)


def counts():
    hang_at_most()
    for _ in tqdm(range(3), disable=True):
        pass


def main():
    tqdm.monitor_interval = 0
    tqdm.get_lock()
    context = multiprocessing.get_context("fork")
    first = context.Process(target=dies)
    first.start()
    first.join()
    second = context.Process(target=counts)
    second.start()
    forked(0)
    second.join()
    os._exit(0)


main()
