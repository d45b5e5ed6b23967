"""The program of inherited_lock.py with the start method spawn: the child executes a new Python, and
its lock is free."""

import ctypes
import multiprocessing
import os
import signal
import threading
import time

lock = threading.Lock()


def end_with_parent():
    """The child must not outlive the demo."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def child():
    end_with_parent()
    print(f"child  {os.getpid()}: I want the lock", flush=True)
    with lock:
        print(f"child  {os.getpid()}: I have the lock", flush=True)
    time.sleep(0.3)


def main():
    process = multiprocessing.get_context("spawn").Process(target=child)
    lock.acquire()
    print(f"parent {os.getpid()}: I hold the lock, and spawn", flush=True)
    process.start()
    lock.release()
    print(f"parent {os.getpid()}: I have released the lock, and wait for the child", flush=True)
    process.join()
    print(f"parent {os.getpid()}: the child has ended", flush=True)


if __name__ == "__main__":
    main()
