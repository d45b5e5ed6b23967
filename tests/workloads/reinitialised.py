"""A background thread keeps using a lock of Python's own library while the main thread forks again
and again; the library makes the lock anew in the child, which uses it too. The tracer must say
nothing.

reinitialised.py logging|handler|random|threads [CHILDREN]
"""
import logging
import os
import random
import sys
import threading
import time

what = sys.argv[1]


class Null:
    """A stream without a lock of its own: that of a real file is not made anew."""

    def write(self, text):
        pass


logging.basicConfig(stream=Null())
handler = logging.getLogger().handlers[0]


def use():
    if what == "random":
        random.random()
    elif what == "threads":
        thread = threading.Thread(target=time.sleep, args=(0,))
        thread.start()
        thread.join()
    else:
        logging.warning("used")


def keep_using():
    if what == "handler":
        with handler.lock:
            time.sleep(60)
    while True:
        use()


def main():
    threading.Thread(target=keep_using, daemon=True).start()
    time.sleep(0.1)
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 50):
        child = os.fork()
        if child == 0:
            use()
            os._exit(0)
        os.waitpid(child, 0)
    # The daemon thread is not waited for.
    os._exit(0)


main()
