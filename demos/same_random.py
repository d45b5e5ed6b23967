"""A random generator seeded before the fork gives every child the same numbers."""

import ctypes
import multiprocessing
import os
import random
import signal
import time

# Python seeds the generator of its `random` module anew in a forked child (since 3.7), and knows
# nothing of a generator that a program made for itself.
own = random.Random()


def draw(generator):
    return [generator.randrange(100) for _ in range(6)]


def end_with_parent():
    """A child that hangs for ever must not outlive the demo."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def child():
    end_with_parent()
    print(f"child  {os.getpid()}: a generator of my own     {draw(own)}", flush=True)
    print(f"child  {os.getpid()}: the module's, seeded anew {draw(random)}", flush=True)
    time.sleep(0.3)


def main():
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child) for _ in range(2)]
    print(f"parent {os.getpid()}: the generators are seeded; I fork two children", flush=True)
    for process in children:
        process.start()
    for process in children:
        process.join()
    print(f"parent {os.getpid()}: the children's own generators gave the same numbers", flush=True)


if __name__ == "__main__":
    main()
