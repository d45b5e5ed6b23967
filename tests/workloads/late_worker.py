"""A prefork worker with a second thread, made while a thread of the parent is in a with block of a
lock. Attached to later, the tracer must find the worker that wants the lock, and must say nothing of
one that only rests.

late_worker.py HOW [SECONDS]
  with       the worker enters a with block of the lock and hangs
  rlock      the same of an RLock
  pool       the same beside threads of an executor at rest
  hand       the worker takes the lock by hand and hangs
  rest       threads of an executor wait for work
  join       the worker joins a thread that lives
  event      the worker waits for an event that a thread will set
  condition  the same of a condition
  contended  a thread of the worker has a lock of its own that another one wants
  generator  a suspended generator of the worker is in the block that another thread wants
  chain      the worker has the lock that it wants itself
"""
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

how = sys.argv[1]
seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 12
lock = threading.RLock() if how == "rlock" else threading.Lock()
own = threading.Lock()
held = threading.Event()


def hold():
    with lock:
        held.set()
        time.sleep(60)


def nap():
    while True:
        time.sleep(0.1)


def keep():
    with own:
        nap()


def inside():
    with own:
        yield


def by_hand():
    lock.acquire()


def want():
    with own:
        pass


def rest():
    pool = ThreadPoolExecutor(4)
    barrier = threading.Barrier(4)
    list(pool.map(lambda _: barrier.wait(), range(4)))
    return pool


def work():
    threading.Thread(target=keep if how == "contended" else nap, daemon=True).start()
    pool = rest() if how in ("pool", "rest") else None
    print(f"stuck={os.getpid()}", flush=True)
    if how in ("with", "rlock", "pool"):
        with lock:
            os._exit(98)
    elif how == "hand":
        by_hand()
    elif how == "rest":
        nap()
    elif how == "join":
        joined = threading.Thread(target=nap, daemon=True)
        joined.start()
        joined.join()
    elif how == "event":
        threading.Event().wait()
    elif how == "condition":
        condition = threading.Condition()
        with condition:
            condition.wait()
    elif how == "contended":
        time.sleep(0.2)
        with own:
            pass
    elif how == "generator":
        block = inside()
        next(block)
        threading.Thread(target=want, daemon=True).start()
        nap()
    elif how == "chain":
        with own:
            with own:
                pass
    os._exit(98 if pool is None else 97)


threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    # SIGALRM's default action ends the child, so that it does not stay behind.
    signal.alarm(seconds)
    work()
print(f"forker={os.getpid()}\nlost=1", flush=True)
os.waitpid(child, 0)
