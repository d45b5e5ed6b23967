"""Parent and child share a file that was opened before the fork, and its position."""

import ctypes
import multiprocessing
import os
import signal
import tempfile
import time


def end_with_parent():
    """The child must not outlive the demo."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def child(fd):
    end_with_parent()
    # The pauses let forktrace look at the position in between.
    time.sleep(0.5)
    position = os.lseek(fd, 0, os.SEEK_CUR)
    print(f"child  {os.getpid()}: I did not open the file; its position is byte {position}", flush=True)
    os.write(fd, b"second line, by the child\n")
    time.sleep(1)


def main():
    fd, path = tempfile.mkstemp(prefix="forktrace-demo-", suffix=".txt")
    try:
        os.write(fd, b"first line, by the parent\n")
        process = multiprocessing.get_context("fork").Process(target=child, args=(fd,))
        process.start()
        time.sleep(0.9)
        position = os.lseek(fd, 0, os.SEEK_CUR)
        print(f"parent {os.getpid()}: the child has moved the position to byte {position}", flush=True)
        os.write(fd, b"third line, by the parent\n")
        process.join()
        with open(path) as written:
            for line in written:
                print(f"parent {os.getpid()}: in the file: {line.rstrip()}", flush=True)
    finally:
        os.close(fd)
        os.remove(path)


if __name__ == "__main__":
    main()
