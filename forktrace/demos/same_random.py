"""A random number generator seeded before the fork gives every child the same numbers."""

import ctypes
import multiprocessing
import os
import random
import signal
import time

# Python seeds the generator of its `random` module again in a forked child (since 3.7). It does not
# seed a generator that the program made.
own = random.Random()


def draw(generator):
    return [generator.randrange(100) for _ in range(6)]


def end_with_parent():
    """The child must not outlive the demo."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def child():
    end_with_parent()
    print(f"child  {os.getpid()}: my own generator   {draw(own)}", flush=True)
    print(f"child  {os.getpid()}: the random module  {draw(random)}", flush=True)
    time.sleep(1)


def main():
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child) for _ in range(2)]
    print(f"parent {os.getpid()}: I have seeded both generators, and fork two children", flush=True)
    for process in children:
        process.start()
    for process in children:
        process.join()
    print(f"parent {os.getpid()}: the own generators of both children gave the same numbers", flush=True)


if __name__ == "__main__":
    main()
