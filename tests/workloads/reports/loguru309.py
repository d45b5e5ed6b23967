"""The mechanism of https://github.com/Delgan/loguru/issues/309: messages go through a multiprocessing.Queue to
a thread of the parent, which waits for the next one. It has the queue's lock for readers then, a semaphore in
shared memory. A child reads from the queue, too: it waits for the lock, the thread for a message, the only
other thread of the parent for the child, and nobody is left who would write.
The tracer must say: deadlock.

loguru309.py [SECONDS]
"""
import multiprocessing
import os
import threading
import time

from common import forked, hang_at_most


def writes_the_log(messages):
    while True:
        messages.get()


def drains(messages):
    hang_at_most()
    messages.get()


def main():
    context = multiprocessing.get_context("fork")
    messages = context.Queue()
    threading.Thread(target=writes_the_log, args=(messages,), name="log", daemon=True).start()
    time.sleep(0.3)
    child = context.Process(target=drains, args=(messages,))
    child.start()
    forked(1)
    child.join()
    os._exit(0)


main()
