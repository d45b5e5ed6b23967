"""The mechanism of https://github.com/DataDog/dd-trace-py/pull/18900: a tracing library starts its threads
again in a handler after each fork, and that handler logs. If a thread of the parent has the lock of the log's
handler at the fork, the child hangs before os.fork() returns in it.
The tracer must say: inherited-lock, certain, in the fork handler.

ddtrace18900.py [SECONDS]
"""
import os
import threading

from common import forked, hang_at_most

# Not one of logging's own, which are made anew in the child.
log_lock = threading.Lock()


def starts_threads_again():
    hang_at_most()
    with log_lock:  # hangs here
        pass


def writes_a_log(taken, done):
    with log_lock:
        taken.set()
        done.wait()


def main():
    os.register_at_fork(after_in_child=starts_threads_again)
    taken, done = threading.Event(), threading.Event()
    threading.Thread(target=writes_a_log, args=(taken, done), name="logger", daemon=True).start()
    taken.wait()
    if os.fork() == 0:
        os._exit(98)
    forked(1)
    os.wait()
    os._exit(0)


main()
