"""A forked child starts with a copy of its parent's memory."""

import ctypes
import multiprocessing
import os
import signal
import time

settings = {"colour": "white, as in the source code"}


def end_with_parent():
    """The child must not outlive the demo."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def child():
    end_with_parent()
    print(f"child  {os.getpid()}: my colour is {settings['colour']}", flush=True)
    settings["colour"] = "green, set by the child"
    print(f"child  {os.getpid()}: my colour is now {settings['colour']}", flush=True)
    time.sleep(0.3)


def main():
    settings["colour"] = "blue, set by the parent before the fork"
    print(f"parent {os.getpid()}: the colour is {settings['colour']}", flush=True)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    print(f"parent {os.getpid()}: the colour is still {settings['colour']}", flush=True)


if __name__ == "__main__":
    main()
