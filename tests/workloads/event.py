"""A thread of the child waits for an Event that another of its threads sets after a while. Nothing
was held at the fork; the tracer must not say more than that it suspects something.

event.py [SECONDS]
"""
import multiprocessing
import sys
import threading

event = threading.Event()


def work(seconds):
    threading.Timer(seconds, event.set).start()
    event.wait()


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    child = multiprocessing.get_context("fork").Process(target=work, args=(seconds,))
    child.start()
    child.join()
    sys.exit(child.exitcode)
