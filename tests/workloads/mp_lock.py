"""A multiprocessing.Lock lives in shared memory: the parent holds it at the fork and releases it
after a while, and the child that waits for it goes on. The tracer must say nothing.

mp_lock.py [SECONDS]
"""
import multiprocessing
import sys
import time

context = multiprocessing.get_context("fork")
lock = context.Lock()


def work():
    with lock:
        pass


if __name__ == "__main__":
    child = context.Process(target=work)
    lock.acquire()
    child.start()
    time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 3)
    lock.release()
    child.join()
    sys.exit(child.exitcode)
