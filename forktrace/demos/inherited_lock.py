"""A lock that is held at the fork is never released in the child: the child hangs."""

import ctypes
import multiprocessing
import os
import signal
import threading

lock = threading.Lock()


def end_with_parent():
    """The child must not outlive the demo."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def child():
    end_with_parent()
    print(f"child  {os.getpid()}: I want the lock", flush=True)
    with lock:
        print(f"child  {os.getpid()}: I have the lock", flush=True)


def main():
    process = multiprocessing.get_context("fork").Process(target=child)
    lock.acquire()
    print(f"parent {os.getpid()}: I hold the lock, and fork", flush=True)
    process.start()
    lock.release()
    print(f"parent {os.getpid()}: I have released the lock, and wait for the child", flush=True)
    process.join()
    print(f"parent {os.getpid()}: the child has ended", flush=True)


if __name__ == "__main__":
    main()
