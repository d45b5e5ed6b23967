"""A prefork server whose master has a background thread that takes a lock all the time. The workers
have several threads each; those that serve a request take the lock, and hang where the lock was held
at the fork, while the worker's other threads live on.
The tracer must say: inherited-lock, and which thread of the master had it.

prefork.py Lock|RLock|acquire accept|select|wait WORKERS [SECONDS]
"""
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import time

log = logging.getLogger("app")


class Stats:
    """What the application counts, shared by all threads of a process."""

    def __init__(self, kind):
        self.lock = threading.RLock() if kind == "RLock" else threading.Lock()
        self.by_hand = kind == "acquire"
        self.counts = {}

    def flush(self):
        with self.lock:
            text = json.dumps(self.counts)
            time.sleep(0.004)
            self.counts["flushed"] = len(text)

    def count(self, name):
        if self.by_hand:
            self.lock.acquire()  # hangs here by hand
            self.counts[name] = self.counts.get(name, 0) + 1
            self.lock.release()
            return
        with self.lock:  # hangs here
            self.counts[name] = self.counts.get(name, 0) + 1


def flusher(stats):
    while True:
        stats.flush()
        time.sleep(0.0005)


def is_held(lock):
    if hasattr(lock, "locked"):
        return lock.locked()
    return repr(lock).startswith("<locked")


def request(stats, wake):
    time.sleep(0.1)
    if is_held(stats.lock):
        # One write: lines of several threads must not mix.
        os.write(1, f"stuck={os.getpid()} {threading.get_native_id()}\n".encode())
    stats.count("requests")
    os.write(wake, b"x")


def heartbeat():
    while True:
        json.dumps({"alive": time.time()})
        time.sleep(0.05)


def worker(stats, listener, how, seconds):
    signal.alarm(seconds)
    asleep, wake = os.pipe()
    requests = [(request, (stats, wake))] * 2
    for target, args in ((heartbeat, ()), *requests, (heartbeat, ())):
        threading.Thread(target=target, args=args, daemon=True).start()
    if how == "accept":
        listener.accept()
    elif how == "select":
        select.select([listener, asleep], [], [])
    else:
        os.read(asleep, 1)
    os._exit(0)


def main():
    kind, how, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    seconds = int(sys.argv[4]) if len(sys.argv) > 4 else 4
    stats = Stats(kind)
    listener = socket.create_server(("127.0.0.1", 0))
    if "WORKLOAD_WAITS" in os.environ:
        print(f"ready={os.getpid()}", flush=True)
        os.read(0, 1)
    thread = threading.Thread(target=flusher, args=(stats,), daemon=True)
    thread.start()
    print(f"forker={os.getpid()}\nholder={thread.native_id}", flush=True)
    time.sleep(0.05)
    for number in range(workers):
        time.sleep(0.0213)
        # One at least is to hang.
        while number == 0 and not is_held(stats.lock):
            time.sleep(0.0001)
        if os.fork() == 0:
            worker(stats, listener, how, seconds)
    for _ in range(workers):
        os.wait()


main()
