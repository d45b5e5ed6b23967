"""Semaphores that are signals, not locks: at zero at the fork, and waited for in a child that has other
threads and all the time in the world. Another thread posts them in the end. The tracer may suspect
something, and must not say more.

signals.py queue|executor|condition|event|join|reinit [SECONDS]

queue, executor   an empty queue that was made before the fork
condition, event  made before the fork; a thread of the child is told after a while
join              a thread of the child waits for another's end
reinit            a lock that other threads had at the fork, made anew in the child as logging does it
"""
import concurrent.futures
import os
import queue
import select
import sys
import threading
import time

seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 3


def rest():
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        select.select([], [], [], 0.05)


def beside(waits, tell):
    waiter = threading.Thread(target=waits)
    waiter.start()
    threading.Thread(target=rest).start()
    rest()
    tell()
    waiter.join()


def held_by_others(count):
    """Locks that other threads have, by hand, so that their memory may be used again."""
    locks = [threading.Lock() for _ in range(count)]
    done = threading.Event()

    def hold(lock, told):
        lock.acquire()
        told.set()
        done.wait()

    for lock in locks:
        told = threading.Event()
        threading.Thread(target=hold, args=(lock, told), daemon=True).start()
        told.wait()
    return locks


def child(what, made, held):
    held.clear()
    if what == "queue":
        beside(made.get, lambda: made.put(1))
    elif what == "executor":
        with concurrent.futures.ThreadPoolExecutor(3) as executor:
            assert list(executor.map(abs, range(-9, 0)))
            rest()
    elif what == "condition":
        def wait():
            with made:
                made.wait()

        def tell():
            with made:
                made.notify_all()

        beside(wait, tell)
    elif what == "event":
        beside(made.wait, made.set)
    elif what == "join":
        sleeper = threading.Thread(target=rest)
        sleeper.start()
        beside(sleeper.join, lambda: None)
    else:
        made._at_fork_reinit()
        made.acquire()

        def wait():
            with made:
                pass

        beside(wait, made.release)
    os._exit(0)


def main(what):
    held = held_by_others(6)
    made = None
    if what == "queue":
        made = queue.SimpleQueue()
        threading.Thread(target=made.get, daemon=True).start()
    elif what == "condition":
        made = threading.Condition()
    elif what == "event":
        made = threading.Event()
    elif what == "reinit":
        made = held[0]
    time.sleep(0.1)
    pid = os.fork()
    if pid == 0:
        child(what, made, held)
    code = os.waitpid(pid, 0)[1]
    os._exit(code)


main(sys.argv[1])
