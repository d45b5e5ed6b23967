"""A lock is taken by hand before the fork, and the child itself releases it: Python lets any thread
do so. A worker of the child waits for it meanwhile. The tracer may suspect, and must not say more.

by_hand.py WHO [SECONDS]
  WHO  heir: the forking thread took it, its heir releases it; handler: the same in a handler of its
       SIGALRM; gate: another thread of the parent took it and releases it there, and in the child
       the main thread does, as one opens a gate; worker: the same, by a thread that the child made;
       waiter: the heir waits for it itself until a thread that the child made releases it
"""
import os
import signal
import sys
import threading
import time

who = sys.argv[1]
seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 4
lock = threading.Lock()
taken = threading.Event()
forked = threading.Event()


def hold():
    lock.acquire()
    taken.set()
    forked.wait()
    time.sleep(0.3)
    lock.release()


def release_later():
    time.sleep(seconds)
    lock.release()


def work():
    lock.acquire()
    lock.release()


def child():
    if who == "handler":
        signal.signal(signal.SIGALRM, lambda *_: lock.release())
        signal.alarm(seconds)
    worker = threading.Thread(target=work)
    if who != "waiter":
        worker.start()
    if who in ("heir", "gate"):
        release_later()
    elif who in ("worker", "waiter"):
        threading.Thread(target=release_later).start()
    if who == "waiter":
        work()
    else:
        worker.join()
    os._exit(0)


def main():
    if who in ("heir", "handler"):
        lock.acquire()
    else:
        threading.Thread(target=hold, daemon=True).start()
        taken.wait()
    pid = os.fork()
    if pid == 0:
        child()
    forked.set()
    if lock.locked() and who in ("heir", "handler"):
        time.sleep(0.3)
        lock.release()
    os.waitpid(pid, 0)


main()
