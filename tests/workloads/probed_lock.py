"""A thread of the parent takes a lock by hand, again and again, for a while each time. The parent
waits until probes on lock functions can have been attached, then forks while that thread has the
lock. The child's threads live on but for one, which waits for the lock for ever.
With --locks the tracer must say: inherited-lock, and which thread of the parent had it.

probed_lock.py [SECONDS]
"""
import os
import signal
import sys
import threading
import time

lock = threading.Lock()
holder = []


def hold():
    holder.append(threading.get_native_id())
    while True:
        lock.acquire()
        time.sleep(0.3)
        lock.release()
        time.sleep(0.01)


def rest():
    while True:
        time.sleep(0.05)


def take():
    os.write(1, f"stuck={os.getpid()} {threading.get_native_id()}\n".encode())
    lock.acquire()  # hangs here
    os._exit(98)


def child(seconds):
    signal.alarm(seconds)
    for work in rest, take:
        threading.Thread(target=work, daemon=True).start()
    rest()


threading.Thread(target=hold, daemon=True).start()
time.sleep(3)
print(f"holder={holder[0]}", flush=True)
while not lock.locked():
    time.sleep(0.001)
pid = os.fork()
if pid == 0:
    child(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
os.waitpid(pid, 0)
os._exit(0)
