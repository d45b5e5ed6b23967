"""Of all the parent's threads only the one that forks exists in the child."""

import ctypes
import multiprocessing
import os
import signal
import threading
import time

beats = 0


def beat(stop):
    global beats
    while not stop.wait(0.02):
        beats += 1


def count_tasks():
    return len(os.listdir("/proc/self/task"))


def end_with_parent():
    """A child that hangs for ever must not outlive the demo."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def child():
    end_with_parent()
    before = beats
    time.sleep(0.3)
    print(f"child  {os.getpid()}: I have {count_tasks()} thread", flush=True)
    print(f"child  {os.getpid()}: no beats in me: {before} at the fork, {beats} after 0.3 s", flush=True)


def main():
    stop = threading.Event()
    threads = [threading.Thread(target=beat, args=(stop,), name=f"beat-{n}") for n in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    print(f"parent {os.getpid()}: I have {count_tasks()} threads (3 of them beat) and fork", flush=True)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    print(f"parent {os.getpid()}: beats went on in me: {beats} by now", flush=True)
    stop.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
