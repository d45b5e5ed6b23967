"""A background thread is inside of a write to a full pipe while the main thread forks. The child
writes to the same buffered file, whose inner lock stays held: it hangs.
The tracer must say: inherited-lock, certain, at the line of the child's write().

buffer_of_thread.py [SECONDS]
"""
import os
import signal
import sys
import threading
import time

reading, writing = os.pipe()
file = os.fdopen(writing, "wb")


def fill():
    file.write(bytes(1 << 20))


def main():
    threading.Thread(target=fill, daemon=True).start()
    time.sleep(0.5)
    child = os.fork()
    if child == 0:
        # SIGALRM's default action ends the child, so that it does not stay behind.
        signal.alarm(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
        print(f"stuck={os.getpid()}", flush=True)
        file.write(b"x")  # hangs here
        os._exit(98)
    print(f"forker={os.getpid()}\nlost=1", flush=True)
    os.waitpid(child, 0)
    os._exit(0)


main()
