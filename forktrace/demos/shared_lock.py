"""A child gives back the lock on a file that its parent still relies on."""

import ctypes
import fcntl
import os
import signal
import tempfile
import time


def end_with_parent():
    """The child must not outlive the demo."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def is_free(path):
    """Whether somebody who opens the file anew would get the lock."""
    with open(path) as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def main():
    fd, path = tempfile.mkstemp(prefix="forktrace-demo-", suffix=".lock")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        print(f"parent {os.getpid()}: I have the lock; is it free for others? {is_free(path)}", flush=True)
        child = os.fork()
        if child == 0:
            end_with_parent()
            time.sleep(0.2)
            print(f"child  {os.getpid()}: I clean up and unlock the file", flush=True)
            fcntl.flock(fd, fcntl.LOCK_UN)
            time.sleep(0.2)
            os._exit(0)
        time.sleep(0.6)
        free = is_free(path)
        print(f"parent {os.getpid()}: I did not unlock it; is it free for others? {free}", flush=True)
        os.waitpid(child, 0)
        time.sleep(0.2)
        fcntl.flock(fd, fcntl.LOCK_UN)
        time.sleep(0.2)
    finally:
        os.close(fd)
        os.remove(path)


if __name__ == "__main__":
    main()
