"""Output that is in a buffer at the fork is written by both processes."""

import os
import sys
import tempfile
import time


def child(log):
    log.write("a line of the child\n")
    print(f"child  {os.getpid()}: I have written my line, and leave by sys.exit()", flush=True)
    # The end writes what is in the buffer. os._exit() would not.
    sys.exit(0)


def main():
    file, path = tempfile.mkstemp()
    log = open(file, "w")
    log.write("a line from before the fork\n")
    print(f"parent {os.getpid()}: I have written a line to a file, and fork", flush=True)
    pid = os.fork()
    if pid == 0:
        child(log)
    os.waitpid(pid, 0)
    time.sleep(0.5)
    log.close()
    print(f"parent {os.getpid()}: I have closed the file; this is in it:", flush=True)
    with open(path) as written:
        for line in written:
            print(f"    {line}", end="", flush=True)
    os.unlink(path)


if __name__ == "__main__":
    main()
