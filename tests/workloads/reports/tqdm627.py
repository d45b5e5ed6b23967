"""The mechanism of https://github.com/tqdm/tqdm/issues/627, with tqdm itself: a thread draws a progress bar
while the main thread forks. The lock of the bars consists of a semaphore that all processes share, and of a
lock of threading. The thread releases both, but the child's copy of the second stays held: the child takes
the first and waits for the second. From then on the parent's bars wait for the first.
The tracer must say: inherited-lock, certain.

tqdm627.py [SECONDS]
"""
import multiprocessing
import os
import threading
import time

from common import fact, forked, hang_at_most
from tqdm import tqdm


def draws(taken, forks):
    with tqdm.get_lock():
        fact("holder", threading.get_native_id())
        taken.set()
        forks.wait()


def counts():
    hang_at_most()
    for _ in tqdm(range(3), disable=True):  # hangs here
        pass


def main():
    tqdm.monitor_interval = 0
    context = multiprocessing.get_context("fork")
    taken, forks = threading.Event(), threading.Event()
    threading.Thread(target=draws, args=(taken, forks), name="bar", daemon=True).start()
    taken.wait()
    child = context.Process(target=counts)
    child.start()
    forked(1)
    time.sleep(0.2)
    forks.set()
    child.join()
    os._exit(0)


main()
