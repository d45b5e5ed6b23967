"""A background thread holds a lock while the main thread forks; the child wants it and hangs.
The tracer must say: inherited-lock, certain, at the line of the child's acquire().

lock_of_thread.py Lock|RLock|Condition [SECONDS [keep|release [threads]]]
"""
import os
import signal
import sys
import threading
import time

lock = getattr(threading, sys.argv[1])()
held = threading.Event()
forked = threading.Event()


def hold():
    with lock:
        print(f"holder={threading.get_native_id()}", flush=True)
        held.set()
        if "release" in sys.argv[3:]:
            forked.wait()
        else:
            time.sleep(60)


def say_address():
    """The PyMutex inside of a lock of Python 3.13 (Lock alone) and later."""
    inside = lock._lock if sys.argv[1] == "Condition" else lock
    first = (3, 13, 1) if sys.argv[1] == "Lock" else (3, 14)
    if sys.version_info >= first:
        print(f"lock={id(inside) + 16}", flush=True)


def main():
    if "WORKLOAD_WAITS" in os.environ:
        print(f"ready={os.getpid()}", flush=True)
        os.read(0, 1)
    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    child = os.fork()
    if child == 0:
        # SIGALRM's default action ends the child, so that it does not stay behind.
        signal.alarm(int(sys.argv[2]) if len(sys.argv) > 2 else 6)
        if "threads" in sys.argv[3:]:
            # It naps again and again, so that something of the child is alive.
            threading.Thread(target=lambda: [time.sleep(0.02) for _ in range(1000)]).start()
        print(f"stuck={os.getpid()}", flush=True)
        lock.acquire()  # hangs here
        os._exit(98)
    say_address()
    print(f"forker={os.getpid()}\nlost=1", flush=True)
    forked.set()
    os.waitpid(child, 0)


main()
