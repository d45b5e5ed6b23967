"""The cure: os.register_at_fork takes the lock before the fork and releases it in parent and child.
The child inherits it held, but has released it since; later one of its threads keeps it while
another waits. A semaphore does not say who has it, so the tracer may suspect something, and must
not say more.

atfork.py [SECONDS]
"""
import os
import sys
import threading
import time

lock = threading.Lock()
os.register_at_fork(
    before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
)


def hold(seconds, held):
    with lock:
        held.set()
        time.sleep(seconds)


child = os.fork()
if child == 0:
    held = threading.Event()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    threading.Thread(target=hold, args=(seconds, held)).start()
    held.wait()
    with lock:
        os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
