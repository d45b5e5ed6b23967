"""One thread of a forked child keeps a lock for long, another waits for it: an ordinary wait, with a
threshold far below its length. The lock was free at the fork. The tracer must say nothing.

long_holder.py [SECONDS]
"""
import os
import sys
import threading
import time

lock = threading.Lock()


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
