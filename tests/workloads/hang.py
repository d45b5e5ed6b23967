"""A threading.Lock is taken just before a fork child that takes it too is started, and released
right after. The child's copy stays held: it hangs.
The tracer must say: inherited-lock, certain, at the line of the child's acquire().

hang.py [SECONDS]
"""
import multiprocessing
import os
import sys
import threading

lock = threading.Lock()


def work():
    print(f"stuck={os.getpid()}", flush=True)
    lock.acquire()  # hangs here


def main():
    context = multiprocessing.get_context("fork")
    child = context.Process(target=work)
    lock.acquire()
    child.start()
    lock.release()
    print(f"forker={os.getpid()}\nlost=0", flush=True)
    # Without an end nothing but the test would differ: a plain join() waits for ever.
    child.join(float(sys.argv[1]) if len(sys.argv) > 1 else 6)
    child.kill()
    child.join()


if __name__ == "__main__":
    main()
