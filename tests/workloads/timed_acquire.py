"""The child wants a lock inherited held, but with a timeout, and gives up. The tracer must say
nothing: it does not hang.

timed_acquire.py [SECONDS]
"""
import multiprocessing
import sys
import threading

lock = threading.Lock()


def work(seconds):
    sys.exit(1 if lock.acquire(timeout=seconds) else 0)


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    child = multiprocessing.get_context("fork").Process(target=work, args=(seconds,))
    lock.acquire()
    child.start()
    child.join()
    sys.exit(child.exitcode)
