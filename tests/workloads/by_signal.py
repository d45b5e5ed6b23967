"""The child's only thread waits for something that a signal brings about after a while: a handler
runs in the midst of the wait. The tracer may suspect, and must not say more.

by_signal.py WHAT [SECONDS]
  WHAT  event: the handler of SIGTERM, sent by the parent, sets the event that is waited for;
        release: the handler of SIGALRM releases a lock that was held at the fork; timeout: it throws
        an exception out of the wait for a lock that was held at the fork
"""
import os
import signal
import sys
import threading
import time

what = sys.argv[1]
seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
stop = threading.Event()
lock = threading.Lock()


def give_up(*_):
    raise TimeoutError


def work():
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if what == "event":
        stop.wait()
        return
    signal.signal(signal.SIGALRM, give_up if what == "timeout" else lambda *_: lock.release())
    signal.alarm(seconds)
    try:
        lock.acquire()
    except TimeoutError:
        pass


# Locks that were made and thrown away before the fork: their memory is used again.
for _ in range(100):
    threading.Thread(target=time.sleep, args=(0,)).start()
lock.acquire()
child = os.fork()
if child == 0:
    work()
    os._exit(0)
lock.release()
time.sleep(seconds)
os.kill(child, signal.SIGTERM)
sys.exit(os.waitpid(child, 0)[1])
