"""A child hands work to a thread of its parent, which it does not have. Nothing hangs.

handed_over.py HOW [SECONDS]
  queue, simple, executor, event, condition, listener: one task, by these of Python's library
  pool         multiprocessing's own fork, and the child puts tasks into a queue
  feeder       a queue of multiprocessing, and os.fork(), which does not start its feeder again
Nothing is lost:
  unused       the child hands over nothing
  anew         os.register_at_fork makes the queue and its thread again
  served       a thread of the child takes the tasks
  lock         the child releases a lock for which the lost thread waits
  exits        the child's executor wakes its lost threads at the exit
  own          an executor of the child's own
  mp           a queue of multiprocessing, whose feeder starts again in the child
  spawn        the child is started, not forked
  runs         the child starts a program
  timer        the lost thread is a timer
"""
import concurrent.futures
import logging
import logging.handlers
import multiprocessing
import os
import queue
import subprocess
import sys
import threading
import time

how = sys.argv[1]
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 7
LOST = ("queue", "simple", "executor", "event", "condition", "listener", "pool", "feeder")


def say(name, number):
    os.write(1, f"{name}={number}\n".encode())


def serve(jobs):
    while jobs.get() is not None:
        pass


class Tasks:
    """What the parent has, and the thread that serves it."""

    def __init__(self):
        self.jobs = queue.SimpleQueue() if how == "simple" else queue.Queue()
        self.event = threading.Event()
        self.condition = threading.Condition()
        self.lock = threading.Lock()
        self.executor = None
        if how in ("executor", "exits"):
            self.executor = concurrent.futures.ThreadPoolExecutor(1)
            self.executor.submit(time.sleep, 0).result()
        elif how == "listener":
            self.jobs = queue.Queue()
            logging.handlers.QueueListener(self.jobs, logging.NullHandler()).start()
        elif how == "timer":
            threading.Timer(60, print).start()
        elif how in ("mp", "feeder"):
            self.jobs = multiprocessing.get_context("fork").Queue()
            self.jobs.put(0)
        else:
            self.start()

    def start(self):
        bodies = {"event": self.event.wait, "condition": self.wait, "lock": self.take}
        body = bodies.get(how, lambda: serve(self.jobs))
        threading.Thread(target=body, daemon=True).start()

    def wait(self):
        with self.condition:
            self.condition.wait()

    def take(self):
        with self.lock:
            pass

    def again(self):
        self.jobs = queue.Queue()
        self.start()

    def hand_over(self):
        if how == "executor":
            self.executor.submit(time.sleep, 0)
        elif how == "event":
            self.event.set()
        elif how == "condition":
            with self.condition:
                self.condition.notify()
        elif how == "listener":
            log = logging.getLogger("app")
            log.addHandler(logging.handlers.QueueHandler(self.jobs))
            log.warning("nobody writes this")
        elif how == "lock":
            self.lock.release()
        elif how == "own":
            with concurrent.futures.ThreadPoolExecutor(2) as executor:
                assert list(executor.map(abs, [-1, -2])) == [1, 2]
        elif how == "runs":
            subprocess.run(["sleep", "0.1"], check=True)
        elif how not in ("unused", "exits", "timer"):
            self.jobs.put(1)


def child(tasks):
    if how == "served":
        tasks.start()
    time.sleep(0.5)
    tasks.hand_over()
    time.sleep(0 if how == "exits" else seconds)


def spawned():
    time.sleep(0.5)


if __name__ == "__main__":
    tasks = Tasks()
    if how == "lock":
        tasks.lock.acquire()
        tasks.start()
    if how == "anew":
        os.register_at_fork(after_in_child=tasks.again)
    time.sleep(0.3)
    say("forker", os.getpid())
    say("lost", len(os.listdir("/proc/self/task")) - 1)
    if how == "spawn":
        process = multiprocessing.get_context("spawn").Process(target=spawned)
        process.start()
        process.join()
    elif how in ("pool", "exits", "mp"):
        process = multiprocessing.get_context("fork").Process(target=child, args=(tasks,))
        process.start()
        if how == "pool":
            say("stuck", process.pid)
        process.join()
    else:
        pid = os.fork()
        if pid == 0:
            child(tasks)
            os._exit(0)
        if how in LOST:
            say("stuck", pid)
        os.waitpid(pid, 0)
    os._exit(0)
