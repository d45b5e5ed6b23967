"""The mechanism of https://github.com/langfuse/langfuse-python/pull/1654: a client that a web server loads
before it forks its workers sends events in a thread. In a worker, flush() waits until all events are sent,
and nobody sends them. With "restarted" a fork handler starts the thread again, but keeps the queue: the first
thing that put() finds in its list of waiters is the thread of the parent, so that the new one is never woken.
The tracer must say: lost-waker.

langfuse1654.py [restarted] [SECONDS]
"""
import os
import queue
import sys
import threading
import time

from common import fact, forked, hang_at_most

events = queue.Queue()


def send_events():
    while events.get() is not None:
        events.task_done()


def start():
    threading.Thread(target=send_events, name="sender", daemon=True).start()


def flush():
    events.join()  # hangs here


def main():
    start()
    if "restarted" in sys.argv:
        os.register_at_fork(after_in_child=lambda: (start(), time.sleep(0.2)))
    events.put("preloaded")
    flush()
    time.sleep(0.2)
    if os.fork() == 0:
        hang_at_most()
        events.put("request")
        for thread in threading.enumerate():
            if thread.name == "sender" and thread.is_alive():
                fact("also", f"{os.getpid()} {thread.native_id}")
        flush()
        os._exit(98)
    forked(1)
    os.wait()
    os._exit(0)


main()
