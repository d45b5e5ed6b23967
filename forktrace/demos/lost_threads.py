"""Only the thread that calls fork exists in the child."""

import ctypes
import multiprocessing
import os
import queue
import signal
import threading
import time

counter = 0
records = queue.Queue()


def count(stop):
    global counter
    while not stop.wait(0.02):
        counter += 1


def write():
    """Writes records, until there is none."""
    while True:
        record = records.get()
        if record is None:
            return
        print(f"writer {os.getpid()}: {record}", flush=True)


def count_tasks():
    return len(os.listdir("/proc/self/task"))


def end_with_parent():
    """The child must not outlive the demo."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def child():
    end_with_parent()
    before = counter
    time.sleep(0.3)
    print(f"child  {os.getpid()}: I have {count_tasks()} thread", flush=True)
    print(f"child  {os.getpid()}: the counter is {before} at the fork, {counter} after 0.3 s", flush=True)
    records.put("a record of the child")
    print(f"child  {os.getpid()}: I gave a record to the writer, and wait 7 s", flush=True)
    time.sleep(7)
    print(f"child  {os.getpid()}: {records.qsize()} record is still in the queue", flush=True)


def main():
    stop = threading.Event()
    threads = [threading.Thread(target=count, args=(stop,), name=f"count-{n}") for n in range(2)]
    threads.append(threading.Thread(target=write, name="writer"))
    for thread in threads:
        thread.start()
    records.put("a record of the parent")
    time.sleep(0.1)
    print(f"parent {os.getpid()}: I have {count_tasks()} threads (2 count, 1 writes), and fork", flush=True)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    print(f"parent {os.getpid()}: the counter is {counter} now", flush=True)
    stop.set()
    records.put(None)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
