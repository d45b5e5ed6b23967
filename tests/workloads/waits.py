"""The child waits for something that another of its threads does after a while, or for a lock that
was made free in it after the fork. Nothing that was held at the fork is waited for; the tracer must
not say more than that it suspects something.

waits.py join|queue|executor|reinit [SECONDS]
"""
import concurrent.futures
import os
import queue
import sys
import threading
import time

seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 3
lock = threading.Lock()


def join():
    thread = threading.Thread(target=time.sleep, args=(seconds,))
    thread.start()
    thread.join()


def wait_for_queue():
    things = queue.Queue()
    threading.Timer(seconds, things.put, ("thing",)).start()
    things.get()


def rest_in_executor():
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        assert list(executor.map(abs, range(-4, 0))) == [4, 3, 2, 1]
        time.sleep(seconds)


def take_after_reinit():
    """Held at the fork and free since; another thread of the child takes it meanwhile."""
    lock.acquire()
    threading.Timer(seconds, lock.release).start()
    lock.acquire()


WAITS = {
    "join": join,
    "queue": wait_for_queue,
    "executor": rest_in_executor,
    "reinit": take_after_reinit,
}


def main():
    if sys.argv[1] == "reinit":
        lock.acquire()
        os.register_at_fork(after_in_child=lock._at_fork_reinit)
    child = os.fork()
    if child == 0:
        WAITS[sys.argv[1]]()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
