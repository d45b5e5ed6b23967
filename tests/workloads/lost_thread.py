"""A thread of the parent was to wake whoever waits: set an event, give a semaphore back, put something
into a queue. The child waits for it, and the thread is not there. The tracer should call that a lost
waker; it must not call anything held.

lost_thread.py event|semaphore|queue [SECONDS]
"""
import os
import queue
import signal
import sys
import threading
import time

event = threading.Event()
semaphore = threading.Semaphore()
jobs = queue.Queue()
taken = threading.Event()


def work():
    with semaphore:
        taken.set()
        time.sleep(60)
    event.set()
    jobs.put(1)


threading.Thread(target=work, daemon=True).start()
taken.wait()
print(f"forker={os.getpid()}\nlost=1", flush=True)
child = os.fork()
if child == 0:
    # SIGALRM's default action ends the child, so that it does not stay behind.
    signal.alarm(int(sys.argv[2]) if len(sys.argv) > 2 else 6)
    print(f"stuck={os.getpid()}", flush=True)
    wait = {"event": event.wait, "semaphore": semaphore.acquire, "queue": jobs.get}[sys.argv[1]]
    wait()  # hangs here
    os._exit(98)
os.waitpid(child, 0)
os._exit(0)
