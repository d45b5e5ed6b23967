"""A lock is taken by hand before the fork, and the child itself releases it: Python lets any thread
do so. A worker of the child waits for it meanwhile. The tracer may suspect, and must not say more.

by_hand.py WHO [SECONDS]
  WHO  heir: the forking thread took it, its heir releases it; handler: the same in a handler of its
       SIGALRM; gate: another thread of the parent took it and releases it there, and in the child
       the main thread does, as one opens a gate; worker: the same, by a thread that the child made;
       waiter: the heir waits for it itself until a thread that the child made releases it;
       opener: the same of a gate that the forking thread has closed, in a `with` block; method: the
       same by a method; openers: two threads made after the fork open it, one on either side
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


def open_gate():
    time.sleep(seconds)
    if lock.locked():
        release()


def release():
    lock.release()


def work():
    if who in ("opener", "openers"):
        with lock:
            return
    lock.acquire()
    lock.release()


def child():
    if who == "handler":
        signal.signal(signal.SIGALRM, lambda *_: lock.release())
        signal.alarm(seconds)
    worker = threading.Thread(target=work)
    if who not in ("waiter", "opener", "method"):
        worker.start()
    if who in ("heir", "gate"):
        release_later()
    elif who in ("worker", "waiter", "opener"):
        threading.Thread(target=release_later).start()
    elif who in ("method", "openers"):
        threading.Thread(target=open_gate).start()
    if who in ("waiter", "opener", "method"):
        work()
    else:
        worker.join()
    os._exit(0)


def main():
    if who in ("heir", "handler", "opener", "method", "openers"):
        lock.acquire()
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
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
    if who == "openers":
        threading.Thread(target=release).start()
    os.waitpid(pid, 0)
    os._exit(0)


main()
