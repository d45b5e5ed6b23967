"""Threads and forks go on all the time. Once it is told to (WORKLOAD_WAITS), a thread holds a lock
while the main thread forks; the child wants it and hangs.
The tracer must say: inherited-lock, certain, whatever went on while it attached.

churn.py [SECONDS]
"""
import os
import signal
import sys
import threading
import time

lock = threading.Lock()
held = threading.Event()
going = True


def churn():
    while going:
        threading.Thread(target=time.sleep, args=(0.002,)).start()
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)


def hold():
    with lock:
        held.set()
        time.sleep(60)


def main():
    global going
    churning = threading.Thread(target=churn)
    churning.start()
    if "WORKLOAD_WAITS" in os.environ:
        print(f"ready={os.getpid()}", flush=True)
        os.read(0, 1)
    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    child = os.fork()
    if child == 0:
        # SIGALRM's default action ends the child, so that it does not stay behind.
        signal.alarm(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
        print(f"stuck={os.getpid()}", flush=True)
        lock.acquire()  # hangs here
        os._exit(98)
    print(f"forker={os.getpid()}", flush=True)
    os.waitpid(child, 0)
    going = False
    churning.join()
    os._exit(0)


main()
